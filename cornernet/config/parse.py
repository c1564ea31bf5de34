"""Reading a configuration: recipes, plain data and words of the command line, and saving it."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from argparse import ArgumentError
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from cornernet.config.schema import SECTIONS, Config
from cornernet.errors import UserError
from cornernet.runtime.files import replacing


def config_from_dict(values: dict[str, Any], overrides: Sequence[str] = ()) -> Config:
    """Build from nested plain data and `--section.key value` words; checks every key and type.

    Raises:
        UserError: for an unknown key, a value of the wrong type or out of range.
    """
    _check_keys(values, "recipe")
    parser = config_parser()
    try:
        namespace = parser.parse_object(values)
        namespace = parser.parse_args(_checked_words(overrides), namespace=namespace)
    except (ArgumentError, TypeError) as error:
        raise UserError(f"configuration: {' '.join(str(error).split())}") from None
    plain = namespace.as_dict()
    return Config(
        recipe=plain["recipe"], **{name: kind(**plain[name]) for name, kind in SECTIONS.items()}
    )


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """A changed copy; see `config_from_dict`."""
    return config_from_dict(config.to_dict(), overrides)


def config_parser() -> ArgumentParser:
    """The parser of `--section.key value`: it checks types and writes the keys' help."""
    parser = ArgumentParser(
        exit_on_error=False, add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS
    )
    parser.add_class_arguments(Config)
    for action in parser._actions:
        if action.dest in SECTIONS:  # --train FILE, which jsonargparse offers and we do not
            action.help = argparse.SUPPRESS
    return parser


def _checked_words(words: Sequence[str]) -> list[str]:
    """`--section.key value` words, refused with a sentence where they are anything else."""
    for position, word in enumerate(words):
        if word.startswith("--"):
            section, _, key = word[2:].split("=", 1)[0].partition(".")
            key = key.removesuffix("+")  # --section.key+ value appends to a list
            _check_keys({section: {key: None} if key else None}, "command line")
        elif (
            position == 0 or "=" in words[position - 1] or not words[position - 1].startswith("--")
        ):
            raise UserError(
                f"command line: expected settings as --section.key value, found {word!r} that "
                "belongs to none; check its place or put lists in quotes, like '[1, 2]'"
            )
    return list(words)


def _check_keys(values: Any, where: str) -> None:
    """Refuse keys that no section has, naming the nearest that exists."""
    known = {"recipe": None} | {
        name: [item.name for item in dataclasses.fields(kind)] for name, kind in SECTIONS.items()
    }
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected sections with keys, got {type(values).__name__}")
    for section, keys in values.items():
        fields = known.get(section)
        if section not in known:
            raise UserError(f"{where}: no setting is called {section!r}" + _near(section, known))
        if fields is None:
            continue
        if not isinstance(keys, dict):
            raise UserError(
                f"{where}: expected {section} to be a section with keys such as "
                f"{section}.{fields[0]}, got {keys!r}"
            )
        for key in keys:
            if key not in fields:
                raise UserError(
                    f"{where}: no setting is called '{section}.{key}'"
                    + _near(str(key), fields, f"{section}.")
                )


def _near(word: str, known: Iterable[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    if close:
        return f"; did you mean '{prefix}{close[0]}'?"
    return "; there are: " + ", ".join(prefix + name for name in known)


def recipes() -> dict[str, Path]:
    """The recipes that travel with the package, by name."""
    folder = Path(str(resources.files("cornernet") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe by its name or from a YAML file and apply `--section.key value` words.

    A recipe may name another under `base`; it then holds only what differs.

    Raises:
        UserError: no such recipe or file, not YAML, or a setting that does not exist or fit.
    """
    values = _read_recipe(name_or_path, ())
    values["recipe"] = Path(name_or_path).stem
    return config_from_dict(values, overrides)


def _read_recipe(name_or_path: str, seen: tuple[Path, ...]) -> dict[str, Any]:
    known = recipes()
    path = known.get(name_or_path, Path(name_or_path))
    if not path.is_file():
        raise UserError(
            f"expected the name of a recipe or a YAML file, got {name_or_path!r}, which is neither"
            + _near(name_or_path, known)
        )
    if path in seen:
        raise UserError(f"{path}: expected recipes to end in one without `base`, found a circle")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections with keys, got {type(values).__name__}")
    base = values.pop("base", None)
    _check_keys(values, str(path))
    if base is None:
        return values
    sibling = path.parent / f"{base}.yaml"
    merged = _read_recipe(str(sibling) if sibling.is_file() else str(base), (*seen, path))
    for section, keys in values.items():
        if isinstance(keys, dict):
            merged[section] = {**merged.get(section, {}), **keys}
        else:
            merged[section] = keys
    return merged


def save_config(config: Config, path: Path) -> None:
    """Write the whole configuration as YAML."""
    text = yaml.safe_dump(config.to_dict(), sort_keys=False, default_flow_style=None)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
