"""Captures on an HTTP server below a folder or a glob, as the index pages of the server list them.

The pages of nginx, Apache, Caddy and of ``python -m http.server`` are lists of links. Only links
that lead below their own page are followed, to a limited depth and number; the pages themselves are
limited in size, and so a hostile server cannot lead anywhere else or keep anybody busy for ever.
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit, urlunsplit

from netwatch.capture.http_requests import ask, body_of
from netwatch.capture.locations import FoundUrl, shown_url
from netwatch.capture.name_patterns import fixed_part, is_hidden, matcher
from netwatch.capture.remote_file import Attempts, RemoteError, TransientError
from netwatch.core.errors import CaptureError

MAX_PAGE = 1 << 24
"""Bytes of an index page that are read."""

MAX_PAGES = 10_000
"""Index pages that are read for one URL."""

MAX_FILES = 1_000_000
"""Files that one URL leads to."""


def find_captures(url: str) -> Iterator[FoundUrl]:
    """The files that a URL leads to (see `netwatch.capture.locations.find_urls`). A ``?`` begins
    the query of a URL and is no part of a glob."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    shown = shown_url(url)
    if "*" in path or "[" in path:
        folder = fixed_part(path)[0] + "/"
        matches = matcher(path)
        start, reason = urlunsplit(parts._replace(path=quote(folder))), "no file matches"
    elif path.endswith("/"):
        start, reason = url, "no files in this folder"
        folder, matches = path, lambda name: None if is_hidden(name, folder) else False
    else:
        yield FoundUrl(url, None)
        return
    is_any = False
    try:
        for found in _below(start):
            is_named = matches(unquote(urlsplit(found).path))
            if is_named is not None:
                is_any = True
                yield FoundUrl(found, None, is_named)
    except RemoteError as error:
        raise CaptureError(f"{shown}: {error}") from None
    if not is_any:
        raise CaptureError(f"{shown}: {reason} in the index pages of the server")


def _below(start: str) -> Iterator[str]:
    """The URLs of all files below a folder, in the order of a folder on a disk. Raises
    `RemoteError`."""
    seen, waiting = {start}, [start]
    files: list[str] = []
    while waiting:
        page = waiting.pop()
        for link in _links(page):
            if link in seen:
                continue
            seen.add(link)
            (waiting if link.endswith("/") else files).append(link)
            if len(files) > MAX_FILES:
                raise RemoteError(f"the server lists more than {MAX_FILES:,} files")
            if len(seen) - len(files) > MAX_PAGES:
                raise RemoteError(f"the server lists more than {MAX_PAGES:,} folders")
    yield from sorted(files, key=lambda file: unquote(urlsplit(file).path).split("/"))


def _links(page: str) -> Iterator[str]:
    """The links of an index page that lead below it, without query and fragment."""
    parser = _LinkParser()
    parser.feed(_page(page))
    base = urlsplit(page)
    for target in parser.targets:
        try:
            link = urldefrag(urljoin(page, target))[0]
            parts = urlsplit(link)
        except ValueError:
            continue
        is_below = parts[:2] == base[:2] and parts.path.startswith(base.path) and not parts.query
        if is_below and parts.path != base.path and "/../" not in unquote(parts.path):
            yield link


def _page(url: str) -> str:
    """The text of an index page. Raises `RemoteError`."""
    attempts, failed = Attempts(), 0
    while True:
        try:
            return _page_once(url)
        except TransientError as error:
            failed += 1
            attempts.pause(error, failed)


def _page_once(url: str) -> str:
    answer = ask(url, {})
    data = bytearray()
    for piece in body_of(answer):
        data += piece
        if len(data) > MAX_PAGE:
            answer.close()
            raise RemoteError(f"the index page has more than {MAX_PAGE:,} bytes")
    return data.decode("utf-8", "replace")


class _LinkParser(HTMLParser):
    """Collects the targets of links."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the target of a link."""
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]
