"""Reading YAML of unknown origin: limited in size, before anything is made of it."""

from __future__ import annotations

from typing import Any

import yaml

_MOST_CHARACTERS = 10**6
_MOST_VALUES = 200_000
_DEEPEST = 50


def load_yaml(text: str, loader_type: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The plain data of a YAML document; None for an empty one.

    A few lines with aliases can stand for more values than fit in any memory, so values are counted
    as often as they are referred to.

    Args:
        text: the document.
        loader_type: a kind of PyYAML's safe loader.

    Raises:
        ValueError: it is not YAML, or too large, or nested too deeply, or a value holds itself.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"more than {_MOST_CHARACTERS:,} characters")
    try:
        loader = loader_type(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _size(node, {}, set())
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("values that are nested too deeply") from None


def _size(node: yaml.Node, sizes: dict[int, int], path: set[int]) -> int:
    """The number of values of a node, counted through its aliases."""
    if id(node) in sizes:
        return sizes[id(node)]
    if id(node) in path:
        raise ValueError("a value that holds itself")
    if len(path) == _DEEPEST:
        raise ValueError("values that are nested too deeply")
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    path.add(id(node))
    size = 1 + sum(_size(child, sizes, path) for child in children)
    path.remove(id(node))
    if size > _MOST_VALUES:
        raise ValueError(f"more than {_MOST_VALUES:,} values")
    sizes[id(node)] = size
    return size
