"""A network of one stack, from MMDetection's files: the published and the training layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cornernet.config import TestConfig as Settings
from cornernet.model.detector import count_parameters
from cornernet.parts.corners.decode import decode
from cornernet.parts.corners.structures import Outputs
from cornernet.weights.file import load_weights
from cornernet.weights.foreign import to_mmdet
from tests.golden.cases import AllStacks, Golden

MAPS = ("tl_heat", "br_heat", "tl_emb", "br_emb", "tl_off", "br_off")


@pytest.fixture(params=["one_stack_published.pth", "one_stack_training.pth"])
def file(request: pytest.FixtureRequest, golden_folder: Path) -> Path:
    path = golden_folder / request.param
    if not path.is_file():
        pytest.skip(f"there is no {path.name}")
    return path


@pytest.fixture
def theirs(golden_folder: Path) -> dict[str, Tensor]:
    path = golden_folder / "one_stack_published.pth"
    if not path.is_file():
        pytest.skip("there is no one_stack_published.pth")
    state: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def test_maps(golden: Golden, file: Path, all_stacks: AllStacks) -> None:
    content = golden("one_stack_model")
    (outputs,) = all_stacks(load_weights(file).build_model(), content.tensor("x"))
    for found, kind in zip(outputs, MAPS, strict=True):
        torch.testing.assert_close(found, content.tensor(f"eval_{kind}_l0"), rtol=0, atol=2e-4)


def test_boxes(golden: Golden, file: Path, all_stacks: AllStacks) -> None:
    content = golden("one_stack_model")
    (outputs,) = all_stacks(load_weights(file).build_model(), content.tensor("x"))
    size = tuple(content.array("x").shape[2:])
    settings = Settings(topk=20, max_pairs=50)
    wanted = decode(Outputs(*(content.tensor(f"eval_{kind}_l0") for kind in MAPS)), settings, size)
    assert int((wanted[2] >= 0).sum()) > 0
    for found, expected in zip(decode(outputs, settings, size), wanted, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-2)


# A difference: no network of ours has a parameter that nothing runs through.
def test_only_the_unused_block_is_left_out(
    golden: Golden, file: Path, theirs: dict[str, Tensor]
) -> None:
    unused = sum(
        value.numel()
        for key, value in theirs.items()
        if key.startswith("backbone.inters.0.")
        and value.is_floating_point()
        and "running" not in key
    )
    assert unused > 0
    model = load_weights(file).build_model()
    assert count_parameters(model) + unused == golden("one_stack_model").meta["num_params"]


def test_the_way_back_gives_all_their_tensors(file: Path, theirs: dict[str, Tensor]) -> None:
    weights = load_weights(file)
    content, _ = to_mmdet(weights.state_dict, weights.config.model, weights.classes, file.name)
    back = content["state_dict"]
    assert set(back) == set(theirs)
    for key, value in theirs.items():
        assert back[key].shape == value.shape and back[key].dtype == value.dtype
        if not key.startswith("backbone.inters.0."):  # never run there, so never the same
            assert torch.equal(back[key], value), key
