"""The report's page: every number in its place, text from data as text, and a browser shows it."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cornernet.config import Config
from cornernet.inference.evaluate import coco_evaluation, coco_results
from cornernet.inference.matching import match_split
from cornernet.inference.review import review
from cornernet.inference.thresholds import best_thresholds
from cornernet.report.page import Report, Status, WorstImage, render
from tests.inference.random_split import random_split

FINISHED = Status("finished", "All 3 epochs are trained.", True)
HOSTILE = ["<b>bold</b>", "$a_1$ & b", "[red]x[/red]", "_hidden", "\x1b[2J\u202eend"]


class Page(HTMLParser):
    """The text of every element with an id, of every cell, and of the title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: dict[str, str] = {}
        self.cells: list[str] = []
        self.tags: list[str] = []
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        identity = dict(attributes).get("id")
        if tag == "td":
            self.cells.append("")
        if tag in ("b", "span", "td"):
            self._open.append((tag, identity))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open:
            return
        tag, identity = self._open[-1]
        if tag == "td":
            self.cells[-1] += data
        if identity:
            self.ids[identity] = self.ids.get(identity, "") + data


def records(val: bool = True) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for epoch in (1, 2, 3):
        losses = {f"loss/{name}": 3.0 / epoch for name in ("total", "focal")}
        made.append({"kind": "train", "step": 4 * epoch, "epoch": epoch, **losses,
                     "gradient_norm": None if epoch == 2 else 20.0, "learning_rate": 1e-3,
                     "images_per_second": 7.25,
                     "data_wait_share": 0.25, "peak_memory_gib": 1.5})  # fmt: skip
        if val:
            metrics = dict.fromkeys(("AP", "AP50", "AP75"), 0.1 * epoch)
            made.append({"kind": "val", "step": 4 * epoch, "epoch": epoch, **metrics,
                         "seconds": 2.0})  # fmt: skip
    return made


def reviewed(root: Path, classes: int, names: list[str] | None = None) -> dict[str, Any]:
    dataset, found = random_split(root, 2, classes=classes, images=20)
    if names is not None:
        dataset.classes[: len(names)] = names
    evaluation = coco_evaluation(dataset, coco_results(found, dataset.category_ids))
    matches = match_split(dataset, found)
    thresholds = best_thresholds(matches, dataset.classes)
    return {"epoch": 3, "step": 12} | review(dataset, found, evaluation, matches, thresholds)


def report(found: dict[str, Any] | None, **values: Any) -> Report:
    return Report("my <i>run</i>", "recipe tiny", FINISHED, Config(), records(), found, **values)


@pytest.mark.parametrize("classes", [1, 3, 80])
def test_numbers_stand_in_the_page(tmp_path: Path, classes: int) -> None:
    found = reviewed(tmp_path, classes)
    page = Page(render(report(found)))
    assert page.ids["status"] == "finished"
    for name in ("AP", "AP50", "AP75"):
        assert page.ids[name] == f"{found['metrics'][name]:.3f}"
    assert page.ids["best-threshold"] == f"{found['threshold']:.3g}"
    assert page.ids["F1"] == f"{found['at_threshold']['f1']:.3f}"
    for row in found["classes"]:
        place = page.cells.index(row["name"])
        assert page.cells[place + 1] == str(row["objects"])
        expected = row["metrics"]["AP"]
        assert page.cells[place + 2] == ("n/a" if expected < 0 else f"{expected:.3f}")
    assert classes == 1 or "n/a" in page.cells  # of the class without an object
    assert page.tags.count("svg") == 10
    assert "7.2" in page.cells and "25%" in page.cells and "1.50 GiB" in page.cells


def test_text_from_data_is_text(tmp_path: Path) -> None:
    found = reviewed(tmp_path, 6, HOSTILE)
    found["split"] = "<script>alert(1)</script>.json"
    worst = [WorstImage("<img src=x>.png", 1, 2, reason="<u>no</u>")]
    text = render(report(found, worst=worst, notes=["<s>note</s>"]))
    page = Page(text)
    assert not {"script", "i", "s", "u", "img"} & set(page.tags)
    for name in HOSTILE[:4]:
        assert name in page.cells
    assert "\\x1b[2J\\u202eend" in page.cells and "\x1b" not in text and "\u202e" not in text
    assert text.count("$a_1$ &amp; b") > 3  # in figures, too: no formula is made of it
    assert text.count("\u200a_hidden") >= 2  # in legends


def test_a_page_of_nothing_but_a_log(tmp_path: Path) -> None:
    status = Status("interrupted", "It stopped.", False)
    text = render(Report("run", "", status, None, records(val=False), None, notes=["Not yet."]))
    page = Page(text)
    assert page.ids["status"] == "interrupted" and "Not yet." in text
    assert page.tags.count("svg") == 5 and "AP" not in page.ids
    empty = render(Report("run", "", status, None, [], None))
    assert "svg" not in Page(empty).tags


def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if (found := shutil.which(name)) is not None:
            return found
    pytest.skip("no Chromium is installed, such as by apt-get install chromium")


def test_a_browser_shows_the_numbers_and_needs_nothing_else(tmp_path: Path) -> None:
    program = browser()
    found = reviewed(tmp_path / "data", 3, ["<b>bold</b>"])
    file = tmp_path / "report.html"
    file.write_text(render(report(found)), encoding="utf-8")
    done = subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND",
         file.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = Page(done.stdout)
    assert page.ids["AP"] == f"{found['metrics']['AP']:.3f}"
    assert page.ids["calibration-error"] == f"{found['calibration']['error']:.3f}"
    assert "<b>bold</b>" in page.cells and page.tags.count("svg") == 10
    assert "http" not in done.stdout.replace("http://www.w3.org/", "")
