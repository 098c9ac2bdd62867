"""Tells which log format a file has, by its first bytes and never by its name.

Each format counts the lines that only it writes. If two counts are close, or none is certain,
nothing is guessed: the reason names the possible formats, and that ``--as`` decides. For a file
that looks like a log and is not read, a hint says what it is and what to do about it, in a sentence
without the path; there is none for files that only have JSON or XML in common with logs.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import orjson

from netwatch.capture.files import STDIN, CaptureFile, is_capture, look_at
from netwatch.capture.not_read import EVIDENCE_HEAD_BYTES, is_own_evidence
from netwatch.core.errors import CaptureError, RecordError
from netwatch.logs import log_stream
from netwatch.logs.carriers import Carriers
from netwatch.logs.dnstap import FrameError, file_frames, is_frame_streams
from netwatch.logs.fields import maybe_object
from netwatch.logs.ipfix import MessageError, file_messages, is_ipfix
from netwatch.logs.json_lists import ListError, file_elements, is_json_list
from netwatch.logs.log_stream import MAX_LINE, ON_DISK, is_without_mark, on_disk, open_text, text_of
from netwatch.logs.records import PLAIN, Carried, Sample
from netwatch.logs.registry import LOG_FORMATS, Container
from netwatch.logs.sqlite_rows import MAGIC as SQLITE
from netwatch.logs.sqlite_rows import DatabaseError, table_names
from netwatch.logs.times import LocalTimes
from netwatch.logs.windows_events import windows_event

MAX_OBJECTS = 20
"""JSON objects in several lines to look at."""

Name = Callable[[Sequence[dict[str, object]]], str]
"""The title of the format whose records some objects are, empty if there is none."""

_CEF = re.compile(rb"\b(?:CEF:\s?\d|LEEF:\d\.\d)\|([ -{}~]{1,64})\|([ -{}~]{1,64})\|")
_WINDOWS = b"schemas.microsoft.com/win/2004/08/events/event"
_STRATA = ("LogType", "log_type", "TimeGenerated", "time_generated")

SAMPLE_BYTES = 1 << 16
"""Bytes of a file to recognise its format by, after decompression."""

SAMPLE_RECORDS = 100
"""Records of a binary container to recognise it by."""

DOUBT = 2
"""The second format must fit so many times worse than the first."""


def hint_of(
    head: bytes, lines: Sequence[bytes], objects: Sequence[dict[str, object] | None], name: Name
) -> str:
    """What kind of file has this head, as the end of a sentence; empty if unknown. `objects` are
    its lines that are JSON."""
    found = [each for each in objects if each is not None]
    if not found and head.lstrip()[:1] in (b"{", b"["):
        return _spread(head, name)
    if any(map(_is_strata, found)):
        return (
            "is a log of Palo Alto Networks in JSON (Strata Logging Service), which is not read:"
            " forward it in the format CSV, or let the firewall send syslog"
        )
    if cef := next(filter(None, map(_CEF.search, lines)), None):
        vendor, product = (part.decode("ascii", "replace") for part in cef.groups())
        return (
            f"has records of {vendor} {product} in CEF or LEEF, which is not read: send them in the"
            " product's default format instead"
        )
    if any(_WINDOWS in line for line in lines) or any(map(_is_windows, found)):
        return events_hint("")
    return ""


def events_hint(provider: str) -> str:
    """The hint for Windows events without names."""
    whose = f" of {provider}" if provider else ""
    return (
        f"has events of Windows{whose}, but none with DNS queries: those are event 22 of Sysmon,"
        " and the analytical events of the DNS server"
    )


def _spread(head: bytes, name: Name) -> str:
    """The hint for JSON objects that are not one per line."""
    text = head.decode("utf-8", "replace").lstrip()
    is_list = text.startswith("[")
    decoder, found = json.JSONDecoder(), list[dict[str, object]]()
    text = text[1:] if is_list else text
    with suppress(ValueError, RecursionError):
        while len(found) < MAX_OBJECTS and (text := text.lstrip(" \t\r\n,")):
            value, end = decoder.raw_decode(text)
            if not isinstance(value, dict):
                break
            found.append(value)
            text = text[end:]
    title = name(found) if found else ""
    if not title:
        return ""
    what, program = ("a list of", ".[]") if is_list else ("pretty-printed", ".")
    return (
        f"looks like {what} records of {title}, and is read with one object a line:"
        f" jq -c '{program}' makes such lines"
    )


def _is_strata(found: Mapping[str, object]) -> bool:
    vendor = found.get("VendorName", found.get("vendor_name"))
    return vendor == "Palo Alto Networks" and any(key in found for key in _STRATA)


def _is_windows(found: Mapping[str, object]) -> bool:
    is_event = "winlog" in found or "Event" in found or "EventID" in found or "EventId" in found
    return is_event and bool(windows_event(found).provider)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is: a capture, or a log of a format, or neither; if in doubt, `doubt` is a
    sentence without the path. `needs_name` means that the only doubt is whether such files are to
    be read at all. `hint` is such a sentence, too, for a file that is not read
    (`netwatch.logs.recognise`)."""

    is_capture: bool = False
    format: str | None = None
    doubt: str = ""
    needs_name: bool = False
    hint: str = ""


