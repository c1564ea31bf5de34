"""Weights of MMDetection and of the original repository: every tensor finds its place."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cornernet import CornerNet
from cornernet.config import Config, ModelConfig
from cornernet.errors import UserError
from cornernet.model.detector import Detector
from cornernet.weights.file import Weights, read_weights, save_weights
from cornernet.weights.foreign import COCO_CLASSES, from_foreign, to_mmdet
from tests.errors import raises
from tests.small import SMALL_MODEL
from tests.views import make_view

ORIGINAL = Path(__file__).parents[1] / "data" / "original"
MAPS = ("tl_heat", "br_heat", "tl_embedding", "br_embedding", "tl_offset", "br_offset")


def network(classes: int = 3, **changes: Any) -> Detector:
    torch.manual_seed(0)
    return Detector(ModelConfig(**(SMALL_MODEL | changes)), classes)


def mmdet_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return OrderedDict((f"bbox_{k}" if k.startswith("head.") else k, v) for k, v in state.items())


def checkpoint(classes: int = 3, **meta: Any) -> dict[str, Any]:
    names = tuple(f"kind {label}" for label in range(classes))
    meta = {"dataset_meta": {"classes": names}} | meta
    return {"meta": meta, "state_dict": mmdet_names(network(classes).state_dict())}


def assert_same_tensors(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert list(found) == list(wanted)
    assert all(torch.equal(found[key], value) for key, value in wanted.items())


# --- MMDetection


def test_tensors_of_mmdetection_come_under_our_names() -> None:
    found = from_foreign(checkpoint(), "x.pth")
    assert found.layout == "MMDetection"
    assert found.classes == ["kind 0", "kind 1", "kind 2"]
    assert_same_tensors(found.state_dict, network().state_dict())


@pytest.mark.parametrize(
    "changes",
    [
        {"stacks": 2},
        {"stacks": 3, "stage_channels": [8, 4, 6, 10], "stage_blocks": [1, 3, 2, 2]},
        {"feature_channels": 5, "pool_channels": 7, "head_channels": 9, "embedding_channels": 2},
    ],
)
def test_sizes_of_the_network_are_found_from_the_tensors(changes: dict[str, Any]) -> None:
    state = mmdet_names(network(**changes).state_dict())
    found = from_foreign({"state_dict": state, **{"meta": {"CLASSES": ("a", "b", "c")}}}, "x.pth")
    assert found.config.model == ModelConfig(**(SMALL_MODEL | changes))


@pytest.mark.parametrize("stacks", [1, 2])
def test_the_papers_networks_are_found(stacks: int) -> None:
    with torch.device("meta"):
        state = Detector(ModelConfig(stacks=stacks), 80).state_dict()
    found = from_foreign({"state_dict": mmdet_names(state)}, "x.pth")
    assert found.config.model == ModelConfig(stacks=stacks)


@pytest.mark.parametrize(
    ("meta", "names"),
    [
        ({"dataset_meta": {"classes": ("a", "b")}}, ["a", "b"]),
        ({"dataset_meta": {"CLASSES": ["a", "b"]}}, ["a", "b"]),
        ({"CLASSES": ("a", "b")}, ["a", "b"]),
        ({"classes": ["a", "b"]}, ["a", "b"]),
    ],
)
def test_class_names_are_found_wherever_versions_put_them(meta: dict, names: list[str]) -> None:
    content = {"state_dict": mmdet_names(network(2).state_dict()), "meta": meta}
    assert from_foreign(content, "x.pth").classes == names


def test_the_name_of_a_single_class_may_be_no_list() -> None:
    content = {"state_dict": mmdet_names(network(1).state_dict()), "meta": {"CLASSES": "cell"}}
    assert from_foreign(content, "x.pth").classes == ["cell"]


def test_eighty_classes_without_names_are_cocos() -> None:
    assert len(set(COCO_CLASSES)) == 80
    found = from_foreign({"state_dict": mmdet_names(network(80).state_dict())}, "x.pth")
    assert found.classes == list(COCO_CLASSES)


def test_classes_without_names_are_numbered_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"x\.pth.*no class names"):
        found = from_foreign({"state_dict": mmdet_names(network().state_dict())}, "x.pth")
    assert found.classes == ["class 0", "class 1", "class 2"]


def test_given_class_names_win() -> None:
    assert from_foreign(checkpoint(), "x.pth", classes=["a", "b", "c"]).classes == ["a", "b", "c"]


def test_another_number_of_names_than_of_heat_maps_is_refused() -> None:
    with raises("3 classes", "x.pth", "2: a, b", field="classes"):
        from_foreign(checkpoint(), "x.pth", classes=["a", "b"])


def test_another_number_of_stored_names_is_refused_by_file() -> None:
    content = checkpoint(dataset_meta={"classes": ("a", "b")})
    with raises("x.pth:", "3 classes", "2: a, b", "stored"):
        from_foreign(content, "x.pth")


@pytest.mark.parametrize("times", [1, 2])
def test_prefix_of_data_parallel_is_taken_off(times: int) -> None:
    content = checkpoint()
    content["state_dict"] = {"module." * times + k: v for k, v in content["state_dict"].items()}
    assert_same_tensors(from_foreign(content, "x.pth").state_dict, network().state_dict())


def averaged(content: dict[str, Any]) -> dict[str, Any]:
    """MMEngine's second set of weights: other numbers, with a prefix and a counter."""
    state = content["state_dict"]
    second = {f"module.{k}": v + 1 if v.is_floating_point() else v for k, v in state.items()}
    return {**content, "ema_state_dict": {"steps": torch.tensor(9), **second}}


