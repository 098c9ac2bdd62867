"""Files of lines of logs as evidence, checked against the logs themselves.

The file has for each record what it shows, where it is written, and its digest. Here the log is
opened again (`log_contents`), without netwatch's log readers, and the record with that number is
compared byte by byte. Then the name is searched for in it: as text, in any of the spellings of
logs, or in a DNS message inside it, which scapy and dpkt read. AdGuard Home has such messages in
base64, Windows in hexadecimal digits, and dnstap as they were. Records that are part of a piece,
since they name the client or lead to the name, must be there unchanged. A log that no longer exists
is not read; the record in the file is still compared with its digest.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from netwatch.core.errors import NetwatchError
from netwatch.core.flow import MAX_RECORD, record_digest
from netwatch.incidents.evidence_selection import BASE64, hashed
from netwatch.verify.dpkt_reader import DpktReader
from netwatch.verify.flows import DnsMessage, guarded, same_name
from netwatch.verify.log_contents import Found, look_up
from netwatch.verify.scapy_reader import ScapyReader

MAX_BYTES = 64 << 20
"""Bytes of a file of lines."""

_PIECE = re.compile(
    r"# (?P<part>part of )?(?P<type>[a-z-]{3,16}) (?P<name>\S*),"
    r" incident (?P<incident>[0-9a-f]{32}), line (?P<source>.*):(?P<number>\d{1,18})"
    r"(?:, from (?:p[0-9a-f]{4}-[a-z2-7]{16}|(?P<ip>[0-9A-Fa-f:.]+)(?P<client>.*?))"
    r" at (?P<time>\S+Z),"
    r" sha256 (?P<digest>[0-9a-f]{16}))?",
    re.DOTALL,
)
_LOG = re.compile(r"# log (?P<source>.*), sha256 (?P<sha256>[0-9a-f]{64}) of its first"
                  r" (?P<size>[0-9,]+) bytes", re.DOTALL)  # fmt: skip

_ADDRESS = re.compile(rb"(?<![\w.:])[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]+[0-9A-Fa-f](?![\w.:])")

Result = Literal["shown", "differs", "missing", "unread"]


@dataclass(frozen=True, slots=True)
class LinePiece:
    """A record in the file: the kind of evidence, the name, the incident, the log and the number of
    the record in it, and its digest, empty if missing; and the record. One that `is_part` of a
    piece is needed for it and need not have the name."""

    type: str
    name: str
    incident: str
    source: str
    number: int
    client: str
    time: str
    digest: str
    record: bytes
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class LineFinding:
    """The outcome for a piece; `expected` and `found` are words if it is not shown."""

    piece: LinePiece
    result: Result
    expected: str = ""
    found: str = ""


def read_lines(path: Path) -> tuple[list[LinePiece], Mapping[str, tuple[str, int]]]:
    """The pieces of a file of lines, and for each log its SHA-256 and the number of hashed bytes.
    Raises `NetwatchError` if it is not such a file."""
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
            bool(each["part"]),
        )


def check_lines(
    pieces: list[LinePiece], logs: Mapping[str, tuple[str, int]]
) -> Iterator[LineFinding]:
    """Check every piece, in the order of the file."""
    wanted: dict[str, dict[int, bytes]] = {}
    for piece in pieces:
        wanted.setdefault(piece.source, {})[piece.number] = piece.record
    found = {source: look_up(Path(source), records) for source, records in wanted.items()}
    changed = {source for source, told in logs.items() if _is_changed(source, *told)}
    parts: dict[tuple[str, str, str], list[LinePiece]] = {}
    for piece in pieces:
        if piece.is_part:
            parts.setdefault((piece.type, piece.name, piece.incident), []).append(piece)
    for piece in pieces:
        others = parts.get((piece.type, piece.name, piece.incident), ())
        yield _check(piece, found[piece.source], piece.source in changed, others)


def _check(
    piece: LinePiece,
    records: Mapping[int, Found] | str,
    is_changed: bool,
    parts: Sequence[LinePiece],
) -> LineFinding:
    if piece.digest and piece.digest != record_digest(piece.record):
        expected = f"the record as it was written, sha256 {piece.digest}"
        return LineFinding(piece, "differs", expected, f"sha256 {record_digest(piece.record)}")
    place = f"{piece.number:,} of {piece.source}"
    if isinstance(records, str):
        return LineFinding(piece, "unread", f"record {place}", records)
    found = records.get(piece.number)
    if found is None or not _is_same(found.record, piece.record):
        what = "no such record" if found is None else "another record"
        why = "; the log was changed since it was read" if is_changed else ""
        return LineFinding(piece, "differs", f"record {place} as it was", what + why)
    if piece.is_part or shows(found.record + b"\n" + found.referred, piece.type, piece.name):
        return LineFinding(piece, "shown")
    if piece.type == "ip-from-dns" and any(_leads_to(piece, part) for part in parts):
        return LineFinding(piece, "shown")
    expected = f"{piece.name} in record {place}"
    for part in parts:
        if shows(part.record, piece.type, piece.name):
            return LineFinding(piece, "unread", expected, f"the name in record {part.number:,}")
    return LineFinding(
        piece, "differs", expected, "the record is as it was, and does not have the name"
    )


def _is_same(record: bytes, kept: bytes) -> bool:
    is_cut = len(kept) == MAX_RECORD
    return record.rstrip(b"\r") == kept.rstrip(b"\r") or (is_cut and record.startswith(kept))


def _leads_to(flow: LinePiece, answer: LinePiece) -> bool:
    """Whether an answer has the name and an address that is in the record of a flow, other than the
    device's."""
    others = _addresses(answer.record) - _addresses(flow.client.encode())
    # An IPFIX record has them packed.
    common = others & _addresses(flow.record) or [
        each for each in others if ip_address(each).packed in flow.record
    ]
    return bool(common) and shows(answer.record, "dns-answer", flow.name)


