"""The command line: parse, build, call."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cornernet.errors import OutOfMemory, UserError
from cornernet.runtime.files import replacing
from cornernet.runtime.threads import set_wait_policy

if TYPE_CHECKING:
    import numpy as np

_SHEET_PICTURES = 12
_SHEET_CELL = 480  # pixels
_DEVICE_HELP = "auto, cpu, or a kind of accelerator such as sdaa, with or without :index"


class _TrainHelp(argparse.Action):
    """Help that goes on with every setting a recipe may have."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help, default=argparse.SUPPRESS)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from cornernet.config import recipes, settings

        parser.print_help()
        print("\nrecipes: " + ", ".join(recipes()) + "\n\nsettings, as --section.key value:")
        for setting in settings().values():
            print(f"  --{setting.name}  {setting.description} (default: {setting.default})")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cornernet",
        description="CornerNet: objects as pairs of corners. Train, evaluate, predict.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, help: str, **kwargs: Any) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=help, description=help, allow_abbrev=False, **kwargs)

    train = verb("train", "Train a detector on a folder in COCO's format.", add_help=False)
    train.add_argument("-h", "--help", action=_TrainHelp, help="show this help and exit")
    train.add_argument(
        "recipe", metavar="RECIPE", help="name of a recipe of the package, or a YAML file"
    )
    train.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="holds annotations/instances_<split>*.json and the pictures in <split>*/",
    )
    train.add_argument(
        "--output", required=True, metavar="DIR", help="folder for the run; must not hold another"
    )
    train.add_argument("--device", default="auto", help=_DEVICE_HELP)
    train.add_argument(
        "--resume", action="store_true", help="continue the run in --output after its last epoch"
    )
    train.add_argument(
        "--init",
        metavar="WEIGHTS",
        help="start from these weights, also of MMDetection or the original repository; for other "
        "classes, what depends on them starts at random",
    )
    train.add_argument(
        "--find-batch",
        action="store_true",
        help="do not train; try how many pictures a step the device has memory for, and say so",
    )
    train.set_defaults(run=_train)

    check = verb("check", "Compare a batch's losses and gradients on a device with the CPU's.")
    check.add_argument("recipe", metavar="RECIPE", help="as for train, with its settings")
    check.add_argument("--data", required=True, metavar="DIR", help="as for train")
    check.add_argument("--device", default="auto", help=_DEVICE_HELP)
    check.add_argument("--json", metavar="FILE", help="write the figures there")
    check.set_defaults(run=_check)

    compare = verb("compare", "Compare the losses of two runs, line by line of their logs.")
    compare.add_argument("source", metavar="RUN", help="folder of a run")
    compare.add_argument("reference", metavar="REFERENCE", help="folder of another one")
    compare.set_defaults(run=_compare)

    zoo = verb("modelzoo", "Write a contribution to Tecorigin's model zoo from a run.")
    zoo.add_argument("source", metavar="RUN", help="folder of the run on SDAA")
    zoo.add_argument("--output", required=True, metavar="DIR", help="the folder to make")
    zoo.add_argument(
        "--package",
        required=True,
        metavar="SOURCE",
        help="where pip installs cornernet from, with the commit: git+https://…@COMMIT",
    )
    zoo.add_argument("--reference", metavar="RUN", help="folder of the same run elsewhere")
    zoo.add_argument("--check", metavar="FILE", help="what `cornernet check --json FILE` wrote")
    zoo.add_argument(
        "--processes", type=int, default=4, metavar="N", help="of the training (default: 4, a card)"
    )
    zoo.set_defaults(run=_modelzoo)

    evaluate = verb(
        "evaluate",
        "Compute COCO's twelve numbers on a split.",
        epilog="Settings as for train act here too, such as --test.scales '[0.5, 1, 1.5]'.",
    )
    evaluate.add_argument("weights", metavar="WEIGHTS", help="weights file, such as best.pt")
    evaluate.add_argument("--data", required=True, metavar="DIR", help="as for train")
    evaluate.add_argument("--split", help="default: the one the weights were validated on")
    _add_inference(evaluate)
    evaluate.add_argument("--json", metavar="FILE", help="write detections in COCO's format")
    evaluate.add_argument("--metrics", metavar="FILE", help="write the numbers as JSON")
    evaluate.set_defaults(run=_evaluate)

    predict = verb(
        "predict",
        "Find objects in pictures and draw them.",
        epilog="Settings as for train act here too, such as --data.long_side 1024.",
    )
    predict.add_argument("weights", metavar="WEIGHTS", help="weights file, such as best.pt")
    predict.add_argument("sources", metavar="SOURCE", nargs="+", help="pictures, folders, patterns")
    predict.add_argument("--output", required=True, metavar="DIR", help="folder for the pictures")
    predict.add_argument("--score", type=float, default=0.3, help="lowest score (default 0.3)")
    _add_inference(predict)
    predict.add_argument("--json", metavar="FILE", help="write the detections as JSON")
    predict.add_argument(
        "--sheet", metavar="FILE", help=f"write the first {_SHEET_PICTURES} pictures side by side"
    )
    predict.set_defaults(run=_predict)

    convert = verb(
        "convert",
        "Turn weights of MMDetection or the original repository into ours, or ours into theirs.",
    )
    convert.add_argument(
        "source",
        metavar="SOURCE",
        help="checkpoint of MMDetection 2.x or 3.x, the original's .pkl, or weights of cornernet",
    )
    convert.add_argument("--output", required=True, metavar="FILE", help="file to write")
    convert.add_argument(
        "--to-mmdet", action="store_true", help="write MMDetection's layout instead of ours"
    )
    convert.add_argument(
        "--classes", metavar="NAME,…", help="names by label, where the file lacks the right ones"
    )
    convert.add_argument(
        "--state",
        choices=("state_dict", "ema_state_dict"),
        help="which weights to take; by default state_dict, under which MMEngine keeps the "
        "average where there is one",
    )
    convert.add_argument(
        "--allow-partial",
        action="store_true",
        help="initialise what is missing or does not fit, leave out what is left over",
    )
    convert.set_defaults(run=_convert)

    data = verb("data", "Make data.")
    kinds = data.add_subparsers(dest="kind", required=True, metavar="KIND")
    synthesize = kinds.add_parser(
        "synthesize",
        help="write a COCO folder of drawn shapes",
        description="Write a COCO folder of drawn shapes, the same for the same seed.",
        allow_abbrev=False,
    )
    synthesize.add_argument("root", metavar="DIR", help="new folder")
    synthesize.add_argument("--train", type=int, default=400, help="pictures (default 400)")
    synthesize.add_argument("--val", type=int, default=100, help="pictures (default 100)")
    synthesize.add_argument("--seed", type=int, default=0)
    synthesize.set_defaults(run=_synthesize)

    env = verb("env", "Print versions, devices and back ends, for bug reports.")
    env.set_defaults(run=_env)
    return parser


