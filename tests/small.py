"""A network of a few thousand parameters, for tests that need one and not what it finds."""

from __future__ import annotations

from typing import Any

from cornernet.config import Config, config_from_dict

SMALL_MODEL: dict[str, Any] = {
    "stacks": 1,
    "stage_channels": [8, 8],
    "stage_blocks": [1, 1],
    "feature_channels": 8,
    "pool_channels": 8,
    "head_channels": 8,
}


def small_config(*overrides: str) -> Config:
    """A network of a few thousand parameters and a run of a few steps."""
    values = {
        "model": SMALL_MODEL,
        "data": {"workers": 0},
        "augment": {"crop_size": 64, "crop_border": 32},
        "train": {"epochs": 4, "batch_size": 2, "warmup_steps": 2, "milestones": [2],
                  "ema_decay": 0.9, "eval_every": 2, "log_every": 1},
        "test": {"pad_multiple": 16, "topk": 10, "max_pairs": 50},
    }  # fmt: skip
    return config_from_dict(values, overrides)
