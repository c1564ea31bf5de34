"""The lock of a run directory: one process at a time writes to it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from cornernet.errors import UserError
from cornernet.runtime.processes import is_alive, start_time

BEAT_SECONDS = 10.0
SILENCE_SECONDS = 60.0


class RunLock:
    """A file that names the process which writes to a run directory, and that is locked by it.

    The system drops a process's lock when the process ends, however it ends, so a lock that a dead
    process of this host has left is taken over. Other hosts may not see it: for them the owner
    writes a number into the file, a higher one every `BEAT_SECONDS`. A lock of another host whose
    number stays the same for `SILENCE_SECONDS` is taken over. Loader processes do not inherit the
    lock.

    Args:
        path: the file; its directory exists.

    Raises:
        UserError: another process holds the lock, or the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lost = False
        try:
            self._file = self._acquired()
        except OSError as error:
            raise UserError(
                f"must be a directory in which a file can be made, got {error}; choose another, or "
                "check its permissions",
                field="output",
            ) from None
        process = os.getpid()
        self._owner: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": process,
            "started": time.strftime("%Y-%m-%d %H:%M:%S"),
            "start_time": start_time(process),
            "beat": 0,
        }
        self._write()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise an error if another process has taken the lock over.

        Raises:
            UserError: it has, after this one was stopped or cut off from the file for long.
        """
        if self._lost:
            raise UserError(
                f"must be a directory that no other process writes to, but {self.path} has been "
                "taken over by another process, since this one gave no sign of life for "
                f"{SILENCE_SECONDS:g} seconds; that one goes on with the run",
                field="output",
            )

    def release(self) -> None:
        """Remove the file and with it the lock."""
        self._ended.set()
        self._thread.join()
        # In this order: once unlocked, the file may be another process's.
        if not self._lost:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _write(self) -> None:
        content = json.dumps(self._owner).encode()
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))
        os.fsync(self._file)

    def _beat(self) -> None:
        """Show that this process lives, until it releases the lock or another one has taken it."""
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # a network file system may be away for a while
                if not self._is_current(self._file) or _owner(self._file) != self._owner:
                    self._lost = True
                    return
                self._owner = self._owner | {"beat": self._owner["beat"] + 1}
                self._write()

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
            if "beat" not in owner:  # an older version's
                raise self._refusal(
                    owner,
                    "if it no longer runs there, which cannot be seen from here, delete "
                    f"{self.path}",
                )
            self._await_silence(file, owner)
            return
        process = owner.get("pid")
        if supported or not isinstance(process, int) or not is_alive(process):
            return
        if start_time(process) == owner.get("start_time"):
            raise self._refusal(owner, "wait until it ends, or stop it")

    def _await_silence(self, file: int, owner: dict[str, Any]) -> None:
        """Wait long enough to know that another host's process no longer lives.

        Raises:
            UserError: it does.
        """
        warnings.warn(
            f"{self.path} is held by process {owner.get('pid')} on {owner.get('host')}; waiting "
            f"{SILENCE_SECONDS:g} seconds to see whether it lives",
            stacklevel=2,
        )
        deadline = time.monotonic() + SILENCE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(min(1.0, SILENCE_SECONDS / 10))
            # Opened again, since network file systems look for changes when a file is opened.
            now = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                changed = _owner(now) != owner
            finally:
                os.close(now)
            if changed:
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


def is_held(path: Path) -> bool:
    """Whether a process, as far as can be seen from here, writes to the directory of a lock.

    Not for the process that holds it: to close the file, as is done here, would drop its lock.

    Args:
        path: the lock's file.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        owner, written = _owner(file), os.fstat(file).st_mtime
    finally:
        os.close(file)
    process = owner.get("pid")
    if owner.get("host") != socket.gethostname():
        return time.time() - written < SILENCE_SECONDS
    return (
        isinstance(process, int)
        and is_alive(process)
        and start_time(process) == owner.get("start_time")
    )


def _owner(file: int) -> dict[str, Any]:
    """What a lock's file says; empty where its owner had no time to write it."""
    try:
        owner = json.loads(os.pread(file, 4096, 0))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}
