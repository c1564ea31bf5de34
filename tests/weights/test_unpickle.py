"""Files of other programs: tensors come out of them, and nothing in them is executed."""

from __future__ import annotations

import collections
import os
import pickle
import sys
import tarfile
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornernet.weights.unpickle import _REBUILT, _STUBBED, Stub, read_tensors
from tests.errors import raises


def tensors() -> dict[str, torch.Tensor]:
    return {
        "float": torch.arange(6.0).view(2, 3),
        "half": torch.ones(2, dtype=torch.float16),
        "bfloat16": torch.ones(2, dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "part": torch.arange(12.0).view(3, 4)[1:, ::2],
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_plain_data_come_back(tmp_path: Path, zipped: bool) -> None:
    content = {
        "state_dict": collections.OrderedDict(tensors()),
        "meta": {"epoch": 3, "classes": ("a", "b"), "rate": 0.5, "none": None, "list": [1, {2}]},
    }
    path = tmp_path / "file.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = read_tensors(path)
    assert found["meta"] == content["meta"]
    assert all(torch.equal(found["state_dict"][key], value) for key, value in tensors().items())


def test_containers_come_back_as_plain_ones(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "milestones": collections.Counter([180, 180, 200]),
        "window": collections.deque([1, 2, 3], maxlen=5),
        "state": collections.defaultdict(dict, {"a": 1}),
        "size": torch.Size([2, 3]),
    }
    torch.save(content, tmp_path / "file.pth")
    assert read_tensors(tmp_path / "file.pth") == {
        "milestones": {180: 2, 200: 1},
        "window": [1, 2, 3],
        "state": {"a": 1},
        "size": (2, 3),
    }


def test_schedulers_and_optimisers_beside_the_weights_are_read(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [180])
    content = {"optimizer": optimizer.state_dict(), "param_schedulers": [schedule.state_dict()]}
    torch.save(content | {"state_dict": tensors()}, tmp_path / "epoch_1.pth")
    found = read_tensors(tmp_path / "epoch_1.pth")
    assert found["param_schedulers"][0]["milestones"] == {180: 1}
    assert torch.equal(found["state_dict"]["count"], tensors()["count"])


def test_a_parameter_comes_back_as_its_tensor(tmp_path: Path) -> None:
    torch.save({"weight": torch.nn.Parameter(torch.ones(3))}, tmp_path / "file.pth")
    assert torch.equal(read_tensors(tmp_path / "file.pth")["weight"].data, torch.ones(3))


@pytest.fixture
def mmengine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """A stand-in for MMEngine's HistoryBuffer, for writing; it is gone when the file is read."""

    class HistoryBuffer:
        def __init__(self) -> None:
            self.history = np.arange(3.0)
            self.last = np.float64(2.5)
            self.methods = {"mean": self.mean}

        def mean(self) -> float:
            return float(self.history.mean())

    name = "mmengine.logging.history_buffer"
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = name, "HistoryBuffer"
    module: Any = types.ModuleType(name)
    module.HistoryBuffer = HistoryBuffer
    for part in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    monkeypatch.setitem(sys.modules, name, module)
    yield HistoryBuffer


def test_logs_of_a_training_file_are_left_out_without_their_program(
    tmp_path: Path, mmengine: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"message_hub": {"loss": mmengine()}, "state_dict": tensors()}
    torch.save(content, tmp_path / "epoch_1.pth")
    monkeypatch.undo()
    found = read_tensors(tmp_path / "epoch_1.pth")
    assert "mmengine" not in sys.modules
    assert isinstance(found["message_hub"]["loss"], Stub)
    assert torch.equal(found["state_dict"]["float"], tensors()["float"])


class Call:
    """An object that, unpickled, calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


CALLS = {
    "posix.system": (os.system, "touch sprung"),
    "builtins.eval": (eval, "open('sprung', 'w')"),
    "builtins.exec": (exec, "open('sprung', 'w')"),
    "io.open": (open, "sprung", "w"),
    "pathlib.": (Path, "sprung"),
    "torch.serialization.load": (torch.load, "sprung"),
    "numpy.load": (np.load, "sprung"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_what_would_be_called_is_named_and_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    function, *arguments = CALLS[name]
    content = {"state_dict": tensors(), "meta": Call(function, *arguments)}
    torch.save(content, "trap.pth", _use_new_zipfile_serialization=zipped)
    with raises("trap.pth:", name):
        read_tensors(Path("trap.pth"))
    assert not Path("sprung").exists()


@pytest.mark.parametrize("header", [True, False])
def test_a_bare_pickle_is_read_by_the_same_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: bool
) -> None:
    """The old format is several pickles one behind the other; any of them may be the trap."""
    monkeypatch.chdir(tmp_path)
    parts = [0x1950A86A20F9469CFC6C, 1001] if header else []
    trap = Call(os.system, "touch sprung")
    Path("trap.pkl").write_bytes(b"".join(pickle.dumps(part, 2) for part in [*parts, trap]))
    with raises("posix.system"):
        read_tensors(Path("trap.pkl"))
    assert not Path("sprung").exists()


def test_getattr_of_an_allowed_name_gets_hold_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`getattr` is known because HistoryBuffer uses it; here it gives an empty object."""
    monkeypatch.chdir(tmp_path)
    reach = Call(getattr, collections.OrderedDict, "__init__")
    torch.save({"state_dict": tensors(), "meta": Call(Call, reach)}, "trap.pth")
    with raises("Call"):
        read_tensors(Path("trap.pth"))
    torch.save({"state_dict": tensors(), "meta": reach}, "empty.pth")
    assert isinstance(read_tensors(Path("empty.pth"))["meta"], Stub)


class Writes(torch.nn.Module):
    """TorchScript that writes a file when it is loaded."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.parametrize("tail", [b"", b"PK\x05\x06" + bytes(18)])
def test_torchscript_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: bytes
) -> None:
    """CVE-2025-32434: torch.load ran it even where it was to read weights only.

    An empty archive behind the true one hides it from Python, but not from torch.load.
    """

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("TorchScript was loaded")

    torch.jit.script(Writes()).save(str(tmp_path / "script.pt"))
    with open(tmp_path / "script.pt", "ab") as file:
        file.write(tail)
    monkeypatch.setattr(torch.jit, "load", fail)
    monkeypatch.setattr(torch, "load", fail)
    with raises("weights file"):
        read_tensors(tmp_path / "script.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_archive_of_the_oldest_format_is_not_unpacked(tmp_path: Path, zipped: bool) -> None:
    """CVE-2025-32434: nor one with a zip archive behind it, which hides its beginning."""
    (tmp_path / "storages").write_bytes(b"x")
    with tarfile.open(tmp_path / "old.pth", "w") as archive:
        archive.add(tmp_path / "storages", "storages")
    if zipped:
        with zipfile.ZipFile(tmp_path / "old.pth", "a") as other:
            other.writestr("a/b", b"x")
    with raises("weights file"):
        read_tensors(tmp_path / "old.pth")


def hand_made(payload: bytes, path: Path, kind: str) -> None:
    """A file whose main pickle is `payload`."""
    if kind == "legacy":
        head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in head) + payload)
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", payload)
        archive.writestr("x/data/0", bytes(8))


def named(full: str) -> bytes:
    module, _, name = full.rpartition(".")
    return f"c{module}\n{name}\n".encode()


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize("name", [*_REBUILT, *_STUBBED, "torch.FloatStorage"])
def test_nothing_known_can_be_changed(tmp_path: Path, name: str, kind: str) -> None:
    """BUILD sets the attributes of what lies on the stack, here of the known name itself."""
    for state in (b"}S'__name__'\nS'/tmp/x'\ns", b"(N}S'__doc__'\nS'x'\nst"):
        hand_made(named(name) + state + b"b.", tmp_path / "x.pth", kind)
        with raises("weights file"):
            read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize(
    "reference",
    [
        b"S'x'\n",
        b"(S'module'\nctorch._utils\n_rebuild_tensor_v2\nS'a.py'\nS'text'\nt",
        b"(S'storage'\nctorch._utils\n_rebuild_tensor_v2\nS'0'\nS'cpu'\nI1\nt",
        b"(S'storage'\nctorch\nFloatStorage\nS'../../x'\nS'cpu'\nI1\nt",
        b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI99999999999\nt",
        b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI-5\nt",
    ],
)
def test_references_to_anything_but_stored_numbers_are_refused(
    tmp_path: Path, reference: bytes, kind: str
) -> None:
    hand_made(reference + b"Q.", tmp_path / "x.pth", kind)
    with raises("weights file"):
        read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("offset", "size", "stride"), [(1, 2, 1), (0, 3, 1), (0, 2, 9), (-1, 1, 1)]
)
def test_tensors_beyond_their_numbers_are_refused(
    tmp_path: Path, offset: int, size: int, stride: int
) -> None:
    storage = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI2\ntQ"
    call = f"I{offset}\n(I{size}\nt(I{stride}\ntI00\nNt".encode()
    hand_made(
        named("torch._utils._rebuild_tensor_v2") + b"(" + storage + call + b"R.",
        tmp_path / "x.pth", "zip",
    )  # fmt: skip
    with raises("weights file"):
        read_tensors(tmp_path / "x.pth")


def test_tensors_that_share_their_numbers_still_do(tmp_path: Path) -> None:
    whole = torch.arange(4.0)
    torch.save({"whole": whole, "part": whole[2:]}, tmp_path / "x.pth")
    found = read_tensors(tmp_path / "x.pth")
    found["whole"][3] = 9
    assert found["part"].tolist() == [2, 9]
