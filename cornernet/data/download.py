"""Images from the web: https alone, within limits of size and time."""

from __future__ import annotations

import queue
import re
import threading
import time
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit

from cornernet.errors import UserError

MAX_BYTES = 64 * 2**20
"""Largest image that is downloaded."""
MAX_SECONDS = 30.0
"""Longest time that one download may take in all."""

_SCHEMES = ("https",)
_MAX_REDIRECTS = 5
_CHUNK = 2**16  # bytes
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether a text is a URL and not a file's name; C:\\ is the start of a path on Windows."""
    return _URL.match(text) is not None


def public_name(url: str) -> str:
    """A URL without the user's name and password, for people; a file's name as it is."""
    if not is_url(url):
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host))


def download(url: str, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS) -> bytes:
    """The content of an https URL, whatever it is.

    Redirections are followed a few times, to https alone; proxies are used as the environment
    says.

    Args:
        url: with the scheme https and no password.
        max_bytes: larger contents are refused.
        max_seconds: of the whole download, from the look-up of the host's name on.

    Raises:
        UserError: the URL is of another kind, cannot be fetched, or exceeds a limit.
    """
    name = public_name(url)
    _check(url)
    deadline = time.monotonic() + max_seconds
    outcome: queue.Queue[bytes | UserError] = queue.Queue()

    def work() -> None:
        try:
            outcome.put(_fetch(url, max_bytes, max_seconds, deadline))
        except UserError as error:
            outcome.put(error)
        except HTTPError as error:
            outcome.put(_failure(name, f"the server's answer {error.code} {error.reason}"))
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            outcome.put(_failure(name, f"the error '{reason}'"))

    # A timeout of a socket is of one packet: a host name's look-up has none, and a server may send
    # its answer in crumbs. So another thread waits for it, which may be left to itself.
    threading.Thread(target=work, daemon=True, name="download").start()
    try:
        result = outcome.get(timeout=max_seconds + 1)
    except queue.Empty:
        raise _too_slow(name, max_seconds) from None
    if isinstance(result, UserError):
        raise result
    return result


def _failure(name: str, found: str) -> UserError:
    return UserError(f"{name}: expected to download an image, got {found}; check the URL")


def _too_slow(name: str, max_seconds: float) -> UserError:
    return UserError(
        f"{name}: the download was not complete after {max_seconds:g} s; try again, or download "
        "the image by other means and name the file"
    )


def _check(url: str) -> None:
    """Refuse a URL of another scheme, or with a password, which would go to the server as is."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in _SCHEMES or not parts.hostname or "@" in parts.netloc:
        raise UserError(
            f"{public_name(url)}: images are downloaded from {' or '.join(_SCHEMES)} URLs without "
            "a user name; download it by other means and name the file"
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows few redirections, and none to another scheme, such as file."""

    max_redirections = _MAX_REDIRECTS

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows http and https and nothing else, such as files or FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _fetch(url: str, max_bytes: int, max_seconds: float, deadline: float) -> bytes:
    name = public_name(url)
    # What is percent-encoded already stays as it is.
    request = urllib.request.Request(
        quote(url, safe="%/:=&?~#+!$,;'@()*[]"), headers={"User-Agent": "cornernet"}
    )
    too_large = UserError(
        f"{name}: expected an image of at most {max_bytes / 2**20:g} MiB, found a larger file; "
        "download it by other means and name the file"
    )
    with _opener().open(request, timeout=max_seconds) as response:
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > max_bytes:
            raise too_large
        data = bytearray()
        while chunk := response.read1(_CHUNK):
            data += chunk
            if len(data) > max_bytes:
                raise too_large
            if time.monotonic() > deadline:
                raise _too_slow(name, max_seconds)
    if announced.isdecimal() and len(data) < int(announced):
        raise _failure(name, f"{len(data)} of {announced} bytes")
    return bytes(data)