def _add_inference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flip", action="store_true", help="also use the mirrored picture")
    parser.add_argument(
        "--scales",
        metavar="FACTOR,…",
        help="sizes at which to look at each picture, such as 0.5,0.75,1,1.25,1.5",
    )
    parser.add_argument("--batch-size", metavar="N", help="pictures to run together")
    parser.add_argument(
        "--precision",
        choices=("fp32", "auto", "bf16", "fp16"),
        default="fp32",
        help="of weights and activations (default fp32; auto: bf16 where the device has it)",
    )
    parser.add_argument(
        "--compile", action="store_true", help="use torch.compile; pays for many pictures"
    )
    parser.add_argument("--device", default="auto", help=_DEVICE_HELP)


def _inference_settings(arguments: argparse.Namespace) -> list[str]:
    """--flip, --scales and --batch-size as settings."""
    settings = ["--test.flip", "true"] if arguments.flip else []
    if arguments.batch_size is not None:
        settings += ["--test.batch_size", arguments.batch_size]
    if arguments.scales is not None:
        try:
            scales = [float(word) for word in arguments.scales.split(",")]
        except ValueError:
            raise UserError(
                f"--scales: expected factors such as 0.5,1,1.5, got {arguments.scales!r}"
            ) from None
        settings += ["--test.scales", json.dumps(scales)]
    return settings


