"""Loading the compiled kernels: when, when not, and what is said about it."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from inspect import Parameter
from pathlib import Path

import pytest
import torch

import cornernet_ops
from cornernet_ops import extension
from cornernet_ops.__main__ import report
from cornernet_ops.sources import digest

OPS = {
    "corner_pool", "corner_pool_backward", "corner_pool_pair", "corner_pool_pair_backward",
    "corner_pool_add", "center_pool", "center_pool_backward",
    "corner_peaks", "corner_decode", "corner_targets", "center_targets",
    "soft_nms", "crop_resize",
}  # fmt: skip
RECORD = {
    "wanted": "auto",
    "built": ["cpu"],
    "reason": "compiled with c++",
    "torch": "2.13.0+cpu",
    "python": "3.11.7",
}


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_backends_names_every_op_and_the_cpu() -> None:
    table = cornernet_ops.backends()
    assert set(table) == OPS
    assert all(row["cpu"] in ("compiled", "reference") for row in table.values())


def test_backends_agrees_with_what_was_loaded() -> None:
    expected = "reference" if extension.module is None else "compiled"
    assert {row["cpu"] for row in cornernet_ops.backends().values()} == {expected}


def test_every_op_has_a_reference_under_its_name() -> None:
    assert set(cornernet_ops.reference.__all__) == OPS


@pytest.mark.parametrize("op", sorted(OPS))
def test_public_function_and_reference_have_the_signature_of_the_schema(op: str) -> None:
    schema = getattr(torch.ops.cornernet, op).default._schema
    wanted = [
        (
            one.name,
            Parameter.KEYWORD_ONLY if one.kwarg_only else Parameter.POSITIONAL_OR_KEYWORD,
            one.default_value if one.has_default_value() else Parameter.empty,
        )
        for one in schema.arguments
    ]
    for function in (getattr(cornernet_ops, op), getattr(cornernet_ops.reference, op)):
        found = inspect.signature(function).parameters.values()
        assert [(one.name, one.kind, one.default) for one in found] == wanted


def test_a_build_for_the_running_torch_is_loaded() -> None:
    assert extension.refusal(RECORD, "2.13.0+cpu", {}) is None


@pytest.mark.parametrize("value", ["", "0"])
def test_force_reference_can_be_said_no_to(value: str) -> None:
    environment = {extension.FORCE_REFERENCE: value}
    assert extension.refusal(RECORD, "2.13.0+cpu", environment) is None


def test_another_torch_is_refused_in_one_sentence() -> None:
    refused = extension.refusal(RECORD, "2.7.1+cpu", {})
    assert refused is not None and not refused.asked_for
    for word in ("torch 2.13.0+cpu", "2.7.1+cpu", extension.REBUILD):
        assert word in refused.reason


def test_changed_sources_are_refused_in_one_sentence() -> None:
    record = {**RECORD, "sources": "abc"}
    assert extension.refusal(record, "2.13.0+cpu", {}, "abc") is None
    assert extension.refusal(record, "2.13.0+cpu", {}, None) is None  # an installed package
    assert extension.refusal(RECORD, "2.13.0+cpu", {}, "abc") is None  # an older build
    refused = extension.refusal(record, "2.13.0+cpu", {}, "abd")
    assert refused is not None and not refused.asked_for
    assert "sources have changed" in refused.reason and extension.REBUILD in refused.reason


@pytest.mark.parametrize("change", ["content", "name", "one more"])
def test_the_digest_of_sources_changes_with_each_of_them(tmp_path: Path, change: str) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "a.cpp").write_text("int a;")
    before = digest(tmp_path)
    assert before == digest(tmp_path) and before is not None
    if change == "content":
        (tmp_path / "cpu" / "a.cpp").write_text("int b;")
    elif change == "name":
        (tmp_path / "cpu" / "a.cpp").rename(tmp_path / "cpu" / "b.cpp")
    else:
        (tmp_path / "cpu" / "b.cpp").write_text("")
    assert digest(tmp_path) != before
    assert digest(tmp_path / "nowhere") is None


def test_a_missing_compiler_is_no_secret() -> None:
    reason = "no C++ compiler (c++) was found when this was installed: install one"
    refused = extension.refusal({**RECORD, "built": [], "reason": reason}, "2.13.0+cpu", {})
    assert refused == (reason, False)


def test_a_build_of_nothing_that_was_asked_for_gives_no_warning() -> None:
    refused = extension.refusal({**RECORD, "wanted": "none", "built": []}, "2.13.0+cpu", {})
    assert refused is not None and refused.asked_for


def test_a_package_that_was_never_built_says_so(tmp_path: Path) -> None:
    record = extension.read_record(tmp_path / "_build.json")
    refused = extension.refusal(record, "2.13.0+cpu", {})
    assert refused is not None and not refused.asked_for
    assert "nothing was built" in refused.reason and extension.REBUILD in refused.reason


def test_force_reference_ignores_the_compiled_kernels() -> None:
    code = (
        "import json, warnings; warnings.simplefilter('error'); "
        "import cornernet_ops; print(json.dumps(cornernet_ops.backends()))"
    )
    result = python(code, CORNERNET_OPS_FORCE_REFERENCE="1")
    assert {row["cpu"] for row in json.loads(result.stdout).values()} == {"reference"}


@pytest.mark.skipif(extension.module is None, reason="needs the compiled kernels")
def test_another_torch_at_import_warns_and_runs_on_references() -> None:
    code = (
        "import torch; torch.__version__ = '9.9.9'; import cornernet_ops; "
        "print({row['cpu'] for row in cornernet_ops.backends().values()})"
    )
    result = python(code)
    assert result.stdout.strip() == "{'reference'}"
    for word in (f"torch {torch.__version__}", "9.9.9", extension.REBUILD):
        assert word in result.stderr


def test_report_has_versions_and_a_line_for_each_op() -> None:
    lines = report().splitlines()
    assert lines[0].split() == ["torch", torch.__version__]
    assert {line.split()[0] for line in lines[-len(OPS) :]} == OPS


@pytest.mark.skipif(extension.module is None, reason="needs the compiled kernels")
def test_report_tells_what_the_module_was_built_with() -> None:
    info = extension.module.build_info()
    assert info["torch"] == torch.__version__
    assert f"compiler: {info['compiler']}" in report()


def test_importing_starts_no_device() -> None:
    result = python("import cornernet_ops, torch; print(torch.cuda.is_initialized())")
    assert result.stdout.strip() == "False"
