"""Read PyTorch's files without executing anything that they hold.

A pickle is a program: it may name any function and call it. This reader knows only the names that
rebuild tensors and plain containers, and rebuilds those with its own code. Objects that other
programs store beside their tensors become stubs; the modules that they name are not imported. Any
other name ends the reading before anything has been called. `torch.load` is not used: depending on
a file's first bytes it passes the file to TorchScript or unpacks an archive.
"""

from __future__ import annotations

import math
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch
from torch import Tensor

from cornernet.errors import UserError
from cornernet.weights.pickles import Interpreter, Known, Stub, dictionary, key, scalar, sequence

# What a file of the format before PyTorch 1.6 begins with.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# An archive that unpacks to more than this many times its size is made to fill the memory:
# torch.save does not compress, and compressing weights of random numbers saves a tenth.
_LARGEST_RATIO = 16
_MOST_DIGITS = 100

_STORAGE_DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """A tensor [size] of elements of a storage, which is a tensor of one dimension."""
    if not isinstance(storage, Tensor):
        raise UnpicklingError("a tensor is made of something else than a storage")
    if any(type(side) is not int for side in size) or math.prod(size) > len(storage):
        # One stored value may not stand for a million.
        raise UnpicklingError("a tensor has other sizes than its storage")
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _same_tensor(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _whole(value: Any = 0) -> int:
    text = scalar(value)
    if isinstance(text, (str, bytes)) and len(text) > _MOST_DIGITS:
        raise UnpicklingError("a number has too many digits")
    return int(text)


_REBUILT: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _same_tensor,
    "torch._utils._rebuild_parameter_with_state": _same_tensor,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _same_tensor,
    "collections.OrderedDict": lambda *args: OrderedDict(dictionary(*args)),
    "collections.defaultdict": lambda *_: {},
    "collections.Counter": dictionary,  # the milestones of a schedule
    "collections.deque": lambda *args: sequence(*args[:1]),
    "torch.Size": lambda *args: tuple(sequence(*args)),
    "builtins.bool": lambda value=False: bool(scalar(value)),
    "builtins.int": _whole,
    "builtins.float": lambda value=0.0: float(scalar(value)),
    "builtins.str": lambda value="": str(scalar(value)),
    "builtins.tuple": lambda *args: tuple(sequence(*args)),
    "builtins.list": sequence,
    "builtins.dict": dictionary,
    "builtins.set": lambda *args: {key(value) for value in sequence(*args)},
    "builtins.frozenset": lambda *args: frozenset(key(value) for value in sequence(*args)),
}

# What other programs store beside the tensors: logs, configurations, NumPy values.
_STUBBED = {
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "mmengine.config.config.Config",
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.Config",
    "mmcv.utils.config.ConfigDict",
    "addict.addict.Dict",
    "_codecs.encode",
    "builtins.complex",
    "builtins.slice",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "torch.device",
    # HistoryBuffer refers to its own methods by it; here it returns a stub.
    "builtins.getattr",
} | {
    f"{module}.{name}"
    for module in ("pathlib", "pathlib._local")
    for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
} | {
    f"numpy.{name}"
    for name in (
        "ndarray", "dtype", "float16", "float32", "float64", "int32", "int64", "bool_",
        "core.multiarray._reconstruct", "core.multiarray.scalar",
        "_core.multiarray._reconstruct", "_core.multiarray.scalar",
    )
} | {
    f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "int64", "int32")
}  # fmt: skip


class _Reader:
    """Reads a pickle that knows only the names above.

    Args:
        file: the pickle.
        source: the file's name, for messages.
        storage: gives the elements of a storage, [n], by dtype, key and number of elements.
    """

    def __init__(
        self,
        file: IO[bytes],
        source: str,
        storage: Callable[[torch.dtype, str, int], Tensor] | None = None,
    ) -> None:
        self._file = file
        self._source = source
        self._storage = storage

    def load(self) -> Any:
        """What the pickle holds."""
        return Interpreter(self._file, self._find, self._stored).run()

    def _find(self, name: str) -> Any:
        # Protocol 2, which torch.save writes, calls the module by its name in Python 2.
        full = name.replace("__builtin__.", "builtins.", 1)
        if full in _REBUILT:
            return Known(_REBUILT[full])
        if full in _STUBBED:
            return Stub
        # A storage's class is in torch, or in the module of the device that it was saved on.
        storage = re.fullmatch(r"torch(?:\.\w+)?\.(\w+)Storage", full)
        if storage and storage[1] in _STORAGE_DTYPES:
            return Known(_STORAGE_DTYPES[storage[1]])
        raise UserError(
            f"{self._source}: expected a weights file of tensors and plain data, found in it the "
            f"global {full}, which reading would call; nothing was executed. Where you trust the "
            "file, load it with the program that wrote it and save its state_dict alone"
        )

    def _stored(self, pid: Any) -> Tensor:
        """('storage', type, key, device, elements[, view]), and nothing else."""
        if self._storage is None or not isinstance(pid, tuple) or not 5 <= len(pid) <= 6:
            raise UnpicklingError("a reference to something else than a storage")
        kind, dtype, name, _, number = pid[:5]
        known = isinstance(dtype, Known) and isinstance(dtype.meaning, torch.dtype)
        if kind != "storage" or not known or any(part is not None for part in pid[5:]):
            raise UnpicklingError("a reference to something else than a storage")
        if (elements := _whole(number)) < 0:
            raise UnpicklingError("a storage has a negative size")
        return self._storage(dtype.meaning, str(scalar(name)), elements)


