"""Text from data in a terminal: neither markup nor control characters."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from cornernet.runtime.terminal import console, image_progress
from cornernet.runtime.text import say, shown

HOSTILE = "a[/b] [red]x[/red] :phone: \x1b[31m\x9b2J\x07\r\x7f\u202etxt"
ESCAPED = r"a[/b] [red]x[/red] :phone: \x1b[31m\x9b2J\x07\r\x7f\u202etxt"


def test_a_name_is_shown_in_one_line_without_control_characters() -> None:
    assert shown(f"{HOSTILE}\n\tend\u2028") == ESCAPED + r"\n\tend\u2028"


@pytest.mark.parametrize("name", ["plain", "größe", "图 像", "émoji 🦝", "back\\slash", "a​b"])
def test_other_characters_stay_as_they_are(name: str) -> None:
    assert shown(name) == name


@pytest.mark.parametrize("error", [False, True])
def test_a_line_keeps_its_ends_and_tabs(error: bool, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"one\n\t{HOSTILE}", error=error)
    captured = capsys.readouterr()
    assert (captured.err if error else captured.out) == f"one\n\t{ESCAPED}\n"
    assert (captured.out if error else captured.err) == ""


def test_a_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table("name", HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE, "[bold]")
    terminal = console()
    terminal.width = 300
    terminal.print(table, HOSTILE)
    out = capsys.readouterr().out
    assert out.count(ESCAPED) == 4 and "[bold]" in out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A console that takes a buffer for a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    made = console()
    made.file, made.is_interactive, made.width = io.StringIO(), True, 200
    return made


def shown_in(terminal: Console) -> str:
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()


def test_progress_shows_the_title_as_it_is_and_the_speed(terminal: Console) -> None:
    with image_progress(HOSTILE, 4, terminal) as done:
        done(2)
        done(2)
    text = shown_in(terminal)
    assert ESCAPED in text and "4/4" in text and "images/s" in text
    assert "\x07" not in text and "\x9b" not in text


@pytest.mark.parametrize(("later", "shown"), [(3, "2/7"), (None, "2/?")])
def test_progress_expects_what_becomes_known(
    terminal: Console, later: int | None, shown: str
) -> None:
    with image_progress("images", 4, terminal) as done:
        done(2)
        done.expect(later)
    assert shown in shown_in(terminal)
