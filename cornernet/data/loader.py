"""Batches for training: which images, in which order, with which random changes.

The order of an epoch depends on the seed and the epoch; the augmentation of an image depends on
the seed, the epoch and the image. Neither depends on the number of processes or workers, so a run
that is resumed, or that uses another number of processes, makes its steps with the same images.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from cornernet.config import Config
from cornernet.data.augment import augment, resize_sample, scaled_size
from cornernet.data.coco import CocoDataset
from cornernet.data.reference_crop import augment_around_reference
from cornernet.data.workers import Parcel, Watched, start_worker, workers_that_fit
from cornernet.errors import UserError
from cornernet.structures import Batch, Sample

_GRACE_SECONDS = 5
Key = tuple[int, int]  # epoch, index of the image
# An image, if one could be read, what is to be said about it, and what others failed by.
Read = tuple[Sample | None, list[str], list[UserError]]


def scaled_to_long_side(sample: Sample, long_side: int) -> Sample:
    """Resize so that the longer side has `long_side` pixels; 0 leaves the image as it is."""
    if not long_side:
        return sample
    height, width = sample.image.shape[:2]
    return resize_sample(sample, scaled_size((height, width), long_side / max(height, width)))


class AugmentedDataset(Dataset[Sample | UserError]):
    """The augmented images of a dataset by (epoch, index).

    If an image cannot be read, the error is returned instead: raised inside a worker process, it
    would reach the user as a traceback.
    """

    def __init__(self, source: CocoDataset, config: Config) -> None:
        self.source = source
        self.config = config

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Key) -> Sample | UserError:
        return self.read(key, self.source.faults.warn)

    def read(self, key: Key, warn: Callable[[str], object]) -> Sample | UserError:
        """The image under a key; `warn` takes what is to be said about it."""
        epoch, index = key
        try:
            sample = self.source.load(index, warn)
        except UserError as error:
            return error
        sample = scaled_to_long_side(sample, self.config.data.long_side)
        rng = np.random.default_rng([self.config.train.seed, epoch, index])
        changes, fill = self.config.augment, self.config.model.canvas_color
        if changes.sampling == "reference":
            sizes = self.config.model.object_sizes
            return augment_around_reference(sample, changes, sizes, fill, rng)
        return augment(sample, changes, fill, rng)


def share(batch_size: int, rank: int, processes: int, micro_batch: int = 0) -> range:
    """The positions in a step's joint batch of the images that one process takes.

    The shares differ by one image at most. Where there are as many micro-batches as processes, or
    more, they differ by one micro-batch: the same images are then normalised together, whatever
    the number of processes.

    Args:
        batch_size: images of all processes.
        rank: of the process.
        processes: at most `batch_size`.
        micro_batch: images that go through the network at a time; 0: any number.
    """
    unit = micro_batch or 1
    if -(-batch_size // unit) < processes:
        unit = 1
    units = -(-batch_size // unit)
    first, last = (min(batch_size, unit * (units * r // processes)) for r in (rank, rank + 1))
    return range(first, last)


class EpochBatches(Sampler[list[Key]]):
    """The batches of one process in the remaining steps.

    In each step, all processes together take `batch_size` images from one permutation; the last
    step of an epoch is filled up from the start of the permutation.

    Args:
        images: number of images in the dataset.
        batch_size: images of a step, of all processes together.
        epochs: the epochs to go through.
        seed: seed of the permutations.
        rank: of this process.
        processes: number of processes.
        first_step: steps of the first epoch that are left out, because they are done.
        micro_batch: see `share`.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        epochs: range,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        first_step: int = 0,
        micro_batch: int = 0,
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.epochs = epochs
        self.seed = seed
        self.share = share(batch_size, rank, processes, micro_batch)
        self.first_step = first_step

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.images // self.batch_size)

    def __len__(self) -> int:
        return max(0, self.steps_per_epoch * len(self.epochs) - self.first_step)

    def __iter__(self) -> Iterator[list[Key]]:
        for epoch in self.epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.images)
            order = np.resize(order, self.steps_per_epoch * self.batch_size)
            first = self.first_step if epoch == self.epochs.start else 0
            for step in range(first, self.steps_per_epoch):
                start = step * self.batch_size
                own = order[start + self.share.start : start + self.share.stop]
                yield [(epoch, int(i)) for i in own]