def _filled(file: Any, dtype: torch.dtype, number: int) -> Tensor:
    """[number] elements from the file's next bytes."""
    storage = torch.empty(number, dtype=dtype)
    unread = storage.view(torch.uint8).numpy()
    while unread.size:
        read = file.readinto(unread)
        if not read:
            raise UnpicklingError("the file ends within a tensor")
        unread = unread[read:]
    return storage


def _check_order(big_endian: bool) -> None:
    if big_endian != (sys.byteorder == "big"):
        raise UnpicklingError("numbers are stored in the other order of bytes")


def _read_zip(path: Path) -> Any:
    """The format since PyTorch 1.6: a directory of `data.pkl` and one `data/KEY` per storage."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_RATIO * size:
            raise UnpicklingError(f"an archive of more than {_LARGEST_RATIO} times the file's size")
        directory = next(
            (n.removesuffix("data.pkl") for n in names if n.endswith("/data.pkl")), None
        )
        if directory is None or f"{directory}constants.pkl" in names:
            found = "other files in it" if directory is None else "a TorchScript program"
            raise UnpicklingError(f"a zip archive with {found}")
        if f"{directory}byteorder" in names:
            _check_order(archive.read(f"{directory}byteorder") == b"big")
        storages: dict[str, Tensor] = {}

        def storage(dtype: torch.dtype, name: str, number: int) -> Tensor:
            if name not in storages:
                entry = archive.getinfo(f"{directory}data/{name}")
                if entry.file_size != number * dtype.itemsize:
                    raise UnpicklingError("a tensor has more or fewer elements than are stored")
                with archive.open(entry) as file:
                    storages[name] = _filled(file, dtype, number)
            if storages[name].dtype != dtype:
                raise UnpicklingError("a storage has two types")
            return storages[name]

        with archive.open(f"{directory}data.pkl") as file:
            return _Reader(file, str(path), storage).load()


def _read_legacy(path: Path) -> Any:
    """The older format: four pickles in a row, a list of keys, then the storages."""
    unclaimed = path.stat().st_size
    storages: dict[str, Tensor] = {}

    def storage(dtype: torch.dtype, name: str, number: int) -> Tensor:
        nonlocal unclaimed
        if name not in storages:
            unclaimed -= number * dtype.itemsize
            if unclaimed < 0:
                raise UnpicklingError("a tensor has more elements than are stored")
            storages[name] = torch.empty(number, dtype=dtype)
        if storages[name].dtype != dtype:
            raise UnpicklingError("a storage has two types")
        return storages[name]

    with open(path, "rb") as file:
        if _Reader(file, str(path)).load() != _LEGACY_MAGIC:
            raise UnpicklingError("it does not begin as torch.save's files do")
        _Reader(file, str(path)).load()  # the version of the format; there was but one
        system = _Reader(file, str(path)).load()
        _check_order(isinstance(system, dict) and not system.get("little_endian", True))
        content = _Reader(file, str(path), storage).load()
        for name in _Reader(file, str(path)).load():
            target = storages[str(scalar(name))]
            if int.from_bytes(file.read(8), sys.byteorder) != len(target):
                raise UnpicklingError("a storage has another size than its tensors say")
            target.copy_(_filled(file, target.dtype, len(target)))
    return content


def read_tensors(path: Path) -> Any:
    """Read what `torch.save` has written: tensors on the CPU, plain data and `Stub` objects.

    Args:
        path: in torch's zip format or the one before it.

    Raises:
        UserError: not such a file, a damaged one, or one that names a function or class other than
            those that rebuild tensors.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except UserError:
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise UserError(
            f"{path}: expected a weights file, as torch.save writes it, got something that cannot "
            f"be read ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        ) from None
