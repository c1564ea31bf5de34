"""A network of a few thousand parameters, for tests that need one and not what it finds."""

from __future__ import annotations

from typing import Any

SMALL_MODEL: dict[str, Any] = {
    "stacks": 1,
    "stage_channels": [8, 8],
    "stage_blocks": [1, 1],
    "feature_channels": 8,
    "pool_channels": 8,
    "head_channels": 8,
}
