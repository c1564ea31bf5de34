"""Tables and progress bars for people; see `cornernet.runtime.text` for plain lines.

Strings in them are never read as markup, since they may be names from a dataset.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cornernet.runtime.text import printable, say, shown


class _PlainConsole(Console):
    """A console that shows every string as it is, wherever it stands in a table."""

    def render_str(self, text: str, **kwargs: Any) -> Text:
        return super().render_str(printable(text), **kwargs)


def console(*, error: bool = False, quiet: bool = False) -> Console:
    """The console for tables and progress bars; strings in them are not read as markup.

    Args:
        error: of standard error instead of standard output.
        quiet: show nothing.
    """
    return _PlainConsole(stderr=error, quiet=quiet, highlight=False, markup=False, emoji=False)


class _SpeedColumn(ProgressColumn):
    """Images in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s")


class ImageProgress:
    """Counts images that are done; see `image_progress`."""

    def __init__(self, progress: Progress, task: Task) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, images: int = 1) -> None:
        """Count images that have just been done."""
        self._progress.advance(self._task.id, images)

    def expect(self, images: int | None) -> None:
        """Count images that have just become known as still to be done; None: an unknown number."""
        total = self._task.total
        self._task.total = None if images is None or total is None else total + images

    def say(self, text: str, *, error: bool = False) -> None:
        """Print lines, as `text.say` does, above the bar where they would run into it."""
        stream = sys.stderr if error else sys.stdout
        if not self._progress.disable and stream.isatty():
            self._progress.console.print(text, soft_wrap=True)
        else:
            say(text, error=error)


@contextmanager
def image_progress(title: str, total: int | None, console: Console) -> Iterator[ImageProgress]:
    """Show how many images are done and how fast; on a terminal only.

    Args:
        title: what is shown before the bar.
        total: number of images; None where it is not known.
        console: where to show it.

    Yields:
        What to call with the number of images that have just been done.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        _SpeedColumn(),
    )
    # Lines printed meanwhile would pass through rich, which reads escape sequences in them.
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        progress.add_task(shown(title), total=total)
        yield ImageProgress(progress, progress.tasks[0])
