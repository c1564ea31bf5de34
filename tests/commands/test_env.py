"""`cornernet env`: its report, and the probe of a device."""

from __future__ import annotations

import pytest
import torch

from cornernet.cli import main
from cornernet.runtime.probe import Finding

from .helpers import refusal


def test_env_names_versions_devices_and_backends(capsys: pytest.CaptureFixture[str]) -> None:
    main(["env"])
    text = capsys.readouterr().out
    assert torch.__version__ in text and "device cpu" in text and "corner_pool" in text
    assert "missing" not in text  # it does not probe


@pytest.mark.parametrize(("status", "code"), [("native", 0), ("wrong", 1)])
def test_probe_tells_whether_a_device_is_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    probed = []

    def probe(device: torch.device) -> list[Finding]:
        probed.append(device)
        return [Finding("aten::exp", torch.float32, status)]

    monkeypatch.setattr("cornernet.runtime.probe.probe", probe)
    if code:
        with pytest.raises(SystemExit) as stop:
            main(["env", "--probe", "cpu"])
        assert stop.value.code == code
    else:
        main(["env", "--probe", "cpu"])
    assert probed == [torch.device("cpu")] and "device cpu" in capsys.readouterr().out


def test_probe_of_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, "env", "--probe", "teapot")
    assert "--probe " in error and "'teapot'" in error
