"""`torchrun -m tests.train.synchronise`: processes take over what the first one has found.

All know how many evaluations ago AP was highest, though only the first one knows AP.

Each process trains on images of its own, then takes the first one's statistics, in the model and in
the average; six times, because a wrong order of the two is a matter of chance.
"""

from __future__ import annotations

import torch
import torch.distributed as dist

from cornernet.runtime.distributed import World, end_world, start_world
from cornernet.structures import Batch
from cornernet.train.trainer import Trainer
from cornernet.train.validation import note_best
from tests.small import small_config


def check(world: World, seed: int) -> None:
    trainer = Trainer(small_config("--model.num_classes", "2"), world)
    assert trainer.average is not None
    _ballast = [object() for _ in range(1000 * world.rank)]
    torch.manual_seed(seed + 100 * world.rank)
    batch = Batch(
        torch.rand(2, 3, 64, 64) * 255,
        [torch.zeros(0, 4)] * 2,
        [torch.zeros(0, dtype=torch.int64)] * 2,
        ["a", "b"],
    )
    trainer.train_step(batch, 1)
    trainer.synchronize()
    modules = (trainer.model, trainer.average.module)
    for module in modules:
        for name, buffer in module.named_buffers():
            others = [torch.empty_like(buffer) for _ in range(world.size)]
            dist.all_gather(others, buffer)
            assert all(torch.equal(other, buffer) for other in others), name
    for ap in (0.3, 0.2, 0.1):
        note_best(trainer, {"AP": ap} if world.is_main else {})
    assert trainer.since_best == 2
    means = [module.state_dict()["backbone.stem.0.bn.running_mean"] for module in modules]
    assert not torch.equal(*means)


if __name__ == "__main__":
    world = start_world("cpu")
    for seed in range(6):
        check(world, seed)
    end_world()
