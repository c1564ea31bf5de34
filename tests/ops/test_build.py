"""What setup.py decides to compile, and where build_backend.py finds torch."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cornernet_ops import devices

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


NO_PLUGIN = setup.Toolkit(None, "torch_sdaa is not installed", plugin=False)
NO_COMPILER = setup.Toolkit(None, "the compiler tecocc is nowhere")
SDAA = setup.Toolkit("/opt/tecoai/bin/tecocc")
NO_CUDA = setup.Toolkit(None, "this torch is one without CUDA", plugin=False)
NO_NVCC = setup.Toolkit(None, "the compiler nvcc is nowhere")
CUDA = setup.Toolkit("/usr/local/cuda/bin/nvcc")


def assert_mentions(text: str, *words: str) -> None:
    assert [word for word in words if word not in text] == [], text


def decide(
    wanted: str | None = None, sdaa: Any = NO_PLUGIN, cuda: Any = NO_CUDA, **changed: Any
) -> Any:
    environment = {} if wanted is None else {"CORNERNET_OPS_BUILD": wanted}
    arguments = {"torch": "2.13.0", "compiler": "/usr/bin/c++", "sources": {"cpu"}, **changed}
    return setup.decide(environment, **arguments, toolkits={"cuda": cuda, "sdaa": sdaa})


@pytest.mark.parametrize("wanted", [None, "", "auto", "cpu"])
def test_cpu_kernels_are_built_where_there_is_a_compiler(wanted: str | None) -> None:
    decision = decide(wanted)
    assert decision.built == ["cpu"]
    assert decision.torch == "2.13.0"


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_cuda_is_built_where_its_compiler_is(wanted: str) -> None:
    decision = decide(wanted, sources={"cpu", "cuda"}, cuda=CUDA)
    assert decision.built == ["cpu", "cuda"]
    assert_mentions(decision.reason, "/usr/bin/c++", "/usr/local/cuda/bin/nvcc")


def test_cuda_is_not_mentioned_where_torch_is_without() -> None:
    decision = decide(sources={"cpu", "cuda"})
    assert decision.built == ["cpu"]
    assert "cuda" not in decision.reason


def test_torch_for_cuda_without_its_compiler_gets_the_references_and_a_sentence() -> None:
    decision = decide(sources={"cpu", "cuda"}, cuda=NO_NVCC)
    assert decision.built == ["cpu"]
    assert_mentions(decision.reason, "none for cuda", "references", NO_NVCC.missing)


def nvcc(folder: Path, says: str) -> str:
    compiler = folder / "nvcc"
    compiler.write_text(f"#!/bin/sh\necho '{says}'\n")
    compiler.chmod(0o755)
    return str(compiler)


def test_nvcc_of_another_minor_version_serves(tmp_path: Path) -> None:
    compiler = nvcc(tmp_path, "Cuda compilation tools, release 12.4, V12.4.131")
    toolkit = setup.matching_nvcc(compiler, "12.8")
    assert toolkit.compiler == compiler and toolkit.extension is not None


@pytest.mark.parametrize(
    ("says", "version"), [("tools, release 13.0, V13.0.88", "13.0"), ("", "an unknown version")]
)
def test_nvcc_of_another_major_version_is_refused(tmp_path: Path, says: str, version: str) -> None:
    compiler = nvcc(tmp_path, says)
    toolkit = setup.matching_nvcc(compiler, "12.8")
    assert toolkit.compiler is None and toolkit.plugin
    assert_mentions(toolkit.missing, compiler, f"CUDA {version}", "CUDA 12.8", "CUDA_HOME")


@pytest.mark.parametrize("wanted", ["auto", "sdaa"])
def test_sdaa_is_built_where_its_toolkit_is(wanted: str) -> None:
    decision = decide(wanted, sources={"cpu", "sdaa"}, sdaa=SDAA)
    assert decision.built == ["cpu", "sdaa"]
    assert_mentions(decision.reason, "/usr/bin/c++", "/opt/tecoai/bin/tecocc")


def test_sdaa_is_not_mentioned_where_there_is_no_plugin() -> None:
    decision = decide(sources={"cpu", "sdaa"})
    assert decision.built == ["cpu"]
    assert "sdaa" not in decision.reason


def test_a_plugin_without_its_compiler_gets_the_references_and_a_sentence() -> None:
    decision = decide(sources={"cpu", "sdaa"}, sdaa=NO_COMPILER)
    assert decision.built == ["cpu"]
    assert_mentions(decision.reason, "none for sdaa", "references", NO_COMPILER.missing)


def test_cpu_alone_can_be_asked_for_beside_a_plugin() -> None:
    assert decide("cpu", sources={"cpu", "sdaa"}, sdaa=SDAA).built == ["cpu"]


def plugin(folder: Path, cpp_extension: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch_sdaa with this text as torch_sdaa.utils.cpp_extension."""
    utils = folder / "torch_sdaa" / "utils"
    utils.mkdir(parents=True)
    (utils.parent / "__init__.py").touch()
    (utils / "__init__.py").touch()
    (utils / "cpp_extension.py").write_text(cpp_extension)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch_sdaa"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(folder)


def tecocc(folder: Path) -> Path:
    compiler = folder / "bin" / "tecocc"
    compiler.parent.mkdir(parents=True)
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    return compiler


