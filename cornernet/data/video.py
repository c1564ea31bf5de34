"""Reading and writing videos; the only module that uses OpenCV for them."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from cornernet.data.download import is_url, public_name
from cornernet.data.images import quiet_opencv
from cornernet.errors import UserError
from cornernet.runtime.files import temporary_name

VIDEO_SUFFIXES: tuple[str, ...] = (
    ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv",
)  # fmt: skip
"""Suffixes, in lower case, of the files that are taken for videos."""

OPEN_SECONDS = 15.0
"""How long a camera or stream may take to open."""
READ_SECONDS = 10.0
"""How long a camera or stream may be silent."""

_STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp")
_STREAM_SUFFIXES = (".m3u8", ".mjpeg", ".mjpg")  # of http and https URLs
_FALLBACK_FPS = 25.0
_SPEEDS = (1.0, 240.0)  # frames per second that are believed; others are what no file states
# A header's number of frames may be an estimate.
_MISSING_SHARE = 0.05
_MISSING_FRAMES = 5

# FFmpeg's own messages name no file and may repeat a stream's password. It reads this when the
# first video is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: `[H, W, 3]` RGB uint8.
        index: its number, from 0; frames that were left out count.
        time: when it is shown, in seconds from the start.
    """

    image: np.ndarray
    index: int
    time: float


def is_video(source: str) -> bool:
    """Whether a file's name or a URL is one of a video, which is read frame by frame."""
    if not is_url(source):
        return Path(source).suffix.lower() in VIDEO_SUFFIXES
    parts = urlsplit(source)
    return parts.scheme.lower() in ("http", "https") and parts.path.lower().endswith(VIDEO_SUFFIXES)


def is_live(source: str) -> bool:
    """Whether a source gives frames at its own pace: a camera's number, or a stream's URL."""
    if source.isdecimal() and source.isascii():
        return not os.path.exists(source)
    if not is_url(source):
        return False
    parts = urlsplit(source)
    scheme = parts.scheme.lower()
    return scheme in _STREAM_SCHEMES or (
        scheme in ("http", "https") and parts.path.lower().endswith(_STREAM_SUFFIXES)
    )


class Video:
    """A video file, or one at an http or https URL, all of whose frames are read in order.

    Args:
        source: name or URL.
        every: read every so many frames only, the first among them.

    Attributes:
        name: to show; of a URL without a password.
        fps: frames per second of the frames that are read.
        total: how many frames are read, by the file's header; None where it does not say.

    Raises:
        UserError: the video cannot be opened.
    """

    live = False

    def __init__(self, source: str | os.PathLike[str], every: int = 1) -> None:
        source = os.fspath(source)
        self.name = public_name(source)
        self._every = _at_least_one(every)
        if not is_url(source) and not os.path.isfile(source):
            raise UserError(f"{self.name}: expected a video, found no such file; check the path")
        self._capture = _open_capture(source)
        if not self._capture.isOpened():
            raise UserError(
                f"{self.name}: expected a video, found one that cannot be opened; it is damaged "
                "or of a kind that this OpenCV does not read: convert it to mp4"
            )
        self.fps = _fps(self._capture) / every
        frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        known = math.isfinite(frames) and frames > 0
        self._frames = int(frames) if known else None
        self.total = None if self._frames is None else -(-self._frames // every)

    def __iter__(self) -> Iterator[Frame]:
        """The frames that are left.

        Raises:
            UserError: at the end, if the file's header announces many more frames.
        """
        index, fps = 0, self.fps * self._every
        while True:
            with quiet_opencv:
                if not self._capture.grab():
                    break
                wanted = index % self._every == 0
                image = self._capture.retrieve()[1] if wanted else None
                moment = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if image is not None:
                plausible = math.isfinite(moment) and (moment > 0 or index == 0)
                yield Frame(_rgb(image), index, moment if plausible else index / fps)
            index += 1
        if self._frames is not None:
            missing = self._frames - index
            if missing > max(_MISSING_FRAMES, _MISSING_SHARE * self._frames):
                raise UserError(
                    f"{self.name}: read {index} of the {self._frames} frames that the video "
                    "announces; it is truncated or damaged: copy or download it again"
                )

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()


class LiveVideo:
    """A camera or stream, of which the newest frame is read whenever there is time for one.

    Frames that come meanwhile are left out, so what is found is never about the past. Another
    thread reads, so that no wait is without a limit.

    Args:
        source: number of a camera, or a URL.
        every: read every so many frames at most.

    Attributes:
        name: to show; of a URL without a password.
        fps: as the camera says.
        total: None: nobody knows.

    Raises:
        UserError: it does not open.
    """

    live = True
    fps: float

    def __init__(self, source: str | int, every: int = 1) -> None:
        source = str(source)
        self.name = public_name(source) if is_url(source) else f"camera {source}"
        self.total = None
        self._every = _at_least_one(every)
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._fps: float | None = None
        self._ended = False
        self._stop = False
        self._thread = threading.Thread(
            target=self._read, args=(source,), daemon=True, name="video"
        )
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._fps is not None or self._ended, OPEN_SECONDS)
            fps, ended = self._fps, self._ended
        if fps is None:
            self.close()
            why = "cannot be opened" if ended else f"is silent for {OPEN_SECONDS:g} s"
            raise UserError(
                f"{self.name}: expected a camera or stream, found one that {why}; check that it "
                "is there and that no other program uses it"
            )
        self.fps = fps / every

    def _read(self, source: str) -> None:
        """Keep the newest frame; in a thread of its own."""
        capture = _open_capture(int(source) if source.isdecimal() else source)
        start, index = time.monotonic(), 0
        if capture.isOpened():
            with self._changed:
                self._fps = _fps(capture)
                self._changed.notify_all()
        while not self._stop and capture.isOpened():
            with quiet_opencv:
                found, image = capture.read()
            if not found:
                break
            if index % self._every == 0:
                frame = Frame(_rgb(image), index, time.monotonic() - start)
                with self._changed:
                    self._newest = frame
                    self._changed.notify_all()
            index += 1
        capture.release()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Frame]:
        """Newest frames, to the end of the stream.

        Raises:
            UserError: it is silent for too long.
        """
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._newest is not None or self._ended, READ_SECONDS
                )
                frame, self._newest = self._newest, None
            if frame is not None:
                yield frame
            elif self._ended:
                return
            else:
                raise UserError(
                    f"{self.name}: no frame came for {READ_SECONDS:g} s; check the camera or the "
                    "network"
                )

    def __enter__(self) -> LiveVideo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the camera; must be called, as by a `with`, before the program ends."""
        self._stop = True
        # A thread that comes back from OpenCV while Python ends would abort the process. OpenCV
        # has limits of its own, which began before this one.
        self._thread.join(READ_SECONDS)


def open_video(source: str | os.PathLike[str] | int, every: int = 1) -> Video | LiveVideo:
    """A video file or URL, a camera by its number, or a stream by its URL."""
    if isinstance(source, int) or is_live(os.fspath(source)):
        return LiveVideo(str(source), every)
    return Video(source, every)


def _at_least_one(every: int) -> int:
    if every < 1:
        raise UserError(f"must be at least 1, got {every}", field="every")
    return every


def _open_capture(source: str | int) -> Any:
    """OpenCV's reader; closed where it cannot read the source."""
    with quiet_opencv:
        if isinstance(source, int):
            return cv2.VideoCapture(source)
        if not is_url(source):
            return cv2.VideoCapture(_opencv_name(source))
        limits = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: OPEN_SECONDS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: READ_SECONDS,
        }
        options = [number for key, s in limits.items() for number in (key, int(1000 * s))]
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, options)


