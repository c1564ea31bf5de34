"""The module torch.sdaa: as much of its public surface as is known from programs that use it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch

from . import _C, amp

__all__ = ["amp"]

_Device = Any  # an index, a string, a torch.device, or None for the current one


def _index(device: _Device = None) -> int:
    if device is None:
        return _C.current_device()
    if isinstance(device, int):
        return device
    device = torch.device(device)
    return _C.current_device() if device.index is None else device.index


def is_available() -> bool:
    return _C.device_count() > 0


def is_initialized() -> bool:
    return not _is_in_bad_fork()


def _is_in_bad_fork() -> bool:
    return _C.is_in_bad_fork()


def _lazy_init() -> None:
    _C.check_fork()


def _lazy_call(function: Any) -> None:
    function()


def device_count() -> int:
    return _C.device_count()


def current_device() -> int:
    return _C.current_device()


def set_device(device: _Device) -> None:
    _C.set_device(_index(device))


class device:
    """Makes a device current for a while."""

    def __init__(self, device: _Device) -> None:
        self.index = _index(device)

    def __enter__(self) -> None:
        self.before = current_device()
        set_device(self.index)

    def __exit__(self, *_: object) -> None:
        set_device(self.before)


def synchronize(device_: _Device = None) -> None:
    with device(device_):
        _C.synchronize()


def get_device_name(device: _Device = None) -> str:
    return f"simulated SDAA {_index(device)}"


def get_device_properties(device_: _Device = None) -> SimpleNamespace:
    with device(device_):
        total = _C.memory_info()[1]
    return SimpleNamespace(name=get_device_name(device_), total_memory=total)


def is_bf16_supported() -> bool:
    return True


def get_amp_supported_dtype() -> list[torch.dtype]:
    return [torch.float16, torch.bfloat16]


# Memory


def memory_allocated(device: _Device = None) -> int:
    return _C.memory(_index(device))[0]


def max_memory_allocated(device: _Device = None) -> int:
    return _C.memory(_index(device))[1]


def reset_max_memory_allocated(device: _Device = None) -> None:
    _C.reset_peak(_index(device))


reset_peak_memory_stats = reset_max_memory_allocated


def empty_cache() -> None:
    """Nothing is cached."""


# Random numbers


def _generator(device: _Device = None) -> torch.Generator:
    return _C.default_generator(_index(device))


def manual_seed(seed: int) -> None:
    _generator().manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    for index in range(device_count()):
        _generator(index).manual_seed(seed)


def initial_seed() -> int:
    return _generator().initial_seed()


def get_rng_state(device: _Device = "sdaa") -> torch.Tensor:
    return _generator(device).get_state()


def set_rng_state(state: torch.Tensor, device: _Device = "sdaa") -> None:
    _generator(device).set_state(state)


def get_rng_state_all() -> list[torch.Tensor]:
    return [get_rng_state(index) for index in range(device_count())]


def set_rng_state_all(states: list[torch.Tensor]) -> None:
    for index, state in enumerate(states):
        set_rng_state(state, index)


# Streams


class Stream:
    """A queue of work of one device."""

    def __init__(self, device: _Device = None, *, _handle: int | None = None) -> None:
        self.device_index = _index(device)
        self.sdaa_stream = _C.new_stream(self.device_index) if _handle is None else _handle

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.sdaa_stream == other.sdaa_stream

    def __hash__(self) -> int:
        return hash(self.sdaa_stream)

    @property
    def device(self) -> torch.device:
        return torch.device("sdaa", self.device_index)

    def query(self) -> bool:
        return _C.query_stream(self.sdaa_stream)

    def synchronize(self) -> None:
        _C.synchronize_stream(self.sdaa_stream)

    def record_event(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        self.wait_event(stream.record_event())


class Event:
    """A mark in a queue of work."""

    def __init__(self, enable_timing: bool = False) -> None:
        self._event = _C.Event()

    def record(self, stream: Stream | None = None) -> None:
        self._event.record((stream or current_stream()).sdaa_stream)

    def wait(self, stream: Stream | None = None) -> None:
        self._event.wait((stream or current_stream()).sdaa_stream)

    def query(self) -> bool:
        return self._event.query()

    def synchronize(self) -> None:
        self._event.synchronize()

    def elapsed_time(self, end: Event) -> float:
        return self._event.elapsed_time(end._event)


def current_stream(device: _Device = None) -> Stream:
    index = _index(device)
    return Stream(index, _handle=_C.current_stream(index))


def default_stream(device: _Device = None) -> Stream:
    index = _index(device)
    return Stream(index, _handle=_C.default_stream(index))


def set_stream(stream: Stream) -> None:
    _C.set_stream(stream.device_index, stream.sdaa_stream)


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """Makes a stream and its device current for a while."""
    if stream is None:
        yield
        return
    with device(stream.device_index):
        before = current_stream()
        set_stream(stream)
        try:
            yield
        finally:
            set_stream(before)
