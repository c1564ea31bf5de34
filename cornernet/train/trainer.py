"""The state of a training run, and one step of it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_flatten

from cornernet.config import Config
from cornernet.errors import OutOfMemory, UserError
from cornernet.model.detector import TOTAL, Detector, Maps, to_channels_last
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.device import has_fused_optimizer
from cornernet.runtime.distributed import World
from cornernet.runtime.memory import is_out_of_memory
from cornernet.runtime.precision import autocast, grad_scaler, resolve_precision
from cornernet.runtime.random_state import random_states, restore_random_states
from cornernet.structures import Batch, Thresholds
from cornernet.train.ema import WeightAverage
from cornernet.train.schedule import learning_rate
from cornernet.weights.file import Weights
from cornernet.weights.state import load_state


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def build_optimizer(
    model: nn.Module, config: Config, device: torch.device
) -> torch.optim.Optimizer:
    """Adam; weight decay, where set, is decoupled and spares biases and normalisation."""
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [p for p in learnt if p.ndim > 1],
            "weight_decay": config.train.weight_decay,
        },
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.train.learning_rate,
        fused=has_fused_optimizer(device),
    )


class Requests(NamedTuple):
    """What a process wants all processes to do after a step."""

    stop: bool = False
    checkpoint: bool = False


SKIPPED_STEPS = "skipped_steps"
"""The name of the number of steps whose scaled gradient overflowed, so that no weight changed."""


class NotFinite(UserError):
    """A loss or a gradient is not finite.

    Attributes:
        batch: for which.
    """

    def __init__(self, message: str, batch: Batch) -> None:
        super().__init__(message)
        self.batch = batch


class Trainer:
    """The state of a run and one step of it.

    Args:
        config: with `model.num_classes` set.
        world: this process and its device.
        initial: loads weights into the new network, which is on the CPU; None keeps it random.

    Attributes:
        epoch: epochs done.
        step: steps done.
        best: best AP so far.
        since_best: evaluations since the one that gave it; the same in all processes.
        micro_batch: images that go through the network at a time; 0: all of a step.
        requests: what this process asks for; sent with the next step.
        agreed: what any process had asked for at the last step; the same in all.
    """

    def __init__(
        self,
        config: Config,
        world: World,
        initial: Callable[[Detector], None] | None = None,
    ) -> None:
        seed_everything(config.train.seed)
        self.config = config
        self.world = world
        self.model = Detector(config.model, config.model.num_classes)
        if initial is not None:
            initial(self.model)
        if config.train.checkpoint_activations:
            self.model.checkpoint_activations()
        self.model.to(world.device)
        if config.train.channels_last:
            to_channels_last(self.model)
        self.average = (
            WeightAverage(self.model, config.train.ema_decay) if config.train.ema_decay else None
        )
        self.optimizer = build_optimizer(self.model, config, world.device)
        self.precision = resolve_precision(config.train.precision, world.device)
        self.scaler = grad_scaler(world.device, self.precision)
        self.epoch = 0
        self.step = 0
        self.best = -math.inf
        self.since_best = 0
        self.micro_batch = config.train.micro_batch
        self.requests = self.agreed = Requests()
        self._asked = torch.empty(0, device=world.device)
        self.parallel: Any = self.model
        if world.size > 1:
            self.parallel = DistributedDataParallel(self.model)
            # BatchNorm's statistics of the first process are those that count, see `synchronize`:
            # sending them to the others at each step would change nothing. Not as an argument,
            # whose name depends on the version.
            self.parallel.broadcast_buffers = False
            self._settle_buckets()

    def _settle_buckets(self) -> None:
        """Make a backward pass of no effect, from which on DDP sums gradients in a fixed order.

        DDP arranges gradients in buckets again after its first pass, and where one lies in a bucket
        decides the order in which three or more processes are added up. Without this pass, the
        first step after a start would differ from the same step of a run that was not disturbed.
        """
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        side = 2 * self.model.backbone.size_multiple
        outputs = self.parallel(torch.zeros(2, 3, side, side, device=self.world.device))
        leaves = tree_flatten(outputs)[0]
        torch.stack([leaf.float().sum() for leaf in leaves]).sum().mul(0).backward()
        self.optimizer.zero_grad(set_to_none=True)
        for name, buffer in self.model.named_buffers():
            buffer.copy_(buffers[name])

    def losses(self, batch: Batch, targets: list[Any], counts: list[Tensor]) -> dict[str, Tensor]:
        """Forward pass of a batch on the device.

        Args:
            batch: all images of this process's step, or a part of them.
            targets: of `batch`.
            counts: of all images of the step, of all processes.
        """
        images = batch.images
        if self.config.train.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.world.device, self.precision):
            outputs: list[Maps] = self.parallel(images)
        return self.model.losses(outputs, targets, counts, self.config.loss, self.world.size)

    def backward(self, batch: Batch) -> Tensor:
        """Add the gradients of a step to the parameters.

        Args:
            batch: this process's share, on the device; goes through the network in parts of
                `micro_batch`.

        Returns:
            The losses of the joint batch, in the order of the network's `loss_names`.
        """
        parts = batch.split(self.micro_batch or len(batch.paths))
        targets = [self.model.targets(part, self.config.loss) for part in parts]
        by_part = [self.model.counts(target) for target in targets]
        counts = [torch.stack(counts).sum(0) for counts in zip(*by_part, strict=True)]
        if self.world.size > 1:
            counts = self._joint(counts)
        names = self.model.loss_names
        total = torch.zeros(len(names), device=self.world.device)
        for number, (part, wanted) in enumerate(zip(parts, targets, strict=True), start=1):
            # Processes exchange their gradients once, with the last part.
            waits = self.world.size > 1 and number < len(parts)
            with self.parallel.no_sync() if waits else nullcontext():
                losses = self.losses(part, wanted, counts)
                self.scaler.scale(losses[TOTAL]).backward()
            total += torch.stack([losses[name].detach() for name in names])
        if self.world.size > 1:
            torch.distributed.all_reduce(total)
            total /= self.world.size
        return total

    def _joint(self, counts: list[Tensor]) -> list[Tensor]:
        """Counts over all processes; what the processes ask for comes along."""
        # Filled on the device: a copy from the host would wait for the device.
        asked = [torch.full((1,), float(ask), device=self.world.device) for ask in self.requests]
        joint = torch.cat([*counts, *asked])
        torch.distributed.all_reduce(joint)
        *counts, self._asked = joint.split([*map(len, counts), len(asked)])
        return counts

    def train_step(self, batch: Batch, steps_per_epoch: int) -> dict[str, float]:
        """One step of the optimiser.

        Returns:
            The losses and the gradient's norm before clipping, which are those of the joint batch,
            and the learning rate.

        Raises:
            NotFinite: a loss or the gradient is not finite; the weights are left as they were.
            OutOfMemory: the same, for want of memory.
        """
        rate = learning_rate(self.step, steps_per_epoch, self.config.train)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        try:
            losses = self.backward(batch.to(self.world.device))
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise OutOfMemory(self._out_of_memory(batch, error)) from None
            raise
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(
            self.model.parameters(), self.config.train.clip_norm or math.inf
        )
        scale = self.scaler.scale(torch.ones_like(norm))
        # The one place of a step where the host waits for the device: before weights are changed.
        # What the scaler would ask for, whether a gradient overflowed and by what losses were
        # multiplied, comes along, and what the processes ask for.
        gradient_norm, factor, *found = torch.cat(
            [torch.stack([norm.detach(), scale]).float(), losses, self._asked]
        ).tolist()
        names = self.model.loss_names
        values = dict(zip(names, found[: len(names)], strict=True))
        asked = [number > 0 for number in found[len(names) :]]
        self.agreed = Requests(*asked) if asked else self.requests
        self._check_finite(values, batch)
        if math.isfinite(gradient_norm):
            self.optimizer.step()
        elif not self.scaler.is_enabled():
            self._check_finite({"gradient": gradient_norm}, batch)
        elif factor * self.scaler.get_backoff_factor() < 1:
            self._check_finite({"gradient, scaled by less than 1,": gradient_norm}, batch)
        self.scaler.update()  # scales less after a step that was left out
        if self.average is not None:
            self.average.update(self.model)
        self.step += 1
        record = {f"loss/{name}": value for name, value in values.items()}
        if self.scaler.is_enabled():
            record[SKIPPED_STEPS] = float(not math.isfinite(gradient_norm))
        return {**record, "gradient_norm": gradient_norm, "learning_rate": rate}

    def _out_of_memory(self, batch: Batch, error: BaseException) -> str:
        number, _, height, width = batch.images.shape
        at_a_time = min(self.micro_batch or number, number)
        return (
            f"out of memory with {at_a_time} images of {width}×{height} at a time on "
            f"{self.world.device} ({str(error).partition(chr(10))[0]}); set train.micro_batch "
            f"below {at_a_time}, train.checkpoint_activations to true, or lower augment.crop_size"
        )

    def _check_finite(self, values: dict[str, float], batch: Batch) -> None:
        bad = [f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise NotFinite(
                f"training stopped at iteration {self.step + 1}, epoch {self.epoch + 1}: expected "
                f"finite losses, got {', '.join(bad)} for the images {', '.join(batch.paths)}; "
                "lower train.learning_rate, look at these images, or set train.precision to fp32"
                + ("; last.pt holds the state of an earlier step" if self.epoch else ""),
                batch,
            )

    def inference_form(self) -> FusedDetector:
        """The network that is evaluated, as it detects, in the precision of training."""
        return FusedDetector(self.evaluated, self.precision)

    @property
    def evaluated(self) -> Detector:
        """The network that is evaluated and saved: the average where there is one."""
        return self.model if self.average is None else self.average.module

    def synchronize(self) -> None:
        """Give every process the first one's BatchNorm statistics, which differ by their data."""
        if self.world.size > 1:
            # The two may be one; in the same order everywhere.
            for module in dict.fromkeys((self.model, self.evaluated)):
                for buffer in module.buffers():
                    torch.distributed.broadcast(buffer, 0)

    def weights(
        self, classes: list[str], metrics: dict[str, float], thresholds: Thresholds
    ) -> Weights:
        """What is worth keeping of the present state."""
        state = self.evaluated.state_dict()
        return Weights(state, classes, self.config, metrics, thresholds=thresholds)

    def state(self) -> dict[str, Any]:
        """What all processes need to continue, as tensors and plain data."""
        return {
            "model": self.model.state_dict(),
            "average_steps": self.average.steps if self.average is not None else 0,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "best": self.best,
            "since_best": self.since_best,
            "micro_batch": self.micro_batch,
            "random_state": torch.get_rng_state(),
        }

    def own_state(self) -> dict[str, Any]:
        """What this process needs besides.

        BatchNorm's statistics in mid-epoch are its own, too, but those of the first process are
        what all have at the epoch's end, and no step depends on them.
        """
        return {"random": random_states(self.world.device)}

    def load(self, weights: Weights, source: str, own_state: dict[str, Any] | None = None) -> None:
        """Take up the state of a checkpoint.

        Args:
            weights: with `training`.
            source: the file, for messages.
            own_state: what `own_state` returned in this process; None for the checkpoint of an
                older version, which was made at the end of an epoch.
        """
        training = weights.training
        assert training is not None  # RunDirectory.read_checkpoint has checked
        load_state(self.model, training["model"], source)
        if self.average is not None:
            load_state(self.average.module, weights.state_dict, source)
            self.average.steps = training["average_steps"]
        for group in training["optimizer"]["param_groups"]:
            # The run may have begun on another kind of device.
            group["fused"] = has_fused_optimizer(self.world.device)
        self.optimizer.load_state_dict(training["optimizer"])
        self.scaler.load_state_dict(training["scaler"])
        self.epoch, self.step = training["epoch"], training["step"]
        self.best = training["best"]
        self.since_best = training.get("since_best", 0)  # not in files of older versions
        if own_state is None:
            torch.set_rng_state(training["random_state"])
            return
        restore_random_states(own_state["random"], self.world.device)
