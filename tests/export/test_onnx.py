"""Detectors as ONNX files: what they hold, that they find the same, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cornernet import CornerNet
from cornernet.cli import main
from cornernet.data.images import write_image
from cornernet.data.scenes import draw_scene
from cornernet.export.verify import Agreement, verify
from cornernet.inference.graph import GraphDetector
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.structures import Thresholds
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


def image(height: int, width: int) -> np.ndarray:
    scene, _, _ = draw_scene(np.random.default_rng(height * width), 256, 256)
    return np.ascontiguousarray(scene[:height, :width])


@pytest.fixture(scope="module")
def small() -> CornerNet:
    return detector()


@pytest.fixture(scope="module")
def exported(
    small: CornerNet, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Agreement | None]:
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    return path, small.export(path)


def test_the_file_is_compared_with_the_network(exported: tuple[Path, Agreement | None]) -> None:
    _, agreement = exported
    assert agreement is not None and agreement.images > 1 and agreement.boxes > 10
    assert agreement.iou > 0.99 and 0 < agreement.score_difference < 1e-4


@pytest.mark.parametrize("size", [(64, 96), (200, 250), (96, 96), (33, 150)])
def test_images_of_any_size_have_the_boxes_of_the_network(
    small: CornerNet, exported: tuple[Path, Agreement | None], size: tuple[int, int]
) -> None:
    graph = CornerNet.from_pretrained(exported[0])
    pixels = image(*size)
    found, wanted = graph.detect(pixels), small.detect(pixels)
    assert len(wanted) > 5
    np.testing.assert_array_equal(found.labels.numpy(), wanted.labels.numpy())
    np.testing.assert_allclose(found.scores.numpy(), wanted.scores.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.boxes.numpy(), wanted.boxes.numpy(), atol=0.05)


def test_images_of_one_size_run_together(
    small: CornerNet, exported: tuple[Path, Agreement | None]
) -> None:
    graph = GraphDetector(exported[0])
    images = [image(60, 80), image(60, 80)[::-1].copy(), image(60, 80)[:, ::-1].copy()]
    together = graph.detect(images)
    for found, pixels in zip(together, images, strict=True):
        alone = graph.detect([pixels])[0]
        np.testing.assert_allclose(found.boxes.numpy(), alone.boxes.numpy(), atol=1e-4)
    assert not torch.equal(together[0].boxes, together[1].boxes)


def test_the_file_describes_the_detector(
    small: CornerNet, exported: tuple[Path, Agreement | None]
) -> None:
    graph = CornerNet.from_pretrained(exported[0])
    assert graph.classes == CLASSES
    assert graph.thresholds == small.thresholds
    assert graph.score_threshold == 0.25
    assert graph.config.model == small.config.model
    model = onnx.load(exported[0])
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["boxes", "scores", "labels"]
    assert {entry.domain for entry in model.opset_import} == {""}


def test_predict_takes_the_file(
    small: CornerNet, exported: tuple[Path, Agreement | None], tmp_path: Path
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
    exported: tuple[Path, Agreement | None], tmp_path: Path
) -> None:
    graph = CornerNet.from_pretrained(exported[0])
    assert graph.optimize() is graph
    with raises("exported graph", field="precision"):
        graph.optimize("bf16")
    with raises("exported graph", field="compile"):
        graph.optimize(compile=True)
    with raises("export its weights"):
        graph.export(tmp_path / "again.onnx")


def test_a_file_for_one_size_says_so(tmp_path: Path) -> None:
    path = tmp_path / "fixed.onnx"
    one = detector("--test.flip", "false", parts=("corners",))
    agreement = one.export(path, size=(60, 80), batch=2, images=[image(60, 80)])
    assert agreement is not None and agreement.images == 1
    graph = GraphDetector(path)
    assert len(graph.detect([image(60, 80)] * 3)) == 3  # the second batch is filled up
    with raises("80×60", "81×60"):
        graph.detect([image(60, 81)])


def test_maps_end_the_graph_where_they_are_asked_for(tmp_path: Path) -> None:
    import onnxruntime

    path = tmp_path / "maps.onnx"
    one = detector("--test.flip", "false", parts=("corners",))
    assert one.export(path, stage="maps") is None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    assert names[0] == "corners_tl_heat" and names[-1] == "geometry" and len(names) == 7
    heat, geometry = session.run([names[0], "geometry"], {"images": image(48, 96)[None]})
    assert heat.shape[1] == len(CLASSES)
    assert geometry[4:].tolist() == [96, 48, 96, 48]
    with raises("boxes", "maps"):
        GraphDetector(path)


def test_a_file_that_finds_other_boxes_is_refused(
    small: CornerNet,
    exported: tuple[Path, Agreement | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shifted(self: GraphDetector, images: list[np.ndarray]) -> list[object]:
        return [small.detect(np.roll(pixels, 9, axis=1)) for pixels in images]

    monkeypatch.setattr(GraphDetector, "detect", shifted)
    assert isinstance(small.model, FusedDetector)
    with raises("expected the boxes of the network"):
        verify(exported[0], small.model, small.config, None)


def test_a_refused_file_is_not_kept(
    small: CornerNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*arguments: object, **_: object) -> None:
        path = arguments[4]
        assert isinstance(path, Path)
        path.write_bytes(b"no graph")

    monkeypatch.setattr("cornernet.export.onnx.export_onnx", write)
    with raises("expected an ONNX file"):
        small.export(tmp_path / "other.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "field", "words"),
    [(("--test.scales", "[1.0,2.0]"), "test.scales", "one scale")],
)
def test_what_is_no_single_graph_is_refused(
    tmp_path: Path, overrides: tuple[str, ...], field: str, words: str
) -> None:
    with raises(words, field=field):
        detector(*overrides).export(tmp_path / "x.onnx")
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
