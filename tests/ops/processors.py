"""The kernels with the instructions that every processor of the architecture has."""

from __future__ import annotations

import os
import subprocess
import sys


def assert_matches_on_any_processor(*ops: str) -> None:
    """`testing.assert_matches_reference` in a process whose kernels may not use newer instructions.

    Raises:
        CalledProcessError: some case differs; the process has said which.
    """
    code = (
        "from cornernet_ops import testing\n"
        f"for op in {ops!r}: testing.assert_matches_reference(op)"
    )
    # The variable keeps torch and this package to those instructions.
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
