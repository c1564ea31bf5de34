"""The table of all settings, made from the schema: what each is called, takes and means."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import typing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from cornernet.config.schema import SECTIONS, Config

# Settings that have moved, by their old name. Files and commands with the old one still work.
RENAMED = {"train.threads": "runtime.threads"}


@dataclass(frozen=True)
class Setting:
    """One setting of the schema.

    Attributes:
        section: name of its section, such as "train".
        key: its name there.
        type: int, float, bool, str, a Literal of words, list[int] or list[float].
        default: what it is without a recipe.
        description: from the section's docstring.
    """

    section: str
    key: str
    type: Any
    default: Any
    description: str

    @property
    def name(self) -> str:
        """The dotted name, such as "train.epochs"."""
        return f"{self.section}.{self.key}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that a Literal allows; empty for other types."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is Literal else ()

    @property
    def item_type(self) -> type | None:
        """The type of a list's entries; None for other types."""
        return typing.get_args(self.type)[0] if typing.get_origin(self.type) is list else None


@lru_cache
def settings() -> dict[str, Setting]:
    """Every setting by its dotted name, in the schema's order."""
    found = {}
    for section, kind in SECTIONS.items():
        types, described = typing.get_type_hints(kind), _attributes(kind)
        defaults = kind()
        for item in dataclasses.fields(kind):
            setting = Setting(
                section,
                item.name,
                types[item.name],
                getattr(defaults, item.name),
                described[item.name],
            )
            found[setting.name] = setting
    return found


def section_titles() -> dict[str, str]:
    """What each section is about, by its name."""
    described = _attributes(Config)
    return {section: described[section] for section in SECTIONS}


def _attributes(kind: type) -> dict[str, str]:
    """The entries under "Attributes:" in a class's docstring, each as a line without its stop."""
    _, _, text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("    ") and not line.startswith("     "):  # not a continuation
            name, _, line = line.strip().partition(":")
            found[name] = line.strip()
        else:
            found[name] += " " + line.strip()
    return {name: text.removesuffix(".") for name, text in found.items()}


def suggestion(name: str) -> str:
    """What to write instead of a setting that does not exist, as the end of a sentence."""
    if near := nearest(name):
        return f"; did you mean {' or '.join(near)}?"
    section = name.partition(".")[0]
    if section in SECTIONS:
        return "; there are: " + ", ".join(
            s.name for s in settings().values() if s.section == section
        )
    return "; the sections are: " + ", ".join(SECTIONS)


def nearest(name: str) -> list[str]:
    """Return the settings or the section that a wrong name could stand for.

    Args:
        name: what was written, with or without a section.
    """
    section, dot, key = name.replace("-", "_").rpartition(".")
    table = settings().values()
    near_section = difflib.get_close_matches(section, SECTIONS, n=1)
    own = {s.key: s.name for s in table if s.section in near_section}
    if key in own:
        return [own[key]]
    if same := [s.name for s in table if s.key == key]:
        return same
    if near := difflib.get_close_matches(key, own, n=1):
        return [own[near[0]]]
    if not dot and (near := difflib.get_close_matches(key, SECTIONS, n=1)):
        return near
    near = difflib.get_close_matches(key, [s.key for s in table], n=1, cutoff=0.75)
    return [s.name for s in table if s.key in near]
