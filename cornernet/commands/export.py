"""`cornernet export`: a detector in other programs' formats."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cornernet.commands.common import check_writable, inference_config
from cornernet.commands.parser import Command
from cornernet.errors import UserError
from cornernet.export import SUFFIXES
from cornernet.runtime.text import say

_MOST_IMAGES = 20
_MOST_CALIBRATION = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS", help="weights file, such as best.pt")
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="file to write, such as detector.onnx"
    )
    parser.add_argument(
        "--format",
        choices=tuple(SUFFIXES),
        default="onnx",
        help="of the file: onnx (default), pt2 (torch.export), torchscript or aoti (AOTInductor's "
        "package, needs a C++ compiler); all but onnx run where cornernet_ops is imported",
    )
    parser.add_argument(
        "--size",
        default="dynamic",
        metavar="HxW",
        help="height and width of all images in pixels, or dynamic: any (default)",
    )
    parser.add_argument(
        "--batch",
        default="dynamic",
        metavar="N",
        help="number of images at a time, or dynamic: any (default)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "int8"),
        default="fp32",
        help="of the convolutions (default fp32; int8: for onnx, with --calibrate)",
    )
    parser.add_argument(
        "--calibrate",
        metavar="DIR",
        help="for int8: directory of images such as the network will see, of which up to "
        f"{_MOST_CALIBRATION} are read",
    )
    parser.add_argument(
        "--with",
        dest="stage",
        choices=("decode", "maps"),
        default="decode",
        help="where the graph ends: at the final boxes (decode, default) or at the network's maps",
    )
    parser.add_argument(
        "--images",
        metavar="DIR",
        help=f"directory of images with objects, on up to {_MOST_IMAGES} of which the file is "
        "compared with the network (default: drawn images)",
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    from cornernet.api import CornerNet

    check_writable(arguments.output, (SUFFIXES[arguments.format],))
    size, batch = _size(arguments.size), _batch(arguments.batch)
    detector = CornerNet.from_pretrained(arguments.weights, "cpu")
    detector.config = inference_config(detector.config, words)
    images = _images(arguments.images, _MOST_IMAGES)
    calibrate = _images(arguments.calibrate, _MOST_CALIBRATION)
    found = detector.export(
        arguments.output,
        size=size,
        batch=batch,
        stage="maps" if arguments.stage == "maps" else "boxes",
        format=arguments.format,
        precision=arguments.precision,
        images=images,
        calibrate=calibrate,
    )
    output = Path(arguments.output)
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    say(str(found))


def _size(text: str) -> tuple[int, int] | None:
    if text == "dynamic":
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise UserError(f"must be HxW in pixels or dynamic, got {text}", field="size")
    return int(height), int(width)


def _batch(text: str) -> int | None:
    if text == "dynamic":
        return None
    if not text.isdecimal() or not int(text):
        raise UserError(f"must be a number of images or dynamic, got {text}", field="batch")
    return int(text)


def _images(directory: str | None, most: int) -> list[str] | None:
    """Images of a directory, evenly chosen where there are more."""
    if directory is None:
        return None
    from cornernet.inference.sources import expand_sources

    found = expand_sources([directory], None).found
    images = [source.name for source in found if source.kind == "image"]
    if not images:
        raise UserError(f"{directory}: expected images, found none; name another directory")
    return images[:: -(-len(images) // most)]


COMMAND = Command(
    "export",
    "Write a detector as a file of other programs, and compare it with the network.",
    add_arguments,
    run,
    takes_settings=True,
    epilog="Settings as for train that act on images and boxes, such as --test.flip true or "
    "--data.long_side 320, become part of the file.",
)