def test_state_dict_is_taken_where_there_is_a_second_set_of_weights() -> None:
    found = from_foreign(averaged(checkpoint()), "x.pth")
    assert_same_tensors(found.state_dict, network().state_dict())
    assert "took state_dict; the file has state_dict and ema_state_dict" in found.notes


def test_ema_state_dict_is_taken_on_demand() -> None:
    found = from_foreign(averaged(checkpoint()), "x.pth", state="ema_state_dict").state_dict
    key = "backbone.stem.0.conv.weight"
    assert torch.equal(found[key], network().state_dict()[key] + 1)


def test_ema_state_dict_is_taken_where_it_is_the_only_one() -> None:
    content = averaged(checkpoint())
    del content["state_dict"]
    found = from_foreign(content, "x.pth").state_dict
    key = "backbone.stem.0.conv.weight"
    assert torch.equal(found[key], network().state_dict()[key] + 1)


def test_set_of_weights_that_is_not_there_is_refused() -> None:
    with raises("x.pth", "meta, state_dict", "'ema_state_dict'", field="state"):
        from_foreign(checkpoint(), "x.pth", state="ema_state_dict")


def test_second_set_of_weights_of_mmcv_is_left_out() -> None:
    content = checkpoint()
    extra = {f"ema_{k.replace('.', '_')}": v for k, v in content["state_dict"].items()}
    content["state_dict"] = content["state_dict"] | extra
    found = from_foreign(content, "x.pth")
    assert_same_tensors(found.state_dict, network().state_dict())
    assert any(f"dropped {len(extra)} tensors ema_*" in note for note in found.notes)


def test_unused_block_of_one_stack_is_dropped_and_said() -> None:
    content = checkpoint()
    content["state_dict"]["backbone.inters.0.conv1.weight"] = torch.ones(8, 8, 3, 3)
    found = from_foreign(content, "x.pth")
    assert_same_tensors(found.state_dict, network().state_dict())
    assert any("dropped the 1 tensors backbone.inters.0.*" in note for note in found.notes)


