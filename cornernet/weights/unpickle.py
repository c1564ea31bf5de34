"""Read PyTorch's files without executing anything that they hold.

A pickle is a program: it may name any function and call it. This reader knows only the names that
rebuild tensors and plain containers, and rebuilds those with its own code. Objects that other
programs store beside their tensors become stubs; the modules that they name are not imported. Any
other name ends the reading before anything has been called. `torch.load` is not used: depending on
a file's first bytes it passes the file to TorchScript or unpacks an archive.
"""

from __future__ import annotations

import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from cornernet.errors import UserError

# What a file of the format before PyTorch 1.6 begins with.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

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


class Stub:
    """Replaces an object that is not needed: accepts everything, keeps nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Stub:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Stub:
        return self

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass


class _Known:
    """A name that a file may use. It has no attributes that a pickle could set."""

    __slots__ = ("_meaning",)
    _meaning: Any

    def __init__(self, meaning: Any) -> None:
        object.__setattr__(self, "_meaning", meaning)

    def __call__(self, *args: Any) -> Any:
        if not callable(self._meaning):
            raise pickle.UnpicklingError("a name that stands for no function is called")
        return self._meaning(*args)

    def __setattr__(self, *_: Any) -> None:
        raise pickle.UnpicklingError("an attribute of a function is set")

    def __setstate__(self, _: Any) -> None:
        raise pickle.UnpicklingError("the state of a function is set")

    @property
    def meaning(self) -> Any:
        return self._meaning


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """A tensor [size] of elements of a storage, which is a tensor of one dimension."""
    if not isinstance(storage, Tensor):
        raise pickle.UnpicklingError("a tensor is made of something else than a storage")
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _same_tensor(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


_CONTAINERS: tuple[Any, ...] = (bool, int, float, str, tuple, list, dict, set, frozenset)
_REBUILT: dict[str, Any] = (
    {
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _same_tensor,
        "torch._utils._rebuild_parameter_with_state": _same_tensor,
        "torch._utils._rebuild_device_tensor_from_cpu_tensor": _same_tensor,
        "collections.OrderedDict": lambda *args: OrderedDict(*args),
        "collections.defaultdict": lambda *_: {},
        "collections.Counter": lambda *args: dict(*args),  # the milestones of a schedule
        "collections.deque": lambda *args: list(*args[:1]),
        "torch.Size": lambda *args: tuple(*args),
    }
    | {f"builtins.{kind.__name__}": kind for kind in _CONTAINERS}
)

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


class _Reader(pickle.Unpickler):
    """Unpickler that knows only the names above.

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
        super().__init__(file, encoding="utf-8")
        self._source = source
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        # Protocol 2, which torch.save writes, calls the module by its name in Python 2.
        full = f"{module}.{name}".replace("__builtin__.", "builtins.", 1)
        if full in _REBUILT:
            return _Known(_REBUILT[full])
        if full in _STUBBED:
            return Stub
        # A storage's class is in torch, or in the module of the device that it was saved on.
        device_of = re.fullmatch(r"torch(\.\w+)?", module)
        kind = name.removesuffix("Storage")
        if device_of and kind != name and kind in _STORAGE_DTYPES:
            return _Known(_STORAGE_DTYPES[kind])
        raise UserError(
            f"{self._source}: expected a weights file of tensors and plain data, found in it the "
            f"global {full}, which reading would call; nothing was executed. Where you trust the "
            "file, load it with the program that wrote it and save its state_dict alone"
        )

    def persistent_load(self, pid: Any) -> Tensor:
        """('storage', type, key, device, elements[, view]), and nothing else."""
        if self._storage is None or not isinstance(pid, tuple) or not 5 <= len(pid) <= 6:
            raise pickle.UnpicklingError("a reference to something else than a storage")
        kind, dtype, key, _, number = pid[:5]
        known = isinstance(dtype, _Known) and isinstance(dtype.meaning, torch.dtype)
        if kind != "storage" or not known or any(part is not None for part in pid[5:]):
            raise pickle.UnpicklingError("a reference to something else than a storage")
        return self._storage(dtype.meaning, str(key), int(number))


def _filled(file: Any, dtype: torch.dtype, number: int) -> Tensor:
    """[number] elements from the file's next bytes."""
    storage = torch.empty(number, dtype=dtype)
    unread = storage.view(torch.uint8).numpy()
    while unread.size:
        read = file.readinto(unread)
        if not read:
            raise pickle.UnpicklingError("the file ends within a tensor")
        unread = unread[read:]
    return storage


def _check_order(big_endian: bool) -> None:
    if big_endian != (sys.byteorder == "big"):
        raise pickle.UnpicklingError("numbers are stored in the other order of bytes")


def _read_zip(path: Path) -> Any:
    """The format since PyTorch 1.6: a directory of `data.pkl` and one `data/KEY` per storage."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        directory = next(
            (n.removesuffix("data.pkl") for n in names if n.endswith("/data.pkl")), None
        )
        if directory is None or f"{directory}constants.pkl" in names:
            found = "other files in it" if directory is None else "a TorchScript program"
            raise pickle.UnpicklingError(f"a zip archive with {found}")
        if f"{directory}byteorder" in names:
            _check_order(archive.read(f"{directory}byteorder") == b"big")
        storages: dict[str, Tensor] = {}

        def storage(dtype: torch.dtype, key: str, number: int) -> Tensor:
            if key not in storages:
                name = f"{directory}data/{key}"
                if archive.getinfo(name).file_size < number * dtype.itemsize:
                    raise pickle.UnpicklingError("a tensor has more elements than are stored")
                with archive.open(name) as file:
                    storages[key] = _filled(file, dtype, number)
            if storages[key].dtype != dtype:
                raise pickle.UnpicklingError("a storage has two types")
            return storages[key]

        with archive.open(f"{directory}data.pkl") as file:
            return _Reader(file, str(path), storage).load()


def _read_legacy(path: Path) -> Any:
    """The older format: four pickles in a row, a list of keys, then the storages."""
    size = path.stat().st_size
    storages: dict[str, Tensor] = {}

    def storage(dtype: torch.dtype, key: str, number: int) -> Tensor:
        if key not in storages:
            if number * dtype.itemsize > size:
                raise pickle.UnpicklingError("a tensor has more elements than are stored")
            storages[key] = torch.empty(number, dtype=dtype)
        if storages[key].dtype != dtype:
            raise pickle.UnpicklingError("a storage has two types")
        return storages[key]

    with open(path, "rb") as file:
        if _Reader(file, str(path)).load() != _LEGACY_MAGIC:
            raise pickle.UnpicklingError("it does not begin as torch.save's files do")
        _Reader(file, str(path)).load()  # the version of the format; there was but one
        system = _Reader(file, str(path)).load()
        _check_order(isinstance(system, dict) and not system.get("little_endian", True))
        content = _Reader(file, str(path), storage).load()
        for key in _Reader(file, str(path)).load():
            target = storages[str(key)]
            if int.from_bytes(file.read(8), sys.byteorder) != len(target):
                raise pickle.UnpicklingError("a storage has another size than its tensors say")
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
