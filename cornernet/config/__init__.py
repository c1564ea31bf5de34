"""The configuration of a run: its settings with their checks, and reading them."""

from cornernet.config.parse import (
    config_from_dict,
    config_parser,
    load_recipe,
    recipes,
    save_config,
    with_overrides,
)
from cornernet.config.schema import (
    SECTIONS,
    AugmentConfig,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    TestConfig,
    TrainConfig,
)

__all__ = [
    "SECTIONS",
    "AugmentConfig",
    "Config",
    "DataConfig",
    "LossConfig",
    "ModelConfig",
    "TestConfig",
    "TrainConfig",
    "config_from_dict",
    "config_parser",
    "load_recipe",
    "recipes",
    "save_config",
    "with_overrides",
]
