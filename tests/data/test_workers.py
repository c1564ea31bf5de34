"""Processes that load images: what they send, and what is said when one of them fails."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from cornernet.config import Config
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import training_batches
from cornernet.data.synthetic import synthesize
from cornernet.data.workers import Parcel, Watched, explaining_workers, workers_that_fit
from cornernet.structures import Batch
from tests.errors import raises
from tests.small import small_config


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workers") / "shapes"
    synthesize(root, train=8, val=2, min_side=64, max_side=64)
    return root


def config(*words: str) -> Config:
    return small_config("--data.workers=1", "--train.epochs=50", *words)


def children() -> list[int]:
    return [
        int(status.parent.name)
        for status in Path("/proc").glob("[0-9]*/stat")
        if status.read_text().rpartition(")")[2].split()[1] == str(os.getpid())
    ]


@pytest.fixture
def no_child_is_left() -> Iterator[None]:
    before = set(children())
    yield
    deadline = time.monotonic() + 20
    while set(children()) - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not set(children()) - before


def after_first_batch(data: Path, settings: Config, act: Callable[[int], None]) -> None:
    """Take batches until an error, after something has been done to the loading process."""
    before = set(children())
    batches, _ = training_batches(CocoDataset(data, "train"), settings)
    with explaining_workers(settings.train.timeout_minutes), closing(batches):
        next(batches)
        (worker,) = set(children()) - before
        act(worker)
        for _ in batches:
            pass


@pytest.mark.usefixtures("no_child_is_left")
def test_a_killed_loading_process_is_a_sentence(data: Path) -> None:
    with raises("ended unexpectedly", "data.workers", "shm-size") as caught:
        after_first_batch(data, config(), lambda worker: os.kill(worker, signal.SIGKILL))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_child_is_left")
def test_a_stopped_loading_process_ends_the_wait(data: Path) -> None:
    started = time.monotonic()
    with raises("no batch", "0.02 minutes", "train.timeout_minutes"):
        after_first_batch(
            data,
            config("--train.timeout_minutes=0.02"),
            lambda worker: os.kill(worker, signal.SIGSTOP),
        )
    assert time.monotonic() - started < 30


def test_other_errors_are_not_explained() -> None:
    with pytest.raises(RuntimeError, match="of another kind"), explaining_workers(1):
        raise RuntimeError("of another kind")


def test_descriptors_that_cannot_be_received_are_explained() -> None:
    with raises("ulimit -n", "data.workers"), explaining_workers(1):
        raise RuntimeError("received 0 items of ancdata")


def test_a_process_that_goes_on_is_ended() -> None:
    import multiprocessing

    with Watched(600):
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        process.start()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
    assert not process.is_alive()


def images_of(batches: Iterator[Batch]) -> list[torch.Tensor]:
    return [batch.images for batch in batches]


def test_without_shared_memory_batches_come_all_the_same(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config("--train.epochs=1")
    wanted = images_of(training_batches(CocoDataset(data, "train"), settings)[0])

    def fail(_: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>")

    # Loading processes inherit it.
    monkeypatch.setattr(torch.Tensor, "share_memory_", fail)
    batches, _ = training_batches(CocoDataset(data, "train"), settings)
    with pytest.warns(UserWarning, match="shm-size") as said:
        found = images_of(batches)
    assert len(said) == 1
    assert len(found) == len(wanted) == 4
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other) and one.stride() == other.stride()


@pytest.mark.parametrize("share", [True, False])
def test_a_parcel_comes_back_as_it_was(share: bool) -> None:
    images = torch.rand(2, 5, 4, 3).permute(0, 3, 1, 2)
    boxes = [torch.rand(2, 4), torch.rand(0, 4)]
    labels = [torch.tensor([1, 2]), torch.tensor([], dtype=torch.int64)]
    parcel = Parcel(Batch(images, boxes, labels, ["a", "b"])).packed(share)
    assert not any(isinstance(box, torch.Tensor) for box in parcel.batch.boxes)
    batch = parcel.unpacked()
    assert batch is not None and batch.paths == ["a", "b"]
    assert torch.equal(batch.images, images) and batch.images.stride() == images.stride()
    assert all(torch.equal(*pair) for pair in zip(batch.boxes, boxes, strict=True))
    assert all(torch.equal(*pair) for pair in zip(batch.labels, labels, strict=True))


def test_the_limit_on_open_files_is_raised_as_far_as_possible() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        assert workers_that_fit(3) == (3, True, "")
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("free", "workers", "share"),
    [(10_000, 3, True), (199, 3, False), (35, 2, False), (9, 0, False)],
)
def test_few_open_files_mean_fewer_processes(
    monkeypatch: pytest.MonkeyPatch, free: int, workers: int, share: bool
) -> None:
    monkeypatch.setattr("cornernet.data.workers.free_descriptors", lambda: free)
    number, shares, text = workers_that_fit(3)
    assert (number, shares) == (workers, share)
    assert bool(text) == (workers < 3) and (not text or "ulimit -n" in text)


def damaged(data: Path, tmp_path: Path, name: str, content: bytes) -> Path:
    """The dataset with another file in one image's place."""
    root = tmp_path / "copy"
    for source in data.rglob("*"):
        if source.is_file():
            target = root / source.relative_to(data)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if source.name == name else source.read_bytes())
    return root


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_cannot_be_read_are_skipped_named_and_counted(
    data: Path, tmp_path: Path, workers: int
) -> None:
    dataset = CocoDataset(data, "train")
    victim = Path(dataset.info(3).path)
    root = damaged(data, tmp_path, victim.name, b"")
    settings = config(f"--data.workers={workers}", "--train.epochs=2", "--data.on_error=skip")
    good = images_of(training_batches(dataset, settings)[0])
    dataset = CocoDataset(root, "train", on_error="skip", max_skipped=0.2)
    with pytest.warns(UserWarning, match="1 of 8 images") as said:
        batches = list(training_batches(dataset, settings)[0])
    assert len(said) == 1 and victim.name in str(said[0].message)
    assert len(batches) == len(good) == 8
    same = [torch.equal(batch.images, other) for batch, other in zip(batches, good, strict=True)]
    assert sum(same) == 6  # in each epoch, one step has another image
    assert not any(victim.name in path for batch in batches for path in batch.paths)


