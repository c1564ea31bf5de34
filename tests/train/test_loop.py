"""The training run: it learns, resumes exactly, spreads over processes, and stops on nonsense."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import cornernet.train.loop as loop
from cornernet.config import Config, config_from_dict
from cornernet.data.coco import CocoDataset
from cornernet.data.loader import training_batches
from cornernet.data.synthetic import synthesize
from cornernet.inference.evaluate import coco_evaluation, coco_results, detect_split
from cornernet.model.detector import Detector
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.distributed import World
from cornernet.structures import Batch
from cornernet.train.log import RunLog
from cornernet.train.loop import train
from cornernet.train.trainer import Trainer
from cornernet.train.validation import Validation
from cornernet.weights.file import Weights, load_weights, save_weights
from tests.errors import raises
from tests.small import SMALL_MODEL, small_config

CPU = World(torch.device("cpu"))
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("data") / "shapes", train=8, val=3, min_side=96, max_side=128
    )


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_eight_pictures_are_overfitted(overfitted: tuple[Detector, CocoDataset, Config]) -> None:
    model, data, config = overfitted
    found = detect_split(FusedDetector(model), data, config)
    metrics = coco_evaluation(data, coco_results(found, data.category_ids)).metrics
    assert metrics["AP"] >= 0.9, metrics


def test_a_run_leaves_its_files(shapes: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    metrics = train(small_config(), shapes, output, CPU)
    names = {path.name for path in output.iterdir()} - {"tensorboard"}
    assert names == {
        "config.yaml", "metrics.jsonl", "last.pt", "checkpoint-12.pt", "best.pt", "curves.png",
        "predictions.png", "evaluation.json", "environment.json",
        "report.html",
    }  # fmt: skip
    assert set(metrics) >= {"AP", "AP50", "AR100"}


def test_metrics_hold_every_step_and_every_evaluation(shapes: Path, tmp_path: Path) -> None:
    train(small_config(), shapes, tmp_path / "run", CPU)
    lines = records(tmp_path / "run")
    assert [line["step"] for line in lines if line["kind"] == "train"] == list(range(1, 17))
    assert [line["epoch"] for line in lines if line["kind"] == "val"] == [2, 4]


class Stopped(Exception):
    """Stands for a killed process."""


def stop_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next run die in the middle of the epoch after `epoch`."""
    original = Trainer.train_step

    def step(self: Trainer, batch: Batch, steps: int) -> dict[str, float]:
        if self.epoch == epoch and self.step == epoch * steps + 2:
            raise Stopped
        return original(self, batch, steps)

    monkeypatch.setattr(Trainer, "train_step", step)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_resumed_run_gives_bitwise_the_weights_of_an_uninterrupted_one(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    config = small_config("--data.workers", workers)
    train(config, shapes, tmp_path / "whole", CPU)
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(Stopped):
            train(config, shapes, tmp_path / "parts", CPU)
    train(config, shapes, tmp_path / "parts", CPU, resume=True)
    whole, parts = (load_weights(tmp_path / run / "last.pt") for run in ("whole", "parts"))
    for key, tensor in whole.state_dict.items():
        assert torch.equal(tensor, parts.state_dict[key]), key
    for key, tensor in whole.training["model"].items():
        assert torch.equal(tensor, parts.training["model"][key]), key

    def numbers(run: str) -> list[dict]:
        timing = ("images_per_second", "data_wait_share", "seconds")
        return [
            {k: v for k, v in line.items() if k not in timing} for line in records(tmp_path / run)
        ]

    assert numbers("whole") == numbers("parts")


def test_a_run_is_not_written_over(shapes: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    output.mkdir()
    (output / "last.pt").write_bytes(b"precious")
    with raises("without a run", "resume", "another directory", field="output"):
        train(small_config(), shapes, output, CPU)
    assert [path.name for path in output.iterdir()] == ["last.pt"]


def test_resuming_nothing_is_refused(shapes: Path, tmp_path: Path) -> None:
    with raises("checkpoint", "there is no", field="resume"):
        train(small_config(), shapes, tmp_path / "run", CPU, resume=True)
    assert not (tmp_path / "run").exists()


def test_a_run_that_stopped_in_its_first_epoch_is_resumed_from_the_start(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config("--train.epochs", "1")
    with monkeypatch.context() as patch:
        stop_after(0, patch)
        with pytest.raises(Stopped):
            train(config, shapes, tmp_path / "run", CPU)
    train(config, shapes, tmp_path / "run", CPU, resume=True)
    steps = [line["step"] for line in records(tmp_path / "run") if line["kind"] == "train"]
    assert steps == [1, 2, 3, 4]


def test_resuming_with_other_steps_an_epoch_is_refused(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config("--train.epochs", "2")
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(Stopped):
            train(config, shapes, tmp_path / "run", CPU)
    fewer = synthesize(tmp_path / "fewer", train=4, val=1, min_side=96, max_side=128)
    with raises("4 steps an epoch", "found 2", field="resume"):
        train(config, fewer, tmp_path / "run", CPU, resume=True)


def test_a_checkpoint_of_another_device_takes_this_ones_optimiser(
    shapes: Path, tmp_path: Path
) -> None:
    config = small_config("--train.epochs", "1", "--model.num_classes", "5")
    train(config, shapes, tmp_path / "run", CPU)
    checkpoint = load_weights(tmp_path / "run" / "last.pt")
    for group in checkpoint.training["optimizer"]["param_groups"]:
        group["fused"] = False
    trainer = Trainer(config, CPU)
    trainer.load(checkpoint, "last.pt")
    assert all(group["fused"] for group in trainer.optimizer.param_groups)


def test_records_of_infinite_numbers_are_json(tmp_path: Path) -> None:
    log = RunLog(tmp_path, is_main=True)
    log.write("train", 1, {"gradient_norm": float("inf"), "loss/total": 1.0})
    log.close()
    assert records(tmp_path)[0] == {
        "kind": "train", "step": 1, "gradient_norm": None, "loss/total": 1.0
    }  # fmt: skip


def test_resuming_with_other_settings_names_them(shapes: Path, tmp_path: Path) -> None:
    train(small_config("--train.epochs", "1"), shapes, tmp_path / "run", CPU)
    changed = small_config("--train.epochs", "1", "--train.learning_rate", "0.1")
    with raises("train.learning_rate: 0.0005 → 0.1", field="resume"):
        train(changed, shapes, tmp_path / "run", CPU, resume=True)


def test_bad_data_leave_no_folder(tmp_path: Path) -> None:
    with raises("nowhere"):
        train(small_config(), tmp_path / "nowhere", tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_another_number_of_classes_is_refused(shapes: Path, tmp_path: Path) -> None:
    with raises("5", "got 80", field="model.num_classes"):
        train(small_config("--model.num_classes", "80"), shapes, tmp_path / "run", CPU)


def test_a_loss_that_is_no_number_names_iteration_loss_and_images(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Detector.losses
    calls = []

    def poisoned(*args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        losses = original(*args, **kwargs)
        return losses if len(calls) < 3 else losses | {"push": losses["push"] * torch.nan}

    monkeypatch.setattr(Detector, "losses", poisoned)
    with raises("iteration 3, epoch 1:", "push = nan", ".jpg"):
        train(small_config(), shapes, tmp_path / "run", CPU)


def test_weights_survive_a_gradient_that_is_no_number(shapes: Path) -> None:
    trainer = Trainer(small_config("--model.num_classes", "5"), CPU)
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.model.head.tl_heat[0][1].conv.weight.register_hook(lambda g: g * torch.inf)
    image = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8)
    batch = Batch(image, [torch.tensor([[5.0, 5, 40, 40]])], [torch.tensor([1])], ["picture.png"])
    with raises("gradient = inf", "picture.png"):
        trainer.train_step(batch, 1)
    for key, value in trainer.model.named_parameters():
        assert torch.equal(value, before[key]), key


def test_best_weights_are_those_of_the_highest_ap(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aps = iter([0.1, 0.5, 0.3, 0.4])

    def fake(*args: object) -> Validation:
        return Validation(dict.fromkeys(("AP50", "AP75"), 0.0) | {"AP": next(aps)})

    monkeypatch.setattr(loop, "validate", fake)
    monkeypatch.setattr(loop, "save_curves", lambda *args: None)
    metrics = train(small_config("--train.eval_every", "1"), shapes, tmp_path / "run", CPU)
    assert metrics["AP"] == 0.5
    assert load_weights(tmp_path / "run" / "best.pt").metrics["AP"] == 0.5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_trains(shapes: Path, tmp_path: Path, precision: str) -> None:
    config = small_config("--train.precision", precision, "--train.epochs", "1")
    train(config, shapes, tmp_path / "run", CPU)
    state = load_weights(tmp_path / "run" / "last.pt").state_dict
    assert all(torch.isfinite(value).all() for value in state.values())


def torchrun(processes: int, *program: str) -> subprocess.CompletedProcess[str]:
    # Stand-alone: on a port that the launcher holds from the start, so nobody else can take it.
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node",
        str(processes), *program,
    ]  # fmt: skip
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_processes_agree_on_batch_norm_statistics_of_model_and_average() -> None:
    done = torchrun(2, "-m", "tests.train.synchronise")
    assert done.returncode == 0, done.stderr


def random_weights(path: Path, classes: list[str], **model: int) -> Path:
    torch.manual_seed(7)
    config = config_from_dict({"model": SMALL_MODEL | model})
    network = Detector(config.model, len(classes))
    save_weights(Weights(network.state_dict(), classes, config), path)
    return path


def first_weights(shapes: Path, output: Path, *overrides: str) -> dict[str, torch.Tensor]:
    """The network that a run would start from, in training mode."""
    caught: list[dict[str, torch.Tensor]] = []

    class Stop(Exception):
        pass

    def step(trainer: Trainer, *_: object) -> None:
        caught.append({k: v.clone() for k, v in trainer.model.state_dict().items()})
        assert trainer.average is not None
        caught.append(dict(trainer.average.module.state_dict()))
        raise Stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Trainer, "train_step", step)
        train(small_config(*overrides), shapes, output, CPU)
    assert all(torch.equal(caught[0][key], caught[1][key]) for key in caught[0])
    return caught[0]


def test_weights_to_start_from_are_taken_whole_for_the_same_classes(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = random_weights(tmp_path / "w.pt", CocoDataset(shapes, "train").classes)
    found = first_weights(shapes, tmp_path / "run", "--train.init", str(path))
    wanted = load_weights(path).state_dict
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert "starting from all weights of" in capsys.readouterr().out


@pytest.mark.parametrize("number", [2, 5])  # five classes are as many as the data have
def test_for_other_classes_exactly_their_convolutions_start_anew(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    path = random_weights(tmp_path / "w.pt", [f"kind {label}" for label in range(number)])
    found = first_weights(shapes, tmp_path / "run", "--train.init", str(path))
    fresh = first_weights(shapes, tmp_path / "fresh")
    wanted = load_weights(path).state_dict
    anew = {key for key in found if key.startswith(("head.tl_heat.0.1.", "head.br_heat.0.1."))}
    assert len(anew) == 4
    for key, value in found.items():
        assert torch.equal(value, fresh[key] if key in anew else wanted[key]), key
    words = " ".join(capsys.readouterr().out.split())
    assert "re-initialised for this data and network: head.tl_heat.0.1.conv, head.br_heat" in words


def test_weights_of_another_network_to_start_from_name_the_settings(
    shapes: Path, tmp_path: Path
) -> None:
    path = random_weights(tmp_path / "w.pt", ["a"], feature_channels=6)
    config = small_config("--train.init", str(path))
    with raises("model.feature_channels=6 (here 8)", field="train.init"):
        train(config, shapes, tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_missing_weights_to_start_from_leave_no_folder(shapes: Path, tmp_path: Path) -> None:
    config = small_config("--train.init", str(tmp_path / "gone.pt"))
    with raises("gone.pt", "weights file", "none"):
        train(config, shapes, tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_does_not_start_from_other_weights_again(
    shapes: Path, tmp_path: Path
) -> None:
    path = random_weights(tmp_path / "w.pt", CocoDataset(shapes, "train").classes)
    settings = ("--train.epochs", "1", "--train.init", str(path))
    train(small_config(*settings), shapes, tmp_path / "run", CPU)
    path.unlink()
    trained = load_weights(tmp_path / "run" / "last.pt")
    train(small_config(*settings), shapes, tmp_path / "run", CPU, resume=True)
    again = load_weights(tmp_path / "run" / "last.pt")
    assert trained.training is not None and again.training is not None
    key = "backbone.stem.0.conv.weight"
    assert torch.equal(again.training["model"][key], trained.training["model"][key])


def crowd_losses(*overrides: str) -> tuple[float, float]:
    """The focal loss of a batch without and with a crowd region over half of its picture."""
    trainer = Trainer(small_config("--model.num_classes", "2", *overrides), CPU)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    boxes, labels = [torch.tensor([[40.0, 40, 60, 60]])], [torch.tensor([1])]
    crowd = ([torch.tensor([[0.0, 0, 32, 64]])], [torch.tensor([1])])
    values = []
    for more in ((), crowd):
        losses = trainer.backward(Batch(image, boxes, labels, ["picture.png"], *more))
        values.append(float(losses[trainer.model.loss_names.index("focal")]))
    return values[0], values[1]


def test_cells_of_a_crowd_cost_nothing() -> None:
    without, with_crowd = crowd_losses()
    assert with_crowd < 0.95 * without


def test_cells_of_a_crowd_can_be_made_negatives() -> None:
    without, with_crowd = crowd_losses("--loss.ignore_crowds=false")
    assert with_crowd == without


def six_pictures() -> Batch:
    random = torch.Generator().manual_seed(2)
    corners = [torch.rand(number, 4, generator=random) * 30 for number in (2, 0, 1, 3, 1, 2)]
    return Batch(
        torch.rand(6, 3, 64, 64, generator=random) * 255,
        [torch.cat([part[:, :2], part[:, 2:] + 32], 1) for part in corners],
        [torch.randint(0, 2, (len(part),), generator=random) for part in corners],
        [f"{number}.png" for number in range(6)],
        [torch.zeros(0, 4)] * 5 + [torch.tensor([[0.0, 0, 20, 20]])],
        [torch.zeros(0, dtype=torch.int64)] * 5 + [torch.tensor([1])],
    )


def backward_of(*overrides: str) -> Trainer:
    """The state after one backward pass of six pictures."""
    settings = ("--model.num_classes", "2", "--model.stacks", "2", *overrides)
    trainer = Trainer(small_config(*settings), CPU)
    trainer.model.train()
    trainer.backward(six_pictures())
    return trainer


def gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        name: parameter.grad
        for name, parameter in trainer.model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("number", [1, 2, 4, 6, 9])
def test_parts_of_a_batch_add_up_to_its_gradient(number: int) -> None:
    frozen = "--model.freeze_batch_norm=true"  # its statistics are those of each part
    whole = gradients(backward_of(frozen))
    parts = gradients(backward_of(frozen, "--train.micro_batch", str(number)))
    assert set(whole) == set(parts)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-3, atol=1e-5)


def test_parts_of_a_batch_add_up_to_its_losses() -> None:
    trainer = Trainer(small_config("--model.num_classes=2", "--model.freeze_batch_norm=true"), CPU)
    whole = trainer.backward(six_pictures())
    trainer.micro_batch = 2
    torch.testing.assert_close(trainer.backward(six_pictures()), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputed_activations_change_nothing(precision: str) -> None:
    settings = ("--train.precision", precision)
    kept = backward_of(*settings)
    recomputed = backward_of(*settings, "--train.checkpoint_activations=true")
    wanted = gradients(kept)
    for name, gradient in gradients(recomputed).items():
        assert torch.equal(gradient, wanted[name]), name
    buffers = dict(kept.model.named_buffers())
    for name, buffer in recomputed.model.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


def test_recomputed_activations_are_not_kept() -> None:
    def saved(*overrides: str) -> int:
        trainer = Trainer(small_config("--model.num_classes", "2", *overrides), CPU)
        trainer.model.train()
        total = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            trainer.model(six_pictures().images)
        return total

    assert saved("--train.checkpoint_activations=true") < 0.6 * saved()


def test_crowds_reach_the_loss_from_their_file(shapes: Path, tmp_path: Path) -> None:
    """Two regions of different classes, at the same place in every picture."""
    data = shutil.copytree(shapes, tmp_path / "data")
    file = data / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    kinds = [category["id"] for category in content["categories"]]
    number = max(entry["id"] for entry in content["annotations"])
    for image in content["images"]:
        for left, kind in ((0, kinds[1]), (image["width"] / 2, kinds[3])):
            number += 1
            box = [left, 0, image["width"] / 2, image["height"]]
            crowd = {"id": number, "image_id": image["id"], "category_id": kind, "iscrowd": 1}
            content["annotations"].append(crowd | {"bbox": box, "area": box[2] * box[3]})
    file.write_text(json.dumps(content))
    config = small_config("--model.num_classes", "5", "--augment.flip", "0")
    batches, _ = training_batches(CocoDataset(data, "train"), config)
    (targets,) = Trainer(config, CPU).model.targets(next(batches), config.loss)
    ignored = targets.ignored
    assert ignored is not None and ignored.shape == (2, 5, 16, 16)
    assert not ignored[:, [0, 2, 4]].any()
    for picture in ignored:  # crops keep the first class left of the second
        assert picture[1].any() or picture[3].any()
        columns = [picture[kind].any(0).nonzero().flatten().tolist() for kind in (1, 3)]
        if all(columns):
            assert max(columns[0]) <= min(columns[1])


def test_without_packaged_weights_of_its_network_a_run_starts_at_random(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = first_weights(shapes, tmp_path / "run", "--train.init", "auto")
    assert "starting from random weights: the package holds none" in capsys.readouterr().out
    fresh = first_weights(shapes, tmp_path / "fresh")
    assert all(torch.equal(found[key], fresh[key]) for key in fresh)
