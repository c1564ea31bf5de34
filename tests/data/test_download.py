"""Downloads end: at the content, or at a limit of size, time, redirections or scheme."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cornernet.data import download as module
from cornernet.data.download import download, is_url, public_name
from tests.errors import raises

BODY = bytes(range(256)) * 40


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        action, _, target = self.path[1:].partition("/")
        if action == "to":
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()
        elif action == "missing":
            self.send_error(404)
        elif action == "slow":
            self._send({}, b"")
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        elif action == "silent":
            time.sleep(1.5)
        elif action == "cut":
            self._send({"Content-Length": str(len(BODY) + 5)}, BODY)
        elif action == "unannounced":
            self._send({}, BODY)
        else:
            self._send({"Content-Length": str(len(BODY))}, BODY)

    def _send(self, headers: dict[str, str], body: bytes) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has gone, as it should
            pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as one:
        one.daemon_threads = True
        one.block_on_close = False
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{one.server_port}"
        one.shutdown()


@pytest.fixture(autouse=True)
def plain_http(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the tests' own server, which has no certificate, answer."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    if "https_alone" not in request.node.name:
        monkeypatch.setattr(module, "_SCHEMES", ("http", "https"))


@pytest.mark.parametrize("path", ["a.jpg", "unannounced/", "to//a.jpg", "ä b.jpg?q=ü"])
def test_the_content_is_given(server: str, path: str) -> None:
    assert download(f"{server}/{path}") == BODY


@pytest.mark.parametrize("path", ["a.jpg", "unannounced/"])
def test_contents_beyond_the_limit_are_refused(server: str, path: str) -> None:
    assert download(f"{server}/{path}", max_bytes=len(BODY)) == BODY
    with raises("at most", "larger file"):
        download(f"{server}/{path}", max_bytes=len(BODY) - 1)


@pytest.mark.parametrize("path", ["slow/", "silent/"])
def test_a_slow_server_is_not_waited_for(server: str, path: str) -> None:
    start = time.monotonic()
    with raises(server):
        download(f"{server}/{path}", max_seconds=0.2)
    assert time.monotonic() - start < 1


def test_a_download_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fetch", lambda *_: time.sleep(5))
    with raises("not complete after 0.01 s"):
        download("https://host/a.jpg", max_seconds=0.01)


@pytest.mark.parametrize(
    "target", ["file:///etc/hostname", "ftp://host/a.jpg", "data:image/png;base64,AAAA"]
)
def test_redirections_to_other_schemes_are_refused(server: str, target: str) -> None:
    with raises(target):
        download(f"{server}/to/{target}")


def test_redirections_to_the_web_without_encryption_are_refused(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server cannot do https, so the two change places here.
    monkeypatch.setattr(module, "_SCHEMES", ("http",))
    with raises("https://127.0.0.1:9/a.jpg", "from http URLs"):
        download(f"{server}/to/https://127.0.0.1:9/a.jpg")


def test_redirections_have_an_end(server: str) -> None:
    with raises(server):
        download(f"{server}/{'to//' * 12}a.jpg")


def test_a_content_that_is_cut_short_is_refused(server: str) -> None:
    with raises(f"{len(BODY)} of {len(BODY) + 5} bytes"):
        download(f"{server}/cut/")


def test_an_answer_of_failure_is_named(server: str) -> None:
    with raises("404", "check the URL"):
        download(f"{server}/missing/")


def test_a_host_that_is_not_there_is_named() -> None:
    with raises("http://127.0.0.1:9/a.jpg", "check the URL"):
        download("http://127.0.0.1:9/a.jpg")


@pytest.mark.parametrize(
    "url", ["http://host/a.jpg", "file:///etc/hostname", "ftp://host/a", "https:///a", "data://a"]
)
def test_https_alone_is_fetched(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fetch", lambda *_: pytest.fail("was fetched"))
    with raises("https URLs"):
        download(url)


def test_a_password_is_refused_and_not_repeated() -> None:
    with raises("https://host/a.jpg") as caught:
        download("https://me:secret@host/a.jpg")
    assert "secret" not in str(caught.value)


def test_names_of_files_are_no_urls(tmp_path: Path) -> None:
    assert is_url("https://host/a") and is_url("rtsp://host") and is_url("FILE:///a")
    for name in (str(tmp_path), "a.jpg", "C:\\a.jpg", "c://a.jpg", "a:b", "x/https://a"):
        assert not is_url(name)
    assert public_name("https://me:secret@host:81/a?b#c") == "https://host:81/a?b#c"
