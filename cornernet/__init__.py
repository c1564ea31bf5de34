"""CornerNet: objects as pairs of corners (Law & Deng, ECCV 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["CornerNet", "UserError", "__version__"]

if TYPE_CHECKING:
    from cornernet.api import CornerNet
    from cornernet.errors import UserError


def __getattr__(name: str) -> object:
    # Importing the package stays quick: torch and OpenCV are loaded when they are first needed.
    if name == "CornerNet":
        from cornernet.api import CornerNet

        return CornerNet
    if name == "UserError":
        from cornernet.errors import UserError

        return UserError
    raise AttributeError(f"module 'cornernet' has no attribute {name!r}")
