"""The networks of the family beside CornerNet-104: `python -m benchmarks.family`.

One image of 500×500, padded to 511, from pixels to boxes, without a mirror image; random weights in
their inference form. CornerNet-Saccade looks at two views and at `test.max_crops` crops. The
networks take turns in one process, so a busy machine changes their times and not their ratios. The
peak is the higher of what large matrix products and a 3×3 convolution of 256 channels, of which
most of CornerNet consists, reach in the same turns. Each network's memory is measured in a process
of its own, when it has been built: on Linux the process's peak while it detects, with
Python and PyTorch in it; on an accelerator what its allocator held at most.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from cornernet.config import Config, load_recipe
from cornernet.errors import UserError
from cornernet.inference.detect import detect
from cornernet.model.detector import Detector, count_parameters, to_channels_last
from cornernet.model.fuse import FusedDetector
from cornernet.runtime.device import resolve_device
from cornernet.runtime.memory import peak_memory, release_memory
from cornernet.runtime.precision import weight_dtype

from . import networks
from .measure import FLOOR, OP, Call, Case, Result, measure

FIRST = "CornerNet-104"
RECIPES = {
    FIRST: networks.RECIPE,
    "CornerNet-Squeeze": "cornernet_squeeze",
    "CornerNet-Saccade": "cornernet_saccade",
    "CenterNet-52": "centernet52",
    "CenterNet-104": "centernet104",
}
# A network that looks twice shall find its full number of places, as in a busy image; random
# weights rate none highly.
BUSY = ("--test.location_score", "0", "--test.location_distance", "0")
# What a process without a network holds.
NOTHING = "no network"
_PRODUCTS = 8  # matrix products in a turn
CONVOLUTION = "convolution"
_CHANNELS, _CELLS = 256, 128  # of that convolution, and cells in each direction
_SECONDS = 0.1  # for each network: three turns of those that take longer


def built(recipe: str, precision: str, device: torch.device) -> tuple[FusedDetector, Config]:
    """A network for 80 classes in its inference form, and how it detects."""
    words = ["--model.num_classes", "80", "--test.flip", "false", *BUSY]
    config = load_recipe(recipe, words)
    return FusedDetector(networks.network(config, device), precision), config


def timed(
    recipes: dict[str, str], precision: str, device: torch.device, threads: int
) -> tuple[Result, dict[str, int], dict[str, int]]:
    """Times of all networks, their floating-point operations in a detection, their parameters."""
    calls: dict[str, Call] = {}
    operations, parameters = {}, {}
    for name, recipe in recipes.items():
        model, config = built(recipe, precision, device)
        with torch.device("meta"):
            parameters[name] = count_parameters(Detector(config.model, model.num_classes))
        calls[name] = partial(detect, model, [networks.picture()], config)
        operations[name] = networks.count_flops(calls[name])
    side = networks.matrix_side(device)
    operations[FLOOR] = _PRODUCTS * 2 * side**3
    operations[CONVOLUTION] = 2 * (3 * _CHANNELS * _CELLS) ** 2
    first, *others = calls
    case = Case(
        op=first,
        part="image to boxes",
        variant=precision,
        setting=f"{networks.SIDE}×{networks.SIDE}",
        moved=0,
        call=calls[first],
        others={name: calls[name] for name in others}
        | {CONVOLUTION: _convolution(precision, device)},
        floor=networks.arithmetic(operations[FLOOR], precision, device),
        same=lambda actual, expected: None,  # these are different networks
        pictures=1,
    )
    result = measure(case, device, threads, _SECONDS)
    return result, operations, parameters


def _convolution(precision: str, device: torch.device) -> Call:
    conv = torch.nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False)
    dtype, layout = weight_dtype(precision), torch.channels_last
    conv = conv.to(device, dtype).requires_grad_(False)
    to_channels_last(conv)
    maps = torch.rand(1, _CHANNELS, _CELLS, _CELLS, device=device, dtype=dtype)
    return partial(conv, maps.contiguous(memory_format=layout))


def peak_of(name: str, precision: str, device: torch.device) -> int:
    """Most bytes that this process holds while a network detects."""
    call: Call | None = None
    if name != NOTHING:
        model, config = built(RECIPES[name], precision, device)
        call = partial(detect, model, [networks.picture()], config)
    release_memory(device)
    references = Path("/proc/self/clear_refs")
    if references.is_file():
        references.write_text("5")  # starts a new count of the peak
    if call is not None:
        for _ in range(2):
            call()
    counted = peak_memory(device)
    if counted is not None:
        return counted
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _peak_alone(name: str, precision: str, device: torch.device) -> int:
    words = ["--device", str(device), "--precision", precision, "--only", name]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.family", *words], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise UserError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout.split()[-1])


def _table(
    result: Result, operations: dict[str, int], parameters: dict[str, int], peaks: dict[str, int]
) -> Table:
    headings = ("million weights", "ms", "quartiles", f"× faster than {FIRST}", "10⁹ mult-adds",
                "share of peak", "memory, GiB")  # fmt: skip
    about = f"{result.setting}, {result.variant}, {result.threads} thread(s)"
    table = Table("network", title=about, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    rate = max(operations[name] / result.times[name].median for name in (FLOOR, CONVOLUTION))
    times = {FIRST: result.times[OP], **result.times}
    for name, number in parameters.items():
        time = times[name]
        table.add_row(
            name,
            f"{number / 1e6:.1f}",
            f"{time.median * 1e3:.0f}",
            f"{time.lower * 1e3:.0f}–{time.upper * 1e3:.0f}",
            f"{times[FIRST].median / time.median:.2f}",
            f"{operations[name] / 2e9:.1f}",
            f"{operations[name] / time.median / rate:.0%}",
            f"{peaks[name] / 2**30:.2f}",
        )
    if NOTHING in peaks:
        table.add_row(NOTHING, *[""] * 6, f"{peaks[NOTHING] / 2**30:.2f}")
    return table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.family",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which networks beside {FIRST}: {', '.join(list(RECIPES)[1:])}; all by default",
    )
    parser.add_argument("--device", default="cpu", help="where to detect (default: cpu)")
    parser.add_argument("--precision", default="fp32", help="fp32 (default), bf16 or fp16")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    parser.add_argument(
        "--only", choices=[*RECIPES, NOTHING], help="print the bytes of this network alone"
    )
    options = parser.parse_args(arguments)
    try:
        device = resolve_device(options.device)
        if options.only:
            print(peak_of(options.only, options.precision, device))
            return 0
        if unknown := [name for name in options.names if name not in RECIPES]:
            raise UserError(f"expected NAME to be one of {', '.join(RECIPES)}, got {unknown[0]!r}")
        chosen = [FIRST, *(name for name in options.names or RECIPES if name != FIRST)]
        peaks = {name: _peak_alone(name, options.precision, device) for name in (*chosen, NOTHING)}
        recipes = {name: RECIPES[name] for name in chosen}
        found = timed(recipes, options.precision, device, options.threads)
    except UserError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    Console(width=None if sys.stdout.isatty() else 140).print(_table(*found, peaks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