NEITHER = Recognised()


def recognise(file: CaptureFile, named: str | None = None) -> Recognised:
    """What a file is; if it is a log, one of the format `named`, if given. Lines in a folder that
    netwatch wrote as evidence are not a log. Raises `CaptureError` if it cannot be read."""
    head = look_at(file, SAMPLE_BYTES)
    if is_capture(head[:8]):
        return Recognised(is_capture=True)
    if not file.named_by_user and is_own_evidence(head[:EVIDENCE_HEAD_BYTES]):
        return NEITHER
    head = _readable(head, file)
    if named is None:
        return recognise_head(head, file)
    is_text = _container(head) != "lines" or bool(text_of(_decoded(head)))
    return Recognised(format=named) if is_text or file.named_by_user else NEITHER


def recognise_head(head: bytes, file: CaptureFile | None = None) -> Recognised:
    """The same for a file with these first bytes, which is not a capture. The records of a binary
    container are read from `file`, if given."""
    container = _container(head)
    if container == "json-list" and file is None:
        container = "lines"  # Nobody appends to a list.
    if container == "lines":
        if encoding := is_without_mark(head):
            return Recognised(
                doubt=f"looks like text in {encoding} without a byte order mark:"
                f" iconv -f {encoding} -t UTF-8 makes it readable"
            )
        text = text_of(_decoded(head))
        if not text:
            return NEITHER
        if text.count(b"\r") > 1 and b"\n" not in text:
            return Recognised(
                hint="has lines that end with CR only: convert them with tr '\\r' '\\n'"
            )
        sample = line_sample(text)
    elif file is None or (file.path == STDIN and container not in _STREAMED):
        return Recognised(doubt="is read from standard input only with --as")
    else:
        sample = _records_sample(container, head, file)
        if container == "nfcapd" and not sample.objects:
            # A quiet interval: only this format has such files.
            return Recognised(format=container)
    return _decide(sample, container)


def recognise_tables(names: Iterable[str]) -> Recognised:
    """The type of a database with these tables."""
    return _decide(_sample(b"", [(name.encode(), PLAIN) for name in names]), "sqlite")


def line_sample(head: bytes) -> Sample:
    """The sample of a file of lines. A line that is cut at its end is left out, unless it is the
    only one."""
    complete, line_feed, rest = head.rpartition(b"\n")
    lines = filter(None, (complete if line_feed else rest).split(b"\n"))
    carriers = Carriers(LocalTimes())
    found: list[tuple[bytes, Carried]] = []
    for line in lines:
        try:
            taken = carriers.take_off(line.removesuffix(b"\r"))
        except RecordError:
            continue
        if taken is not None:
            found.append(taken)
    return _sample(head, found)


def _sample(head: bytes, found: list[tuple[bytes, Carried]]) -> Sample:
    return Sample(
        head,
        tuple(line for line, _ in found),
        tuple(carried for _, carried in found),
        tuple(maybe_object(line) if line.startswith(b"{") else None for line, _ in found),
    )


def _records_sample(container: Container, head: bytes, file: CaptureFile) -> Sample:
    """The sample of a binary container, as far as it can be read. Raises `CaptureError`."""
    found: list[bytes] = []
    divide = _STREAMED.get(container)
    if divide is not None:
        with suppress(FrameError, MessageError, ListError):  # The head ends within a record.
            found += islice(filter(None, divide(_Head(head))), SAMPLE_RECORDS)
    else:
        with on_disk(file) as path:
            found += islice(_records(container, path, file.path), SAMPLE_RECORDS)
    return _sample(head, [(record, PLAIN) for record in found])


