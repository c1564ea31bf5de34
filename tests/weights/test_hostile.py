"""Weights files that were made to harm: refused in a sentence, quickly and in little memory."""

from __future__ import annotations

import pickle
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cornernet.config import Config, ModelConfig
from cornernet.model.detector import Detector
from cornernet.train.run_directory import RunDirectory
from cornernet.weights.file import Weights, load_weights, save_weights
from cornernet.weights.pickles import check_tree
from cornernet.weights.unpickle import read_tensors
from tests.errors import raises
from tests.weights.test_unpickle import hand_made, named

CASES = Path(__file__).parent.parent / "data" / "hostile"
STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ"
# Each tuple holds the one before twice: 2^45 values, in a few hundred bytes.
LAUGH = b")" + b"".join(b"q%c0(h%ch%ct" % (n, n, n) for n in range(45))
DEEP = b")" + b"\x85" * 10**5


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    started = time.perf_counter()
    yield
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("name", ["p_deep_hash", "p_get", "p_laugh_hash"])
def test_files_that_hung_or_killed_the_process_are_refused(name: str) -> None:
    with raises(f"{name}.pt: expected a weights file"):
        load_weights(CASES / f"{name}.pt")


@pytest.mark.parametrize("nest", [LAUGH, DEEP])
@pytest.mark.parametrize(
    "use",
    [
        b"}%sNs.",
        b"}(%sNu.",
        b"(%sNd.",
        b"\x8f(%s\x90.",
        b"(%s\x91.",
        named("builtins.str") + b"(%stR.",
        named("builtins.set") + b"((%stltR.",
        named("builtins.frozenset") + b"((%stltR.",
        named("builtins.dict") + b"((%sNt\x85tR.",
        b"(lp9\n%sa.",
    ],
)
def test_nothing_nested_is_hashed_printed_or_returned(
    tmp_path: Path, nest: bytes, use: bytes
) -> None:
    hand_made(use.replace(b"%s", nest), tmp_path / "x.pth", "zip")
    with raises("weights file"):
        read_tensors(tmp_path / "x.pth")


def test_a_container_in_itself_is_refused(tmp_path: Path) -> None:
    hand_made(b"]q\0h\0a.", tmp_path / "x.pth", "zip")
    with raises("holds itself"):
        read_tensors(tmp_path / "x.pth")


def test_what_is_shared_counts_each_time() -> None:
    shared: list[Any] = [0] * 1000
    check_tree([shared] * 1000)
    for _ in range(3):
        shared = [shared] * 1000
    with pytest.raises(pickle.UnpicklingError, match="too many values"):
        check_tree(shared)


def test_copies_are_counted(tmp_path: Path) -> None:
    """A list of a million is copied by three bytes."""
    copies = b"(lq\0(" + b"N" * 100_000 + b"e"
    copies += b"".join(named("builtins.list") + b"(h\0tR0" for _ in range(200)) + b"."
    hand_made(copies, tmp_path / "x.pth", "zip")
    with raises("copied"):
        read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "code", [b"]K\x05K\x01s.", STORAGE + b"K\0K\x01s.", STORAGE + b"(K\0K\x01u.", b")K\0K\x01s."]
)
def test_only_dictionaries_are_filled(tmp_path: Path, code: bytes) -> None:
    """CVE-2026-24747: torch.load set elements of lists and tensors, also beyond their end."""
    hand_made(code, tmp_path / "x.pth", "zip")
    with raises("filled"):
        read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("number", [b"K\x01", b"K\x03", b"J\xff\xff\xff\x7f"])
def test_a_storage_has_the_size_that_is_declared(tmp_path: Path, number: bytes) -> None:
    """CVE-2026-24747: torch.load believed the number of elements in the pickle."""
    hand_made(STORAGE.replace(b"K\x02", number) + b".", tmp_path / "x.pth", "zip")
    with raises("more or fewer elements"):
        read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "size", [b"(K\x63t(K\0t", b"(J\0\0\0\x01)t(K\0)t", b"(K\x02K\x02t(K\1K\0t"]
)
def test_one_value_does_not_stand_for_many(tmp_path: Path, size: bytes) -> None:
    """A stride of 0 would make any number of them, and a tuple among the sizes a long tuple."""
    code = named("torch._utils._rebuild_tensor_v2") + b"(" + STORAGE + b"K\0" + size + b"\x89NtR."
    hand_made(code, tmp_path / "x.pth", "zip")
    with raises("other sizes than its storage"):
        read_tensors(tmp_path / "x.pth")


def test_an_archive_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"N" + b"0N" * 10**6 + b".")
    with raises("times the file's size"):
        read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("code", [b"I" + b"9" * 5000 + b"\n.", b"\x8a\x40" + b"\x7f" * 64 + b"."])