def test_half_precision_is_widened() -> None:
    content = checkpoint()
    content["state_dict"] = {
        k: v.half() if v.is_floating_point() else v for k, v in content["state_dict"].items()
    }
    state = from_foreign(content, "x.pth").state_dict
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


CONFIGURATION = """
img_norm_cfg = dict(mean=[10.0, 20.0, 30.0], std=[1, 2.0, 4.0], {order})
model = dict(type='CornerNet', data_preprocessor=dict(
    type='DetDataPreprocessor', mean=[10.0, 20.0, 30.0], std=[1, 2.0, 4.0], {order}))
"""


@pytest.mark.parametrize("order", ["to_rgb=True", "bgr_to_rgb=True"])
@pytest.mark.parametrize("key", ["cfg", "config"])
def test_mean_and_deviation_are_read_from_the_files_configuration(key: str, order: str) -> None:
    given: dict[str, Any] = {key: CONFIGURATION.format(order=order)}
    found = from_foreign(checkpoint(**given), "x.pth")
    assert (found.config.model.pixel_mean, found.config.model.pixel_std) == (
        [10, 20, 30],
        [1, 2, 4],
    )


def test_a_network_for_bgr_gives_the_same_maps_for_rgb() -> None:
    text = CONFIGURATION.format(order="bgr_to_rgb=False")
    found = from_foreign(checkpoint(cfg=text), "x.pth")
    theirs, ours = network().eval(), Detector(found.config.model, 3).eval()
    ours.load_state_dict(found.state_dict)
    bgr = 255 * torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([10.0, 20, 30], [1.0, 2, 4]))
    with torch.no_grad():
        (wanted,) = theirs.head(theirs.backbone((bgr - mean) / std))
        maps = ours(bgr.flip(1))[0]["corners"]
    for a, b in zip(maps, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    ["model = dict(...)", "model = (", "f(mean=m, std=s, to_rgb=True)", "{**a, 'mean': [1]}", ""],
)
@pytest.mark.filterwarnings("ignore:.*model.pixel_mean")
def test_configuration_that_says_nothing_leaves_imagenets_constants(text: str) -> None:
    found = from_foreign(checkpoint(cfg=text), "x.pth")
    assert found.config.model.pixel_mean == ModelConfig().pixel_mean


def test_configuration_that_says_two_things_is_warned_of() -> None:
    text = "a = dict(mean=[1, 1, 1], std=[1, 1, 1], to_rgb=True)\n"
    with pytest.warns(UserWarning, match=r"x\.pth.*model\.pixel_mean"):
        found = from_foreign(checkpoint(cfg=text + text.replace("mean=[1", "mean=[2")), "x.pth")
    assert found.config.model.pixel_mean == ModelConfig().pixel_mean


def test_a_configuration_is_not_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    text = f"dict(mean=open({str(sprung)!r}, 'w'), std=[1, 1, 1], to_rgb=True)"
    with pytest.warns(UserWarning, match=r"x\.pth.*model\.pixel_mean"):
        from_foreign(checkpoint(cfg=text), "x.pth")
    assert not sprung.exists()


# --- what does not fit


def spoilt(kind: str) -> tuple[dict[str, Any], str]:
    content = checkpoint()
    key = "backbone.out_convs.0.bn.weight"
    if kind == "missing":
        del content["state_dict"][key]
    elif kind == "left over":
        key = "bbox_head.extra.weight"
        content["state_dict"][key] = torch.ones(1)
    else:
        content["state_dict"][key] = torch.ones(3)
    return content, key.replace("bbox_head", "head")


@pytest.mark.parametrize("kind", ["missing", "left over", "of another shape"])
def test_what_does_not_fit_is_listed(kind: str) -> None:
    content, key = spoilt(kind)
    with pytest.raises(UserError, match=rf"x\.pth: .*\n{kind} \(1\):\n  {key}.*\n.*allow_partial"):
        from_foreign(content, "x.pth")


