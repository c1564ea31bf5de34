"""The average of the weights against its recursion."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cornernet.train.ema import WeightAverage


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def set_all(module: nn.Module, value: float) -> None:
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.fill_(value)


def test_average_starts_as_a_copy() -> None:
    module = network()
    average = WeightAverage(module, 0.9)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    set_all(module, 5.0)
    assert all(torch.equal(before[k], v) for k, v in average.module.state_dict().items())


def test_update_leaves_the_module_alone() -> None:
    module = network()
    average = WeightAverage(module, 0.5)
    set_all(module, 5.0)
    average.update(module)
    assert all((v == 5).all() for v in module.state_dict().values())


def test_average_follows_its_recursion_with_a_growing_decay() -> None:
    module = network()
    set_all(module, 1.0)
    average = WeightAverage(module, 0.03)
    wanted = 1.0
    for step, value in enumerate([4.0, -2.0, 7.0, 0.5, 3.0], start=1):
        set_all(module, value)
        average.update(module)
        decay = min(0.03, step / (step + 100))
        wanted = decay * wanted + (1 - decay) * value
        assert average.module[0].weight.flatten().tolist() == pytest.approx([wanted] * 6)


def test_first_weights_are_soon_forgotten() -> None:
    module = network()
    set_all(module, 1000.0)
    average = WeightAverage(module, 0.999)
    set_all(module, 1.0)
    for _ in range(30):
        average.update(module)
    assert float(average.module[0].weight.max()) == pytest.approx(1.0, abs=1e-3)


def test_statistics_of_batch_norm_are_averaged_and_its_counter_copied() -> None:
    module = network()
    average = WeightAverage(module, 0.0099)
    set_all(module, 2.0)
    average.update(module)
    norm = average.module[1]
    assert norm.running_mean.tolist() == pytest.approx([0.9901 * 2.0] * 3, rel=1e-3)
    assert norm.num_batches_tracked.item() == 2


def test_average_neither_learns_nor_trains() -> None:
    average = WeightAverage(network().train(), 0.9)
    assert not average.module.training
    assert not any(parameter.requires_grad for parameter in average.module.parameters())


def test_weights_in_another_memory_order_are_averaged_by_their_place() -> None:
    module = nn.Conv2d(3, 4, 3)
    average = WeightAverage(module, 0.0)
    module.weight.data = torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    average.update(module)
    assert torch.equal(average.module.weight, module.weight.detach())
