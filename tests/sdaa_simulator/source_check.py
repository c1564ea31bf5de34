"""What device code may not use, found in its source: a host compiler would take it all.

Not a parser: comments and strings are removed, the rest is searched. Double precision is legal but
slow; a line that means it says so in a comment that begins with `double:`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ALLOWED_HEADERS = {"cmath", "cstdint", "limits", "type_traits"}
VENDOR_HEADERS = {"simd.h", "slave.h"}
ALLOWED_STD = {"ceil", "exp", "floor", "isfinite", "numeric_limits", "pow", "sqrt"}

# A pattern, and what is wrong with it.
FORBIDDEN = [
    (r"\b(throw|try|catch)\b", "exceptions"),
    (r"\b(dynamic_cast|typeid)\b", "run-time types"),
    (r"\bvirtual\b", "virtual functions"),
    (r"\b(new|delete)\b(?!;)", "new and delete"),
    (r"\bthread_local\b", "thread-local variables"),
    (r"\b(printf|fopen|fprintf|exit|abort)\b", "the host's input, output and ends"),
    (r"\basm\b", "assembler of one machine"),
    (r"\bstatic\b(?!\s+constexpr)(?![^;={]*\()", "static variables"),
    (r"(?<![\w.])(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?(?![\w.])", "a literal of type double"),
    (r"\bdouble\b", "double precision"),
]


def without_comments(source: str) -> str:
    """The same lines, with comments and the insides of strings blanked out."""

    def blank(match: re.Match[str]) -> str:
        text = match.group()
        if text.startswith('"'):
            return '"' + " " * (len(text) - 2) + '"'
        return re.sub(r"[^\n]", " ", text)

    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, source, flags=re.DOTALL)


def problems(source: str, shared: bool = False) -> Iterator[tuple[int, str]]:
    """Line numbers and what device code may not use there.

    `shared`: arithmetic that all devices share says itself why it is in double precision.
    """
    raw = source.splitlines()
    for number, line in enumerate(without_comments(source).splitlines(), start=1):
        include = re.match(r"\s*#\s*include\s*<([^>]+)>", line)
        if include:
            name = include.group(1)
            if not (name in ALLOWED_HEADERS | VENDOR_HEADERS or name.startswith("sdaa_")):
                yield number, f"the header <{name}>"
            continue
        if "= delete;" in line or line.lstrip().startswith("#"):
            continue
        for name in re.findall(r"\bstd::(\w+)", line):
            if name not in ALLOWED_STD:
                yield number, f"std::{name}"
        for pattern, what in FORBIDDEN:
            meant = shared or "// double:" in raw[number - 1]
            if re.search(pattern, line) and not ("double" in what and meant):
                yield number, what


def device_sources(folder: Path) -> list[Path]:
    """All .scpp of a folder, and the headers beside and below them that they include."""
    found: list[Path] = []
    waiting = sorted(folder.glob("*.scpp"))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.append(path)
            names = re.findall(r'#include "([^"]+)"', path.read_text())
            waiting += [(path.parent / name).resolve() for name in names]
    return sorted(found)
