"""Choosing the precision, and computing in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cornernet.runtime import precision as module
from cornernet.runtime.precision import autocast, grad_scaler, resolve_precision
from tests.errors import raises

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_stated_precision_is_kept(precision: str) -> None:
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize(
    ("features", "wanted"),
    [("flags : sse avx2 avx512f", "fp32"), ("flags : avx512_bf16", "bf16"), ("bf16 i8mm", "bf16")],
)
def test_automatic_precision_of_a_cpu_follows_its_features(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, features: str, wanted: str
) -> None:
    (tmp_path / "cpuinfo").write_text(features)
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "cpuinfo")
    assert resolve_precision("auto", CPU) == wanted


def test_automatic_precision_of_an_accelerator_follows_its_word(
    two_accelerators: list[int],
) -> None:
    assert resolve_precision("auto", torch.device("xpu", 0)) == "bf16"


def test_automatic_precision_of_sdaa_is_not_its_emulated_bf16(
    pretend: Callable[[str], list[int]],
) -> None:
    pretend("sdaa")
    sdaa: Any = SimpleNamespace(type="sdaa")  # torch knows no such device without its plug-in
    assert resolve_precision("auto", sdaa) == "fp32"


def test_autocast_of_a_device_with_an_own_one_is_that(monkeypatch: pytest.MonkeyPatch) -> None:
    amp = SimpleNamespace(autocast=lambda dtype: ("own", dtype))
    monkeypatch.setattr(torch, "xpu", SimpleNamespace(amp=amp))
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


def test_precision_that_autocast_lacks_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("unsupported dtype")

    monkeypatch.setattr(torch, "autocast", refuse)
    with raises("cpu", "'fp16'", "unsupported dtype", "use fp32", field="train.precision"):
        autocast(CPU, "fp16")
