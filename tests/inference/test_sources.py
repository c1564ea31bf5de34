"""Image files named by directories, names and patterns."""

from __future__ import annotations

from pathlib import Path

from cornernet.inference.sources import expand_sources
from tests.errors import raises


def test_a_directory_gives_its_images_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in expand_sources([str(tmp_path)])] == ["a.JPG", "b.png"]


def test_a_directory_that_is_called_like_an_image_is_none(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"")
    assert [path.name for path in expand_sources([str(tmp_path)])] == ["a.jpg"]


def test_a_directory_without_images_is_an_error(tmp_path: Path) -> None:
    with raises("found none"):
        list(expand_sources([str(tmp_path)]))


def test_other_suffixes_of_jpeg_are_images_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jfif", "c.JPE", "._a.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in expand_sources([str(tmp_path)])] == ["a.jpg", "b.jfif", "c.JPE"]
