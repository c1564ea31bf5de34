"""Detectors as ONNX files: what they hold, that they find the same, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cornernet import CornerNet
from cornernet.cli import main
from cornernet.data.images import write_image
from cornernet.data.scenes import draw_scene
from cornernet.export.network import ToMaps, inputs_of
from cornernet.export.request import Request
from cornernet.export.verify import Agreement, MapAgreement, verify_boxes, verify_maps
from cornernet.inference.graph import GraphDetector
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Detections, Thresholds
from tests.errors import raises
from tests.small import small_config

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
if torch.__version__ < (2, 7):
    pytest.skip("the exporter takes translations from torch 2.7 on", allow_module_level=True)

CLASSES = ["a [b]", "c"]


def detector(*overrides: str, parts: tuple[str, ...] = ("corners", "centers")) -> CornerNet:
    """A network with random weights that finds boxes in everything."""
    config = small_config(
        "--data.long_side", "96", "--test.flip", "true", "--test.distance_threshold", "10",
        "--test.topk", "40", *overrides,
    )  # fmt: skip
    config = replace(config, model=replace(config.model, parts=list(parts)))
    torch.manual_seed(0)
    model = Detector(config.model, len(CLASSES))
    for name, parameter in model.named_parameters():
        if "heat" in name and name.endswith("1.conv.bias"):
            torch.nn.init.constant_(parameter, 1.0)
        if "heat" in name and name.endswith("1.conv.weight"):
            parameter.data *= 0.5  # scores that rounding moves less
    return CornerNet(model.eval(), CLASSES, config, Thresholds(0.25, {"c": 0.4}))


def request_of(one: CornerNet) -> Request:
    assert isinstance(one.model, FusedDetector)
    return Request(one.model, one.classes, one.config, one.thresholds)


def image(height: int, width: int) -> np.ndarray:
    scene, _, _ = draw_scene(np.random.default_rng(height * width), 256, 256)
    return np.ascontiguousarray(scene[:height, :width])


@pytest.fixture(scope="module")
def small() -> CornerNet:
    return detector()


@pytest.fixture(scope="module")
def exported(small: CornerNet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Agreement]:
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    agreement = small.export(path)
    assert isinstance(agreement, Agreement)
    return path, agreement


def test_the_file_is_compared_with_the_network(exported: tuple[Path, Agreement]) -> None:
    _, agreement = exported
    assert agreement.images > 1 and agreement.boxes > 10
    assert agreement.iou > 0.99 and 0 < agreement.score_difference < 1e-4


@pytest.mark.parametrize("size", [(64, 96), (200, 250), (96, 96), (33, 150)])
def test_images_of_any_size_have_the_boxes_of_the_network(
    small: CornerNet, exported: tuple[Path, Agreement], size: tuple[int, int]
) -> None:
    graph = CornerNet.from_pretrained(exported[0])
    pixels = image(*size)
    found, wanted = graph.detect(pixels), small.detect(pixels)
    assert len(wanted) > 5
    np.testing.assert_array_equal(found.labels.numpy(), wanted.labels.numpy())
    np.testing.assert_allclose(found.scores.numpy(), wanted.scores.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.boxes.numpy(), wanted.boxes.numpy(), atol=0.05)


def test_images_of_one_size_run_together(
    small: CornerNet, exported: tuple[Path, Agreement]
) -> None:
    graph = GraphDetector(exported[0])
    images = [image(60, 80), image(60, 80)[::-1].copy(), image(60, 80)[:, ::-1].copy()]
    together = graph.detect(images)
    for found, pixels in zip(together, images, strict=True):
        alone = graph.detect([pixels])[0]
        np.testing.assert_allclose(found.boxes.numpy(), alone.boxes.numpy(), atol=1e-4)
    assert not torch.equal(together[0].boxes, together[1].boxes)


def test_the_file_describes_the_detector(
    small: CornerNet, exported: tuple[Path, Agreement]
) -> None:
    graph = CornerNet.from_pretrained(exported[0])
    assert graph.classes == CLASSES
    assert graph.thresholds == small.thresholds
    assert graph.score_threshold == 0.25
    assert graph.config.model == small.config.model
    model = onnx.load(exported[0])
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["boxes", "scores", "labels"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


def test_predict_takes_the_file(
    small: CornerNet, exported: tuple[Path, Agreement], tmp_path: Path
) -> None:
    write_image(tmp_path / "x.png", image(70, 90))
    main(
        ["predict", str(exported[0]), str(tmp_path / "x.png"), "--score", "0.1",
         "--json", str(tmp_path / "found.json")]
    )  # fmt: skip
    (record,) = json.loads((tmp_path / "found.json").read_text())
    assert len(str(record)) > 200
    wanted = small.predict(tmp_path / "x.png", score_threshold=0.1)
    assert len(wanted) > 0


def test_a_graph_cannot_be_changed_or_exported_again(
    exported: tuple[Path, Agreement], tmp_path: Path
) -> None:
    graph = CornerNet.from_pretrained(exported[0])
    assert graph.optimize() is graph
    with raises("exported graph", field="precision"):
        graph.optimize("bf16")
    with raises("exported graph", field="compile"):
        graph.optimize(compile=True)
    with raises("export its weights"):
        graph.export(tmp_path / "again.onnx")
    for section, name, value in (("test", "topk", 7), ("data", "long_side", 0)):
        values = replace(getattr(graph.config, section), **{name: value})
        with raises("part of an exported graph", field=f"{section}.{name}"):
            graph.config = replace(graph.config, **{section: values})
    graph.config = replace(graph.config, test=replace(graph.config.test, batch_size=2))


def test_evaluate_takes_the_file(
    small: CornerNet,
    exported: tuple[Path, Agreement],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for index in range(3):
        write_image(tmp_path / f"{index}.png", image(64, 64 + index))
    boxes = [{"id": i, "image_id": i, "category_id": i % 2, "bbox": [9, 9, 30, 30]} for i in (0, 1)]
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": 64, "width": 64 + i} for i in range(3)
        ],
        "annotations": boxes,
        "categories": [{"id": label, "name": name} for label, name in enumerate(CLASSES)],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    line = ["evaluate", str(exported[0]), "--data", str(tmp_path), "--split", "all"]
    main([*line, "--json", str(tmp_path / "found.json"), "--batch-size", "2"])
    assert "AP50" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    of_first = [record["score"] for record in found if record["image_id"] == 0]
    np.testing.assert_allclose(of_first, small.detect(image(64, 64)).scores, atol=1e-4)
    with pytest.raises(SystemExit):
        main([*line, "--test.topk", "7"])
    assert "--test.topk is part of an exported graph" in capsys.readouterr().err


def test_a_file_for_one_size_says_so(tmp_path: Path) -> None:
    path = tmp_path / "fixed.onnx"
    one = detector("--test.flip", "false", parts=("corners",))
    agreement = one.export(path, size=(60, 80), batch=2, images=[image(60, 80)])
    assert agreement.images == 1
    graph = CornerNet.from_pretrained(path)
    three = [image(60, 80)] * 3  # the second batch is filled up
    assert len(graph.predict(three, batch_size=3)) == 3
    with raises("80×60", "81×60", field=None):
        graph.predict(image(60, 81))
    with raises("images[1]", "80×60", "81×60", field=None):
        graph.predict([image(60, 80), image(60, 81)])


def test_maps_end_the_graph_where_they_are_asked_for(tmp_path: Path) -> None:
    import onnxruntime

    path = tmp_path / "maps.onnx"
    one = detector("--test.flip", "false", parts=("corners",))
    agreement = one.export(path, stage="maps")
    assert isinstance(agreement, MapAgreement)
    assert agreement.images > 1 and 0 < agreement.difference < 1e-3 < agreement.largest < 96
    assert f"{agreement.difference:.1e}" in str(agreement)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    assert names[0] == "corners_tl_heat" and names[-1] == "geometry" and len(names) == 7
    heat, geometry = session.run([names[0], "geometry"], {"images": image(48, 96)[None]})
    assert heat.shape[1] == len(CLASSES)
    assert geometry[4:].tolist() == [96, 48, 96, 48]
    with raises("boxes", "maps"):
        GraphDetector(path)


def test_other_boxes_are_refused(small: CornerNet) -> None:
    def shifted(pixels: np.ndarray) -> Detections:
        return small.detect(np.roll(pixels, 9, axis=1))

    with raises("expected the boxes of the network"):
        verify_boxes(shifted, request_of(small), [image(64, 96)])


def test_other_maps_are_refused(small: CornerNet) -> None:
    request = request_of(small)
    network = ToMaps(request.model)

    def shifted(images: Sequence[np.ndarray]) -> Sequence[Tensor]:
        rolled = [np.roll(images[0], 9, axis=1)]
        return network(*inputs_of(rolled, request.config, request.multiple))

    with raises("expected the maps of the network"):
        verify_maps(shifted, request, [image(64, 96)])


def test_a_comparison_without_boxes_says_so(small: CornerNet) -> None:
    config = replace(small.config, test=replace(small.config.test, score_threshold=1.0))
    none = small.detect(image(64, 96)).select(torch.zeros(0, dtype=torch.long))
    request = replace(request_of(small), config=config)
    agreement = verify_boxes(lambda _: none, request, [image(64, 96)])
    assert agreement.boxes == 0 and "nothing was compared" in str(agreement)


def test_a_refused_file_is_not_kept(
    small: CornerNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = small.detect(image(64, 96)).select(torch.zeros(0, dtype=torch.long))
    monkeypatch.setattr(
        "cornernet.export.detector.export_program", lambda _, path: path.write_bytes(b"no program")
    )
    monkeypatch.setattr(
        "cornernet.export.detector.run_program",
        lambda *_: lambda images: [x[None] for x in (none.boxes, none.scores, none.labels)],
    )
    with raises("expected the boxes of the network", "no file was written"):
        small.export(tmp_path / "other.pt2", format="pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "arguments", "field", "words"),
    [
        (("--test.scales", "[1.0,2.0]"), {}, "test.scales", "one scale"),
        (("--test.pad_multiple", "1"), {}, "test.pad_multiple", "any size"),
        ((), {"size": (0, 3)}, "size", "height and width"),
        ((), {"batch": 0}, "batch", "at least 1"),
        ((), {"format": "pt2"}, None, ".pt2"),
        ((), {"precision": "int8"}, "calibrate", "int8"),
        ((), {"calibrate": [np.zeros((64, 65, 3), np.uint8)]}, "calibrate", "int8"),
        ((), {"precision": "fp8"}, "precision", "int8"),
        ((), {"format": "tflite"}, "format", "onnx"),
        ((), {"stage": "middle"}, "stage", "maps"),
        ((), {"size": (64, 64), "images": [np.zeros((64, 65, 3), np.uint8)]}, "images", "65×64"),
    ],
)
def test_what_is_no_single_graph_is_refused(
    tmp_path: Path,
    overrides: tuple[str, ...],
    arguments: dict[str, Any],
    field: str | None,
    words: str,
) -> None:
    with raises(words, field=field):
        detector(*overrides).export(tmp_path / "x.onnx", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    with raises("no onnxscript", "pip install 'cornernet[onnx]'"):
        detector().export(tmp_path / "x.onnx")


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07"])
def test_a_file_that_is_no_exported_detector_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with raises("x.onnx"):
        CornerNet.from_pretrained(path)


def test_a_graph_of_another_program_is_refused(tmp_path: Path) -> None:
    helper = onnx.helper
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "other", [value], [result])
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "x.onnx")
    with raises("no description"):
        CornerNet.from_pretrained(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("words", "field"),
    [(("--size", "12"), "size"), (("--batch", "0"), "batch"), (("--output", "x.pt"), "x.pt")],
)
def test_the_command_refuses_bad_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], field: str
) -> None:
    line = ["export", "none.pt", "--output", str(tmp_path / "x.onnx"), *words]
    with pytest.raises(SystemExit):
        main(line)
    assert field in capsys.readouterr().err
