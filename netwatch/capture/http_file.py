"""Captures on an HTTP server, one file or all that its index pages list below a folder or a glob.

A server that supports ranges is read like an object store, several ranges ahead (RFC 9110 section
14). The content is identified by its ETag, otherwise its modification time; each range names it,
and answers with another one are refused. A server without ranges is read in order by a thread, a
little ahead of the reader; a broken transfer cannot be continued.

The index pages of nginx, Apache, Caddy and of ``python -m http.server`` are lists of links. Only
links that lead below their own page are followed, to a limited depth and number, and the pages are
limited in size, so a hostile server can neither lead elsewhere nor keep the client busy for ever.
"""

import errno
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from queue import SimpleQueue
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit, urlunsplit

from netwatch.capture.http_requests import Answer, ask, body_of
from netwatch.capture.locations import (
    FileInfo,
    FoundUrl,
    OpenFile,
    fixed_part,
    is_hidden,
    matcher,
    shown_url,
)
from netwatch.capture.remote_file import (
    FIRST_RANGE,
    Attempts,
    Range,
    RemoteError,
    RemoteFile,
    TransientError,
)
from netwatch.core.errors import CaptureError

PIECES = 64
"""Pieces of a body to read ahead from a server without ranges."""

MAX_UNSIZED = 1 << 40
"""Bytes of an answer to read if the server does not give its size."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_EMPTY = re.compile(r"bytes \*/0+")

MAX_PAGE = 1 << 24
"""Bytes of an index page to read."""

MAX_PAGES = 10_000
"""Index pages to read for one URL."""

MAX_FILES = 1_000_000
"""Files for one URL, at most."""


def open_url(url: str, info: FileInfo | None) -> OpenFile:
    """Open the capture at a URL. If `info` has an etag, only that content is read: another one is
    an error and never a mix of two. Raises `CaptureError`."""
    content = info.etag if info is not None else ""
    attempts, failed = Attempts(), 0
    while True:
        try:
            try:
                return _open(url, content)
            except TransientError as error:
                failed += 1
                attempts.pause(error, failed)
        except RemoteError as error:
            raise CaptureError(f"{shown_url(url)}: {error}") from None


def info_of_url(url: str) -> FileInfo:
    """The identity of the current content at a URL. Raises `CaptureError`."""
    attempts, failed = Attempts(), 0
    while True:
        try:
            try:
                answer = ask(url, {"Range": "bytes=0-0"})
            except TransientError as error:
                failed += 1
                attempts.pause(error, failed)
                continue
        except RemoteError as error:
            raise CaptureError(f"{shown_url(url)}: {error}") from None
        answer.close()
        return FileInfo(shown_url(url), _content(answer), _whole_size(answer))


def _open(url: str, content: str) -> OpenFile:
    """Request the start of a file once, which is then open."""
    answer = ask(url, {"Range": f"bytes=0-{FIRST_RANGE - 1}"})
    now = _content(answer)
    if content and now != content:
        answer.close()
        raise RemoteError("it has changed since it was listed")
    size = _whole_size(answer)
    if answer.status == 416:
        answer.close()
        if size != 0:
            raise RemoteError("the server refuses to send the beginning")
        return RemoteFile(_Ranges(url, now).fetch, 0)
    if answer.status == 200:
        return StreamedFile(answer, size)
    _check_range(answer, Range(0, FIRST_RANGE))
    if size is None:
        answer.close()
        whole = ask(url, {})
        return StreamedFile(whole, _whole_size(whole))
    return RemoteFile(_Ranges(url, now).fetch, size, _taken(answer, min(size, FIRST_RANGE)))


class _Ranges:
    """Fetches ranges of the file at a URL, with the content identified by `content`."""

    def __init__(self, url: str, content: str) -> None:
        self._url = url
        self._content = content
        self._headers = {}
        if content.startswith('"'):  # a weak one matches nothing (RFC 9110 section 13.1.1)
            self._headers["If-Match"] = content
        elif content and not content.startswith("W/"):
            self._headers["If-Unmodified-Since"] = content

    def fetch(self, wanted: Range) -> bytes:
        """See `netwatch.capture.remote_file.Fetch`."""
        asked = {"Range": f"bytes={wanted.start}-{wanted.end - 1}"}
        answer = ask(self._url, self._headers | asked)
        try:
            if answer.status != 206:
                raise RemoteError("the server does not send ranges of it any more")
            if _content(answer) != self._content:
                raise RemoteError("it has changed while it was read")
            _check_range(answer, wanted)
        except BaseException:
            answer.close()
            raise
        data = _taken(answer, wanted.end - wanted.start)
        if not data:
            raise TransientError("the server ends each answer too soon")
        return data


class StreamedFile:
    """The body of an answer, read once and in order; a `netwatch.capture.locations.OpenFile`."""

    def __init__(self, answer: Answer, size: int | None) -> None:
        self.size = size
        self._answer = answer
        self._piece = memoryview(b"")
        self._allowed: SimpleQueue[bool] = SimpleQueue()
        self._read: SimpleQueue[bytes | BaseException] = SimpleQueue()
        self._has_ended = False
        for _ in range(PIECES):
            self._allowed.put(True)
        threading.Thread(
            target=_read_ahead,
            args=(answer, self._allowed, self._read),
            name="netwatch-fetch",
            daemon=True,
        ).start()

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes into `buffer`; 0 only at the end. Raises OSError with a sentence as
        its `strerror`."""
        if not self._piece:
            if self._has_ended:
                return 0
            piece = self._read.get()
            self._allowed.put(True)
            if isinstance(piece, BaseException):
                self._has_ended = True
                raise OSError(errno.EIO, f"{piece}, and the server sends no ranges") from None
            self._has_ended = not piece
            self._piece = memoryview(piece)
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def close(self) -> None:
        """Stop reading ahead. The thread ends with the next bytes from the server."""
        self._has_ended = True
        self._allowed.put(False)


