"""torch.sdaa.amp: mixed precision under the names that programs for SDAA use."""

from __future__ import annotations

from typing import Any

import torch


class autocast(torch.autocast):
    """torch.autocast for sdaa; float16 unless told otherwise."""

    def __init__(
        self, enabled: bool = True, dtype: torch.dtype = torch.float16, cache_enabled: bool = True
    ) -> None:
        super().__init__("sdaa", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(torch.amp.GradScaler):
    """torch.amp.GradScaler for sdaa."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("sdaa", *args, **kwargs)