def collate(good: Sequence[Sample]) -> Batch:
    """Join samples of one size to a batch."""
    images = torch.from_numpy(np.stack([sample.image for sample in good]))
    return Batch(
        images=images.permute(0, 3, 1, 2),
        boxes=[torch.from_numpy(sample.boxes) for sample in good],
        labels=[torch.from_numpy(sample.labels) for sample in good],
        crowd_boxes=[torch.from_numpy(sample.crowd_boxes) for sample in good],
        crowd_labels=[torch.from_numpy(sample.crowd_labels) for sample in good],
        paths=[sample.path for sample in good],
        difficult_boxes=[torch.from_numpy(sample.difficult_boxes) for sample in good],
        difficult_labels=[torch.from_numpy(sample.difficult_labels) for sample in good],
    )


class _Reading(Dataset[Read]):
    """The images of a run with what is to be said about reading them.

    If images may be skipped, the next one of the dataset that can be read is in the place of one
    that cannot. Which one that is depends on the files alone, so that runs stay repeatable.
    """

    def __init__(self, augmented: AugmentedDataset) -> None:
        self.augmented = augmented

    def __getitem__(self, key: Key) -> Read:
        epoch, index = key
        source = self.augmented.source
        remarks: list[str] = []
        errors: list[UserError] = []
        for place in range(index, index + min(len(source), source.faults.most + 1)):
            found = self.augmented.read((epoch, place % len(source)), remarks.append)
            if not isinstance(found, UserError):
                return found, remarks, errors
            errors.append(found)
        return None, remarks, errors


class _Collate:
    """Makes a parcel of what was read, in the process that reads.

    Args:
        pack: whether it goes to another process.
        share: whether it may go through shared memory.
    """

    def __init__(self, pack: bool, share: bool) -> None:
        self.pack = pack
        self.share = share

    def __call__(self, read: Sequence[Read]) -> Parcel:
        samples = [sample for sample, _, _ in read if sample is not None]
        batch = collate(samples) if len(samples) == len(read) else None
        remarks = [text for _, texts, _ in read for text in texts]
        errors = [error for _, _, some in read for error in some]
        parcel = Parcel(batch, remarks, errors)
        return parcel.packed(self.share) if self.pack else parcel


def training_batches(
    source: CocoDataset,
    config: Config,
    first_epoch: int = 0,
    rank: int = 0,
    processes: int = 1,
    first_step: int = 0,
) -> tuple[Generator[Batch, None, None], int]:
    """All batches of a run from `first_epoch` on, and the number of batches in an epoch.

    One loader serves all epochs, so that workers start once and prefetch across epochs. Closing
    the generator ends them.

    Args:
        source: the training split.
        config: sections data, augment and train, and the colour around images.
        first_epoch: 0, or the epoch at which a run is resumed.
        rank: of this process.
        processes: number of processes of the run.
        first_step: steps of the first epoch that are done.

    Raises:
        UserError: while the batches are made, if an image cannot be read, or too many cannot.
        RuntimeError: while they are made, of PyTorch; `explaining_workers` makes a sentence of it.
    """
    sampler = EpochBatches(
        len(source),
        config.train.batch_size,
        range(first_epoch, config.train.epochs),
        config.train.seed,
        rank,
        processes,
        first_step,
        config.train.micro_batch,
    )
    workers, share_memory, text = workers_that_fit(config.data.workers)
    if text:
        warnings.warn(text, UserWarning, stacklevel=2)
    # The loader draws a number when it starts. A run that goes on has drawn it, so that here it
    # must not come from the state which the checkpoint has restored.
    goes_on = first_epoch > 0 or first_step > 0
    seconds = 60 * config.train.timeout_minutes
    loader = DataLoader(
        _Reading(AugmentedDataset(source, config)),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_Collate(workers > 0, share_memory),
        worker_init_fn=functools.partial(start_worker, config.runtime.max_megapixels),
        generator=torch.Generator() if goes_on else None,
        timeout=seconds if workers else 0,
    )

    def batches() -> Generator[Batch, None, None]:
        # PyTorch's own limit comes first where it works.
        with Watched(seconds + _GRACE_SECONDS) as watched:
            parcels = iter(loader)
            try:
                while (parcel := watched.next(parcels)) is not None:
                    yield _checked(source, parcel)
            finally:
                del parcels  # ends its processes

    return batches(), sampler.steps_per_epoch


def _checked(source: CocoDataset, parcel: Parcel) -> Batch:
    """The batch of a parcel, after what is to be said about it."""
    for text in parcel.remarks:
        source.faults.warn(text)
    for error in parcel.errors:
        source.faults.skip(error)
    batch = parcel.unpacked()
    if batch is None:
        raise parcel.errors[-1]
    return batch