def _read_ahead(
    answer: Answer,
    allowed: "SimpleQueue[bool]",
    read: "SimpleQueue[bytes | BaseException]",
) -> None:
    """The work of the thread of a `StreamedFile`, an empty piece at the end."""
    body, total = body_of(answer), 0
    try:
        for piece in body:
            total += len(piece)
            if total > MAX_UNSIZED:
                raise RemoteError("the answer does not end")
            read.put(piece)
            if not allowed.get():
                return
        read.put(b"")
    except BaseException as error:
        read.put(error)
    finally:
        body.close()  # type: ignore[attr-defined]


def _taken(answer: Answer, size: int) -> bytes:
    """The first `size` bytes of a body, fewer if it ends before."""
    pieces: list[bytes] = []
    try:
        for piece in body_of(answer):
            pieces.append(piece[:size])
            size -= len(pieces[-1])
            if not size:
                break
    except TransientError:
        if not pieces:
            raise
    return b"".join(pieces)


def _check_range(answer: Answer, wanted: Range) -> None:
    """Raise `RemoteError` if an answer does not have the requested range."""
    header = answer.headers.get("Content-Range", "")
    found = _CONTENT_RANGE.fullmatch(header)
    start = int(found[1]) if found else wanted.start
    if start != wanted.start or (found is None and not header.startswith("bytes 0-")):
        answer.close()
        raise RemoteError("the server answered with other bytes than were asked for")


def _whole_size(answer: Answer) -> int | None:
    """The size of the whole file, if the server gives it."""
    header = answer.headers.get("Content-Range", "")
    if answer.status == 206:
        found = _CONTENT_RANGE.fullmatch(header)
        return int(found[3]) if found else None
    if answer.status == 416:
        return 0 if _EMPTY.fullmatch(header) else None
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None


def _content(answer: Answer) -> str:
    """The identity of a response's content; empty if the server does not tell."""
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


def find_urls(url: str) -> Iterator[FoundUrl]:
    """The captures at a URL: itself, those below a folder (a path that ends in a slash), or those
    that match a glob. Hidden names are left out, as on a disk. A ``?`` begins the query of a URL
    and is not part of a glob. Raises `CaptureError` if there is none or the server fails."""
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
