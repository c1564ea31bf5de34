"""Images, videos and cameras named by directories, names, patterns, URLs and numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cornernet.inference.sources import expand_sources
from tests.errors import raises


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def places(*names: object, results: Path | None = None) -> list[str]:
    found = expand_sources([str(name) for name in names], results).found
    return [source.place.as_posix() for source in found]


def test_a_directory_gives_its_images_and_videos_and_names_the_rest(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.JPG", "c.MP4", "notes.txt", "d.HEIC", "e.heic", "README")
    sources = expand_sources([str(tmp_path)])
    assert [source.place.name for source in sources.found] == ["a.JPG", "b.png", "c.MP4"]
    assert [source.kind for source in sources.found] == ["image", "image", "video"]
    (note,) = sources.notes
    assert str(tmp_path) in note and "2 .heic" in note and "1 .txt" in note
    assert "1 without suffix" in note


def test_subdirectories_are_searched_and_kept_apart(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.jpg", "two/deep/a.jpg", "a.jpg")
    assert places(tmp_path) == ["a.jpg", "one/a.jpg", "two/deep/a.jpg"]
    assert places(f"{tmp_path}/**/*.jpg") == places(tmp_path)
    assert places(f"{tmp_path}/*/a.jpg") == ["one/a.jpg"]
    assert places(f"{tmp_path}/one/*.jpg") == ["a.jpg"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "data")
    assert places(tmp_path / "data") == ["link/a.jpg"]


def test_what_an_earlier_run_has_written_is_no_source(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "drawn/a.jpg", "drawn/deep/b.jpg", "drawn2/c.jpg")
    wanted = ["a.jpg", "drawn2/c.jpg"]
    assert places(tmp_path, results=tmp_path / "drawn") == wanted
    assert places(f"{tmp_path}/**/*.jpg", results=tmp_path / "drawn") == wanted
    assert places(tmp_path / "drawn", results=tmp_path / "drawn") == ["a.jpg", "deep/b.jpg"]


def test_a_directory_that_is_called_like_an_image_is_none(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    touch(tmp_path, "a.jpg")
    assert places(tmp_path) == ["a.jpg"]


def test_a_directory_without_images_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden/a.jpg", "a.txt")
    with raises("found none", ".jpg", ".mp4"):
        places(tmp_path)


def test_other_suffixes_of_jpeg_are_images_and_hidden_files_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jfif", "c.JPE", "d.tif", "e.WEBP", "f.bmp", "._a.jpg")
    wanted = ["a.jpg", "b.jfif", "c.JPE", "d.tif", "e.WEBP", "f.bmp"]
    assert places(tmp_path) == wanted
    assert not expand_sources([str(tmp_path)]).notes


def test_a_file_that_is_named_twice_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.jpg")
    assert places(tmp_path / "one", tmp_path / "one" / "a.jpg", tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [
        ("https://host/dir/a%20b.jpg?c=d", "image", "a-b.jpg"),
        ("https://host", "image", "image"),
        ("https://host/%2e%2e", "image", "image"),
        ("https://host/v.MP4?c", "video", "v.MP4"),
        ("http://host:81/video.mjpg", "live", "host-81-video.mjpg"),
        ("https://host/live/a.m3u8", "live", "host-live-a.m3u8"),
        ("rtsp://me:secret@host:554/a/b?c=d", "live", "host-554-a-b-c-d"),
        ("0", "live", "camera-0"),
    ],
)
def test_urls_and_cameras(name: str, kind: str, place: str) -> None:
    (source,) = expand_sources([name]).found
    assert (source.kind, source.name, source.place) == (kind, name, Path(place))


def test_a_file_whose_name_is_a_number_is_no_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "0")
    monkeypatch.chdir(tmp_path)
    assert expand_sources(["0"]).found[0].kind == "image"


def test_nothing_of_a_name_is_an_error(tmp_path: Path) -> None:
    for name in ("missing.jpg", "*.jpg", "missing"):
        with raises("found nothing", name):
            places(tmp_path / name)