def _records(container: Container, path: Path, shown: str) -> Iterator[bytes]:
    if container in ON_DISK:
        yield from filter(None, ON_DISK[container](path, shown))
        return
    try:
        yield from (name.encode() for name in table_names(path))
    except DatabaseError as error:
        raise CaptureError(f"{shown}: cannot be read as an SQLite database: {error}") from None


def _decide(sample: Sample, container: Container) -> Recognised:
    scores = {
        name: score
        for name, row in LOG_FORMATS.items()
        if row.container == container and (score := row.recognise(sample)) > 0
    }
    sure = {name: score for name, score in scores.items() if not LOG_FORMATS[name].only_if_named}
    if not sure:
        for name in scores:
            row = LOG_FORMATS[name]
            return Recognised(
                doubt=f"may be a log of {row.title}. {row.only_if_named} --as {name} reads it",
                needs_name=True,
            )
        return Recognised(hint=_hint(sample, container)) if container != "sqlite" else NEITHER
    first, *others = sorted(sure, key=lambda name: (-sure[name], name))
    if others and sure[others[0]] * DOUBT > sure[first]:
        second = others[0]
        return Recognised(
            doubt=f"may be a log of {LOG_FORMATS[first].title} or of {LOG_FORMATS[second].title}:"
            f" --as {first} or --as {second} decides"
        )
    return Recognised(format=first)


def _hint(sample: Sample, container: Container) -> str:
    if container == "evtx":
        providers = (windows_event(each).provider for each in sample.objects if each is not None)
        return events_hint(next(filter(None, providers), ""))
    if container == "json-list":
        return hint_of(sample.head, (), (), _title)
    if container != "lines":
        return ""
    return hint_of(sample.head, sample.lines, sample.objects, _title)


def _title(objects: Sequence[dict[str, object]]) -> str:
    """The title of the format whose records some objects are, empty if there is none."""
    lines = [(orjson.dumps(each), PLAIN) for each in objects]
    found = _decide(_sample(b"", lines), "lines")
    return LOG_FORMATS[found.format].title if found.format is not None else ""


def fits(file: CaptureFile, name: str) -> bool:
    """Whether the head of a file of lines looks like a format; also if it cannot be read again."""
    if LOG_FORMATS[name].container != "lines" or file.path == STDIN:
        return True
    try:
        head = _readable(look_at(file, SAMPLE_BYTES), file)
    except CaptureError:
        return True
    return LOG_FORMATS[name].recognise(line_sample(text_of(_decoded(head)))) > 0


def _container(head: bytes) -> Container:
    if head.startswith(SQLITE):
        return "sqlite"
    if head.startswith(log_stream.MAGIC):
        return "evtx"
    if head.startswith(log_stream.NFCAPD):
        return "nfcapd"
    if is_ipfix(head):
        return "ipfix"
    if is_json_list(head):
        return "json-list"
    return "frame-streams" if is_frame_streams(head) else "lines"


def _readable(head: bytes, file: CaptureFile) -> bytes:
    """The head of a file of lines; if it has only NUL bytes, or the start of a line that is too
    long to read, what follows them."""
    is_enough = len(head) < SAMPLE_BYTES or b"\n" in head or _container(head) != "lines"
    if file.path == STDIN or (is_enough and (not head or head.strip(b"\0"))):
        return head
    content = open_text(file)
    stream = content.stream
    try:
        further = stream.peek(SAMPLE_BYTES)
        if b"\n" in further or len(further) < SAMPLE_BYTES:
            return further
        long = stream.peek(2 * MAX_LINE)
        end = long.find(b"\n") + 1
        stream.readinto(memoryview(bytearray(end)))
        return stream.peek(SAMPLE_BYTES) if end else further
    finally:
        stream.close()


def _decoded(head: bytes) -> bytes:
    """The head of a file as UTF-8 without a byte order mark."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", "replace").encode("utf-8", "replace")
    return head.removeprefix(b"\xef\xbb\xbf")


class _Head:
    """The first bytes of a file, for piecewise reading."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._at = 0

    def read(self, size: int) -> bytes:
        piece = self._head[self._at : self._at + size]
        self._at += len(piece)
        return piece


_STREAMED: Mapping[Container, Callable[[_Head], Iterator[bytes | None]]] = {
    "frame-streams": file_frames,
    "ipfix": file_messages,
    "json-list": file_elements,
}
"""The divider of a container that can be read from its start."""
