"""What runs CUDA kernels on the host finds those that break a rule."""

from __future__ import annotations

import ctypes

import pytest


def launch(library: ctypes.CDLL, rule: int, seed: int = 0) -> tuple[int, list[int]]:
    values = (ctypes.c_int * 64)(*range(64))
    library.cuda_on_host_seed(seed)
    return library.rules_launch(rule, values), list(values)


def test_a_barrier_is_waited_at(library: ctypes.CDLL) -> None:
    assert launch(library, 0) == (0, list(range(63, -1, -1)))


def test_a_missing_barrier_shows(library: ctypes.CDLL) -> None:
    error, values = launch(library, 1)
    assert error == 0 and values != list(range(63, -1, -1))


def test_turns_are_drawn_from_the_seed(library: ctypes.CDLL) -> None:
    assert launch(library, 1, seed=1) == launch(library, 1, seed=1)
    assert launch(library, 1, seed=1) != launch(library, 1, seed=2)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (2, "threads wait at different places, or for one that has ended"),
        (3, "lanes of a warp are at different functions of the warp"),
        (4, "the kernel stopped itself by __trap"),
        (5, "a grid has at least one block, and a block 32 to 1024 threads in whole warps"),
    ],
)
def test_broken_rules_end_the_launch(library: ctypes.CDLL, rule: int, sentence: str) -> None:
    error, _ = launch(library, rule)
    library.cuda_on_host_error.restype = ctypes.c_char_p
    assert error == 719
    assert library.cuda_on_host_error().decode() == sentence
    assert launch(library, 0) == (0, list(range(63, -1, -1)))  # and the next one starts anew