@pytest.mark.parametrize("kind", ["missing", "left over", "of another shape"])
def test_partial_weights_are_completed_on_demand(kind: str) -> None:
    content, key = spoilt(kind)
    found = from_foreign(content, "x.pth", allow_partial=True)
    done = "left out" if kind == "left over" else "reinitialised"
    assert any(note.startswith(done) and key in note for note in found.notes)
    wanted = network().state_dict()
    # A new network's BatchNorm has weights of one, and so has the network these are from.
    assert_same_tensors(found.state_dict, wanted)


def test_completing_partial_weights_leaves_the_random_state_alone() -> None:
    content, _ = spoilt("missing")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    from_foreign(content, "x.pth", allow_partial=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_counters_that_old_files_lack_are_set_to_zero() -> None:
    content = checkpoint()
    content["state_dict"] = {
        k: v for k, v in content["state_dict"].items() if not k.endswith("num_batches_tracked")
    }
    assert_same_tensors(from_foreign(content, "x.pth").state_dict, network().state_dict())


@pytest.mark.parametrize(
    "state",
    [
        {"backbone.conv1.weight": torch.ones(2), "bbox_head.fc.weight": torch.ones(2)},
        {"weight": torch.ones(2)},
        {"module": torch.ones(2)},
    ],
)
def test_other_networks_are_refused_by_their_names(state: dict[str, Tensor]) -> None:
    with raises("x.pth:", "names", next(iter(state))):
        from_foreign({"state_dict": state}, "x.pth")


@pytest.mark.parametrize("state", [{}, {"a": 1}, [], None])
def test_state_without_tensors_is_refused(state: Any) -> None:
    with raises("x.pth:", "named tensors"):
        from_foreign({"state_dict": state}, "x.pth")


def test_hourglass_without_the_head_is_refused() -> None:
    state = {k: v for k, v in checkpoint()["state_dict"].items() if k.startswith("backbone.")}
    with pytest.raises(UserError, match=r"\nmissing \(\d+\):\n  head.tl_pool"):
        from_foreign({"state_dict": state}, "x.pth", classes=["a", "b"])


def test_backbone_alone_is_completed_on_demand() -> None:
    state = {k: v for k, v in checkpoint()["state_dict"].items() if k.startswith("backbone.")}
    found = from_foreign({"state_dict": state}, "x.pth", classes=["a", "b"], allow_partial=True)
    assert found.classes == ["a", "b"]
    assert (found.config.model.feature_channels, found.config.model.pool_channels) == (8, 128)
    assert all(torch.equal(found.state_dict[key], value) for key, value in state.items())


@pytest.mark.parametrize("part", ["_heat.0.1", "tl_heat", "emb", "out_convs.0.conv"])
def test_what_is_missing_is_listed_whichever_tensor_it_is(part: str) -> None:
    content = checkpoint()
    content["state_dict"] = {k: v for k, v in content["state_dict"].items() if part not in k}
    with pytest.raises(UserError, match=r"\nmissing \(\d+\):"):
        from_foreign(content, "x.pth")


def test_two_names_for_one_tensor_are_refused() -> None:
    content = checkpoint()
    key = "head.tl_off.0.1.conv.bias"
    content["state_dict"][key] = torch.zeros(2)
    with raises(key, f"bbox_{key} and {key}"):
        from_foreign(content, "x.pth")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_floating_numbers_are_refused(dtype: torch.dtype) -> None:
    content = checkpoint()
    key = "bbox_head.tl_off.0.1.conv.bias"
    content["state_dict"][key] = content["state_dict"][key].to(dtype)
    with raises(key, "floating", str(dtype)):
        from_foreign(content, "x.pth")


@pytest.mark.parametrize("names", [["a", "a", "b"], ["a", "", "b"], []])
def test_names_that_are_alike_or_empty_are_refused(names: list[str]) -> None:
    with raises("different name", "x.pth", field="classes"):
        from_foreign(checkpoint(), "x.pth", classes=names)


def test_the_preprocessor_wins_over_the_colour_of_the_canvas() -> None:
    text = (
        "a = dict(type='DetDataPreprocessor', mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True)\n"
        "b = dict(type='RandomCenterCropPad', mean=[7, 8, 9], std=[1, 1, 1], to_rgb=True)"
    )
    model = from_foreign(checkpoint(cfg=text), "x.pth").config.model
    assert (model.pixel_mean, model.pixel_std) == ([1, 2, 3], [4, 5, 6])
    assert model.padding_color == [7, 8, 9]


def test_a_preprocessor_that_does_not_say_takes_bgr() -> None:
    text = "dict(type='DetDataPreprocessor', mean=[1, 2, 3], std=[4, 5, 6])"
    found = from_foreign(checkpoint(cfg=text), "x.pth")
    assert (found.config.model.pixel_mean, found.config.model.pixel_std) == ([3, 2, 1], [6, 5, 4])
    key = "backbone.stem.0.conv.weight"
    assert torch.equal(found.state_dict[key], network().state_dict()[key].flip(1))


def test_a_configuration_may_be_a_dictionary() -> None:
    step = {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6]}
    found = from_foreign(checkpoint(cfg={"pipeline": [step]}), "x.pth")
    assert found.config.model.pixel_mean == [1, 2, 3]


