"""The configuration of a run: its settings with their checks, and reading them."""

from cornernet.config.model import ModelConfig
from cornernet.config.parse import (
    check_recipe_name,
    config_from_dict,
    load_config,
    load_recipe,
    recipes,
    save_config,
    save_recipe,
    split_settings,
    with_overrides,
)
from cornernet.config.schema import (
    SECTIONS,
    VERSION,
    AugmentConfig,
    Config,
    DataConfig,
    LossConfig,
    RuntimeConfig,
    TestConfig,
    TrainConfig,
)
from cornernet.config.settings import Setting, nearest, section_titles, settings

__all__ = [
    "SECTIONS",
    "VERSION",
    "AugmentConfig",
    "Config",
    "DataConfig",
    "LossConfig",
    "ModelConfig",
    "RuntimeConfig",
    "Setting",
    "TestConfig",
    "TrainConfig",
    "check_recipe_name",
    "config_from_dict",
    "load_config",
    "load_recipe",
    "nearest",
    "recipes",
    "save_config",
    "save_recipe",
    "section_titles",
    "settings",
    "split_settings",
    "with_overrides",
]
