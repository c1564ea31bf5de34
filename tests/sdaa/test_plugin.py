"""The simulator's torch_sdaa keeps a card's rules: breaking one is caught, keeping them works."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_sdaa
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from cornernet.runtime.device import device_module
from cornernet.runtime.distributed import end_world
from cornernet.runtime.memory import is_out_of_memory

if not hasattr(torch_sdaa, "fallback_counts"):
    pytest.skip("about the simulator, and there is a card", allow_module_level=True)

sdaa = device_module("sdaa")
GREETING = "import ctypes, torch, torch_sdaa; x = torch.ones(4, device='sdaa'); "


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True
    )


def filled(*shape: int, device: str = "sdaa") -> Tensor:
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape).to(device)


# Rules


def test_host_that_reads_protected_device_memory_crashes() -> None:
    read = GREETING + "print(ctypes.c_float.from_address(x.data_ptr()).value)"
    assert python(read, SDAA_SIM_PROTECT="0").stdout == "1.0\n"
    assert python(read, SDAA_SIM_PROTECT="1").returncode == -11


def test_copies_and_kernels_reach_protected_memory() -> None:
    done = python(GREETING + "print((x + x).sum().item())", SDAA_SIM_PROTECT="1")
    assert done.stdout == "8.0\n", done.stderr


def test_forked_process_is_refused_the_device() -> None:
    code = GREETING + (
        "import os; pid = os.fork()\n"
        "if pid == 0:\n"
        "    try: torch.ones(1, device='sdaa')\n"
        "    except RuntimeError as error: print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)"
    )
    assert "Cannot use SDAA in a process that was forked" in python(code).stdout


def test_tensors_of_two_devices_are_refused() -> None:
    for other in (torch.ones(3), torch.ones(3, device="sdaa:1")):
        with pytest.raises(RuntimeError, match="(?i)expected all tensors to be on the same device"):
            torch.ones(3, device="sdaa:0") + other


def test_index_on_the_cpu_is_refused() -> None:
    with pytest.raises(RuntimeError, match="(?i)expected all tensors to be on the same device"):
        filled(3)[torch.tensor([0, 1])]


def test_number_on_the_cpu_is_not_refused() -> None:
    assert (filled(3) * torch.tensor(2.0)).tolist() == [0, 2, 4]


def test_generator_of_the_cpu_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Expected a 'sdaa' device type for generator"):
        torch.rand(2, device="sdaa", generator=torch.Generator())


def test_too_much_memory_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as stop:
        torch.empty(2**40, device="sdaa")
    assert is_out_of_memory(stop.value)


def test_device_that_is_not_there_is_refused() -> None:
    assert sdaa.device_count() == 4
    with pytest.raises(RuntimeError, match="there is no such device"):
        torch.ones(1, device="sdaa:4")


def test_ops_that_run_on_the_cpu_are_counted() -> None:
    x = filled(2, 3, 4, 4)
    torch_sdaa.clear_fallback_counts()
    nn.functional.conv2d(x, filled(1, 3, 1, 1)).exp().exp()
    assert torch_sdaa.fallback_counts() == {"aten::convolution": 1, "aten::exp": 2}


# Memory and copies


@pytest.mark.parametrize("dtype", [torch.float16, torch.int64, torch.bool])
def test_copies_convert(dtype: torch.dtype) -> None:
    x = filled(2, 3)
    assert torch.equal(x.to(dtype).cpu(), x.cpu().to(dtype))


def test_copies_keep_strides_and_values() -> None:
    x = torch.randn(2, 3, 4, 5)
    for laid_out in (x.to(memory_format=torch.channels_last), x[:, :2, ::2], x.expand(2, 3, 4, 5)):
        there = laid_out.to("sdaa")
        assert torch.equal(there.cpu(), laid_out)
    assert x.to("sdaa", memory_format=torch.channels_last).is_contiguous(
        memory_format=torch.channels_last
    )
    assert torch.equal(x.to("sdaa").transpose(1, 3).cpu(), x.transpose(1, 3))
    assert torch.equal(x.to("sdaa:0").to("sdaa:3").cpu(), x)


def test_writing_into_a_view_changes_the_whole() -> None:
    x = torch.zeros(3, 4, device="sdaa")
    x[1:, ::2] = 5
    x.t()[1].add_(1)
    assert x.tolist() == [[0, 1, 0, 0], [5, 1, 5, 0], [5, 1, 5, 0]]


def test_results_are_written_where_they_are_wanted() -> None:
    out = torch.empty(0, device="sdaa")
    torch.add(filled(3), 1, out=out)
    assert out.tolist() == [1, 2, 3]


def test_tensors_grow_and_change_their_storage() -> None:
    x = filled(4)
    x.resize_(2, 3)
    assert x.flatten()[:4].tolist() == [0, 1, 2, 3]
    y: Any = torch.empty(0, device="sdaa")
    y.set_(x.untyped_storage(), 1, (2,))  # torch declares none without strides
    assert y.tolist() == [1, 2]
    storage = filled(2).untyped_storage()
    storage.resize_(64)
    assert storage.nbytes() == 64


def test_memory_is_counted_for_each_device() -> None:
    before = sdaa.memory_allocated(2)
    x = torch.empty(1000, device="sdaa:2")
    assert sdaa.memory_allocated(2) == before + 4000
    assert sdaa.max_memory_allocated("sdaa:2") >= before + 4000
    del x
    assert sdaa.memory_allocated(2) == before
    sdaa.reset_peak_memory_stats(2)
    assert sdaa.max_memory_allocated(2) == before


def test_host_memory_can_be_pinned() -> None:
    x = torch.ones(5)
    pinned = x.pin_memory("sdaa") if torch.__version__ < "2.6" else x.pin_memory()
    assert torch.equal(pinned.to("sdaa").cpu(), x)


def test_loader_with_workers_feeds_the_device() -> None:
    loader = DataLoader(TensorDataset(torch.arange(6.0)), batch_size=2, num_workers=2)
    assert sum(float(batch.to("sdaa").sum()) for (batch,) in loader) == 15


# What programs do with tensors


def test_tensors_are_saved_and_loaded() -> None:
    for device, where in (("sdaa:1", None), ("cpu", "cpu")):
        file = io.BytesIO()
        torch.save(filled(3, device="sdaa:1"), file)
        file.seek(0)
        loaded = torch.load(file, map_location=where, weights_only=True)
        assert loaded.device == torch.device(device) and loaded.tolist() == [0, 1, 2]


def test_modules_are_copied_and_pickled() -> None:
    layer = nn.Linear(2, 3).to("sdaa")
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.weight.device.type == "sdaa"
        assert torch.equal(twin.weight, layer.weight)


def test_random_numbers_follow_the_devices_own_state() -> None:
    torch.manual_seed(3)
    wanted = torch.randn(20)
    there = torch.randn(20, device="sdaa")  # the CPU's draw has not moved the device's state
    assert torch.equal(there.cpu(), wanted)
    state = sdaa.get_rng_state()
    first = torch.rand(4, device="sdaa")
    sdaa.set_rng_state(state)
    assert torch.equal(torch.rand(4, device="sdaa"), first)
    assert not torch.equal(torch.rand(4, device="sdaa"), first)


def test_statistics_of_batch_norm_are_kept_on_the_device() -> None:
    x = torch.randn(4, 3, 5, 5)
    norms = [nn.BatchNorm2d(3), nn.BatchNorm2d(3).to("sdaa")]
    for norm in norms:
        norm(x.to(norm.weight.device))
    torch.testing.assert_close(norms[1].running_var.cpu(), norms[0].running_var)
    assert norms[1].num_batches_tracked.item() == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_lowers_convolutions_and_widens_sums(dtype: torch.dtype) -> None:
    x = filled(1, 2, 3, 3).requires_grad_()
    with sdaa.amp.autocast(dtype=dtype):
        y = nn.functional.conv2d(x, torch.ones(1, 2, 1, 1, device="sdaa"))
        assert y.dtype == dtype
        assert y.sum().dtype == torch.float32
    with torch.autocast("sdaa", dtype=dtype):
        assert torch.mm(x[0, 0], x[0, 0]).dtype == dtype


def test_scaler_skips_a_step_with_infinite_gradients() -> None:
    weight = nn.Parameter(torch.ones(3, device="sdaa"))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scaler = sdaa.amp.GradScaler()
    for factor, wanted in ((float("inf"), 1.0), (1.0, 0.5)):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert weight.tolist() == [wanted] * 3
    assert scaler.get_scale() == 2.0**15


def test_streams_are_the_devices_and_never_null() -> None:
    first = sdaa.current_stream()
    assert first == sdaa.default_stream() and first.sdaa_stream != 0
    own = sdaa.Stream("sdaa:1")
    with sdaa.stream(own):
        assert sdaa.current_device() == 1
        assert sdaa.current_stream() == own
        start, end = sdaa.Event(enable_timing=True), sdaa.Event(enable_timing=True)
        start.record()
        end.record()
        end.synchronize()
        assert start.elapsed_time(end) >= 0
    assert sdaa.current_stream() == first


# tccl


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    torch.distributed.init_process_group(
        "tccl", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    yield
    end_world()


def test_tccl_adds_up_gathers_and_spreads(alone: None) -> None:
    x = filled(3)
    torch.distributed.all_reduce(x)
    torch.distributed.broadcast(x, 0)
    torch.distributed.barrier()
    found = [torch.empty(3, device="sdaa")]
    torch.distributed.all_gather(found, x)
    objects: list = [None]
    torch.distributed.all_gather_object(objects, {"a": 1})
    assert found[0].tolist() == [0, 1, 2] and objects == [{"a": 1}]


def test_tccl_refuses_tensors_of_the_cpu(alone: None) -> None:
    with pytest.raises(RuntimeError, match="tccl: expected tensors on sdaa, got one on cpu"):
        torch.distributed.all_reduce(torch.ones(2))


def test_tccl_refuses_more_processes_than_devices() -> None:
    with pytest.raises(RuntimeError, match="tccl: 5 processes on 4 devices"):
        torch_sdaa.distributed.create_tccl(torch.distributed.HashStore(), 0, 5, None)