def test_numbers_of_thousands_of_digits_are_refused(tmp_path: Path, code: bytes) -> None:
    hand_made(code, tmp_path / "x.pth", "zip")
    with raises("weights file"):
        read_tensors(tmp_path / "x.pth")


MODEL = ModelConfig(1, [4, 4], [1, 1], 4, 4, 4, num_classes=2)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """What a good file holds, to be changed."""
    torch.manual_seed(0)
    weights = Weights(Detector(MODEL, 2).state_dict(), ["cell", "plate"], Config(model=MODEL))
    save_weights(weights, tmp_path / "good.pt")
    found: dict[str, Any] = torch.load(tmp_path / "good.pt")
    return found


def state(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda content: change(content["state_dict"])


def fill(value: float) -> Callable[[dict[str, Any]], object]:
    return state(lambda tensors: tensors["backbone.stem.0.conv.weight"].view(-1)[3:4].fill_(value))


def sizes(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["config"]["model"].update(changes)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], tuple[str, ...]]] = {
    "NaN": (fill(float("nan")), ("NaN", "1 of", "backbone.stem.0.conv.weight")),
    "infinity": (fill(float("inf")), ("infinity", "backbone.stem.0.conv.weight")),
    "opposite infinities": (
        state(lambda tensors: [
            tensors[f"backbone.stem.0.bn.running_{key}"].fill_(sign * float("inf"))
            for key, sign in (("mean", 1), ("var", -1))
        ]),
        ("2 of", "running_mean", "running_var"),
    ),
    "no tensor": (state(lambda tensors: tensors.update(x=[1.0])), ("something else", "'x'")),
    "whole numbers": (
        state(lambda tensors: tensors.update({
            "backbone.stem.0.conv.weight": tensors["backbone.stem.0.conv.weight"].long()
        })),
        ("floating-point", "backbone.stem.0.conv.weight"),
    ),
    "number for a name": (
        lambda content: content["state_dict"].update({7: torch.ones(1)}),
        ("7",),
    ),
    "no tensors": (state(lambda tensors: tensors.clear()), ("none",)),
    "shared memory": (
        state(lambda tensors: tensors.update(
            {f"x{n}": tensors["backbone.stem.0.conv.weight"] for n in range(99)}
        )),
        ("share memory",),
    ),
    "classes of numbers": (lambda content: content.update(classes=[1, 2]), ("class", "1, 2")),
    "one name twice": (lambda content: content.update(classes=["a", "a"]), ("different name",)),
    "no classes": (lambda content: content.update(classes=[]), ("name for each class",)),
    "metrics of text": (lambda content: content.update(metrics={"AP": "1"}), ("metrics", "AP")),
    "version 0": (lambda content: content.update(version=0), ("version",)),
    "another number of classes": (lambda content: content["classes"].append("x"), ("shape",)),
    "many blocks": (sizes(stage_blocks=[90, 90]), ("180 blocks",)),
    "more blocks": (sizes(stage_blocks=[1, 2]), ("missing",)),
    "wide": (sizes(stage_channels=[4096, 4096]), ("shape",)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_contents_that_are_no_weights_are_refused_by_name(
    tmp_path: Path, content: dict[str, Any], name: str
) -> None:
    change, words = CHANGES[name]
    change(content)
    torch.save(content, tmp_path / "changed.pt")
    with raises("changed.pt: expected", *words):
        load_weights(tmp_path / "changed.pt")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("stacks", 10**9),
        ("stage_blocks", [10**8, 1]),
        ("stage_channels", [10**6, 4]),
        ("stage_channels", [4] * 40),
        ("head_channels", 10**7),
    ],
)
def test_absurd_sizes_are_refused_before_memory_is_taken(
    tmp_path: Path, content: dict[str, Any], setting: str, value: Any
) -> None:
    content["config"]["model"][setting] = value
    if setting == "stage_channels":
        content["config"]["model"]["stage_blocks"] = [1] * len(value)
    torch.save(content, tmp_path / "changed.pt")
    with raises("changed.pt:", "must", field=f"model.{setting}"):
        load_weights(tmp_path / "changed.pt")


@pytest.mark.parametrize("bad", [{}, [1], {"model": {}, "step": "7"}])
def test_a_checkpoint_without_the_state_of_a_run_counts_as_damaged(
    tmp_path: Path, content: dict[str, Any], bad: Any
) -> None:
    torch.save(content | {"training": bad}, tmp_path / "last.pt")
    with raises("last.pt", "state of a run", field="resume"):
        RunDirectory(tmp_path).read_checkpoint()
