"""The lock of a run directory: one process at a time writes to it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from cornernet.errors import UserError
from cornernet.runtime.processes import is_alive, start_time


class RunLock:
    """A file that names the process which writes to a run directory, and that is locked by it.

    The system drops a process's lock when the process ends, however it ends, so a lock that a dead
    process of this host has left is taken over. Of another host's process nothing is known: its
    file is refused. Loader processes do not inherit the lock.

    Args:
        path: the file; its directory exists.

    Raises:
        UserError: another process holds the lock, or the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = self._acquired()
        except OSError as error:
            raise UserError(
                f"must be a directory in which a file can be made, got {error}; choose another, or "
                "check its permissions",
                field="output",
            ) from None
        process = os.getpid()
        owner = {
            "host": socket.gethostname(),
            "pid": process,
            "started": time.strftime("%Y-%m-%d %H:%M:%S"),
            "start_time": start_time(process),
        }
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(owner).encode(), 0)

    def release(self) -> None:
        """Remove the file and with it the lock."""
        # In this order: once unlocked, the file may be another process's.
        self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _acquired(self) -> int:
        """The open, locked file."""
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                supported = self._lock(file)
                if self._is_current(file):
                    self._check_owner(file, supported)
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # its owner removed it meanwhile

    def _lock(self, file: int) -> bool:
        """Lock the file; returns whether the file system can.

        Raises:
            UserError: another process has locked it.
        """
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise self._refusal(_owner(file), "wait until it ends, or stop it") from None
            return False
        return True

    def _is_current(self, file: int) -> bool:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(file))

    def _check_owner(self, file: int, supported: bool) -> None:
        owner = _owner(file)
        if not owner:
            return
        if owner.get("host") != socket.gethostname():
            raise self._refusal(
                owner,
                f"if it no longer runs there, which cannot be seen from here, delete {self.path}",
            )
        process = owner.get("pid")
        if supported or not isinstance(process, int) or not is_alive(process):
            return
        if start_time(process) == owner.get("start_time"):
            raise self._refusal(owner, "wait until it ends, or stop it")

    def _refusal(self, owner: dict[str, Any], advice: str) -> UserError:
        who = "another process"
        if owner:
            who = (
                f"process {owner.get('pid')} on {owner.get('host')}, started "
                f"{owner.get('started')},"
            )
        return UserError(
            f"must be a directory that no other process writes to, but {who} holds {self.path}; "
            f"{advice}",
            field="output",
        )


def _owner(file: int) -> dict[str, Any]:
    """What a lock's file says; empty where its owner had no time to write it."""
    try:
        owner = json.loads(os.pread(file, 4096, 0))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}
