"""Runs inputs in child processes, under limits of memory and time."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

MEMORY = 3 * 2**30  # bytes that a child may take beyond what it starts with
SECONDS = 20.0  # that one input may take
_CHILD_INPUTS = 2000  # what a leak takes is given back


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        name: its name.
        check: makes an input from the random generator, in an empty directory if it is a file, and
            runs it; raises for a finding.
        prepare: makes what all inputs start from, before there are children.
    """

    name: str
    check: Callable[[np.random.Generator, Path], None]
    prepare: Callable[[], object] = lambda: None


@dataclass
class Report:
    """What came of a target's inputs.

    Attributes:
        inputs: how many were run.
        findings: a seed and what happened.
    """

    inputs: int = 0
    findings: list[tuple[int, str]] = field(default_factory=list)


def generator(target: Target, seed: int) -> np.random.Generator:
    """The random generator that makes an input."""
    return np.random.default_rng([sum(target.name.encode()), seed])


def fuzz(target: Target, seconds: float, first_seed: int = 0) -> Report:
    """Run one input after the other until the time is over."""
    target.prepare()
    report = Report()
    end = time.monotonic() + seconds
    seed = first_seed
    while time.monotonic() < end:
        seed = _run_child(target, seed, end, report)
    return report


def _run_child(target: Target, seed: int, end: float, report: Report) -> int:
    """Run inputs in one child; returns the next seed."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(target, seed, end, sender))
    child.start()
    sender.close()
    begun = False
    try:
        while receiver.poll(SECONDS):
            message = receiver.recv()
            if message is None:
                return seed
            kind, seed, text = message
            begun = kind == "begin"
            if kind == "finding":
                report.findings.append((seed, text))
            if kind != "begin":
                report.inputs += 1
                seed += 1
        if begun:
            report.findings.append((seed, f"no answer within {SECONDS:g} s"))
    except EOFError:
        child.join(SECONDS)
        if not begun:
            return seed
        report.findings.append((seed, f"the process died, exit {child.exitcode}"))
    finally:
        if child.is_alive():
            child.kill()
        child.join()
        receiver.close()
    report.inputs += 1
    return seed + 1


def _child(target: Target, seed: int, end: float, sender: Connection) -> None:
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), sys.stderr.fileno())
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    # OpenMP's threads do not survive a fork, and a child that calls for them waits for ever.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        for number in range(seed, seed + _CHILD_INPUTS):
            if time.monotonic() >= end:
                break
            sender.send(("begin", number, ""))
            folder = Path(directory, str(number))
            folder.mkdir()
            try:
                target.check(generator(target, number), folder)
            except BaseException:  # whatever it is, it is a finding
                sender.send(("finding", number, traceback.format_exc()))
            else:
                sender.send(("done", number, ""))
    sender.send(None)
