"""Detectors as programs of torch: what the files hold, and that they find the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.config import config_from_dict
from cornernet.export.network import inputs_of
from cornernet.export.programs import METADATA
from cornernet.export.verify import Agreement, MapAgreement
from tests.errors import raises
from tests.export.test_onnx import CLASSES, detector, image

torch_export = pytest.mark.skipif(
    torch.__version__ < (2, 6), reason="older versions cannot trace the network for any size"
)


def loaded(path: Path) -> tuple[Any, dict[str, Any]]:
    """A program as its user loads it, and what it says of itself."""
    program: Any
    extra = {METADATA: ""}
    if path.name == "aoti.pt2":
        program = torch._inductor.aoti_load_package(str(path))
        return program, json.loads(program.get_metadata()[METADATA])
    if path.suffix == ".pt2":
        program = torch.export.load(path, extra_files=extra).module()
    else:
        program = torch.jit.load(path, _extra_files=extra)
    return program, json.loads(extra[METADATA])


@pytest.mark.parametrize("format", [pytest.param("pt2", marks=torch_export), "torchscript"])
def test_programs_find_the_same_in_images_of_any_size(tmp_path: Path, format: str) -> None:
    one = detector("--test.flip", "false", parts=("corners",))
    path = tmp_path / f"x.{format}"
    agreement = one.export(path, format=format)
    assert isinstance(agreement, Agreement) and agreement.images > 1 and agreement.boxes > 10
    program, about = loaded(path)
    assert about["classes"] == CLASSES and about["thresholds"]["overall"] == 0.25
    config = config_from_dict(about["config"])
    for number, (height, width) in enumerate([(64, 96), (96, 33)], start=1):
        pixels = image(height, width)
        inputs = inputs_of([pixels] * number, config, about["multiple"])
        boxes, scores, labels = (output[-1] for output in program(*inputs))
        wanted = one.detect(pixels)
        assert len(wanted) > 5
        kept = labels >= 0
        np.testing.assert_array_equal(labels[kept], wanted.labels)
        np.testing.assert_allclose(scores[kept], wanted.scores, atol=1e-4)
        np.testing.assert_allclose(boxes[kept], wanted.boxes, atol=0.05)


def test_a_program_of_maps_for_one_size(tmp_path: Path) -> None:
    one = detector("--test.pad_multiple", "1")
    path = tmp_path / "x.torchscript"
    agreement = one.export(path, format="torchscript", size=(64, 96), stage="maps", batch=1)
    assert isinstance(agreement, MapAgreement) and 0 <= agreement.difference < 1e-4
    program, about = loaded(path)
    assert about["size"] == [64, 96] and about["stage"] == "maps" and about["multiple"] == 1
    inputs = inputs_of([image(64, 96)], config_from_dict(about["config"]), 1)
    assert program(*inputs)[0].shape[1] == len(CLASSES)


@pytest.mark.slow
@torch_export
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_compiled_package_finds_the_same(tmp_path: Path) -> None:
    one = detector("--test.flip", "false", parts=("corners",))
    path, pixels = tmp_path / "aoti.pt2", image(64, 96)
    agreement = one.export(path, format="aoti", size=(64, 96), batch=1, images=[pixels])
    assert isinstance(agreement, Agreement) and agreement.boxes > 3
    program, about = loaded(path)
    assert about["classes"] == CLASSES
    inputs = inputs_of([pixels], config_from_dict(about["config"]), about["multiple"])
    np.testing.assert_allclose(program(*inputs)[1][0, :5], one.detect(pixels).scores[:5], atol=1e-4)


def test_a_compiler_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", fail, raising=False)
    monkeypatch.setattr("cornernet.export.programs.trace", lambda *_: None)
    with raises("could not compile", "no compiler", "pt2"):
        detector(parts=("corners",)).export(tmp_path / "x.pt2", format="aoti")
    assert not list(tmp_path.iterdir())
