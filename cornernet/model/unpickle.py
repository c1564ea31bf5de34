"""Reading a PyTorch file of another program without executing anything that it holds.

A pickle is a program: it may name any function there is and call it. The reader here knows the few
names that rebuild tensors and plain containers. Objects that training files of MMEngine carry
beside their tensors are replaced by empty ones of a class of ours, without importing the modules
they name. Any other name ends the reading before anything has been called.
"""

from __future__ import annotations

import pickle
import tarfile
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cornernet.errors import UserError


class Inert:
    """Takes the place of an object that is not wanted: accepts everything, keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return Inert()

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass


# Functions of ours stand for torch's own, so that a pickle cannot get hold of these and change
# their attributes.
def _tensor(*args: Any) -> Tensor:
    return torch._utils._rebuild_tensor_v2(*args)


def _old_tensor(*args: Any) -> Tensor:
    return torch._utils._rebuild_tensor(*args)


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _moved_tensor(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _ordered_dict(*args: Any) -> dict[Any, Any]:
    return OrderedDict(*args)


def _default_dict(*_: Any) -> dict[Any, Any]:
    return {}


def _counter(*args: Any) -> dict[Any, int]:
    return dict(*args)


def _deque(*args: Any) -> list[Any]:
    return list(*args[:1])


_REBUILT: dict[str, Any] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _old_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _moved_tensor,
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _default_dict,
    "collections.Counter": _counter,  # the milestones of a learning-rate schedule
    "collections.deque": _deque,
    "torch.Size": lambda *args: tuple(*args),
} | {
    f"builtins.{kind.__name__}": kind
    for kind in (bool, int, float, str, tuple, list, dict, set, frozenset)
} | {
    f"torch.{name}": getattr(torch, name)
    for name in (
        "float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64",
        "bool",
    )
}  # fmt: skip

# What stands beside the tensors in files of MMEngine and MMCV: logs, configurations, NumPy values.
_INERT = {
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "mmengine.config.config.Config",
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.Config",
    "mmcv.utils.config.ConfigDict",
    "addict.addict.Dict",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "_codecs.encode",
    # HistoryBuffer refers to its own methods by it; here it gets nothing of anything.
    "builtins.getattr",
}


def _reader(source: str) -> types.SimpleNamespace:
    """What `torch.load` takes for the module `pickle`."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            # Protocol 2, which torch.save writes, calls the module by its name in Python 2.
            full = f"{module}.{name}".replace("__builtin__.", "builtins.", 1)
            if full in _REBUILT:
                return _REBUILT[full]
            if full in _INERT:
                return Inert
            raise UserError(
                f"{source}: expected a weights file of tensors and plain data, found in it the "
                f"global {full}, which reading would call; nothing was executed. Where you trust "
                "the file, load it with the program that wrote it and save its state_dict alone"
            )

    def load(file: Any, **kwargs: Any) -> Any:
        return Unpickler(file, **kwargs).load()

    return types.SimpleNamespace(
        __name__="cornernet.model.unpickle", Unpickler=Unpickler, load=load
    )


def read_tensors(path: Path) -> Any:
    """What `torch.save` has written, as tensors, plain data and `Inert` objects; on the CPU.

    Args:
        path: in torch's zip format or the one before it.

    Raises:
        UserError: not such a file, a damaged one, or one that names a function or class other than
            those that rebuild tensors.
    """
    source = str(path)
    kind = None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # torch.load would hand such a file over to TorchScript, which runs it.
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                kind = "a TorchScript program"
    elif tarfile.is_tarfile(path):
        kind = "an archive of PyTorch before 0.2"
    if kind is not None:
        raise UserError(
            f"{source}: expected a weights file, as torch.save writes it, found {kind}; save the "
            "network's state_dict instead"
        )
    try:
        return torch.load(
            path, map_location="cpu", weights_only=False, pickle_module=_reader(source)
        )
    except UserError:
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise UserError(
            f"{source}: expected a weights file, as torch.save writes it, got something that "
            f"cannot be read ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        ) from None
