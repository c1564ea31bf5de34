"""What setup.py decides to compile, and where build_backend.py finds torch."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", ROOT / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


setup = load("setup")
build_backend = load("build_backend")


def decide(wanted: str | None = None, **changed):
    environment = {} if wanted is None else {"CORNERNET_OPS_BUILD": wanted}
    arguments = {"torch": "2.13.0", "compiler": "/usr/bin/c++", "sources": {"cpu"}}
    return setup.decide(environment, **{**arguments, **changed})


@pytest.mark.parametrize("wanted", [None, "", "auto", "cpu"])
def test_cpu_kernels_are_built_where_there_is_a_compiler(wanted: str | None) -> None:
    decision = decide(wanted)
    assert decision.built == ["cpu"]
    assert decision.torch == "2.13.0"


def test_a_device_comes_on_top_of_the_cpu() -> None:
    assert decide("cuda", sources={"cpu", "cuda"}).built == ["cpu", "cuda"]


def test_none_builds_nothing_and_needs_nothing() -> None:
    assert decide("none", torch=None, compiler=None).built == []


def test_no_compiler_builds_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    decision = decide(compiler=None)
    assert decision.built == []
    setup.announce(decision)
    assert "no C++ compiler (c++) was found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wanted", "changed", "message"),
    [
        ("gpu", {}, 'one of auto, none, cpu, cuda, sdaa, got "gpu"'),
        ("cuda", {}, "csrc/cuda/ holds none; the devices there are: cpu"),
        ("sdaa", {}, "csrc/sdaa/ holds none; the devices there are: cpu"),
        ("cpu", {"compiler": None}, "needs a C++ compiler, and c++ was not found"),
        ("auto", {"torch": None}, "torch is not installed"),
    ],
)
def test_what_cannot_be_built_is_refused(wanted: str, changed: dict, message: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(message)):
        decide(wanted, **changed)


def test_sources_are_those_in_the_tree() -> None:
    assert "cpu" in setup.device_sources()


def test_a_compiler_named_with_its_flags_is_found(tmp_path: Path) -> None:
    compiler = tmp_path / "mycxx"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    assert setup.find_compiler({"CXX": f"{compiler} -m64"}) == str(compiler)


def test_torch_is_found_from_inside_an_isolated_build(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    # As pip does it: the overlay hides the site-packages from this process, not from a fresh one.
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    monkeypatch.setattr(build_backend.importlib.util, "find_spec", lambda name: None)
    assert build_backend.find_torch() == os.path.dirname(os.path.dirname(torch.__file__))


def test_no_torch_stops_the_build_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_backend, "find_torch", lambda: None)
    monkeypatch.delenv("CORNERNET_OPS_BUILD", raising=False)
    with pytest.raises(SystemExit, match="torch is not installed for .*: install the torch"):
        build_backend.get_requires_for_build_wheel()


def test_no_torch_is_no_matter_where_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_backend, "find_torch", lambda: None)
    monkeypatch.setenv("CORNERNET_OPS_BUILD", "none")
    build_backend._provide_torch()