def _train(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    from cornernet.config import load_recipe
    from cornernet.runtime.distributed import end_world, start_world
    from cornernet.train.batch_size import find_batch_size
    from cornernet.train.loop import read_data, resolved, train

    init = [] if arguments.init is None else ["--train.init", arguments.init]
    config = load_recipe(arguments.recipe, [*settings, *init])
    world = start_world(arguments.device)
    try:
        if arguments.find_batch:
            split, _ = read_data(config, arguments.data)
            fit = find_batch_size(resolved(config, split), world)
            peak = "" if fit.peak is None else f" ({fit.peak / 2**30:.2f} GiB at its peak)"
            print(
                f"--train.batch_size {fit.batch_size} is the largest that fits {world.device}"
                f"{peak}; leave some memory for pictures with more objects and for others"
            )
        else:
            train(config, arguments.data, arguments.output, world, arguments.resume)
    finally:
        end_world()


def _evaluate(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from cornernet.config import with_overrides
    from cornernet.data.coco import CocoDataset
    from cornernet.inference.evaluate import coco_results, evaluate
    from cornernet.model.fuse import FusedDetector
    from cornernet.runtime.device import resolve_device
    from cornernet.runtime.distributed import World
    from cornernet.runtime.precision import resolve_precision
    from cornernet.weights.file import load_weights

    weights = load_weights(arguments.weights)
    config = with_overrides(weights.config, [*settings, *_inference_settings(arguments)])
    dataset = CocoDataset(
        arguments.data,
        arguments.split or config.data.val_split,
        strict=config.data.strict,
        classes=weights.classes,
    )
    for file in (arguments.json, arguments.metrics):
        _check_writable(file)
    device = resolve_device(arguments.device)
    precision = resolve_precision(arguments.precision, device)
    model = FusedDetector(weights.build_model().to(device), precision, arguments.compile)
    console = Console(highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(dataset.annotation_path.name, total=len(dataset))
        evaluation, found = evaluate(
            model,
            dataset,
            config,
            World(device),
            progress=lambda pictures: progress.advance(task, pictures),
        )
    assert evaluation is not None  # there is one process
    if arguments.json:
        _write_json(arguments.json, coco_results(found, dataset.category_ids))
    if arguments.metrics:
        _write_json(arguments.metrics, evaluation.metrics)
    table = Table("class", "boxes", "AP", title=dataset.annotation_path.name, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    counts = dataset.summary()
    for name, value in evaluation.class_ap.items():
        table.add_row(name, str(counts[f"class {name}"]), f"{value:.3f}")
    console.print(table)
    for name, value in evaluation.metrics.items():
        console.print(f"{name:<6}{value:.3f}")


def _predict(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    from cornernet.api import CornerNet
    from cornernet.config import with_overrides
    from cornernet.data.images import IMAGE_SUFFIXES, read_image, write_image
    from cornernet.inference.sources import expand_sources
    from cornernet.inference.stream import detect_stream
    from cornernet.report.draw import draw_detections
    from cornernet.report.sheet import save_sheet, thumbnail

    settings = [*settings, *_inference_settings(arguments)]
    detector = CornerNet.from_pretrained(arguments.weights, arguments.device)
    detector.optimize(arguments.precision, arguments.compile)
    detector.config = with_overrides(detector.config, settings)
    files = list(dict.fromkeys(expand_sources(arguments.sources)))
    output = Path(arguments.output)
    targets = _output_names(files, output)
    _check_writable(arguments.json)
    _check_writable(arguments.sheet, IMAGE_SUFFIXES)
    output.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    sheet: list[tuple[str, np.ndarray]] = []
    refused: list[str] = []

    def read(file: Path) -> np.ndarray:
        return read_image(file, apply_exif=True)

    for result in detect_stream(detector.model, files, read, detector.config):
        file, found, image = result.item, result.detections, result.image
        if found is None or image is None:  # the others are predicted all the same
            error = result.error
            refused.append(f"{file}: {error}" if isinstance(error, OutOfMemory) else str(error))
            continue
        target = targets[file]
        found = found.select(found.scores >= arguments.score)
        drawn = draw_detections(image, found, detector.classes)
        write_image(target, drawn)
        if arguments.sheet and len(sheet) < _SHEET_PICTURES:
            sheet.append((f"{file.name}: {len(found)} found", thumbnail(drawn, _SHEET_CELL)))
        records.append(
            {
                "file": str(file),
                "detections": [
                    {"box": box, "score": score, "label": label, "class": detector.classes[label]}
                    for box, score, label in zip(
                        found.boxes.tolist(),
                        found.scores.tolist(),
                        found.labels.tolist(),
                        strict=True,
                    )
                ],
            }
        )
        print(f"{file}: {len(found)} found → {target}")
    if arguments.json:
        _write_json(arguments.json, records)
    if arguments.sheet and sheet:
        save_sheet(sheet, Path(arguments.sheet), cell=_SHEET_CELL)
    if refused:
        raise UserError("\n".join(refused))


def _output_names(files: Sequence[Path], output: Path) -> dict[Path, Path]:
    """A file in `output` for each picture, refusing to write over a source or another result.

    It has the picture's name, with .png added where that suffix is none that can be written.
    """
    from cornernet.data.images import IMAGE_SUFFIXES

    names: dict[Path, Path] = {}
    for file in files:
        known = file.suffix.lower() in IMAGE_SUFFIXES
        target = output / (file.name if known else f"{file.name}.png")
        if target.exists() and target.samefile(file):
            raise UserError(
                f"--output: {file} would be written over; choose a folder without the sources"
            )
        if target in names:
            raise UserError(
                f"{names[target]} and {file} would both become {target}; predict them into "
                "different folders"
            )
        names[target] = file
    return {file: target for target, file in names.items()}


def _convert(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    _refuse(settings)
    import torch

    from cornernet.model.detector import Detector, count_parameters
    from cornernet.weights.file import read_weights, save_atomically, save_weights
    from cornernet.weights.foreign import to_mmdet

    _check_writable(arguments.output)
    output, source = Path(arguments.output), Path(arguments.source)
    if output.exists() and source.exists() and output.samefile(source):
        raise UserError(f"--output: {source} would be written over; choose another name")
    weights, notes = read_weights(
        source,
        state=arguments.state,
        classes=arguments.classes.split(",") if arguments.classes is not None else None,
        allow_partial=arguments.allow_partial,
    )
    with torch.device("meta"):
        parameters = count_parameters(Detector(weights.config.model, len(weights.classes)))
    tensors = weights.state_dict
    if arguments.to_mmdet:
        content, said = to_mmdet(tensors, weights.config.model, weights.classes, str(source))
        notes += said
        tensors = content["state_dict"]
        save_atomically(content, output)
    else:
        weights.training = None
        save_weights(weights, output)
    for note in notes:
        print(note)
    print(
        f"{output}: {len(tensors)} tensors, {parameters:,} parameters, "
        f"{weights.config.model.stacks} stack(s), {len(weights.classes)} classes"
    )


def _synthesize(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    _refuse(settings)
    from cornernet.data.synthetic import synthesize

    synthesize(arguments.root, train=arguments.train, val=arguments.val, seed=arguments.seed)
    print(f"{arguments.root}: {arguments.train} training and {arguments.val} validation pictures")


def _env(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    _refuse(settings)
    print(_environment())


def _environment() -> str:
    """What is installed and which devices are there, for a report."""
    from importlib import metadata

    from cornernet import __version__
    from cornernet.runtime.device import available_kinds, describe
    from cornernet_ops.__main__ import report

    lines = [f"cornernet {__version__}"]
    for name in ("numpy", "opencv-python-headless", "pycocotools", "PyYAML", "matplotlib"):
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    lines += [f"device {kind}: {describe(kind)}" for kind in available_kinds()]
    return "\n".join([*lines, report()])


def _check(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    from cornernet.config import load_recipe
    from cornernet.runtime.device import resolve_device
    from cornernet.runtime.distributed import World
    from cornernet.train.compare import TOLERANCE, compare_batch

    _check_writable(arguments.json)
    config = load_recipe(arguments.recipe, settings)
    found = compare_batch(config, arguments.data, World(resolve_device(arguments.device)))
    summary = found.summary()
    print(f"one batch on {found.device} in {found.precision}, against the CPU in fp32")
    for name, (value, wanted) in found.losses.items():
        print(f"  {name:12s} {value:.6f}  CPU {wanted:.6f}")
    print(f"  all gradients are {found.gradient_error:.2e} off")
    print(f"  the worst is {found.worst_error:.2e} off: {found.worst}")
    if arguments.json is not None:
        _write_json(arguments.json, summary)
    if found.rounding:
        print(f"  the CPU's in {found.precision} are {found.rounding:.2e} off")
    limits = f"wanted at most {TOLERANCE} in the loss and {found.tolerance:.3g} in all gradients"
    _conclude(summary["passes"], limits)


def _compare(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    _refuse(settings)
    from rich.console import Console
    from rich.table import Table

    from cornernet.train.compare import compare_losses, training_records
    from cornernet.vendors.tecorigin.contribution import losses_pass, losses_summary

    errors = compare_losses(
        training_records(arguments.source), training_records(arguments.reference)
    )
    table = Table("loss", "mean absolute relative error", "largest", "at step", "signed mean")
    for error in errors:
        numbers = (error.mean, error.largest, error.largest_step, error.signed_mean)
        table.add_row(error.name, *(f"{value:.4g}" for value in numbers))
    Console().print(table)
    _conclude(losses_pass(errors), losses_summary(errors))


def _modelzoo(arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    _refuse(settings)
    from cornernet.vendors.tecorigin.contribution import write_contribution

    batch = None
    if arguments.check is not None:
        try:
            batch = json.loads(Path(arguments.check).read_text(encoding="utf-8"))
            batch["passes"], batch["gradient_error"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"--check: expected a file that `cornernet check --json` wrote, got "
                f"{arguments.check} ({type(error).__name__}: {error})"
            ) from None
    passed = write_contribution(
        arguments.source,
        arguments.output,
        arguments.package,
        _environment(),
        arguments.reference,
        batch,
        arguments.processes,
    )
    print(f"{arguments.output}: README.md, config.yaml, requirements.txt, run_scripts, the losses")
    if passed is None:
        print("without a comparison: --reference RUN and --check FILE add them")
    else:
        _conclude(passed, "see README.md there")


def _conclude(passed: bool, text: str) -> None:
    """The last line of a comparison, which also decides the exit status."""
    from cornernet.train.compare import verdict

    print(verdict(passed, text))
    if not passed:
        sys.exit(1)


def _refuse(settings: Sequence[str]) -> None:
    if settings:
        raise UserError(f"unknown arguments: {' '.join(settings)}; see --help")


def _check_writable(file: str | None, suffixes: Sequence[str] = ()) -> None:
    """Refuse a file that cannot be written before work is put into its contents."""
    if file is None:
        return
    folder = Path(file).resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{file}: expected an existing, writable folder, found none; make {folder}")
    if Path(file).is_dir():
        raise UserError(f"{file}: expected the name of a file, found a folder")
    if suffixes and Path(file).suffix.lower() not in suffixes:
        raise UserError(f"{file}: expected a name that ends in one of {', '.join(suffixes)}")


def _write_json(file: str, content: Any) -> None:
    with replacing(Path(file)) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


def main(words: Sequence[str] | None = None) -> None:
    """Run a command; exit with status 2 and one sentence where the input is bad."""
    set_wait_policy()  # before any command imports torch
    words = sys.argv[1:] if words is None else words
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may hold what the terminal cannot show, or bytes that are no text at all.
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            try:
                arguments, settings = _parser().parse_known_args(words)
                arguments.run(arguments, settings)
            finally:
                sys.stdout.flush()  # here and not at exit, where a closed pipe cannot be caught
        except UserError as error:
            print(f"cornernet {words[0]}: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print(f"cornernet {words[0]}: interrupted", file=sys.stderr)
            sys.exit(130)
        except BrokenPipeError:  # whoever read our output, like `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (MemoryError, RuntimeError) as error:
            from cornernet.runtime.memory import is_out_of_memory

            if not is_out_of_memory(error):
                raise
            print(
                f"cornernet {words[0]}: out of memory ({str(error).partition(chr(10))[0]}); lower "
                "test.batch_size, data.long_side or the scales",
                file=sys.stderr,
            )
            sys.exit(2)
        except OSError as error:  # a full disk, a folder that may not be written, …
            where = f"{error.filename}: " if error.filename else ""
            print(f"cornernet {words[0]}: {where}{error.strerror or error}", file=sys.stderr)
            sys.exit(2)