def _fps(capture: Any) -> float:
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if _SPEEDS[0] <= fps <= _SPEEDS[1] else _FALLBACK_FPS


def _rgb(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class VideoWriter:
    """Frames written as an mp4 file; see `writing_video`.

    Attributes:
        written: number of frames.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.written = 0
        self._path = path
        self._fps = fps
        self._writer: Any = None
        self._size = (0, 0)

    def write(self, image: np.ndarray, until: float | None = None) -> None:
        """Append an image; the first one sets the video's size.

        Args:
            image: `[H, W, 3]` RGB uint8.
            until: where frames come at times of their own, the end of this one in seconds from
                the start: it is repeated or left out, so that the video keeps the time.
        """
        if self._writer is None:
            self._open(image)
        height, width = image.shape[:2]
        right, below = self._size[0] - width, self._size[1] - height
        if {right, below} <= {0, 1}:  # the format wants even sides
            image = np.pad(image, ((0, below), (0, right), (0, 0)), "edge")
        else:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        times = 1 if until is None else round(until * self._fps) - self.written
        with quiet_opencv:
            for _ in range(times):
                self._writer.write(bgr)
                self.written += 1

    def _open(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        self._size = (width + width % 2, height + height % 2)
        with quiet_opencv:
            self._writer = cv2.VideoWriter(
                _opencv_name(str(self._path)),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter.fourcc(*"mp4v"),
                self._fps,
                self._size,
            )
        if not self._writer.isOpened():
            raise UserError(
                f"{self._path.parent}: this OpenCV cannot write a video of {width}×{height} here; "
                "check that the directory is writable"
            )

    def release(self) -> None:
        """Close the file."""
        if self._writer is not None:
            with quiet_opencv:
                self._writer.release()

    def finish(self) -> None:
        """Write what is left.

        Raises:
            UserError: the file does not hold all frames: OpenCV does not tell of a full disk.
        """
        if not self.written:
            return
        self.release()
        with quiet_opencv:
            found = cv2.VideoCapture(str(self._path)).get(cv2.CAP_PROP_FRAME_COUNT)
        if found != self.written:
            raise UserError(f"{self._path.parent}: the video could not be written whole; make room")


@contextmanager
def writing_video(path: Path, fps: float) -> Iterator[VideoWriter]:
    """Write an mp4 file, which takes its place when it is whole.

    After an interruption it holds the frames so far; without any frame there is no file.

    Args:
        path: its name, which ends in .mp4.
        fps: frames per second.

    Raises:
        UserError: this OpenCV writes no video there.
    """
    temporary = temporary_name(path, suffix=".mp4")
    writer = VideoWriter(temporary, fps)
    interruption: KeyboardInterrupt | None = None
    try:
        try:
            yield writer
        except KeyboardInterrupt as error:
            interruption = error
        writer.finish()
        if writer.written:
            os.replace(temporary, path)
    finally:
        writer.release()
        temporary.unlink(missing_ok=True)
    if interruption is not None:
        raise interruption


def _opencv_name(name: str) -> str:
    """A file's name if OpenCV takes it; a name that is no text would end the process."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{name!a}: OpenCV takes no video whose name is not valid UTF-8; rename it"
        ) from None
    return name
