"""A network of one stack with its weights in MMDetection's files."""

from __future__ import annotations

import pytest
import torch

from cornernet.errors import UserError
from cornernet.model.detector import count_parameters
from cornernet.model.weights import load_weights

MAPS = ("tl_heat", "br_heat", "tl_emb", "br_emb", "tl_off", "br_off")


@pytest.fixture
def state(golden_folder):
    path = golden_folder / "one_stack_published.pth"
    if not path.is_file():
        pytest.skip("there is no one_stack_published.pth")
    return torch.load(path, weights_only=True)["state_dict"]


def test_maps(golden, state, build_model, all_stacks) -> None:
    content = golden("one_stack_model")
    (outputs,) = all_stacks(build_model(content.meta["spec"], state), content.tensor("x"))
    for found, kind in zip(outputs, MAPS, strict=True):
        torch.testing.assert_close(found, content.tensor(f"eval_{kind}_l0"), rtol=0, atol=2e-4)


# A difference: no network of ours has a parameter that nothing runs through.
def test_only_the_unused_block_is_left_out(golden, state, build_model) -> None:
    meta = golden("one_stack_model").meta
    unused = sum(
        value.numel()
        for key, value in state.items()
        if key.startswith("backbone.inters.0.")
        and value.is_floating_point()
        and "running" not in key
    )
    assert unused > 0
    assert count_parameters(build_model(meta["spec"], state)) + unused == meta["num_params"]


@pytest.mark.parametrize("file", ["one_stack_published.pth", "one_stack_training.pth"])
def test_files_of_another_program_are_refused_with_a_sentence(golden_folder, file: str) -> None:
    path = golden_folder / file
    if not path.is_file():
        pytest.skip(f"there is no {file}")
    with pytest.raises(UserError, match=f"{file}: expected a weights file of cornernet"):
        load_weights(path)
