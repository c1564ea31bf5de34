"""The architecture's laws about imports and devices; see docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Which parts of `cornernet` each part may import. What stands in no row is a part of its own name;
# a module of the last column is in the row's folder.
LEAVES = {"errors", "files", "config", "device", "structures"}
ALLOWED = {
    "errors": set(),
    "files": set(),
    "config": {"errors", "files"},
    "device": {"errors"},
    "structures": set(),
    "data": LEAVES,
    "model": LEAVES,
    "targets": LEAVES,
    "losses": LEAVES,
    "decode": LEAVES,
    "plots": LEAVES | {"data"},
    "predict": LEAVES | {"data", "model", "decode"},
    "evaluate": LEAVES | {"data", "model", "decode", "predict"},
    "train": LEAVES | {"data", "model", "targets", "losses", "evaluate", "predict", "plots"},
    "modelzoo": LEAVES | {"train"},
    "api": LEAVES | {"data", "model", "predict"},
    "cli": LEAVES
    | {"api", "data", "model", "predict", "evaluate", "train", "plots", "modelzoo", ""},
    "__main__": {"cli"},
    "": {"api", "errors"},
}
# Parts that may import the ops.
OPS_USERS = {"model", "decode", "targets", "predict", "cli"}
# Libraries that only these modules may import, so that the rest does without.
CONFINED = {
    "cv2": {"cornernet.data.images", "cornernet.data.augment", "cornernet.data.loader",
            "cornernet.data.synthetic"},
    "matplotlib": {"cornernet.plots"},
    "PIL": {"cornernet.plots"},
    "pycocotools": {"cornernet.evaluate"},
    "rich": {"cornernet.train.log", "cornernet.cli"},
    "yaml": {"cornernet.config"},
    "jsonargparse": {"cornernet.config"},
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


def part_of(module: str) -> str:
    """The part of `cornernet` that a dotted name belongs to; "" is the package itself."""
    pieces = module.split(".")
    known = len(pieces) > 1 and pieces[1] in ALLOWED
    return pieces[1] if known else ""


def violations(module: str, source: str) -> list[str]:
    found = []
    for name in imports_of(module, source):
        top = name.split(".")[0]
        if top in ("benchmarks", "tests"):
            found.append(f"{module} imports {name}")
        if module.startswith("cornernet_ops") and top == "cornernet":
            found.append(f"{module} imports {name}")
        if module.startswith("cornernet.") or module == "cornernet":
            own = part_of(module)
            if top == "cornernet" and part_of(name) not in ALLOWED[own] | {own}:
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
        ("cornernet.data.coco", "from cornernet.model.detector import CornerDetector"),
        ("cornernet.model.heads", "import cornernet.data.coco"),
        ("cornernet.losses", "from cornernet.train.loop import train"),
        ("cornernet.config", "def f():\n    import cornernet.api"),
        ("cornernet.model.heads", "import cv2"),
        ("cornernet.data.coco", "import cornernet_ops"),
        ("cornernet_ops.registration", "from cornernet import config"),
        ("cornernet_ops.registration", "import benchmarks"),
        ("cornernet.structures", "from cornernet import api"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str) -> None:
    assert violations(module, line)


def test_every_part_of_the_package_has_a_rule() -> None:
    parts = {path.stem if path.is_file() else path.name for path in (ROOT / "cornernet").iterdir()}
    ignored = {"__init__", "__pycache__", "recipes", "py"}
    assert parts - ignored - set(ALLOWED) == set()


def test_only_device_py_decides_by_the_kind_of_device() -> None:
    # Help texts and docstrings may give sdaa as an example; nothing may be decided by it.
    forbidden = re.compile(r"\bcuda\b|\bnccl\b|\btccl\b|device\.type\s*[=!]=|is_cuda")
    found = {
        module: forbidden.findall(path.read_text())
        for module, path in modules("cornernet")
        if module != "cornernet.device"
    }
    assert not any(found.values()), found


def test_importing_the_package_does_not_load_torch() -> None:
    import subprocess
    import sys

    code = "import sys, cornernet; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
