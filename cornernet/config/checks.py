"""Checks of settings' ranges, whose messages begin with the setting's dotted name."""

from __future__ import annotations

from cornernet.errors import UserError

LONGEST_SIDE = 2**15
"""Far beyond what any image needs, in pixels: more is a slip and would take all memory."""


def require(condition: bool, setting: str, message: str) -> None:
    """Raise UserError with a message for a setting unless a condition holds."""
    if not condition:
        raise UserError(message, field=setting)


def require_at_least(minimum: float, section: str, owner: object, *keys: str) -> None:
    """Raise UserError unless the settings `keys` of a section are at least `minimum`."""
    for key in keys:
        value = getattr(owner, key)
        # Written so that NaN is refused.
        require(value >= minimum, f"{section}.{key}", f"must be at least {minimum:g}, got {value}")


def require_at_most(maximum: float, section: str, owner: object, *keys: str) -> None:
    """Raise UserError unless the settings `keys` of a section are at most `maximum`."""
    for key in keys:
        value = getattr(owner, key)
        require(value <= maximum, f"{section}.{key}", f"must be at most {maximum:g}, got {value}")
