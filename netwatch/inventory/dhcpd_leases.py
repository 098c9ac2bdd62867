"""The lease file of ISC dhcpd, ``dhcpd.leases`` and ``dhcpd6.leases`` (dhcpd.leases(5)).

A declaration is ``lease ADDRESS { ... }`` or, for DHCPv6,
``ia-na "DUID" { iaaddr ADDRESS { ... } }``. The file is a log, so an address is declared again
with each change. Times are UTC, or seconds since the epoch with ``db-time-format local``.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import describe
from netwatch.inventory.lease_table import NEVER, SECOND, Declaration, LeaseSyntaxError, mac_of_duid

MAX_WORDS = 64
"""Words of a statement to read; the statements of leases have at most five."""

MAX_NESTING = 8
"""Nesting of blocks; leases have two."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{};]|[^\s{};"#]+|#[^\n]*|\n', re.DOTALL)
_BEGINNING = re.compile(
    r"(?m)^\s*(lease\s+\S+\s*\{|ia-(na|ta|pd)\s|server-duid\s|authoring-byte-order\s)"
)
_DAY_AND_CLOCK = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", re.ASCII)
_ESCAPE = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)
_NOT_HELD = frozenset({"abandoned", "reset"})
"""States in which nobody has the address; in the others its last client had it until `ends`."""


class _Statement(NamedTuple):
    """The words of a statement, the line of the first, and its terminator: ``;``, ``{`` or ``}``.
    Strings keep their opening quote."""

    words: list[str]
    line: int
    end: str


def recognise(text: str) -> bool:
    """Whether this is the beginning of such a file."""
    return bool(_BEGINNING.search(text))


def read_declarations(text: str) -> Iterator[Declaration | LeaseSyntaxError]:
    """The declarations of a file, and its mistakes. A declaration cut off by the end of the file is
    left out: the server is about to write the rest."""
    blocks: list[tuple[_Statement, list[_Statement]]] = []
    for found in _statements(text):
        if isinstance(found, LeaseSyntaxError):
            yield found
            return
        if found.end == "{":
            if len(blocks) == MAX_NESTING:
                yield LeaseSyntaxError(found.line, f"expected at most {MAX_NESTING} nested blocks")
                return
            blocks.append((found, []))
        elif found.end == ";":
            if blocks:
                blocks[-1][1].append(found)
        elif not blocks:
            yield LeaseSyntaxError(found.line, "expected a lease, found '}'")
        else:
            block, statements = blocks.pop()
            if _is_lease(block):
                # Statements of an `ia-na` before its addresses apply to each of them.
                around = [each for _, outer in blocks for each in outer]
                try:
                    yield from _declaration(
                        block, [outer for outer, _ in blocks], [*around, *statements]
                    )
                except LeaseSyntaxError as error:
                    yield error


def _is_lease(block: _Statement) -> bool:
    return len(block.words) == 2 and block.words[0] in ("lease", "iaaddr")


def _statements(text: str) -> Iterator[_Statement | LeaseSyntaxError]:
    words: list[str] = []
    line = first_line = 1
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == "\n":
            line += 1
        elif token in ("{", "}", ";"):
            if words or token == "}":
                yield _Statement(words, first_line if words else line, token)
            words = []
        elif token[0] != "#":
            if not words:
                first_line = line
            if len(words) == MAX_WORDS:
                expected = f"expected a statement of at most {MAX_WORDS} words, ended by ';'"
                yield LeaseSyntaxError(first_line, expected)
                return
            words.append(token)
            line += token.count("\n")


def _declaration(
    block: _Statement, outer: list[_Statement], statements: list[_Statement]
) -> Iterator[Declaration]:
    ip = parse_ip(block.words[1])
    if ip is None:
        found = describe(block.words[1])
        raise LeaseSyntaxError(block.line, f"'lease': expected an IP address, found {found}")
    values = {statement.words[0].lower(): statement for statement in statements if statement.words}
    since = _time(values.get("starts") or values.get("cltt")) or 0
    until = _time(values.get("ends"))
    state = values.get("binding")
    name = values.get("client-hostname")
    hostname = _unquoted(name.words[-1]).decode("utf-8", "replace") if name else ""
    mac = _mac(values, outer)
    if state is not None and state.words[-1] in _NOT_HELD:
        yield Declaration(ip, None, since, since, "", block.line)
    elif mac is not None and until is not None:
        yield Declaration(ip, mac, since, until, hostname, block.line)


def _mac(values: dict[str, _Statement], outer: list[_Statement]) -> bytes | None:
    """The MAC of a lease: its hardware address, or the one in its client's DUID."""
    hardware = values.get("hardware")
    if hardware is not None:
        mac = parse_mac(hardware.words[-1]) if hardware.words[1:2] == ["ethernet"] else None
        if mac is None and hardware.words[1:2] == ["ethernet"]:
            expected = "a MAC address like 02:00:00:00:00:01"
            found = describe(hardware.words[-1])
            raise LeaseSyntaxError(
                hardware.line, f"'hardware ethernet': expected {expected}, found {found}"
            )
        return mac
    for block in outer:
        if len(block.words) == 2 and block.words[0] == "ia-na":
            return mac_of_duid(_unquoted(block.words[1])[4:])  # after the IAID
    return None


def _time(statement: _Statement | None) -> int | None:
    """The time of ``starts 4 2023/03/20 09:00:00;`` or ``starts epoch 1679302800;`` in ns; None
    if there is none."""
    if statement is None:
        return None
    words = statement.words[1:]
    try:
        if words == ["never"]:
            return NEVER
        if words[0] == "epoch":
            seconds = int(words[1])
        else:
            day, clock = words[1:3]
            if not _DAY_AND_CLOCK.fullmatch(f"{day} {clock}"):
                raise ValueError
            # A tenth of the time of strptime, which would be half of the time for a file.
            moment = datetime.fromisoformat(f"{day.replace('/', '-')}T{clock}+00:00")
            seconds = int(moment.timestamp())
    except (ValueError, IndexError):
        expected = "a time like '4 2023/03/20 09:00:00', 'epoch 1679302800' or 'never'"
        found = describe(" ".join(words))
        raise LeaseSyntaxError(
            statement.line, f"'{statement.words[0]}': expected {expected}, found {found}"
        ) from None
    return min(max(seconds, 0) * SECOND, NEVER)


def _unquoted(word: str) -> bytes:
    """The bytes of a string, in which unprintable ones are escaped as ``\\ooo``."""
    if not word.startswith('"'):
        return word.encode()

    def character(match: re.Match[str]) -> str:
        return chr(int(match[1], 8) & 0xFF) if len(match[1]) == 3 else match[1]

    return _ESCAPE.sub(character, word[1:-1]).encode("latin-1", "replace")
