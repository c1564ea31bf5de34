"""What torch.export.save writes of the types that a graph takes and gives."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from torch.export import register_dataclass
from torch.utils import _pytree

_Class = TypeVar("_Class", bound=type[Any])


def exportable(cls: _Class) -> _Class:
    """Give a named tuple or a dataclass a name in the files of torch.export.

    torch.export itself knows every named tuple, and no dataclass. Old versions of torch have no
    names for named tuples: there a program of them can be made and not saved.
    """
    name = f"cornernet.{cls.__name__}"
    if dataclasses.is_dataclass(cls):
        register_dataclass(cls, serialized_type_name=name)
    elif hasattr(_pytree, "_register_namedtuple"):
        _pytree._register_namedtuple(cls, serialized_type_name=name)
    return cls