@pytest.mark.parametrize("std", ["[0, 1, 1]", "[-1, 1, 1]"])
def test_deviation_that_divides_by_nothing_is_refused_by_file(std: str) -> None:
    text = f"dict(mean=[1, 2, 3], std={std}, to_rgb=True)"
    with raises("x.pth: model.pixel_std", "positive", field="model.pixel_std"):
        from_foreign(checkpoint(cfg=text), "x.pth")


# --- the original repository


@pytest.fixture
def original() -> tuple[Weights, list[str]]:
    return read_weights(ORIGINAL / "CornerNet_small.pkl", classes=["a", "b", "c"])


def test_original_network_gives_the_same_maps(original: tuple[Weights, list[str]]) -> None:
    weights, notes = original
    assert notes[0] == "layout of names: CornerNet"
    with np.load(ORIGINAL / "CornerNet_small.npz") as content:
        arrays = dict(content)
    canvas, _ = make_view(arrays["image"][..., ::-1], weights.config)
    with torch.no_grad():
        (stack,) = weights.build_model()(torch.from_numpy(canvas).permute(2, 0, 1)[None])
    maps = stack["corners"]
    for name in MAPS:
        wanted = torch.from_numpy(arrays[name])[None]
        assert float(wanted.std()) > 1e-3  # a constant map would show nothing
        torch.testing.assert_close(getattr(maps, name), wanted, rtol=1e-4, atol=2e-6)


def lite_name(key: str) -> str:
    """CornerNet-Lite's name for a tensor of the original."""
    prefix, key = "module.", key.removeprefix("module.")
    part, _, rest = key.partition(".")
    if part in ("pre", "kps", "cnvs", "inters", "inters_", "cnvs_"):
        return f"{prefix}hg.{'hgs' if part == 'kps' else part}.{rest}"
    renamed = part.replace("_cnvs", "_modules").replace("_regrs", "_offs")
    return f"{prefix}{renamed}.{rest}"


def test_lite_holds_the_same_network_under_other_names(original: tuple[Weights, list[str]]) -> None:
    state = torch.load(ORIGINAL / "CornerNet_small.pkl", weights_only=True)
    state = {lite_name(key): value for key, value in state.items()}
    found = from_foreign(state, "x.pkl", classes=["a", "b", "c"])
    assert_same_tensors(found.state_dict, original[0].state_dict)


