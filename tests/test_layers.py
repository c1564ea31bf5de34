"""The architecture's laws about imports and devices; see docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each layer of `cornernet` may import. A layer is a module or a package; a module belongs to
# the longest entry that its name starts with.
LEAVES = {"errors", "config", "structures", "runtime"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "structures": set(),
    "runtime": {"errors"},
    "config": {"errors", "runtime"},
    "data": LEAVES,
    "parts": LEAVES | {"model.layers"},
    "model.layers": set(),
    "model": LEAVES | {"model.layers", "parts"},
    "weights": LEAVES | {"model", "weights.unpickle", "weights.pickles"},
    "weights.unpickle": {"errors", "weights.pickles"},
    "weights.pickles": set(),
    "report": LEAVES | {"data"},
    "inference": LEAVES | {"data", "model", "parts"},
    "train": LEAVES
    | {"data", "model", "parts", "weights", "inference", "report", "vendors.tecorigin.logger", ""},
    "vendors": {"errors", "runtime", "train"},
    "vendors.tecorigin.logger": set(),
    "prediction": LEAVES | {"data", "inference", "report"},
    "export": LEAVES | {"data", "model", "model.layers", "inference", ""},
    "api": LEAVES | {"export"} | {"data", "model", "weights", "inference", "prediction"},
    "commands": LEAVES
    | {
        "api",
        "export",
        "prediction",
        "data",
        "model",
        "parts",
        "weights",
        "inference",
        "train",
        "report",
        "vendors",
        "",
    },
    "cli": {"commands", "config", "errors", "runtime"},
    "__main__": {"cli"},
    "": {"api", "errors"},
}
# Layers that may import the ops.
OPS_USERS = {"export", "model", "parts", "inference", "runtime", "commands"}
# Libraries that only these modules may import, so that the rest does without.
CONFINED = {
    "cv2": {"cornernet.data.images", "cornernet.data.augment", "cornernet.data.workers",
            "cornernet.data.reference_crop", "cornernet.data.shapes", "cornernet.data.stencils",
            "cornernet.data.scenes", "cornernet.data.video"},
    "matplotlib": {"cornernet.report.draw", "cornernet.report.curves", "cornernet.report.figures"},
    "jinja2": {"cornernet.report.page"},
    "PIL": {"cornernet.data.images", "cornernet.data.headers", "cornernet.report.draw",
            "cornernet.report.sheet",
            "cornernet.report.heat_maps",
            "cornernet.inference.inputs", "cornernet.prediction"},
    "faster_coco_eval": {"cornernet.inference.evaluate"},
    "pycocotools": {"cornernet.inference.evaluate"},
    "rich": {"cornernet.runtime.terminal", "cornernet.train.log", "cornernet.commands.evaluate",
             "cornernet.commands.check_losses",
             "cornernet.commands.compare"},
    "yaml": {"cornernet.config.parse", "cornernet.config.safe_yaml", "cornernet.data.export",
             "cornernet.data.formats.yolo_splits"},
    "tcap_dllogger": {"cornernet.vendors.tecorigin.logger"},
    "mlflow": {"cornernet.train.sinks"},
    "wandb": {"cornernet.train.sinks"},
}  # fmt: skip


def imports_of(module: str, source: str) -> Iterator[str]:
    """Full names of all modules that a module imports, wherever in its source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                # A relative import cannot leave its package, and this one has no folders.
                assert module.split(".")[0] == "cornernet_ops", "cornernet imports absolutely"
                yield f"cornernet_ops.{node.module or ''}"
                continue
            assert node.module is not None
            if node.module in ("cornernet", "cornernet_ops"):
                for name in node.names:
                    yield f"{node.module}.{name.name}"
            else:
                yield node.module


def layer_of(module: str) -> str:
    """The layer of `cornernet` that a dotted name belongs to; "" is the package itself."""
    pieces = module.split(".")[1:]
    for length in range(len(pieces), 0, -1):
        if (name := ".".join(pieces[:length])) in ALLOWED:
            return name
    return ""


def violations(module: str, source: str) -> list[str]:
    found = []
    for name in imports_of(module, source):
        top = name.split(".")[0]
        if top in ("benchmarks", "tests"):
            found.append(f"{module} imports {name}")
        if module.startswith("cornernet_ops") and top == "cornernet":
            found.append(f"{module} imports {name}")
        if module.startswith("cornernet.") or module == "cornernet":
            own, other = layer_of(module), layer_of(name)
            if top == "cornernet" and other != own and other not in ALLOWED[own]:
                found.append(f"{module} imports {name}")
            if top == "cornernet_ops" and own not in OPS_USERS:
                found.append(f"{module} imports {name}")
            if module not in CONFINED.get(top, {module}):
                found.append(f"{module} imports {name}")
    return found


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        pieces = list(path.relative_to(ROOT).with_suffix("").parts)
        yield ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces), path


