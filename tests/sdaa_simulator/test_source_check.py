"""Device code keeps to what the language has."""

from __future__ import annotations

import pytest

from tests.sdaa_simulator.source_check import device_sources, problems
from tests.sdaa_simulator.toolkit_host import KERNELS


def test_the_kernels_use_nothing_that_device_code_may_not() -> None:
    sources = device_sources(KERNELS)
    assert len(sources) > 10
    found = [
        f"{path.name}:{line}: {what}"
        for path in sources
        for line, what in problems(path.read_text(), shared=path.parent.name == "common")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("#include <vector>", "the header <vector>"),
        ("std::sort(a, b);", "std::sort"),
        ("std::atomic<int> a;", "std::atomic"),
        ("throw 1;", "exceptions"),
        ("try { f(); } catch (...) {}", "exceptions"),
        ("int* p = new int[3];", "new and delete"),
        ("delete p;", "new and delete"),
        ("static int count = 0;", "static variables"),
        ("static Table table;", "static variables"),
        ("thread_local int x;", "thread-local variables"),
        ("virtual void f();", "virtual functions"),
        ("dynamic_cast<A*>(b);", "run-time types"),
        ('printf("%d", 1);', "the host's input, output and ends"),
        ("double x = y;", "double precision"),
        ("float x = y * 0.5;", "a literal of type double"),
        ("float x = y * 1e-3;", "a literal of type double"),
    ],
)
def test_what_device_code_may_not_use_is_found(line: str, what: str) -> None:
    assert [found for _, found in problems(line)] == [what]


@pytest.mark.parametrize(
    "line",
    [
        "// new and double, throw",
        'SDAA_LAUNCH(kernel, stream, "throw");',
        "static constexpr int kLanes = 16;",
        "static int lanes(int x) { return x; }",
        "const int x = static_cast<int>(y);",
        "Buffer(const Buffer&) = delete;",
        "float x = 0.5f + 2e-3f;",
        "double x = y;  // double: float32 rounds to the other side of a whole number",
        "const float root = std::sqrt(x);",
        "int version_1e3 = a1.x2;",
    ],
)
def test_what_it_may_use_is_not(line: str) -> None:
    assert list(problems(line)) == []