def test_every_tensor_of_the_original_is_needed() -> None:
    state = torch.load(ORIGINAL / "CornerNet_small.pkl", weights_only=True)
    learnt = [key for key in state if not key.endswith("num_batches_tracked")]
    for key in learnt[:: len(learnt) // 12]:
        part = {k: v for k, v in state.items() if k != key}
        with pytest.raises(UserError, match=r"\nmissing \(|no whole hourglass"):
            from_foreign(part, "x.pkl", classes=["a", "b", "c"])


def test_a_tensor_of_another_network_is_left_over() -> None:
    state = torch.load(ORIGINAL / "CornerNet_small.pkl", weights_only=True)
    state["module.att_modules.0.weight"] = torch.ones(1)
    with pytest.raises(UserError, match=r"\nleft over \(1\):\n  att_modules"):
        from_foreign(state, "x.pkl", classes=["a", "b", "c"])


# --- files


def test_from_pretrained_takes_files_of_other_programs(tmp_path: Path) -> None:
    torch.save(checkpoint(), tmp_path / "epoch_12.pth")
    detector = CornerNet.from_pretrained(tmp_path / "epoch_12.pth", device="cpu")
    assert detector.classes == ["kind 0", "kind 1", "kind 2"]
    detector.predict(np.zeros((40, 50, 3), np.uint8))


def test_bare_tensors_of_our_own_network_are_read(tmp_path: Path) -> None:
    torch.save(network(80).state_dict(), tmp_path / "state.pt")
    weights, notes = read_weights(tmp_path / "state.pt")
    assert notes[0] == "layout of names: cornernet"
    assert_same_tensors(weights.state_dict, network(80).state_dict())


@pytest.mark.parametrize(
    ("name", "value"),
    [("state", "state_dict"), ("classes", ["x", "y", "z"]), ("allow_partial", True)],
)
def test_choices_for_other_programs_files_are_refused_for_ours(
    tmp_path: Path, name: str, value: Any
) -> None:
    config = Config(model=ModelConfig(**SMALL_MODEL))
    save_weights(Weights(network().state_dict(), ["a", "b", "c"], config), tmp_path / "w.pt")
    with raises("w.pt", "weights file of cornernet", field=name):
        read_weights(tmp_path / "w.pt", **{name: value})


# --- the way back

MMDET_HEAD = {"pool_channels": 128, "head_channels": 256}


@pytest.mark.parametrize("stacks", [1, 2])
def test_there_and_back_changes_nothing(stacks: int) -> None:
    model = network(stacks=stacks, **MMDET_HEAD)
    colors = {"pixel_mean": [1.0, 2, 3], "pixel_std": [4.0, 5, 6], "padding_color": [7.0, 8, 9]}
    config = ModelConfig(**(SMALL_MODEL | MMDET_HEAD | colors | {"stacks": stacks}))
    content, _ = to_mmdet(model.state_dict(), config, ["a", "b", "c"], "w.pt")
    found = from_foreign(content, "x.pth")
    assert (found.classes, found.config.model) == (["a", "b", "c"], config)
    assert_same_tensors(found.state_dict, model.state_dict())


def test_widths_that_mmdetection_cannot_have_are_refused() -> None:
    config = ModelConfig(**SMALL_MODEL)
    with raises("w.pt:", "pool_channels 128", "8 and 8"):
        to_mmdet(network().state_dict(), config, ["a", "b", "c"], "w.pt")


def test_the_way_back_says_what_their_configuration_needs() -> None:
    config = ModelConfig(**(SMALL_MODEL | MMDET_HEAD))
    _, notes = to_mmdet(network(**MMDET_HEAD).state_dict(), config, ["a", "b", "c"], "w.pt")
    assert notes[0].endswith(
        "backbone=dict(downsample_times=1, num_stacks=1, stage_channels=[8, 8], "
        "stage_blocks=[1, 1], feat_channel=8), bbox_head=dict(num_classes=3, in_channels=8, "
        "num_feat_levels=1, corner_emb_channels=1))"
    )
