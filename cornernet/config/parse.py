"""Reading a configuration from recipes, plain data and words, and saving it.

Whatever the origin, a value becomes what the schema says in one place, `_convert`, and a mistake
is reported with the dotted name of its setting and the file in which it stands.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from cornernet.config.safe_yaml import load_yaml
from cornernet.config.schema import SECTIONS, VERSION, Config
from cornernet.config.settings import RENAMED, Setting, settings, suggestion
from cornernet.errors import UserError
from cornernet.runtime.files import replacing


@dataclass(frozen=True)
class _Given:
    """A setting's value as it was written, and the file it stands in, if any."""

    value: Any
    source: str | None = None


def config_from_dict(
    values: Mapping[str, Any],
    overrides: Sequence[str] = (),
    source: str | None = None,
    version: int = VERSION,
) -> Config:
    """Build a configuration from nested plain data and words; checks every key and type.

    Args:
        values: keys by section, as `Config.to_dict` gives them; what is missing has its default.
        overrides: words as of the command line, see `split_settings`; they win over `values`.
        source: the file that `values` were read from, for messages.
        version: what the settings mean where `values` do not say; see `Config.version`.

    Raises:
        UserError: an unknown key, or a value of the wrong type or out of range.
    """
    recipe = ""
    if isinstance(values, Mapping):
        recipe, version = values.get("recipe", ""), values.get("version", version)
    if not isinstance(recipe, str):
        raise UserError(f"must be text, got {recipe!r}", field="recipe", source=source)
    if type(version) is not int or not 1 <= version <= VERSION:
        raise UserError(
            f"must be from 1 to {VERSION}, got {version!r}; a newer version of this package may "
            "have written it",
            field="version",
            source=source,
        )
    config = _build(recipe, _flatten(values, source), overrides)
    return dataclasses.replace(config, version=version)


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """Return a copy changed by words as of the command line; see `config_from_dict`."""
    return config_from_dict(config.to_dict(), overrides)


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe by its name or from a YAML file, changed by words of the command line.

    A recipe may name another under `base`; it then holds only what differs.

    Raises:
        UserError: no such recipe or file, not YAML, or a setting that does not exist or fit.
    """
    return _build(Path(name_or_path).stem, _read_recipe(name_or_path, None, ()), overrides)


def load_config(path: Path) -> Config:
    """Read a whole configuration, as `save_config` writes it; the recipe's name is kept.

    Raises:
        UserError: no such file, not YAML, or not a configuration.
    """
    return config_from_dict(_read_yaml(path), source=str(path), version=1)


def recipes() -> dict[str, Path]:
    """The recipes that travel with the package, by name."""
    directory = Path(str(resources.files("cornernet") / "recipes"))
    return {path.stem: path for path in sorted(directory.glob("*.yaml"))}


def save_config(config: Config, path: Path) -> None:
    """Write the whole configuration as YAML."""
    text = yaml.safe_dump(config.to_dict(), sort_keys=False, default_flow_style=None)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_recipe(config: Config, base: str, path: Path) -> None:
    """Write what a configuration has otherwise than another recipe, as a recipe with that base.

    Args:
        config: the configuration.
        base: name or file of the other recipe.
        path: the file.

    Raises:
        UserError: see `check_recipe_name`.
    """
    check_recipe_name(base, path)
    content: dict[str, Any] = {"base": base if base in recipes() else str(Path(base).resolve())}
    usual = load_recipe(base).to_dict()
    for section in SECTIONS:
        values = getattr(config, section)
        changes = {
            key: value
            for key, value in dataclasses.asdict(values).items()
            if value != usual[section][key]
        }
        content |= {section: changes} if changes else {}
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def check_recipe_name(base: str, path: Path) -> None:
    """Refuse a file for a recipe that would be taken for its own base.

    Raises:
        UserError: it has the base's name.
    """
    if path.stem == base or path.resolve() == Path(base).resolve():
        raise UserError(f"must have another name than its base '{base}'", field="recipe")


def split_settings(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the words of a command line into those that change settings and all others.

    Settings are written `--section.key value` or `--section.key=value`. A `+` behind the key adds
    the value, an entry or a list, to the list that the setting has.
    """
    changes: list[str] = []
    others: list[str] = []
    for group, name, _ in _groups(words):
        (others if name is None else changes).extend(group)
    return changes, others


_WORD = re.compile(r"--([^\s.=]+\.[^\s=]*)(?:=(.*))?", re.DOTALL)


def _groups(words: Sequence[str]) -> Iterator[tuple[Sequence[str], str | None, str | None]]:
    """Yield the words of a setting with its name and value, any other word with None and None."""
    position = 0
    while position < len(words):
        match = _WORD.fullmatch(words[position])
        following = words[position + 1 : position + 2]
        if match is None:
            yield words[position : position + 1], None, None
        elif match[2] is None and following and not following[0].startswith("--"):
            yield words[position : position + 2], match[1], following[0]
            position += 1
        else:
            yield words[position : position + 1], match[1], match[2]
        position += 1


def _build(recipe: str, given: dict[str, _Given], overrides: Sequence[str]) -> Config:
    _apply(overrides, given)
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, item in given.items():
        setting = settings()[name]
        sections[setting.section][setting.key] = _convert(item, setting)
    try:
        return Config(
            recipe=recipe, **{name: SECTIONS[name](**keys) for name, keys in sections.items()}
        )
    except UserError as error:  # out of range
        source = given[error.field].source if error.field in given else None
        raise UserError(error.message, field=error.field, source=source) from None