def test_too_many_images_that_cannot_be_read_end_the_run(data: Path, tmp_path: Path) -> None:
    name = Path(CocoDataset(data, "train").info(3).path).name
    dataset = CocoDataset(
        damaged(data, tmp_path, name, b"no image"), "train", on_error="skip", max_skipped=0.1
    )
    with raises("1 of 8 images", name, field="data.max_skipped"):
        list(training_batches(dataset, config("--data.workers=0"))[0])


def test_skipping_stops_after_its_share_within_one_item(data: Path, tmp_path: Path) -> None:
    root = damaged(data, tmp_path, "none", b"")
    for path in (root / "train").iterdir():
        path.write_bytes(b"")
    dataset = CocoDataset(root, "train", on_error="skip", max_skipped=0.3)
    with pytest.warns(UserWarning, match="left out"), raises(field="data.max_skipped"):
        list(training_batches(dataset, config("--data.workers=0"))[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_without_its_end_is_used_with_one_warning(
    data: Path, tmp_path: Path, workers: int
) -> None:
    root = damaged(data, tmp_path, "none", b"")
    victim = Path(CocoDataset(root, "train").info(2).path)
    victim.write_bytes(victim.read_bytes()[:-2])
    settings = config(f"--data.workers={workers}", "--train.epochs=3")
    batches, _ = training_batches(CocoDataset(root, "train"), settings)
    with pytest.warns(UserWarning, match="end-of-image") as said:
        found = images_of(batches)
    assert len(said) == 1
    wanted = images_of(training_batches(CocoDataset(data, "train"), settings)[0])
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))
    with raises(victim.name, "truncated"):
        list(training_batches(CocoDataset(root, "train", strict=True), settings)[0])
