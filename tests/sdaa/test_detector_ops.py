"""`python -m cornernet_ops probe` on the device, and that it probes all that the detector calls."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_sdaa
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from cornernet.cli import main
from cornernet.data.synthetic import synthesize
from cornernet.runtime.probe import CHECKS, find_device, is_fit, probe, probe_op
from cornernet_ops.extension import FORCE_REFERENCE
from tests.small import SMALL_MODEL


class Trace(TorchDispatchMode):
    """Collects the names of all ops that take or give a tensor of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: set[str] = set()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = op(*args, **(kwargs or {}))
        for leaf in pytree.tree_leaves((args, kwargs, result)):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "sdaa":
                self.ops.add(op._schema.name + f".{op._overloadname}".removesuffix(".default"))
        return result


def test_every_op_that_the_detector_calls_is_probed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes = str(synthesize(tmp_path / "shapes", train=4, val=2, min_side=96, max_side=128))
    model = [f"--model.{name}={value}" for name, value in SMALL_MODEL.items()]
    common = ["--data", shapes, "--device", "sdaa"]
    short = [
        "--train.epochs=1", "--train.batch_size=2", "--train.eval_every=1", "--data.workers=0",
        "--augment.crop_size=64", "--test.pad_multiple=16",
    ]  # fmt: skip
    corners = ["--model.parts", "[corners]"]  # no part's ops stand in for another's
    weights = str(tmp_path / "fp32" / "best.pt")
    with Trace() as trace:
        for precision, layout in (("fp32", "true"), ("fp16", "false")):
            main(["train", "tiny", *common, "--output", str(tmp_path / precision), *model, *short,
                  *corners, "--train.precision", precision,
                  "--train.channels_last", layout])  # fmt: skip
        main(["train", "tiny", *common, "--output", str(tmp_path / "centers"), *model, *short,
              "--train.precision", "fp32", "--model.parts", "[corners, centers]"])  # fmt: skip
        centers = str(tmp_path / "centers" / "best.pt")
        main(["evaluate", centers, *common, "--test.pair_score", "geometric"])
        main(["evaluate", centers, *common, "--test.pair_score", "mean"])
        main(["train", "tiny", *common, "--output", str(tmp_path / "fp32"), "--resume", *model,
              *short, *corners, "--train.precision", "fp32",
              "--train.channels_last", "true"])  # fmt: skip
        main(["evaluate", weights, *common, "--flip", "--scales", "0.5,1"])
        main(["evaluate", weights, *common, "--test.pair_score", "geometric"])
        picture = str(next((Path(shapes) / "val").iterdir()))
        main(["predict", weights, picture, "--device", "sdaa", "--output", str(tmp_path / "drawn")])
    capsys.readouterr()
    assert len(trace.ops) > 60
    assert trace.ops - {check.op for check in CHECKS} == set()


def test_nothing_is_wrong_or_missing() -> None:
    out = io.StringIO()
    findings = probe(find_device("sdaa"), out)
    assert is_fit(findings), out.getvalue()
    forced = os.environ.get(FORCE_REFERENCE, "0") not in ("", "0")
    ours = {one.status for one in findings if one.op.startswith("cornernet::")}
    assert ours == {"composite" if forced else "native"}


@pytest.mark.skipif(not hasattr(torch_sdaa, "fallback_counts"), reason="the simulator's own count")
def test_what_is_called_a_fallback_is_one() -> None:
    device = find_device("sdaa")
    for check in CHECKS:
        for dtype in check.dtypes:
            torch_sdaa.clear_fallback_counts()
            status = probe_op(check, device, dtype).status
            counted = {name.removesuffix("_") for name in torch_sdaa.fallback_counts()}
            name = check.op.partition(".")[0].removesuffix("_")
            # Convolutions are kernels of the plug-in, which run on the CPU all the same.
            if "convolution" not in name and status != "composite":
                assert (name in counted) == (status == "fallback"), check.op
