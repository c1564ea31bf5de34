"""Names of tensors: tables of rules, and the functions that apply them.

A pattern is a dotted name in which `{piece}` stands for one of `PIECES` and a final `*` for
whatever follows. Parentheses hold alternatives, `(cnvs|modules)`, or with a question mark
something optional, `(hg.)?`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from cornernet.errors import UserError

# What the pieces of a pattern may stand for, as regular expressions.
PIECES = {
    "corner": "tl|br",
    "stack": r"\d+",
    "index": r"\d+",
    "path": ".+",
}


class Rule(NamedTuple):
    """Another program's name and ours, as patterns with the same pieces.

    Attributes:
        theirs: pattern of the other program.
        ours: pattern without alternatives. Where `theirs` has none either, a table of rules can be
            inverted.
    """

    theirs: str
    ours: str


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression whose groups have the names of the pieces."""
    text = pattern.replace(".", r"\.").replace("*", "(?P<rest>.+)")
    return re.compile(re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{PIECES[m[1]]})", text))


def matching(pattern: str, names: Iterable[str]) -> list[re.Match[str]]:
    """Matches of the names that a pattern describes as a whole."""
    return [match for match in map(compiled(pattern).fullmatch, names) if match]


def rename(name: str, rules: Iterable[Rule]) -> str:
    """A name by the first rule that describes it; the name itself where none does."""
    for theirs, ours in rules:
        if match := compiled(theirs).fullmatch(name):
            return ours.replace("*", "{rest}").format_map(match.groupdict())
    return name


def inverse(rules: Iterable[Rule]) -> list[Rule]:
    """The rules from our names to another program's."""
    return [Rule(ours, theirs) for theirs, ours in rules]


def renamed(tensors: Mapping[str, Tensor], rules: Sequence[Rule], source: str) -> dict[str, Tensor]:
    """Tensors under other names, each of which only one tensor may get.

    Raises:
        UserError: two tensors get the same name.
    """
    origin: dict[str, str] = {}
    for name in tensors:
        new = rename(name, rules)
        other = origin.setdefault(new, name)
        if other != name:
            raise UserError(
                f"{source}: expected one tensor for {new}, found {other} and {name}; remove the "
                "wrong one"
            )
    return {new: tensors[old] for new, old in origin.items()}
