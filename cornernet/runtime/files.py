"""Writing files so that a reader, or a crash, finds either the old file or the whole new one."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cornernet.runtime.processes import is_alive

_ABANDONED_SECONDS = 3600
_MANY_FILES = 2**16


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name to write under; on success it takes the place of `path`.

    It lies in the same directory, because a rename is atomic only within one file system, and
    carries the host's name and the process id, because several processes may write the same file.
    """
    temporary = temporary_name(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write plain data as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=indent))


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a directory to fill; on success it becomes `path`, which is new or empty."""
    unfinished = temporary_name(path.absolute())
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if path.exists():
            path.rmdir()
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_stale(directory: Path) -> list[str]:
    """Remove the temporary files that writers have left by dying; return their names.

    Those of this host are known by their process; those of other hosts are removed when nothing
    has been written to them for an hour. For a process that has not begun to write in the
    directory: what carries its own id is of a dead process that had the same one.
    """
    pattern = re.compile(r"\..+\.([\w-]+)\.(\d+)\.tmp")
    removed = []
    for path in directory.iterdir():
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        process = int(match[2])
        if match[1] == host_name():
            stale = process == os.getpid() or not is_alive(process)
        else:
            stale = time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
        if stale:
            path.unlink(missing_ok=True)
            removed.append(path.name)
    return sorted(removed)


def temporary_name(path: Path, suffix: str = "") -> Path:
    """The name under which this process writes what is to become `path`.

    Args:
        path: what is written.
        suffix: for writers that go by it.
    """
    return path.with_name(f".{path.name}.{host_name()}.{os.getpid()}.tmp{suffix}")


def host_name() -> str:
    """This host's name, of characters that may stand in a file's name."""
    return re.sub(r"\W+", "-", socket.gethostname())


def free_descriptors() -> int | None:
    """How many more files this process may open; None where the system does not tell.

    The limit is raised as far as the system lets a user raise it.
    """
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        used = len(os.listdir("/proc/self/fd"))
    except (ImportError, OSError, ValueError):
        return None
    return _MANY_FILES if soft == resource.RLIM_INFINITY else max(0, soft - used)
