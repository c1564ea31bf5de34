"""The configuration of a run: its settings with their checks, and reading them."""

from cornernet.config.schema import (
    SECTIONS,
    AugmentConfig,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    TestConfig,
    TrainConfig,
    config_parser,
    load_recipe,
    recipes,
    save_config,
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
    "config_parser",
    "load_recipe",
    "recipes",
    "save_config",
]
