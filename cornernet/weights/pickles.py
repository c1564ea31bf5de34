"""An interpreter of pickles that builds plain data, in bounded time and memory.

Python's own unpickler hashes, copies and nests whatever a file tells it to: a few hundred bytes are
enough to make it run for ever, or to overflow the stack. Here every instruction is checked before
it acts: keys are plain values, so that nothing nested is ever hashed; instructions and copied
elements are counted; and what comes out is a tree of limited depth and size, which all other code
may walk by recursion.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Iterator
from pickle import UnpicklingError
from typing import IO, Any

# A checkpoint of Hourglass-104 with its optimiser takes 60,000 instructions.
_MOST_INSTRUCTIONS = 5_000_000
_MOST_VALUES = 10_000_000
_DEEPEST = 100
_LARGEST_INT = 2**256  # the state of a random generator has 128 bits
_LARGEST_KEY = 2**63
_LONGEST_KEY = 8
_CONTAINERS = (list, tuple, dict, set, frozenset)
_SCALARS = (str, bytes, int, float, bool, type(None))


class Stub:
    """Replaces an object that is not needed: accepts everything, keeps nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Stub:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Stub:
        return self


class Known:
    """A name that a pickle may use: a function to call, or a value that functions understand."""

    __slots__ = ("meaning",)

    def __init__(self, meaning: Any) -> None:
        self.meaning = meaning


def scalar(value: Any) -> Any:
    """The value, if it is text, bytes, a number, a truth value or None.

    Raises:
        UnpicklingError: it is something else, or text of more digits than a number has.
    """
    if type(value) not in _SCALARS:
        raise UnpicklingError("a plain value is made of something else")
    return value


def key(value: Any) -> Any:
    """The value, if it may be a key or an element of a set: plain, or a short tuple of such.

    Raises:
        UnpicklingError: hashing it could take long.
    """
    parts = value if type(value) is tuple else (value,)
    if len(parts) > _LONGEST_KEY or any(type(part) not in _SCALARS for part in parts):
        raise UnpicklingError("a key is neither text nor a number")
    if any(type(part) is int and not -_LARGEST_KEY <= part < _LARGEST_KEY for part in parts):
        raise UnpicklingError("a key is too large a number")
    return value


def dictionary(pairs: Iterable[Any] = ()) -> dict[Any, Any]:
    """A dictionary of another one or of pairs, with checked keys."""
    items = list(pairs.items()) if isinstance(pairs, dict) else sequence(pairs)
    if any(not isinstance(item, (list, tuple)) or len(item) != 2 for item in items):
        raise UnpicklingError("a dictionary is made of something else than pairs")
    return {key(name): value for name, value in items}


def sequence(values: Any = ()) -> list[Any]:
    """A list of the elements of a container.

    Raises:
        UnpicklingError: it is no container.
    """
    if not isinstance(values, _CONTAINERS):
        raise UnpicklingError("a list is made of something else than a container")
    return list(values)


