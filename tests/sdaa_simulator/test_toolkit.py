"""The simulated toolkit keeps the rules of SDAA C: what keeps them works, what breaks one is told.

rules.scpp holds one small kernel for each test here.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.sdaa_simulator.meter import DEVICE_RATE, Launch
from tests.sdaa_simulator.toolkit import build
from tests.sdaa_simulator.toolkit_host import HERE, Buffer, Runtime

SIZE = 4096

Run = Callable[[str], tuple[Tensor, Tensor]]
ROOT = HERE.parent.parent


@pytest.fixture(scope="session")
def rules(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("rules") / "rules.so"
    return ctypes.CDLL(str(build.compile_kernels([HERE / "rules.scpp"], library)))


@pytest.fixture
def run(runtime: Runtime, rules: ctypes.CDLL) -> Run:
    """Runs a kernel on bytes 0, 1, … and a buffer of zeros; gives back both as they are then."""

    def run(kernel: str) -> tuple[Tensor, Tensor]:
        runtime.launches()
        a = Buffer.of(runtime, numbers())
        b = Buffer.of(runtime, torch.zeros(SIZE, dtype=torch.uint8))
        getattr(rules, kernel)(runtime.stream, a.pointer, b.pointer)
        empty = torch.empty(SIZE, dtype=torch.uint8)
        return a.into(empty.clone()), b.into(empty.clone())

    return run


def numbers() -> Tensor:
    return (torch.arange(SIZE) % 251).to(torch.uint8)


def test_copies_move_what_was_asked(runtime: Runtime, run: Run) -> None:
    _, b = run("copy")
    assert runtime.error() == ""
    assert torch.equal(b, numbers())


def test_sections_and_gaps_lie_on_the_side_of_global_memory(runtime: Runtime, run: Run) -> None:
    _, b = run("gaps")
    assert runtime.error() == ""
    assert torch.equal(b, numbers())


def test_a_barrier_orders_what_spes_write_and_read(runtime: Runtime, run: Run) -> None:
    a, _ = run("exchange")
    assert runtime.error() == ""
    assert torch.equal(a[:2048], numbers()[:2048].view(32, 64).flip(0).flatten())


@pytest.mark.parametrize(
    ("kernel", "sentence"),
    [
        ("exchange_without_barrier", "no sync_threads lies between"),
        ("two_writers", "no sync_threads lies between"),
        ("barrier_of_some", "sync_threads: 16 SPEs wait, and 16 have ended the kernel without it"),
        ("barrier_of_most", "sync_threads: 31 SPEs wait, and 1 have ended the kernel without it"),
        ("write_before_wait", "the destination of a copy was written before"),
        ("change_source_before_wait", "the source of a copy to Global was written before"),
        ("never_wait", "in use by an asynchronous copy"),
        ("wait_for_another", "1 asynchronous copies were not waited for"),
        ("wait_for_nothing", "no copy was started with this handle"),
        ("same_buffer_twice", "in use by an asynchronous copy"),
        ("free_before_wait", "in use by an asynchronous copy"),
        ("odd_size", "size 126, section 126 and stride 0 have to be multiples of 4 bytes"),
        ("odd_section", "section 6 and stride 6 have to be multiples of 4 bytes"),
        ("odd_gap", "section 4 and stride 6 have to be multiples of 4 bytes"),
        ("odd_address", "both addresses have to be aligned to 4 bytes"),
        ("gap_on_the_wrong_side", "the scratchpad's side is packed"),
        ("wrong_direction", "the direction is not that of the addresses"),
        ("async_inside_scratchpad", "one side has to lie in Global, the other in the scratchpad"),
        ("past_the_end_of_global", "src has room for 64 bytes in its allocation, not for 128"),
        ("gaps_past_the_end_of_global", "src has room for 4096 bytes in its allocation, not for"),
        ("past_the_end_of_scratchpad", "dst has room for 100 bytes in its block of scratchpad"),
        (
            "store_past_the_end",
            "a store went past the end of a block of 100 bytes, at its byte",
        ),
        ("overlap", "source and destination overlap"),
        ("turn_in_place", "source and destination overlap"),
        ("not_freed", "64 bytes of scratchpad were not freed"),
        ("freed_twice", "the pointer is none that malloc gave, or it was freed before"),
        ("unaligned_load", "simd_load: the address is not aligned to the vector"),
    ],
)
def test_a_broken_rule_fails_the_kernel_with_a_sentence(
    runtime: Runtime, run: Run, kernel: str, sentence: str
) -> None:
    run(kernel)
    assert sentence in runtime.error()


def test_what_an_asynchronous_copy_brings_is_not_there_before_it_is_waited_for(run: Run) -> None:
    _, b = run("use_before_wait")
    assert (b == 0xFF).all()


def test_the_scratchpad_has_240640_bytes_in_granules_of_64(runtime: Runtime, run: Run) -> None:
    a, _ = run("scratchpad_limits")
    assert runtime.error() == ""
    assert a[:6].tolist() == [1] * 6


def test_vectors_have_the_asymmetric_nan_rule(runtime: Runtime, run: Run) -> None:
    a, _ = run("vectors")
    assert runtime.error() == ""
    maximum, isnan, select, less, half = a[:320].view(torch.float32).view(5, 16)
    nan = torch.nan
    expected = torch.tensor([1.0, 2, 1, 2, 2, 2, nan, nan, nan])
    torch.testing.assert_close(maximum[:9], expected, equal_nan=True, rtol=0, atol=0)
    assert isnan[:9].tolist() == [0.0] * 6 + [2.0] * 3
    assert select[:6].isnan().tolist() == [False, False, True, False, False, True]
    assert less[:9].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    x = torch.tensor([1.0, 1, 1, 2, 2, 2, nan, nan, nan])
    assert torch.equal(half[:6], (x[:6] * 1e-7).half().float())


def test_transpose_turns_any_height_and_width(runtime: Runtime, run: Run) -> None:
    a, _ = run("turn")
    assert runtime.error() == ""
    turned = torch.arange(35, dtype=torch.int16).view(5, 7).T.flatten()
    assert torch.equal(a[:70].view(torch.int16), turned)


def test_half_conversions_are_those_of_torch(tmp_path: Path) -> None:
    source = tmp_path / "halves.scpp"
    source.write_text(
        """
        extern "C" void widen(const uint16_t* from, float* to, int n) {
          for (int i = 0; i < n; ++i) to[i] = half::widen(from[i]);
        }
        extern "C" void narrow(const float* from, uint16_t* to, int n) {
          for (int i = 0; i < n; ++i) to[i] = half::narrow(from[i]);
        }
        """
    )
    library = ctypes.CDLL(str(build.compile_kernels([source], tmp_path / "halves.so")))
    every = torch.arange(-(2**15), 2**15).to(torch.int16)
    wide = torch.empty(len(every))
    library.widen(*map(ctypes.c_void_p, (every.data_ptr(), wide.data_ptr())), len(every))
    expected = every.view(torch.half).float()
    assert torch.equal(wide.nan_to_num(nan=7e9), expected.nan_to_num(nan=7e9))

    between = torch.cat([expected, expected * 1.0003, expected * 0.9996, expected + 3e-8])
    narrow = torch.empty(len(between), dtype=torch.int16)
    library.narrow(*map(ctypes.c_void_p, (between.data_ptr(), narrow.data_ptr())), len(between))
    same = (narrow == between.half().view(torch.int16)) | between.isnan()
    assert same.all()


def test_a_launch_needs_a_stream_of_the_current_device(
    runtime: Runtime, rules: ctypes.CDLL
) -> None:
    a = Buffer(runtime, SIZE)
    rules.copy(None, a.pointer, a.pointer)
    assert "null stream" in runtime.error()
    rules.copy(runtime.new_stream(1), a.pointer, a.pointer)
    assert "launched on a stream of device 1 while device 0 is current" in runtime.error()


def test_memory_of_another_device_is_refused(runtime: Runtime, rules: ctypes.CDLL) -> None:
    a, b = Buffer(runtime, SIZE, device=2), Buffer(runtime, SIZE)
    rules.copy(runtime.stream, a.pointer, b.pointer)
    assert "src is memory of device 2, and the kernel runs on device 0" in runtime.error()


def test_freed_memory_is_refused(runtime: Runtime, rules: ctypes.CDLL) -> None:
    a, b = Buffer(runtime, SIZE), Buffer(runtime, SIZE)
    runtime.call("sdaaFree", a.pointer)
    rules.copy(runtime.stream, a.pointer, b.pointer)
    assert "src lies neither in allocated device memory nor in" in runtime.error()


@pytest.mark.parametrize("who", ["kernel", "host"])
def test_protected_memory_is_touched_by_copies_only(rules: ctypes.CDLL, who: str) -> None:
    script = f"""