def _apply(overrides: Sequence[str], given: dict[str, _Given]) -> None:
    """Change `given` by words."""
    for group, name, text in _groups(overrides):
        if name is None:
            raise UserError(
                f"expected settings as section.key and a value, found {group[0]!r} that belongs to "
                "none; check its place, or put lists in quotes, like '[1, 2]'"
            )
        more = name.endswith("+")
        setting = _known(name.removesuffix("+"), None)
        if text is None:
            raise UserError(f"must be followed by {_wanted(setting)}", field=setting.name)
        given[setting.name] = _Given(_added(text, setting, given) if more else text)


def _added(text: str, setting: Setting, given: Mapping[str, _Given]) -> list[Any]:
    """The list that a setting has so far, with the entry or the entries of `text` behind it."""
    if setting.item_type is None:
        raise UserError(f"takes {_wanted(setting)}, to which nothing is added", field=setting.name)
    entries = text if text.startswith("[") else f"[{text}]"
    so_far = _convert(given[setting.name], setting) if setting.name in given else setting.default
    return [*so_far, *_convert(_Given(entries), setting)]


def _flatten(values: Any, source: str | None) -> dict[str, _Given]:
    """Nested plain data as values by dotted name; refuses what is not in the schema."""
    if not isinstance(values, Mapping):
        message = f"expected sections with settings, got {type(values).__name__}"
        raise UserError(message, source=source)
    given = {}
    for section, keys in values.items():
        if section in ("recipe", "version"):
            continue
        if section not in SECTIONS:
            message = "is not a section of settings" + suggestion(str(section))
            raise UserError(message, field=str(section), source=source)
        if not isinstance(keys, Mapping):
            example = next(name for name in settings() if name.startswith(f"{section}."))
            raise UserError(
                f"must be a section with settings such as {example}, got {_shown(keys)}",
                field=section,
                source=source,
            )
        for key, value in keys.items():
            given[_known(f"{section}.{key}", source).name] = _Given(value, source)
    return given


def _known(name: str, source: str | None) -> Setting:
    setting = settings().get(RENAMED.get(name, name))
    if setting is None:
        raise UserError("is not a setting" + suggestion(name), field=name, source=source)
    return setting


def _convert(given: _Given, setting: Setting) -> Any:
    """A value as its setting's type.

    Text is read as the type, because words of the command line are text, and because YAML takes
    numbers such as 1e-5 for text.
    """
    value, item_type = given.value, setting.item_type
    try:
        if item_type is None:
            return _scalar(value, setting.type, setting.choices)
        entries = load_yaml(value) if isinstance(value, str) else value
        if not isinstance(entries, list | tuple):
            raise ValueError
        return [_scalar(entry, item_type) for entry in entries]
    except (ValueError, OverflowError):
        raise UserError(
            f"must be {_wanted(setting)}, got {_shown(value)}",
            field=setting.name,
            source=given.source,
        ) from None


_LARGEST_INT = 2**53  # all smaller ones are floats, too
_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxdict = 12
_SHORT.maxstring = _SHORT.maxother = 120
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _scalar(value: Any, kind: Any, choices: Sequence[str] = ()) -> Any:
    """A single value as `kind`; raises ValueError where it is of another."""
    text = value if isinstance(value, str) else None
    if kind is bool:
        if text is not None and text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        if isinstance(value, bool):
            return value
    elif kind is int:
        if text is not None or (isinstance(value, int) and not isinstance(value, bool)):
            whole = int(value)
            if abs(whole) < _LARGEST_INT:
                return whole
    elif kind is float:
        if text is not None or (isinstance(value, int | float) and not isinstance(value, bool)):
            number = float(value)
            if math.isfinite(number):
                return number
    elif text is not None and (not choices or text in choices):
        return text
    raise ValueError


def _wanted(setting: Setting) -> str:
    """What a setting takes, in words."""
    if setting.choices:
        return "one of " + ", ".join(setting.choices)
    if setting.item_type is not None:
        entries = {int: "whole numbers", float: "numbers", str: "words"}[setting.item_type]
        example = f" such as {setting.default}" if setting.default else ""
        return f"a list of {entries}{example}"
    return {
        int: "a whole number", float: "a number", bool: "true or false", str: "text",
    }[setting.type]  # fmt: skip


def _shown(value: Any) -> str:
    return "nothing" if value is None else _SHORT.repr(value)


def _read_recipe(
    name_or_path: str, named_in: Path | None, seen: tuple[Path, ...]
) -> dict[str, _Given]:
    """What a recipe and its bases set, by dotted name."""
    path = recipes().get(name_or_path, Path(name_or_path))
    if not _is_file(path):
        near = difflib.get_close_matches(name_or_path, recipes(), n=1)
        advice = (
            f"did you mean {near[0]!r}?" if near else f"the recipes are: {', '.join(recipes())}"
        )
        raise UserError(
            f"must be the name of a recipe or a YAML file, got {name_or_path!r}; {advice}",
            field="recipe" if named_in is None else "base",
            source=None if named_in is None else str(named_in),
        )
    if path in seen:
        raise UserError(
            "must end in a recipe without a base, found a circle", field="base", source=str(path)
        )
    values = _read_yaml(path)
    base = values.pop("base", None) if isinstance(values, dict) else None
    given = _flatten(values, str(path))
    if base is None:
        return given
    sibling = path.parent / f"{base}.yaml"
    below = str(sibling) if _is_file(sibling) else str(base)
    return {**_read_recipe(below, path, (*seen, path)), **given}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name of a file
        return False


def _read_yaml(path: Path) -> Any:
    """A YAML file's content; an empty one holds no settings."""
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: expected a readable file, got {error.strerror}") from None
    except ValueError as error:  # text in another encoding is one, too
        raise UserError(f"{path}: expected YAML, got: {error}") from None
    return {} if values is None else values
