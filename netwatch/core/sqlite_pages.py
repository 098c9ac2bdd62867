"""Reads the rows of a damaged SQLite file from its leaf pages, without its b-trees.

SQLite gives up if a page that leads to others is damaged. The rows themselves are in leaf pages and
on chains of overflow pages, and each can be read on its own (SQLite file format, sections 1.6 and
2.1). Pages in the write-ahead log replace those of the file (section 4).

Freed pages may still contain rows, so the caller must recognise deleted rows.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from netwatch.core.owned_database import PAGE_SIZE

Value = int | float | str | bytes | None

_LEAF = 0x0D
_PAGE_HEADER = 8
_MAX_COLUMNS = 64
_MAX_LOCAL = PAGE_SIZE - 35
_MIN_LOCAL = (PAGE_SIZE - 12) * 32 // 255 - 23
_WAL_HEADER, _FRAME_HEADER = 32, 24
_INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Pages:
    """The pages of a file, with those of its write-ahead log instead of the file's own; an
    unreadable page is empty. Use it as a context manager. Raises `OSError` if the file cannot be
    opened."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.count = self._file.seek(0, 2) // PAGE_SIZE
        self._futile_reads = 0
        self._wal: BinaryIO | None = None
        self._wal_offsets: dict[int, int] = {}
        try:
            self._wal = path.with_name(f"{path.name}-wal").open("rb")
        except OSError:
            return
        self._wal_offsets = _committed_frames(self._wal, self.count)
        self.count = max(self.count, *self._wal_offsets, 0)

    def __enter__(self) -> "Pages":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._wal is not None:
            self._wal.close()

    def read(self, number: int) -> bytes:
        """The page with this number, from 1."""
        offset = self._wal_offsets.get(number)
        stream: BinaryIO = self._file
        at = (number - 1) * PAGE_SIZE
        if offset is not None and self._wal is not None:
            stream, at = self._wal, offset
        try:
            stream.seek(at)
            return stream.read(PAGE_SIZE)
        except OSError:
            return b""

    def read_chain(self, first: int, size: int) -> bytes:
        """So many octets on a chain of overflow pages, fewer if it ends early. In a damaged file,
        chains may lead anywhere, so the pages of all chains that do not end where they should are
        limited in total."""
        parts: list[bytes] = []
        number = first
        while size > 0 and 1 < number <= self.count and self._futile_reads < 4 * self.count:
            page = self.read(number)
            parts.append(page[4 : 4 + size])
            size -= PAGE_SIZE - 4
            number = int.from_bytes(page[:4], "big")
            if len(parts) > self.count:
                break
        if size > 0 or number:
            self._futile_reads += len(parts)
        return b"".join(parts)


def _committed_frames(wal: BinaryIO, pages_in_file: int) -> dict[int, int]:
    """Offsets in the log of the last committed content of each page."""
    header = wal.read(_WAL_HEADER)
    found: dict[int, int] = {}
    pending: dict[int, int] = {}
    frames = 0
    while len(frame := wal.read(_FRAME_HEADER)) == _FRAME_HEADER:
        if frame[8:16] != header[16:24]:
            # A frame from an earlier round of the log has other salts.
            break
        at = _WAL_HEADER + frames * (_FRAME_HEADER + PAGE_SIZE)
        frames += 1
        pending[int.from_bytes(frame[:4], "big")] = at + _FRAME_HEADER
        if any(frame[4:8]):
            found.update(pending)
            pending.clear()
        wal.seek(at + _FRAME_HEADER + PAGE_SIZE)
    # Each frame adds at most one page, whatever a damaged one claims.
    return {page: at for page, at in found.items() if 0 < page <= pages_in_file + frames}


def rows(pages: Pages) -> Iterator[tuple[int, tuple[Value, ...]]]:
    """All readable rows of all tables, with their rowids, in the order of the pages. A text or blob
    whose overflow pages are damaged is cut or wrong. The first page, with the schema, is left
    out."""
    for number in range(2, pages.count + 1):
        page = pages.read(number)
        if len(page) == PAGE_SIZE and page[0] == _LEAF:
            yield from leaf_rows(page, pages)


def leaf_rows(page: bytes, pages: Pages | None) -> Iterator[tuple[int, tuple[Value, ...]]]:
    """The rows of one leaf page of a table; `pages` has the overflow pages."""
    content = _PAGE_HEADER + 2 * int.from_bytes(page[3:5], "big")
    if content > PAGE_SIZE:
        return
    for at in range(_PAGE_HEADER, content, 2):
        start = int.from_bytes(page[at : at + 2], "big")
        if start < content:
            continue
        try:
            size, after_size = _varint(page, start)
            rowid, payload_at = _varint(page, after_size)
            payload = _payload(page, payload_at, size, pages)
            row = rowid - (1 << 64) if rowid >> 63 else rowid, _record(payload)
        except (IndexError, ValueError):
            continue
        yield row


def _payload(page: bytes, at: int, size: int, pages: Pages | None) -> bytes:
    """The payload of a cell, as far as it can be read."""
    if size <= _MAX_LOCAL:
        return page[at : at + size]
    local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE_SIZE - 4)
    if local > _MAX_LOCAL:
        local = _MIN_LOCAL
    octets = page[at : at + local]
    if pages is not None:
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        octets += pages.read_chain(following, size - local)
    return octets


def _record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record (section 2.1). Raises `IndexError` and `ValueError`."""
    end, at = _varint(payload, 0)
    if not at < end <= len(payload):
        raise ValueError("the header of the record is longer than the record")
    types = []
    while at < end:
        kind, at = _varint(payload, at)
        types.append(kind)
        if len(types) > _MAX_COLUMNS:
            raise ValueError("too many columns")
    values = []
    for kind in types:
        value, end = _value(kind, payload, end)
        values.append(value)
    return tuple(values)


def _value(kind: int, payload: bytes, at: int) -> tuple[Value, int]:
    """The value of this serial type at this offset, and the offset of the next one."""
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind == 7:
        (number,) = struct.unpack(">d", payload[at : at + 8].ljust(8, b"\0"))
        return number, at + 8
    if kind in _INTEGER_SIZES:
        size = _INTEGER_SIZES[kind]
        return int.from_bytes(payload[at : at + size], "big", signed=True), at + size
    if kind < 12:
        raise ValueError("a reserved serial type")
    size = (kind - 12) // 2
    octets = payload[at : at + size]
    return octets.decode(errors="backslashreplace") if kind & 1 else octets, at + size


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """A big-endian base-128 number of at most 9 bytes (section 1.6), and the offset after it.
    Raises `IndexError`."""
    number = 0
    for count in range(9):
        octet = octets[at + count]
        if count == 8:
            return number << 8 | octet, at + 9
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            return number, at + count + 1
    raise AssertionError
