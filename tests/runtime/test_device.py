"""Choosing devices, with pretended ones where this machine has none."""

from __future__ import annotations

import pytest
import torch

from cornernet.runtime.device import available_kinds, describe, resolve_device
from cornernet_ops import devices
from tests.errors import raises

CPU = torch.device("cpu")


def test_auto_takes_the_cpu_where_there_is_nothing_else(only_cpu: None) -> None:
    assert resolve_device("auto") == CPU
    assert available_kinds() == ["cpu"]


def test_auto_prefers_an_accelerator(two_accelerators: list[int]) -> None:
    assert resolve_device("auto") == torch.device("xpu", 0)
    assert available_kinds() == ["xpu", "cpu"]


def test_cpu_may_be_chosen_beside_an_accelerator(two_accelerators: list[int]) -> None:
    assert resolve_device("cpu") == CPU


def test_process_takes_the_device_of_its_local_rank(two_accelerators: list[int]) -> None:
    assert resolve_device("xpu", local_rank=1) == torch.device("xpu", 1)


def test_index_in_the_name_wins_over_the_local_rank(two_accelerators: list[int]) -> None:
    assert resolve_device("xpu:0", local_rank=1) == torch.device("xpu", 0)


def test_chosen_device_becomes_the_current_one(two_accelerators: list[int]) -> None:
    resolve_device("xpu:1")
    assert two_accelerators == [1]


@pytest.mark.parametrize(("name", "rank"), [("xpu:2", 0), ("xpu", 2)])
def test_device_beyond_those_there_is_refused(
    two_accelerators: list[int], name: str, rank: int
) -> None:
    with raises("2 xpu devices", "xpu:2", field="device"):
        resolve_device(name, rank)


@pytest.mark.parametrize("name", ["mps", "tpu", "", "cpu:first"])
def test_device_that_is_not_there_is_refused_with_those_that_are(only_cpu: None, name: str) -> None:
    with raises("(cpu)", f"'{name}'", "use one of cpu", field="device"):
        resolve_device(name)


def test_missing_sdaa_names_the_plugin_to_install(
    no_accelerator: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with raises("install", "torch_sdaa", "Docker images", field="device"):
        resolve_device("sdaa")


@pytest.fixture
def broken_plugin(no_accelerator: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError("libsdaart.so: cannot open shared object file")

    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(devices.importlib, "import_module", fail)


def test_broken_plugin_is_quoted_where_it_is_asked_for(broken_plugin: None) -> None:
    with raises("torch_sdaa cannot be imported (OSError: libsdaart", field="device"):
        resolve_device("sdaa")


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_broken_plugin_does_not_keep_from_the_cpu(broken_plugin: None, name: str) -> None:
    assert resolve_device(name) == CPU


def test_description_names_every_device_of_a_kind(two_accelerators: list[int]) -> None:
    assert describe("xpu") == "pretended 0, pretended 1"
    assert "threads" in describe("cpu")
