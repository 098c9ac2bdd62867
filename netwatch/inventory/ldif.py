"""LDIF (RFC 2849): the entries of a directory as ``ldapsearch -LLL``, ``slapcat`` and ``ldifde``
write them.

An entry is a block of lines ``attribute: value``. A line that begins with a blank continues the one
before, ``::`` is before a value in base64, and ``:<`` before a URL, which is never opened. A file
of changes is no export: of ``changetype`` only ``add`` is accepted, with which ``ldifde`` begins
each entry.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from netwatch.core.user_yaml import describe

MAX_VALUES = 100_000
"""Values of one entry. A computer has some hundred, a large group thousands of members."""

_ATTRIBUTE = re.compile(r"([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)((?:;[A-Za-z0-9=-]+)*)", re.ASCII)
_RESULT = frozenset({"search", "result", "numresponses", "numentries"})


class LdifError(Exception):
    """A line that is not LDIF. As text: what was expected, and what was found."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """An entry: its distinguished name, its attributes (in lower case, without options such as
    ``;binary``) with their values, and the line on which it begins. Values that are no UTF-8 have
    U+FFFD in place of what is not."""

    dn: str
    attributes: Mapping[str, list[str]]
    line: int

    def first(self, attribute: str) -> str:
        """The first value of an attribute; empty where there is none."""
        return next(iter(self.attributes.get(attribute, ())), "")


def recognise(text: str) -> bool:
    """Whether this is the beginning of such a file."""
    for line in text.split("\n"):
        if line.strip() and not line.startswith(("#", " ")):
            return line.lower().startswith(("dn:", "version:"))
    return False


def read_entries(text: str) -> Iterator[DirectoryEntry]:
    """The entries of a file. Raises `LdifError`, also where the last line has no end: the file was
    cut, or is still being written."""
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        raise LdifError(last, "expected a line end behind the last line; the file may be cut")
    block: list[tuple[int, str]] = []
    for number, written in _unfolded(text):
        if written:
            if len(block) >= MAX_VALUES:
                raise LdifError(number, f"expected at most {MAX_VALUES:,} values in an entry")
            block.append((number, written))
        elif block:
            yield from _entry(block)
            block = []
    if block:
        yield from _entry(block)


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, continued ones in one and comments left out (section 2, notes
    2 and 3)."""
    parts: list[str] = []
    start = 0
    number = 0
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        line = text[at : end if end >= 0 else len(text)].removesuffix("\r")
        at = len(text) if end < 0 else end + 1
        number += 1
        if line.startswith(" "):
            if not parts:
                raise LdifError(number, "expected a line before the one that continues it")
            parts.append(line[1:])
            continue
        yield from _logical(start, parts)
        parts, start = [line] if line else [], number
        if not line:
            yield number, ""
    yield from _logical(start, parts)


def _logical(number: int, parts: list[str]) -> Iterator[tuple[int, str]]:
    if parts and not parts[0].startswith("#"):
        yield number, "".join(parts)


def _entry(block: list[tuple[int, str]]) -> Iterator[DirectoryEntry]:
    """The entry of a block of lines; none where ``ldapsearch`` says what it found."""
    attributes: dict[str, list[str]] = {}
    number, line = block[0]
    name, value = _value(number, line)
    if name == "version":
        if value != "1":
            raise LdifError(number, f"'version': expected 1, found {describe(value)}")
        block = block[1:]
        if not block:
            return
        number, line = block[0]
        name, value = _value(number, line)
    if name in _RESULT:
        return
    if name != "dn":
        raise LdifError(number, f"expected 'dn' at the beginning of an entry, found '{name}'")
    dn, first = value or "", number
    for number, line in block[1:]:
        name, value = _value(number, line)
        if name == "dn":
            raise LdifError(number, "expected an empty line before the next 'dn'")
        if name == "changetype" and (value or "").strip().lower() != "add":
            message = f"expected an export, not changes: found 'changetype: {value}'"
            raise LdifError(number, message)
        if value is not None:
            attributes.setdefault(name, []).append(value)
    yield DirectoryEntry(dn, attributes, first)


def _value(number: int, line: str) -> tuple[str, str | None]:
    """Attribute and value of a line; None for a value that is somewhere else, or no text."""
    written, colon, rest = line.partition(":")
    match = _ATTRIBUTE.fullmatch(written)
    if not colon or match is None:
        raise LdifError(number, f"expected 'attribute: value', found {describe(line)}")
    name = match[1].lower()
    if rest.startswith("<"):
        return name, None
    if not rest.startswith(":"):
        return name, rest.lstrip(" ")
    try:
        raw = b64decode("".join(rest[1:].split()), validate=True)
    except (Base64Error, ValueError):
        raise LdifError(number, f"'{name}': expected base64 behind '::'") from None
    return name, raw.decode("utf-8", "replace")