import ctypes
from tests.sdaa_simulator.toolkit_host import Buffer, Runtime
runtime = Runtime()
a = Buffer(runtime, {SIZE})
print("before", flush=True)
if "{who}" == "kernel":
    ctypes.CDLL("{rules._name}").touch_global(runtime.stream, a.pointer, a.pointer)
else:
    ctypes.string_at(a.pointer, 1)
print("after", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-11, "before\n")


def test_the_meter_counts_bytes_sections_and_scratchpad(runtime: Runtime, run: Run) -> None:
    run("gaps")
    (launch,) = runtime.launches()
    assert launch.kernel == "gaps_kernel"
    assert launch.read == launch.written == [128] * 32
    assert launch.sections == [64] * 32
    assert launch.lines_read == [32] * 32
    assert launch.peak_scratchpad == [128] * 32
    assert launch.balance == launch.column_balance == 1
    run("exchange")
    (launch,) = runtime.launches()
    assert launch.barriers == [1] * 32


def launch_of(bytes_read: list[int], **other: list[int]) -> Launch:
    names = set(Launch.__annotations__) - {"kernel", "device"}
    quantities = {name: [0] * 32 for name in names}
    quantities |= {"read": bytes_read, "lines_read": [n // 64 for n in bytes_read], **other}
    return Launch("kernel", 0, **quantities)


def test_predicted_time_is_limited_by_device_column_and_spe() -> None:
    everywhere = launch_of([64 << 14] * 32)
    assert everywhere.seconds() == pytest.approx(32 * (64 << 14) / DEVICE_RATE)
    one = launch_of([64 << 14] + [0] * 31)
    assert one.seconds() == pytest.approx((64 << 14) / 41e9)
    column = launch_of([64 << 14 if spe % 8 == 3 else 0 for spe in range(32)])
    assert column.seconds() == pytest.approx(4 * (64 << 14) / 43e9)
    assert column.balance == 8
    assert column.column_balance == 8


def test_predicted_time_of_blocking_work_comes_on_top() -> None:
    silent = launch_of([0] * 32, local=[62000] * 32, barriers=[2] * 32)
    assert silent.seconds() == pytest.approx(1e-6 + 2 * 495 / 2.36e9)
