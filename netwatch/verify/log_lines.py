"""Files of lines of logs as evidence, checked against the logs themselves.

The file says of each record what it shows, where it is written, and its digest. Here the log is
opened again, with nothing of what netwatch reads logs with, and the line with that number is
compared byte by byte. Then the name is looked for in it. A log that is not there any more, or is
none of lines, is not read; the record in the file is still compared with its digest.
"""

import base64
import binascii
import bz2
import gzip
import lzma
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Literal

from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.core.frame import MAX_RECORD, record_digest
from netwatch.incidents.evidence_lines import BASE64, hashed

MAX_BYTES = 64 << 20
"""Bytes of a file of lines."""

MAX_LINE = 1 << 20
"""Bytes of a line of a log that are read."""

_PIECE = re.compile(
    r"# (?P<type>[a-z-]{3,16}) (?P<name>\S*), incident (?P<incident>[0-9a-f]{32}),"
    r" line (?P<source>.*):(?P<number>\d{1,18})"
    r"(?:, from (?P<ip>[0-9A-Fa-f:.]+)(?P<client>.*?) at (?P<time>\S+Z),"
    r" sha256 (?P<digest>[0-9a-f]{16}))?",
    re.DOTALL,
)
_LOG = re.compile(r"# log (?P<source>.*), sha256 (?P<sha256>[0-9a-f]{64}) of its first"
                  r" (?P<size>[0-9,]+) bytes", re.DOTALL)  # fmt: skip

Result = Literal["shown", "differs", "missing", "unread"]


@dataclass(frozen=True, slots=True)
class LinePiece:
    """What a file says of a record: the kind of evidence, the name, the incident, the log and the
    number of the record in it, and its digest, empty where it is not said; and the record."""

    type: str
    name: str
    incident: str
    source: str
    number: int
    client: str
    time: str
    digest: str
    record: bytes


@dataclass(frozen=True, slots=True)
class LineFinding:
    """What came of a piece; `expected` and `found` are words where it is not shown."""

    piece: LinePiece
    result: Result
    expected: str = ""
    found: str = ""


def read_lines(path: Path) -> tuple[list[LinePiece], Mapping[str, tuple[str, int]]]:
    """The pieces of a file of lines, and of each log its SHA-256 and of how many bytes that is.
    Raises `NetwatchError` where it is none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NetwatchError(f"cannot be read: expected at most {MAX_BYTES:,} bytes")
        content = path.read_bytes().split(b"\n")
    except OSError as error:
        raise NetwatchError(f"cannot be read: {error.strerror}") from None
    pieces: list[LinePiece] = []
    logs: dict[str, tuple[str, int]] = {}
    waiting: list[re.Match[str]] = []
    is_encoded = False
    for line in content:
        if not line.startswith(b"#"):
            pieces += _pieces(waiting, line, is_encoded)
            waiting, is_encoded = [], False
            continue
        text = line.decode("utf-8", "replace")
        is_encoded |= text == BASE64
        if piece := _PIECE.fullmatch(text):
            waiting.append(piece)
        elif log := _LOG.fullmatch(text):
            logs[log["source"]] = log["sha256"], int(log["size"].replace(",", ""))
    if not pieces:
        raise NetwatchError("cannot be read: expected lines of `scan --evidence`, found none")
    return pieces, logs


def _pieces(found: list[re.Match[str]], record: bytes, is_encoded: bool) -> Iterator[LinePiece]:
    if is_encoded:
        try:
            record = base64.b64decode(record, validate=True)
        except binascii.Error:
            raise NetwatchError("cannot be read: expected a record in base64") from None
    for each in found:
        yield LinePiece(
            each["type"],
            each["name"],
            each["incident"],
            each["source"],
            int(each["number"]),
            f"{each['ip'] or ''}{each['client'] or ''}",
            each["time"] or "",
            each["digest"] or "",
            record,
        )


def check_lines(
    pieces: list[LinePiece], logs: Mapping[str, tuple[str, int]]
) -> Iterator[LineFinding]:
    """Check every piece, in the order of the file."""
    wanted: dict[str, set[int]] = {}
    for piece in pieces:
        wanted.setdefault(piece.source, set()).add(piece.number)
    lines = {source: _lines_of(source, numbers) for source, numbers in wanted.items()}
    changed = {source for source, told in logs.items() if _is_changed(source, *told)}
    for piece in pieces:
        yield _check(piece, lines[piece.source], piece.source in changed)


def _check(piece: LinePiece, lines: Mapping[int, bytes] | str, is_changed: bool) -> LineFinding:
    if piece.digest and piece.digest != record_digest(piece.record):
        expected = f"the record as it was written, sha256 {piece.digest}"
        return LineFinding(piece, "differs", expected, f"sha256 {record_digest(piece.record)}")
    if isinstance(lines, str):
        return LineFinding(piece, "unread", f"line {piece.number:,} of {piece.source}", lines)
    line = lines.get(piece.number)
    record = piece.record.rstrip(b"\r")
    is_cut = len(piece.record) == MAX_RECORD
    if line is None or not (
        line.rstrip(b"\r") == record or (is_cut and line.startswith(piece.record))
    ):
        what = "no such line" if line is None else "another line"
        why = "; the log was changed since it was read" if is_changed else ""
        return LineFinding(
            piece, "differs", f"line {piece.number:,} of {piece.source} as it was", what + why
        )
    if not has_name(line, piece.name):
        return LineFinding(
            piece,
            "unread",
            f"{piece.name} in line {piece.number:,}",
            "the line is as it was, but the name is in another line that belongs to it",
        )
    return LineFinding(piece, "shown")


def has_name(line: bytes, name: str) -> bool:
    """Whether a line has a name, in any letters, or label by label as Windows writes it."""
    lower = line.lower()
    if name.lower().encode() in lower:
        return True
    labels = "".join(f"({len(label)}){label}" for label in name.lower().split("."))
    return labels.encode() in lower


def _is_changed(source: str, sha256: str, size: int) -> bool:
    found = hashed(source, size)
    return found is not None and found != (sha256, size)


def _lines_of(source: str, numbers: set[int]) -> dict[int, bytes] | str:
    """The lines of a log with these numbers; why it is not read, as a clause, where it is not."""
    try:
        with _opened(Path(source)) as stream:
            found: dict[int, bytes] = {}
            last = max(numbers)
            for number, line in enumerate(_bounded(stream), 1):
                if b"\0" in line:
                    return "the log is not one of lines of text"
                if number in numbers:
                    found[number] = line
                if number >= last:
                    break
            return found
    except FileNotFoundError:
        return "the log is not where it was"
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        return f"the log cannot be read: {error}"


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines without their ends; of one that is too long the beginning."""
    while line := stream.readline(MAX_LINE):
        is_whole = line.endswith(b"\n")
        rest = line
        while not is_whole and rest:
            rest = stream.readline(MAX_LINE)
            is_whole = rest.endswith(b"\n")
        yield line.removesuffix(b"\n")


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        head = stream.read(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path)  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return bz2.open(path)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.open(path)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise ValueError("it is compressed with zstd; decompress it beside itself")
    return path.open("rb")
