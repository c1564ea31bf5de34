"""What has to be known of another program to read its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cornernet.weights.foreign.names import Rule, matching
from cornernet.weights.foreign.pixels import Pixels


@dataclass(frozen=True)
class Layout:
    """How a program names its tensors, and what it feeds to its network.

    Attributes:
        name: for messages.
        present: patterns of names; a file has this layout if each describes some tensor ...
        absent: ... and none of these does.
        rules: from the program's names to ours.
        pixels: the input of the network, from the metadata and the name of a file, and a sentence
            about it; nothing where our defaults hold.
        unused: patterns of tensors, under our names, that the program stores and never uses; they
            are dropped where our network has none of that name.
        recipe: whose settings, other than those of the network, the weights come with; "" stands
            for the defaults.
    """

    name: str
    present: tuple[str, ...]
    absent: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    pixels: Callable[[Mapping[str, Any], str], tuple[Pixels | None, str | None]] = (
        lambda meta, source: (None, None)
    )
    unused: tuple[str, ...] = ()
    recipe: str = ""

    def describes(self, names: Iterable[str]) -> bool:
        """Whether tensors with these names have this layout."""
        names = list(names)
        return all(matching(pattern, names) for pattern in self.present) and not any(
            matching(pattern, names) for pattern in self.absent
        )
