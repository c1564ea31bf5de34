"""Videos, cameras and streams: every frame once, newest frames only, and no wait without end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cornernet.data import video as module
from cornernet.data.video import (
    Frame,
    LiveVideo,
    Video,
    is_live,
    is_video,
    open_video,
    writing_video,
)
from cornernet.errors import UserError
from tests.errors import raises


def grey(value: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def write(path: Path, values: list[int], fps: float = 10.0, **size: int) -> Path:
    with writing_video(path, fps) as writer:
        for value in values:
            writer.write(grey(value, **size))
    return path


def means(path: Path, every: int = 1) -> list[int]:
    with Video(path, every) as video:
        return [round(float(frame.image.mean()) / 10) * 10 for frame in video]


VALUES = [20, 60, 100, 140, 180, 220]


def test_what_is_written_is_read_frame_by_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", VALUES)
    assert means(path) == VALUES
    with Video(path) as video:
        assert (video.name, video.fps, video.total) == (str(path), 10, 6)
        frames = list(video)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(6) / 10, atol=1e-6)
    assert os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize(("every", "wanted"), [(2, [20, 100, 180]), (4, [20, 180]), (9, [20])])
def test_some_frames_are_left_out(tmp_path: Path, every: int, wanted: list[int]) -> None:
    path = write(tmp_path / "a.mp4", VALUES)
    assert means(path, every) == wanted
    with Video(path, every) as video:
        assert (video.fps, video.total) == (10 / every, len(wanted))
        assert [frame.index for frame in video] == list(range(0, 6, every))


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    red = grey(0)
    red[..., 0] = 255
    with writing_video(tmp_path / "a.mp4", 5) as writer:
        writer.write(red)
    (frame,) = Video(tmp_path / "a.mp4")
    assert frame.image[..., 0].mean() > 240 and frame.image[..., 1:].mean() < 15
    assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8


def test_odd_and_changing_sizes_are_written(tmp_path: Path) -> None:
    with writing_video(tmp_path / "a.mp4", 5) as writer:
        writer.write(grey(20, 47, 63))
        writer.write(grey(100, 90, 30))
    assert means(tmp_path / "a.mp4") == [20, 100]
    assert next(iter(Video(tmp_path / "a.mp4"))).image.shape == (48, 64, 3)


def test_frames_that_come_at_their_own_times_keep_them(tmp_path: Path) -> None:
    with writing_video(tmp_path / "a.mp4", 10) as writer:
        for value, until in ((20, 0.1), (60, 0.4), (100, 0.41), (140, 0.5)):
            writer.write(grey(value), until)
    assert means(tmp_path / "a.mp4") == [20, 60, 60, 60, 140]


def test_an_interruption_keeps_the_frames_so_far(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), writing_video(tmp_path / "a.mp4", 5) as writer:
        writer.write(grey(60))
        raise KeyboardInterrupt
    assert means(tmp_path / "a.mp4") == [60] and os.listdir(tmp_path) == ["a.mp4"]


def test_a_failure_keeps_the_video_that_was_there(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [20, 60])
    with pytest.raises(RuntimeError), writing_video(tmp_path / "a.mp4", 5) as writer:
        writer.write(grey(100))
        raise RuntimeError
    assert means(tmp_path / "a.mp4") == [20, 60] and os.listdir(tmp_path) == ["a.mp4"]


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [])
    assert not os.listdir(tmp_path)


def test_a_video_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with raises("missing", "cannot write a video"):
        write(tmp_path / "missing" / "a.mp4", [20])


def test_a_video_that_is_not_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:  # OpenCV on a full disk writes nothing and says nothing
        isOpened = staticmethod(lambda: True)
        write = release = staticmethod(lambda *_: None)
        fourcc = staticmethod(lambda *_: 0)

        def __init__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoWriter", Full)
    with raises("make room"):
        write(tmp_path / "a.mp4", [20])
    assert not os.listdir(tmp_path)


def test_files_that_are_no_videos_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video" * 99)
    with raises("a.mp4", "cannot be opened"):
        Video(tmp_path / "a.mp4")
    with raises("b.mp4", "no such file"):
        Video(tmp_path / "b.mp4")
    with raises("not valid UTF-8"):
        (tmp_path / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"")
        Video(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    assert capfd.readouterr().err == ""  # neither OpenCV nor FFmpeg speaks


def test_every_must_be_at_least_one(tmp_path: Path) -> None:
    with raises("at least 1", field="every"):
        Video(write(tmp_path / "a.mp4", [20]), 0)


class FakeCapture:
    """A camera that gives frames, then does as it is told."""

    def __init__(self, frames: int, then: Callable[[], bool] = lambda: False, fps: float = 20):
        self.left = frames
        self.then = then
        self.fps = fps
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.fps > 0

    def get(self, name: int) -> float:
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: 100.0}.get(name, 0.0)

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return (True, grey(9)) if self.left >= 0 else (self.then(), grey(9))

    def retrieve(self) -> tuple[bool, Any]:
        return True, grey(9)

    def release(self) -> None:
        self.released = True


def fake(monkeypatch: pytest.MonkeyPatch, capture: FakeCapture) -> FakeCapture:
    monkeypatch.setattr(module, "_open_capture", lambda source: capture)
    return capture


def test_a_video_that_ends_early_is_named_after_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, FakeCapture(60))
    (tmp_path / "a.mp4").touch()
    seen: list[Frame] = []
    with raises("60 of the 100 frames"):
        seen.extend(Video(tmp_path / "a.mp4"))
        pytest.fail("ended")
    fake(monkeypatch, FakeCapture(96))
    assert len(list(Video(tmp_path / "a.mp4"))) == 96


def test_live_frames_that_nobody_took_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly() -> bool:
        time.sleep(0.01)
        return True

    capture = fake(monkeypatch, FakeCapture(0, slowly))
    with LiveVideo("0") as video:
        assert (video.name, video.fps, video.total, video.live) == ("camera 0", 20, None, True)
        frames = iter(video)
        first = next(frames)
        time.sleep(0.1)
        second, third = next(frames), next(frames)
    assert second.index > first.index + 2 and third.index >= second.index + 1
    assert third.time > second.time > first.time
    assert capture.released


def test_a_stream_that_ends_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, FakeCapture(3))
    frames = [frame.index for frame in LiveVideo("rtsp://host/a")]
    assert frames and frames[-1] == 2


def test_a_silent_camera_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.05)

    def silent() -> bool:
        time.sleep(0.5)
        return False

    fake(monkeypatch, FakeCapture(1, silent))
    frames = iter(LiveVideo("0"))
    next(frames)
    with raises("camera 0", "no frame came"):
        next(frames)


@pytest.mark.parametrize("slow", [False, True])
def test_a_camera_that_does_not_open_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    monkeypatch.setattr(module, "OPEN_SECONDS", 0.05)

    def never(source: object) -> FakeCapture:
        time.sleep(0.2 * slow)
        return FakeCapture(0, fps=0)

    monkeypatch.setattr(module, "_open_capture", never)
    with raises("rtsp://host/a", "is silent" if slow else "cannot be opened") as caught:
        LiveVideo("rtsp://me:secret@host/a")
    assert "secret" not in str(caught.value)


def test_a_real_stream_that_does_not_answer_is_refused_quietly(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        open_video("rtsp://me:secret@127.0.0.1:9/a")
    assert capfd.readouterr().err == ""


def test_kinds_of_sources() -> None:
    assert is_video("a/b.MP4") and is_video("https://host/a.webm?b") and not is_video("a.jpg")
    assert is_live("0") and is_live("RTSP://host") and is_live("http://host/a.mjpg?b")
    assert not is_live("a.mp4") and not is_live("https://host/a.mp4") and not is_live("²")