WHOLE = "TecoExtension = BuildExtension = object\nSDAA_HOME = {home!r}\n"


@pytest.fixture
def forget_plugin() -> Iterator[None]:
    before = {name: module for name, module in sys.modules.items() if "torch_sdaa" in name}
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch_sdaa"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.usefixtures("forget_plugin")
def test_compiler_is_found_in_the_toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tecocc(tmp_path / "home")
    plugin(tmp_path, WHOLE.format(home=str(tmp_path / "home")), monkeypatch)
    toolkit = setup.sdaa_toolkit({"PATH": ""})
    assert toolkit.compiler == str(compiler) and toolkit.build_ext is object


@pytest.mark.usefixtures("forget_plugin")
def test_compiler_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tecocc(tmp_path)
    plugin(tmp_path, WHOLE.format(home=None), monkeypatch)
    assert setup.sdaa_toolkit({"PATH": str(tmp_path / "bin")}).compiler == str(compiler)


@pytest.mark.usefixtures("forget_plugin")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WHOLE.format(home="/nowhere"), ["tecocc", "/nowhere/bin", "PATH", "setvars.sh"]),
        ("BuildExtension = object", ["cpp_extension", "AttributeError", "TecoExtension"]),
        ("raise RuntimeError('no driver')", ["cpp_extension", "RuntimeError: no driver"]),
    ],
)
def test_what_is_missing_for_sdaa_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    plugin(tmp_path, text, monkeypatch)
    found = setup.sdaa_toolkit({"PATH": ""})
    assert found.compiler is None and found.plugin
    assert_mentions(found.missing, *words)


def test_none_builds_nothing_and_needs_nothing() -> None:
    assert decide("none", torch=None, compiler=None).built == []


def test_no_compiler_builds_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    decision = decide(compiler=None)
    assert decision.built == []
    setup.announce(decision)
    assert_mentions(capsys.readouterr().err, "no C++ compiler", "c++", "references")


@pytest.mark.parametrize(
    ("wanted", "changed", "words"),
    [
        ("gpu", {}, ["auto, none, cpu, cuda, sdaa", "gpu"]),
        ("cuda", {}, ["csrc/cuda", "devices there are: cpu"]),
        ("sdaa", {}, ["csrc/sdaa", "devices there are: cpu"]),
        ("sdaa", {"sources": {"cpu", "sdaa"}}, [NO_PLUGIN.missing]),
        ("cuda", {"sources": {"cpu", "cuda"}}, [NO_CUDA.missing]),
        ("cuda", {"sources": {"cpu", "cuda"}, "cuda": NO_NVCC}, [NO_NVCC.missing]),
        ("sdaa", {"sources": {"cpu", "sdaa"}, "sdaa": NO_COMPILER}, [NO_COMPILER.missing]),
        ("cpu", {"compiler": None}, ["CORNERNET_OPS_BUILD=cpu", "compiler", "c++", "CXX"]),
        ("auto", {"torch": None}, ["torch", "not installed", "CORNERNET_OPS_BUILD=none"]),
    ],
)
def test_what_cannot_be_built_is_refused(wanted: str, changed: dict, words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        decide(wanted, **changed)
    assert_mentions(str(stop.value), "cornernet", *words)


def test_every_device_with_kernels_has_sources_and_a_toolkit() -> None:
    kinds = {kind for kind, device in devices.DEVICES.items() if device.compiler is not None}
    assert setup.device_sources() == kinds
    assert set(setup.TOOLKITS) == kinds - {"cpu"}
    for kind in kinds:
        assert f"csrc/{kind}/corner_pool{devices.DEVICES[kind].kernel_suffix}" in setup.files(kind)


def test_a_device_of_a_plugin_is_imported_or_the_reason_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = devices.Device("PrivateUse1", plugin="torch_other", plugin_source="its wheel")
    monkeypatch.setitem(devices.DEVICES, "other", device)
    assert devices.import_plugin("cpu") is None
    assert_mentions(str(devices.import_plugin("other")), "torch_other", "install its wheel")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "torch_other.py").write_text("raise RuntimeError('no driver')")
    assert_mentions(str(devices.import_plugin("other")), "torch_other", "RuntimeError: no driver")
    (tmp_path / "torch_other.py").write_text("")
    assert devices.import_plugin("other") is None
    assert sys.modules.pop("torch_other")


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
    assert build_backend.find_torch()[0] == os.path.dirname(os.path.dirname(torch.__file__))


def test_plugin_in_a_folder_of_its_own_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch_sdaa").mkdir()
    (tmp_path / "torch_sdaa" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert str(tmp_path) in build_backend.find_torch()


def test_no_torch_stops_the_build_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_backend, "find_torch", list)
    monkeypatch.delenv("CORNERNET_OPS_BUILD", raising=False)
    with pytest.raises(SystemExit) as stop:
        build_backend.get_requires_for_build_wheel()
    assert_mentions(str(stop.value), "torch is not installed", sys.executable, "pip install torch")


def test_no_torch_is_no_matter_where_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_backend, "find_torch", list)
    monkeypatch.setenv("CORNERNET_OPS_BUILD", "none")
    build_backend._provide_torch()
