"""Single modules of the family and their gradients, in evaluation and in training mode."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cornernet.model.layers import FireBlock
from cornernet.parts.corners.cascade import CascadeModule
from cornernet.parts.layers import PoolingModule
from cornernet.weights.foreign.names import rename
from cornernet.weights.foreign.original import RULES
from cornernet_ops import center_pool
from tests.golden.cases import Case
from tests.golden.family.recipe import recipe_tensor

POOLS = {"tl_cascade": "tl_cnvs.0.", "br_cascade": "br_cnvs.0.", "center": "ct_cnvs.0."}


def module_of(case: Case) -> tuple[nn.Module, dict[str, str]]:
    """The module of a case with its weights, and our name of each of its tensors."""
    name, keys = case.meta["name"], case.meta["keys"]
    inside = POOLS.get(name, "")
    names = {key: rename(inside + key, RULES) if inside else key for key, _, _ in keys}
    names = {key: ours.partition("pool.0.")[2] or ours for key, ours in names.items()}
    shapes = {key: shape for key, shape, _ in keys}
    inputs, outputs = (case.tensor(x).shape[1] for x in ("x", "eval_y"))
    module: nn.Module
    if inside:
        inner = shapes["p1_conv1.conv.weight"][0]
        if name == "center":
            module = PoolingModule(inputs, inner, center_pool)
        else:
            corner = "top_left" if name == "tl_cascade" else "bottom_right"
            module = CascadeModule(inputs, inner, corner)
    elif name.startswith("fire"):
        module = FireBlock(inputs, outputs, 2 if name == "fire_stride" else 1)
    else:
        module = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    prefix, seed = case.meta["prefix"], case.meta["seed"]
    state = {
        names[key]: recipe_tensor(prefix + key, shape, dtype, seed) for key, shape, dtype in keys
    }
    module.load_state_dict(state)
    return module, names


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.family_cases("modules")
def test_output_and_gradients(case: Case, mode: str) -> None:
    module, names = module_of(case)
    module.train(mode == "train")
    x = case.tensor("x").requires_grad_()
    y = module(x)
    torch.testing.assert_close(y, case.tensor(f"{mode}_y"), rtol=0, atol=1e-5)
    y.backward(case.tensor("g"))
    torch.testing.assert_close(x.grad, case.tensor(f"{mode}_gx"), rtol=0, atol=1e-4)
    parameters = dict(module.named_parameters())
    assert {names[key] for key in case.meta["params"]} == set(parameters)
    norms = [_norm(parameters[names[key]].grad) for key in case.meta["params"]]
    wanted = case.tensor(f"{mode}_gnorms")
    torch.testing.assert_close(torch.tensor(norms).double(), wanted, rtol=1e-3, atol=1e-6)


def _norm(gradient: Tensor | None) -> float:
    assert gradient is not None
    return float(gradient.double().norm())