def _addresses(text: bytes) -> set[str]:
    """The addresses in a text, in their usual spelling."""
    found = set()
    for each in _ADDRESS.findall(text):
        with suppress(ValueError):
            found.add(str(ip_address(each.decode("ascii"))))
    return found


def _is_changed(source: str, sha256: str, size: int) -> bool:
    found = hashed(source, size)
    return found is not None and found != (sha256, size)


_HEX = re.compile(rb"(?<![0-9A-Za-z])(?:0x)?((?:[0-9A-Fa-f]{2}){17,32768})(?![0-9A-Za-z])")
_BASE64 = re.compile(rb"(?<![0-9A-Za-z+/])[0-9A-Za-z+/]{22,65536}={0,2}")
_MESSAGE, _QUERY, _RESPONSE = 14, 10, 14
"""Fields of dnstap.proto."""


def shows(record: bytes, kind: str, name: str) -> bool:
    """Whether a record has the name, for evidence of this kind."""
    return has_name(record, name) or any(
        same_name(each, name) for message in _messages(record) for each in _names(message, kind)
    )


def has_name(text: bytes, name: str) -> bool:
    """Whether a text has a name, in upper or lower case and neither as a part of another name nor
    with labels after it, in its Unicode form, or label by label as Windows writes it."""
    lower = text.lower()
    spellings = [name.lower()]
    if "xn--" in name:
        with suppress(UnicodeError):
            spellings.append(name.encode("ascii").decode("idna"))
    for spelling in spellings:
        written = re.escape(spelling.encode("utf-8", "surrogatepass"))
        # A JSON escape of a control character may precede it.
        if re.search(rb"(?:(?<![\w.-])|(?<=\\[nrt]))" + written + rb"(?!\.?[\w-])", lower):
            return True
    labels = "".join(f"({len(label)}){label}" for label in name.lower().split("."))
    return f"{labels}(0)".encode("utf-8", "surrogatepass") in lower


def _names(message: DnsMessage, kind: str) -> tuple[bytes, ...]:
    if kind == "dns-cname":
        return tuple(target for _, target in message.aliases)
    return message.questions


def _messages(record: bytes) -> Iterator[DnsMessage]:
    """The DNS messages in a record, as each library reads them."""
    for payload in _payloads(record):
        for reader in (ScapyReader(), DpktReader()):
            message = guarded(reader.dns, payload)
            if message is not None:
                yield message


def _payloads(record: bytes) -> Iterator[bytes]:
    for number, inner in _fields(record):
        if number == _MESSAGE:
            for field, value in _fields(inner):
                if field in (_QUERY, _RESPONSE):
                    yield value
    for found in _HEX.finditer(record):
        yield bytes.fromhex(found[1].decode("ascii"))
    for text in _BASE64.findall(record):
        try:
            yield base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            continue


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a Protocol Buffers message, until it is invalid."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                return
            yield key >> 3, data[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows it begins."""
    value = 0
    for place in range(10):
        if at + place >= len(data):
            break
        octet = data[at + place]
        value |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            return value, at + place + 1
    return 0, len(data) + 1