@pytest.mark.parametrize("package", ["cornernet", "cornernet_ops"])
def test_imports_flow_one_way(package: str) -> None:
    found = [v for module, path in modules(package) for v in violations(module, path.read_text())]
    assert not found


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("cornernet.data.coco", "from cornernet.model.detector import Detector"),
        ("cornernet.parts.corners.head", "import cornernet.data.coco"),
        ("cornernet.parts.corners.losses", "from cornernet.train.loop import train"),
        ("cornernet.config.schema", "def f():\n    import cornernet.api"),
        ("cornernet.parts.corners.head", "import cv2"),
        ("cornernet.data.coco", "import cornernet_ops"),
        ("cornernet_ops.registration", "from cornernet import config"),
        ("cornernet_ops.registration", "import benchmarks"),
        ("cornernet.structures", "from cornernet import api"),
        ("cornernet.cli", "from cornernet.train.loop import train"),
        ("cornernet.vendors.tecorigin.logger", "from cornernet.train.log import RunLog"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str) -> None:
    assert violations(module, line)


# Modules whose strings may hold command-line flags: the command line, and programs of their own.
PROGRAMS = re.compile(
    r"cornernet\.(cli|commands(\..*)?|vendors\.tecorigin\.templates\..*|runtime\.probe)"
    r"|cornernet_ops\.__main__"
)
FLAG = re.compile(r"(?<![\w-])--[a-z][\w.-]*")


def flags_in_strings(source: str) -> list[str]:
    """The flags in a module's strings, such as messages of errors.

    Docstrings and comments are left out: they speak to developers and may name a command. So are
    strings that give a command of pip, whose flags these are.
    """
    tree = ast.parse(source)
    # Strings that are a statement of their own are no values.
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        flag
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
        if "pip install" not in node.value
        for flag in FLAG.findall(node.value)
    ]


def test_only_the_command_line_knows_flags() -> None:
    found = {
        module: flags
        for package in ("cornernet", "cornernet_ops")
        for module, path in modules(package)
        if not PROGRAMS.fullmatch(module)
        if (flags := flags_in_strings(path.read_text()))
    }
    assert not found


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        ('raise UserError("use --precision fp32")', ["--precision"]),
        (
            "raise UserError(f'{path}: lower --train.batch_size, got {size}')",
            ["--train.batch_size"],
        ),
        ('NAMES = ["--to-mmdet"]', ["--to-mmdet"]),
        ('"""See `cornernet train --help`."""\ndef f():\n    """Or --resume."""', []),
        ("x = 1  # as --resume", []),
        ('word.startswith("--")', []),
        ('"a--b", "5 --- 6"', []),
        ('REBUILD = "pip install --no-deps ."', []),
    ],
)
def test_a_flag_in_a_string_is_found(source: str, flags: list[str]) -> None:
    assert flags_in_strings(source) == flags


def test_every_layer_of_the_package_has_a_rule() -> None:
    parts = {path.stem if path.is_file() else path.name for path in (ROOT / "cornernet").iterdir()}
    ignored = {"__init__", "__pycache__", "recipes", "pretrained", "py"}
    assert parts - ignored - set(ALLOWED) == set()


def test_only_the_runtime_decides_by_the_kind_of_device() -> None:
    # Help texts and docstrings may give sdaa as an example; nothing may be decided by it.
    forbidden = re.compile(r"\bcuda\b|\bnccl\b|\btccl\b|device\.type\s*[=!]=|is_cuda")
    found = {
        module: forbidden.findall(path.read_text())
        for module, path in modules("cornernet")
        if not module.startswith("cornernet.runtime.")
    }
    assert not any(found.values()), found


# Modules that show text of their own, none of it from data.
SHOWS_ITS_OWN = ("cornernet.runtime.probe", "cornernet.vendors.tecorigin.templates")


def test_text_reaches_a_terminal_by_way_of_the_modules_that_escape_it() -> None:
    allowed = ("cornernet.runtime.text", "cornernet.runtime.terminal", *SHOWS_ITS_OWN)
    found = {
        module: calls
        for module, path in modules("cornernet")
        if not module.startswith(allowed)
        if (calls := re.findall(r"(?<![\w.])(?:print|Console)\(", path.read_text()))
    }
    assert not found, "use say of runtime.text, or console of runtime.terminal"


def test_importing_the_package_does_not_load_torch() -> None:
    import subprocess
    import sys

    code = "import sys, cornernet; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
