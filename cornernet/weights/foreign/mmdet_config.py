"""How pixels are normalised, from the configuration in a file of MMDetection."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping
from typing import Any

from cornernet.weights.foreign.pixels import Pixels
from cornernet.weights.pickles import Stub


def pixels_of(meta: Mapping[str, Any], source: str) -> tuple[Pixels | None, str]:
    """Find how the network of a file wants its pixels; returns it with a sentence about it.

    The preprocessor (3.x) or Normalize (2.x), whose arguments are usually in a variable, decides
    what the network is given. The mean of the crop is the colour around images.
    """
    usual = "mean and deviation of pixels: ImageNet's, as in MMDetection's recipes"
    given = meta.get("cfg", meta.get("config"))
    steps = _steps_with_mean(given)
    paddings = {step[1] for step in steps if step[0] == "RandomCenterCropPad"}
    for kinds in (("DetDataPreprocessor",), ("Normalize", "")):
        found = {step[1:] for step in steps if step[0] in kinds}
        if len(found) == 1:
            mean, std, rgb = found.pop()
            pixels = Pixels(mean, std, paddings.pop() if len(paddings) == 1 else None, rgb)
            settings = ", ".join(f"{name} {color}" for name, color in pixels.settings().items())
            order = "" if rgb else ", reordered from BGR"
            return pixels, f"from the configuration in the file: {settings}{order}"
    if steps or "mean" in str(given) or isinstance(given, Stub):
        warnings.warn(
            f"{source}: its configuration does not say plainly how pixels are normalised; "
            "ImageNet's mean and deviation are taken (the settings model.pixel_mean and "
            "model.pixel_std change them)",
            UserWarning,
            stacklevel=3,
        )
    return None, usual


_Step = tuple[str, tuple[float, ...], tuple[float, ...], bool]
# The order of colours in which each kind of step takes its mean where it does not say: is it RGB?
_DEFAULT_ORDER = {"DetDataPreprocessor": False, "Normalize": True, "RandomCenterCropPad": False}


def _steps_with_mean(given: Any) -> set[_Step]:
    """Every (type, mean, deviation, is RGB) that an MMDetection configuration mentions."""
    found: set[_Step] = set()
    for entries in _dictionaries(given):
        colors: list[Any] = [entries.get("mean"), entries.get("std")]
        if not all(isinstance(color, (list, tuple)) and len(color) == 3 for color in colors):
            continue
        try:
            numbers = [float(value) for color in colors for value in color]
        except (TypeError, ValueError, OverflowError):
            continue
        if not all(map(math.isfinite, numbers)):
            continue
        kind = str(entries.get("type", "")).rpartition(".")[2]
        said = [entries[name] for name in ("to_rgb", "bgr_to_rgb") if name in entries]
        order = bool(said[0]) if said else _DEFAULT_ORDER.get(kind, True)
        found.add((kind, tuple(numbers[:3]), tuple(numbers[3:]), order))
    return found


def _dictionaries(given: Any) -> list[Mapping[str, Any]]:
    """All dictionaries in a configuration or in its text, as far as their values are plain.

    A text is parsed, not run: what only running it would tell is left out.
    """
    if isinstance(given, Mapping):
        return [given, *(part for value in given.values() for part in _dictionaries(value))]
    if isinstance(given, (list, tuple)):
        return [part for value in given for part in _dictionaries(value)]
    if not isinstance(given, str):
        return []
    try:
        nodes = list(ast.walk(ast.parse(given)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[Mapping[str, Any]] = []
    for node in nodes:
        pairs: list[tuple[Any, ast.expr]] = []
        if isinstance(node, ast.Call):
            pairs = [(word.arg, word.value) for word in node.keywords]
        elif isinstance(node, ast.Dict):
            named = zip(node.keys, node.values, strict=True)
            pairs = [(key.value, value) for key, value in named if isinstance(key, ast.Constant)]
        entries = {}
        for key, value in pairs:
            if key in ("type", "mean", "std", "to_rgb", "bgr_to_rgb"):
                try:
                    entries[key] = ast.literal_eval(value)
                except (ValueError, TypeError, RecursionError, MemoryError):
                    continue  # names and calls
        found.append(entries)
    return found
