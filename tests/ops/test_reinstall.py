"""Installing again compiles nothing again, by `make` and by pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import cpp_extension

ROOT = Path(__file__).resolve().parents[2]

# Notes what it compiles, and makes empty files of it.
COMPILER = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    -o) out=$2 ;;
    -c) source=$2 ;;
    -MF) dependencies=$2 ;;
  esac
  shift
done
if [ -n "$source" ]; then
  echo "$source" >> "$COMPILED"
  echo "$out: $source" > "$dependencies"
fi
: > "$out"
"""


class Tree:
    """A copy of the tree, to be installed from with a compiler that only notes what it is given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "tree"
        self.runs = 0
        for name in ("csrc", "cornernet_ops"):
            ignored = shutil.ignore_patterns("*.so", "_build.json", "__pycache__")
            shutil.copytree(ROOT / name, self.path / name, ignore=ignored)
        for name in ("setup.py", "build_backend.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy2(ROOT / name, self.path)
        compiler = directory / "c++"
        compiler.write_text(COMPILER)
        compiler.chmod(0o755)

    def install(self, **environment: str) -> set[str]:
        """`pip install -e .` as pip runs it; returns what was compiled.

        Each time the temporary directory is another, and so is that of the build requirements.
        """
        self.runs += 1
        place = self.directory / f"run{self.runs}"
        headers = place / "pybind11" / "include"
        headers.mkdir(parents=True)
        (place / "pybind11" / "__init__.py").write_text(
            f"__version__ = '9.9'\ndef get_include(): return {str(headers)!r}\n"
        )
        compiled = place / "compiled"
        compiled.touch()
        code = f"import build_backend; build_backend.build_editable({str(place)!r})"
        settings = {
            "PYTHONPATH": os.pathsep.join([str(place), str(self.path)]),
            "TMPDIR": str(place),
            "CXX": str(self.directory / "c++"),
            "COMPILED": str(compiled),
            "CORNERNET_OPS_BUILD": "cpu",
            "TORCH_DONT_CHECK_COMPILER_ABI": "1",
        }
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.path,
            env={**os.environ, **settings, **environment},
            check=True,
        )
        lines = compiled.read_text().splitlines()
        assert len(lines) == len(set(lines))
        return {str(Path(line).relative_to(self.path)) for line in lines}


@pytest.mark.slow
@pytest.mark.skipif(not cpp_extension.is_ninja_available(), reason="needs ninja, as in pip's build")
def test_pip_compiles_again_only_what_has_changed(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    sources = [tree.path / "csrc/module.cpp", *tree.path.glob("csrc/cpu/*.cpp")]
    every = {str(source.relative_to(tree.path)) for source in sources}
    assert tree.install() == every
    assert tree.install() == set()
    (tree.path / "csrc/cpu/soft_nms.cpp").write_text("// changed\n")
    assert tree.install() == {"csrc/cpu/soft_nms.cpp"}
    assert tree.install(CFLAGS="-DCHANGED") == every


def dry_run(venv: Path, *changed: str) -> str:
    """What `make` would do for the tests, were these files newer than the installed package."""
    pretended = [word for name in changed for word in ("-W", name)]
    command = ["make", "-n", f"VENV={venv}", *pretended, f"{venv}/.dev"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    "changed",
    ["csrc/cpu/soft_nms.cpp", "csrc/common/checks.h", "setup.py", "pyproject.toml",
     "constraints.txt", "build_backend.py", "cornernet_ops/devices.py"],
)  # fmt: skip
def test_make_installs_again_when_what_the_ops_are_made_of_changes(
    tmp_path: Path, changed: str
) -> None:
    (tmp_path / ".installed").touch()
    (tmp_path / ".dev").touch()
    assert "up to date" in dry_run(tmp_path)
    assert " -e . " in dry_run(tmp_path, changed)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_installs_only_the_extra_for_the_tests(tmp_path: Path) -> None:
    (tmp_path / ".installed").touch()
    steps = dry_run(tmp_path, "cornernet_ops/soft_nms.py", "README.md")
    assert "cornernet[dev]" in steps
    assert " -e " not in steps
