"""Probing a device: the CPU against itself, and pretended devices that get things wrong."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
import torch

from cornernet.runtime import probe as module
from cornernet.runtime.probe import CHECKS, Check, Values, is_fit, main, probe, probe_op
from cornernet_ops import __main__ as ops_command
from cornernet_ops import devices
from cornernet_ops.registration import OPS
from tests.errors import raises

CPU = torch.device("cpu")
EXP = Check("aten::exp", lambda v: (v(3, 4),))


def pretend(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """A device whose results are the CPU's, changed."""
    run = module._run
    calls = iter([lambda results: results, change])  # the CPU is asked first
    monkeypatch.setattr(module, "_run", lambda *call: next(calls)(run(*call)))


def test_the_cpu_agrees_with_itself_in_every_op() -> None:
    out = io.StringIO()
    findings = probe(CPU, out)
    assert is_fit(findings)
    assert {one.status for one in findings} == {"native", "composite"}
    assert out.getvalue().endswith("0 fallback, 0 wrong, 0 missing\n")


def test_every_op_of_ours_is_probed() -> None:
    assert {f"cornernet::{op}" for op in OPS} <= {check.op for check in CHECKS}


def test_no_op_is_probed_twice_in_a_dtype() -> None:
    probed = [(check.op, dtype) for check in CHECKS for dtype in check.dtypes]
    assert len(probed) == len(set(probed))


def test_values_are_the_same_each_time() -> None:
    one, other = (Values(CPU, torch.float32) for _ in range(2))
    assert torch.equal(one(3, 4), other(3, 4))
    assert torch.equal(one.indices(9, 5), other.indices(9, 5))


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (lambda results: [results[0] * 1.001, *results[1:]], "off by 1.0e-03 of the largest value"),
        (lambda results: [results[0][:2], *results[1:]], "[2, 4, torch.float32], not [3, 4, "),
        (lambda results: [results[0].double(), *results[1:]], "[3, 4, torch.float64], not [3, 4, "),
        (
            lambda results: [results[0].log().sqrt(), *results[1:]],
            "infinities or NaN where the CPU",
        ),
    ],
)
def test_wrong_result_is_wrong(monkeypatch: pytest.MonkeyPatch, change: Any, remark: str) -> None:
    pretend(monkeypatch, change)
    finding = probe_op(EXP, CPU, torch.float32)
    assert finding.status == "wrong"
    assert remark in finding.remark


def test_wrong_whole_number_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda results: [results[0] + 1, *results[1:]])
    finding = probe_op(Check("aten::neg", lambda v: (v(3, 4),)), CPU, torch.int64)
    assert (finding.status, finding.remark) == ("wrong", "12 elements differ")


def test_argument_that_is_written_to_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, lambda results: [*results[:-1], results[-1] + 1])
    check = Check("aten::_foreach_mul_.Tensor", lambda v: ([v(3)], v.scalar(0.5)))
    assert probe_op(check, CPU, torch.float32).status == "wrong"


def test_convolution_in_half_precision_is_right_and_remarked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = next(check for check in CHECKS if check.op == "aten::convolution")
    pretend(monkeypatch, lambda results: [results[0] * 1.001, *results[1:]])
    finding = probe_op(check, CPU, torch.float32)
    assert finding.status == "composite"
    assert finding.remark.endswith("half precision?")


def test_op_that_fails_is_missing() -> None:
    # The device `meta` has no values, so this op cannot be done there.
    check = Check("aten::_local_scalar_dense", lambda v: (v(1),))
    finding = probe_op(check, torch.device("meta"), torch.float32)
    assert finding.status == "missing"
    assert "meta" in finding.remark
    assert not is_fit([finding])


def test_plugin_that_warns_of_falling_back_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(results: Any) -> Any:
        warnings.warn("aten::exp falls back to run on the CPU", stacklevel=1)
        return results

    pretend(monkeypatch, warn)
    finding = probe_op(EXP, CPU, torch.float32)
    assert (finding.status, finding.remark) == (
        "fallback",
        "aten::exp falls back to run on the CPU",
    )
    assert is_fit([finding])


def test_op_without_kernel_or_formula_is_a_fallback() -> None:
    assert module._by_whom("aten::exp", "CPU") == "native"
    assert module._by_whom("aten::zeros", "CPU") == "composite"
    assert module._by_whom("aten::exp", "VE") == "fallback"


def test_op_that_this_torch_does_not_have_is_left_out() -> None:
    assert probe(CPU, io.StringIO(), [EXP, Check("aten::of_the_future", lambda v: (v(1),))]) == [
        probe_op(EXP, CPU, torch.float32)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["probe", "--device", "tpu"], "device must be an available device, got 'tpu'"),
        (["--device", "cpu"], "--device goes with probe"),
    ],
)
def test_bad_command_of_the_ops_is_refused_in_a_sentence(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = ops_command.main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capfd.readouterr().err


def test_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with raises("'sdaa'", "torch_sdaa is not installed", field="device"):
        module.find_device("sdaa")


@pytest.mark.parametrize(("status", "code"), [("native", 0), ("fallback", 0), ("wrong", 1)])
def test_exit_status_tells_whether_the_device_is_fit(
    monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    found = [module.Finding("aten::exp", torch.float32, status)]
    monkeypatch.setattr(module, "probe", lambda device: found)
    assert main(["cpu"]) == code


def test_report_is_what_the_bare_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert ops_command.main([]) == 0
    assert "corner_pool" in capsys.readouterr().out