class Interpreter:
    """Runs one pickle.

    Args:
        file: is read up to the end of the pickle.
        find: gives what a global name, "module.name", stands for: a `Known` or the class `Stub`.
        persistent: gives what a persistent id stands for.
    """

    def __init__(
        self, file: IO[bytes], find: Callable[[str], Any], persistent: Callable[[Any], Any]
    ) -> None:
        self._file = file
        self._find = find
        self._persistent = persistent
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # stacks below each mark
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def run(self) -> Any:
        """The object that the pickle describes.

        Raises:
            UnpicklingError: an instruction that is not allowed, or that there are too many.
        """
        for count, (code, argument, _) in enumerate(pickletools.genops(self._file)):
            if count >= _MOST_INSTRUCTIONS:
                raise UnpicklingError("too many instructions")
            if code.name == "STOP":
                break
            action = _ACTIONS.get(code.name)
            if action is None:
                raise UnpicklingError(f"the instruction {code.name}")
            action(self, argument)
        result = self._pop()
        check_tree(result)
        return result

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_int(self, value: int) -> None:
        if abs(value) >= _LARGEST_INT:
            raise UnpicklingError("a number is too large")
        self._push(value)

    def _push_text(self, value: str) -> None:
        """Text of Python 2, whose bytes come as Latin-1 and are usually UTF-8."""
        try:
            self._push(value.encode("latin-1").decode("utf-8"))
        except UnicodeError:
            self._push(value)

    def _pop(self) -> Any:
        if not self._stack:
            raise UnpicklingError("an instruction finds nothing to work on")
        return self._stack.pop()

    def _top(self) -> Any:
        self._push(top := self._pop())
        return top

    def _mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> list[Any]:
        if not self._below:
            raise UnpicklingError("an instruction finds no mark")
        values, self._stack = self._stack, self._below.pop()
        return values

    def _drop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _drop_mark(self, _: Any) -> None:
        self._pop_mark()

    def _put(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._top()

    def _get(self, place: int) -> None:
        if place not in self._memo:
            raise UnpicklingError("an instruction refers to nothing")
        self._push(self._memo[place])

    def _tuple(self, number: int) -> None:
        values = tuple(self._pop() for _ in range(number))
        self._push(values[::-1])

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is list:
            target.extend(values)
        elif not isinstance(target, Stub):
            raise UnpicklingError("something else than a list is appended to")

    def _update(self, values: list[Any]) -> None:
        target = self._top()
        if len(values) % 2:
            raise UnpicklingError("a key has no value")
        if isinstance(target, dict):
            for name, value in zip(values[::2], values[1::2], strict=True):
                target[key(name)] = value
        elif not isinstance(target, Stub):
            raise UnpicklingError("something else than a dictionary is filled")

    def _add(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not set:
            raise UnpicklingError("something else than a set is added to")
        target.update(map(key, values))

    def _push_dictionary(self, values: list[Any]) -> None:
        self._push({})
        self._update(values)

    def _global(self, full: str) -> None:
        self._push(self._find(full.replace(" ", ".", 1)))

    def _global_of_stack(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("a name is no text")
        self._global(f"{module} {name}")

    def _call(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if type(arguments) is not tuple:
            raise UnpicklingError("arguments are no tuple")
        self._copied += sum(len(item) for item in arguments if isinstance(item, _CONTAINERS))
        if self._copied > _MOST_VALUES:
            raise UnpicklingError("too many elements are copied")
        if isinstance(function, Stub) or function is Stub:
            self._push(function(*arguments))
        elif isinstance(function, Known) and callable(function.meaning):
            self._push(function.meaning(*arguments))
        else:
            raise UnpicklingError("something else than a function is called")

    def _call_with_names(self, _: Any) -> None:
        self._pop()  # only objects that become stubs have arguments with names
        self._pop()
        if self._pop() is not Stub:
            raise UnpicklingError("a function is called with names")
        self._push(Stub())

    def _build(self, _: Any) -> None:
        """What an object's attributes are set to is not needed; a state dict's hold versions."""
        self._pop()
        if not isinstance(self._top(), (Stub, dict)):
            raise UnpicklingError("the attributes of something are set")


_ACTIONS: dict[str, Callable[[Interpreter, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: machine._push(None),
    "NEWTRUE": lambda machine, _: machine._push(True),
    "NEWFALSE": lambda machine, _: machine._push(False),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "EMPTY_TUPLE": lambda machine, _: machine._push(()),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "EMPTY_SET": lambda machine, _: machine._push(set()),
    "MARK": Interpreter._mark,
    "POP": Interpreter._drop,
    "POP_MARK": Interpreter._drop_mark,
    "DUP": lambda machine, _: machine._push(machine._top()),
    "MEMOIZE": Interpreter._put,
    "TUPLE": lambda machine, _: machine._push(tuple(machine._pop_mark())),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "LIST": lambda machine, _: machine._push(machine._pop_mark()),
    "DICT": lambda machine, _: machine._push_dictionary(machine._pop_mark()),
    "FROZENSET": lambda machine, _: machine._push(frozenset(map(key, machine._pop_mark()))),
    "APPEND": lambda machine, _: machine._extend([machine._pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._pop_mark()),
    "SETITEM": lambda machine, _: machine._update([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._update(machine._pop_mark()),
    "ADDITEMS": lambda machine, _: machine._add(machine._pop_mark()),
    "GLOBAL": Interpreter._global,
    "STACK_GLOBAL": Interpreter._global_of_stack,
    "REDUCE": Interpreter._call,
    "NEWOBJ": Interpreter._call,
    "NEWOBJ_EX": Interpreter._call_with_names,
    "BUILD": Interpreter._build,
    "PERSID": lambda machine, name: machine._push(machine._persistent(name)),
    "BINPERSID": lambda machine, _: machine._push(machine._persistent(machine._pop())),
}
_ACTIONS |= dict.fromkeys(("INT", "BININT", "BININT1", "BININT2"), Interpreter._push_int)
_ACTIONS |= dict.fromkeys(("LONG", "LONG1", "LONG4"), Interpreter._push_int)
_ACTIONS |= dict.fromkeys(("FLOAT", "BINFLOAT"), Interpreter._push)
_ACTIONS |= dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), Interpreter._push)
_ACTIONS |= dict.fromkeys(
    ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), Interpreter._push
)
_ACTIONS |= dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), Interpreter._push_text)
_ACTIONS |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Interpreter._put)
_ACTIONS |= dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Interpreter._get)


def check_tree(root: Any) -> None:
    """Refuse containers that hold themselves, are nested deeply, or are very large.

    What is shared counts as often as it is reached, as for code that walks all of it.

    Raises:
        UnpicklingError: one of these.
    """
    sizes: dict[int, int] = {}  # of containers that were walked, by identity
    path: list[tuple[Any, Iterator[Any]]] = []
    counts: list[int] = [0]
    inside: set[int] = set()

    def enter(node: Any) -> None:
        if id(node) in inside:
            raise UnpicklingError("a container holds itself")
        if len(path) == _DEEPEST:
            raise UnpicklingError("containers are nested too deeply")
        path.append((node, iter(node.values() if isinstance(node, dict) else node)))
        counts.append(1)
        inside.add(id(node))

    if isinstance(root, _CONTAINERS):
        enter(root)
    while path:
        node, children = path[-1]
        for child in children:
            if isinstance(child, _CONTAINERS) and id(child) not in sizes:
                enter(child)
                break
            counts[-1] += sizes.get(id(child), 1)
        else:
            path.pop()
            inside.remove(id(node))
            sizes[id(node)] = counts.pop()
            counts[-1] += sizes[id(node)]
        if counts[-1] > _MOST_VALUES:
            raise UnpicklingError("too many values")
