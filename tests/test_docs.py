"""What the documents name exists: settings, tests, commands, files."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

from cornernet.cli import parse
from cornernet.config import SECTIONS, Config, recipes, with_overrides

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    document: str = request.param.read_text(encoding="utf-8")
    return document


def test_settings_exist(text: str) -> None:
    sections = "|".join(SECTIONS)
    named = set(re.findall(rf"(?:--|`)({sections})\.([a-z]\w*)", text))
    for section, key in named:
        known = {item.name for item in dataclasses.fields(SECTIONS[section])}
        # MMDetection's configuration has a section of the same name.
        theirs = section == "model" and key in ("backbone", "bbox_head", "data_preprocessor")
        assert key in known or key in ("py", "yaml") or theirs, f"{section}.{key}"


def test_tests_that_prove_a_difference_exist() -> None:
    text = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    names = re.findall(r"`(test_\w+)`", text)
    assert len(names) > 20
    for name in names:
        assert any(f"def {name}(" in source for source in sources), name


def test_files_exist(text: str) -> None:
    for name in re.findall(r"`((?:tests|docs|csrc|cornernet|cornernet_ops)/[\w/.]+\w)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "docs")), name


def test_commands_are_understood(text: str) -> None:
    lines = re.findall(r"^(?:torchrun .* -m )?cornernet (\w.*)$", text.replace("\\\n", " "), re.M)
    lines += re.findall(r"`cornernet ([a-z]+ [^`…]+)`", text)
    for line in lines:
        words = shlex.split(line.partition(" > ")[0], comments=True)  # not the shell's part
        if words[-1] in ("--help", "-h") or words[0].isupper() or "RECIPE" in words:
            continue
        arguments, settings = parse(words)
        with_overrides(Config(), settings)
        if arguments.command == "train":
            is_written = f"--recipe {arguments.recipe}" in text
            assert arguments.recipe in recipes() or is_written, line


def test_torchrun_starts_as_many_processes_as_are_written(text: str) -> None:
    # Behind the program's name its options are the program's: one process would run.
    for line in re.findall(r"\btorchrun (-[^`\n]*)", text.replace("\\\n", " ")):
        words = line.partition("#")[0].split()
        if "CONFIG" in words:
            continue
        launch = get_args_parser().parse_args(words)
        assert launch.module and launch.training_script == "cornernet", line
        assert int(launch.nproc_per_node) > 1, line
        assert not any(word.startswith("--nproc") for word in launch.training_script_args), line


def blocks(text: str, language: str) -> list[str]:
    """The examples of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_shell_examples_can_be_parsed(text: str) -> None:
    for block in blocks(text, "bash"):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert not done.stderr, (block, done.stderr)


def test_yaml_examples_can_be_parsed(text: str) -> None:
    for block in blocks(text, "yaml"):
        assert all(yaml.safe_load_all(block)), block


def test_jobs_start_a_training_that_can_be_continued() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    documents = [one for block in blocks(text, "yaml") for one in yaml.safe_load_all(block)]
    pods = [one["spec"]["template"]["spec"] for one in documents if one["kind"] == "Job"]
    assert len(pods) == 2
    for pod in pods:
        (container,) = pod["containers"]
        assert container["command"][0] == "torchrun"
        launch = get_args_parser().parse_args(container["command"][1:] + container["args"])
        assert launch.module and launch.training_script == "cornernet"
        arguments, settings = parse(launch.training_script_args)
        assert arguments.command == "train" and arguments.resume == "auto" and not settings
        assert arguments.recipe in recipes()
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert {volume["name"] for volume in pod["volumes"]} == set(mounts)
        for path in (arguments.data, arguments.output):
            assert any(path.startswith(f"{mount}/") for mount in mounts.values())
