"""Choosing devices, precision and peers, with pretended devices where this machine has none."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cornernet.errors import UserError
from cornernet.runtime import device as module
from cornernet.runtime.device import (
    World,
    autocast,
    available_kinds,
    describe,
    end_world,
    free_memory,
    grad_scaler,
    peak_memory,
    resolve_device,
    resolve_precision,
    start_world,
)

CPU = torch.device("cpu")


@pytest.fixture
def only_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_import_plugins", dict)
    monkeypatch.setattr(module, "_module", lambda kind: None)


def pretend(monkeypatch: pytest.MonkeyPatch, kind: str) -> list[int]:
    """Pretend that there are two devices of a kind; gives those that were made current."""
    current: list[int] = []
    pretended = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        set_device=current.append,
        is_bf16_supported=lambda: True,
        max_memory_allocated=lambda: 12345,
        get_device_name=lambda index: f"pretended {index}",
    )
    monkeypatch.setattr(module, "_import_plugins", dict)
    monkeypatch.setattr(module, "_module", lambda name: pretended if name == kind else None)
    return current


@pytest.fixture
def two_accelerators(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return pretend(monkeypatch, "xpu")


def test_auto_takes_the_cpu_where_there_is_nothing_else(only_cpu: None) -> None:
    assert resolve_device("auto") == CPU
    assert available_kinds() == ["cpu"]


def test_auto_prefers_an_accelerator(two_accelerators) -> None:
    assert resolve_device("auto") == torch.device("xpu", 0)
    assert available_kinds() == ["xpu", "cpu"]


def test_cpu_may_be_chosen_beside_an_accelerator(two_accelerators) -> None:
    assert resolve_device("cpu") == CPU


def test_process_takes_the_device_of_its_local_rank(two_accelerators) -> None:
    assert resolve_device("xpu", local_rank=1) == torch.device("xpu", 1)


def test_index_in_the_name_wins_over_the_local_rank(two_accelerators) -> None:
    assert resolve_device("xpu:0", local_rank=1) == torch.device("xpu", 0)


def test_chosen_device_becomes_the_current_one(two_accelerators) -> None:
    resolve_device("xpu:1")
    assert two_accelerators == [1]


@pytest.mark.parametrize(("name", "rank"), [("xpu:2", 0), ("xpu", 2)])
def test_device_beyond_those_there_is_refused(two_accelerators, name: str, rank: int) -> None:
    with pytest.raises(UserError, match="needs xpu:2, but there are 2 devices"):
        resolve_device(name, rank)


@pytest.mark.parametrize("name", ["mps", "tpu", "", "cpu:first"])
def test_device_that_is_not_there_is_refused_with_those_that_are(only_cpu, name: str) -> None:
    with pytest.raises(UserError, match=rf"there \(cpu\), got '{name}'; use one of \['cpu'\]"):
        resolve_device(name)


def test_missing_sdaa_names_the_plugin_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "_module", lambda kind: None)
    with pytest.raises(UserError, match="install Tecorigin's torch_sdaa from its Docker images"):
        resolve_device("sdaa")


@pytest.fixture
def broken_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError("libsdaart.so: cannot open shared object file")

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(module.importlib, "import_module", fail)
    monkeypatch.setattr(module, "_module", lambda kind: None)


def test_broken_plugin_is_quoted_where_it_is_asked_for(broken_plugin: None) -> None:
    with pytest.raises(UserError, match=r"torch_sdaa cannot be imported \(OSError: libsdaart"):
        resolve_device("sdaa")


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_broken_plugin_does_not_keep_from_the_cpu(broken_plugin: None, name: str) -> None:
    assert resolve_device(name) == CPU


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_stated_precision_is_kept(precision: str) -> None:
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize(
    ("features", "wanted"),
    [("flags : sse avx2 avx512f", "fp32"), ("flags : avx512_bf16", "bf16"), ("bf16 i8mm", "bf16")],
)
def test_automatic_precision_of_a_cpu_follows_its_features(
    monkeypatch: pytest.MonkeyPatch, tmp_path, features: str, wanted: str
) -> None:
    (tmp_path / "cpuinfo").write_text(features)
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "cpuinfo")
    assert resolve_precision("auto", CPU) == wanted


def test_automatic_precision_of_an_accelerator_follows_its_word(two_accelerators) -> None:
    assert resolve_precision("auto", torch.device("xpu", 0)) == "bf16"


def test_automatic_precision_of_sdaa_is_not_its_emulated_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "sdaa")
    assert resolve_precision("auto", SimpleNamespace(type="sdaa")) == "fp32"


def test_autocast_of_a_device_with_an_own_one_is_that(monkeypatch: pytest.MonkeyPatch) -> None:
    amp = SimpleNamespace(autocast=lambda dtype: ("own", dtype))
    monkeypatch.setattr(module, "_module", lambda kind: SimpleNamespace(amp=amp))
    assert autocast(torch.device("xpu"), "fp16") == ("own", torch.float16)


def test_full_precision_needs_no_autocast() -> None:
    assert isinstance(autocast(CPU, "fp32"), contextlib.nullcontext)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.half)])
def test_autocast_computes_in_the_precision(precision: str, dtype: torch.dtype) -> None:
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize(("precision", "active"), [("fp16", True), ("bf16", False)])
def test_gradients_are_scaled_in_fp16_alone(precision: str, active: bool) -> None:
    assert grad_scaler(CPU, precision).is_enabled() is active


def test_memory_of_the_cpu_is_not_counted() -> None:
    assert peak_memory(CPU) is None


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="the system does not tell")
def test_free_memory_of_the_cpu_is_the_machines() -> None:
    free = free_memory(CPU)
    assert free is not None and 10**7 < free < 10**14


def test_free_memory_of_an_accelerator_is_its_own_affair() -> None:
    assert free_memory(torch.device("xpu", 0)) is None


def test_precision_that_autocast_lacks_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("unsupported dtype")

    monkeypatch.setattr(torch, "autocast", refuse)
    with pytest.raises(UserError, match=r"train\.precision: fp16 is not .* \(unsupp.*; use fp32"):
        autocast(CPU, "fp16")


def test_memory_of_an_accelerator_is_counted(two_accelerators) -> None:
    assert peak_memory(torch.device("xpu", 0)) == 12345


def test_description_names_every_device_of_a_kind(two_accelerators) -> None:
    assert describe("xpu") == "pretended 0, pretended 1"
    assert "threads" in describe("cpu")


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_single_process_is_a_world_of_its_own(no_launcher: None) -> None:
    world = start_world("cpu")
    assert world == World(CPU, rank=0, size=1)
    assert world.is_main
    assert not torch.distributed.is_initialized()
    end_world()


@pytest.mark.parametrize(("kind", "backend"), [("cpu", "gloo"), ("xpu", "gloo"), ("cuda", "nccl")])
def test_processes_join_with_the_devices_own_communication(
    no_launcher: None, monkeypatch: pytest.MonkeyPatch, kind: str, backend: str
) -> None:
    pretend(monkeypatch, kind)
    joined: list[str] = []
    monkeypatch.setattr(torch.distributed, "init_process_group", joined.append)
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    world = start_world(kind)
    assert joined == [backend]
    assert (world.rank, world.size) == (3, 4)
    assert world.device == (CPU if kind == "cpu" else torch.device(kind, 1))
    assert not world.is_main


def test_processes_that_cannot_meet_are_told_so(no_launcher, only_cpu, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # and no address to meet at
    with pytest.raises(UserError, match="2 processes on cpu communicate through gloo"):
        start_world("cpu")


def test_missing_communication_library_is_a_sentence(no_launcher, monkeypatch) -> None:
    pretend(monkeypatch, "sdaa")
    monkeypatch.setattr(module.torch, "device", lambda kind, index: SimpleNamespace(type=kind))
    for name, value in (("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="communicate through tccl, which could not be started: "):
        start_world("sdaa")
