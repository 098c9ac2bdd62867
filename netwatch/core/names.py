"""Host names in one spelling, wherever they come from, and the names of public lists.

Names compare in lower case, without the trailing dot, in the A-label form of IDNA (RFC 5890). Bytes
that cannot be part of a host name are escaped as in a zone file (RFC 1035 section 5.1): what was on
the wire remains visible, and can neither break a line of output nor imitate another name. If the
spelling in the packet matters, as in evidence, use `raw_name`.

Lists are blocklists, routing lists and response policy zones: `netwatch.lists` reads them,
`netwatch.rules.drift` and `netwatch.rules.draft` compare them with the catalogue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from netwatch.core.errors import Problem

ListedKind = Literal["host", "suffix", "glob", "pattern"]

_HOST_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789-_."
_VISIBLE = bytes(byte for byte in range(0x21, 0x7F) if byte != 0x5C)


def normalise_name(raw: bytes) -> str:
    """The normal spelling of a name in text form (SNI, Host, user input), without a port.

    A trailing dot is removed. An empty name stays empty.
    """
    lower = raw.lower()
    if lower.endswith(b"."):
        lower = lower[:-1]
    if not lower.translate(None, _HOST_NAME_BYTES):
        return lower.decode("ascii")
    if not lower.isascii():
        import idna  # not at the top: few captures have such a name

        try:
            return idna.encode(lower.decode("utf-8"), uts46=True).decode("ascii")
        except UnicodeError:  # the base class of idna.IDNAError
            pass
    return escape_bytes(lower)


def escape_bytes(raw: bytes) -> str:
    """Bytes as text: printable ASCII unchanged, a backslash doubled, other bytes as ``\\DDD``."""
    if not raw.translate(None, _VISIBLE):
        return raw.decode("ascii")
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"
        for byte in raw
    )


def raw_name(raw: bytes, name: str) -> str:
    """A name as it is in the packet, with its bytes escaped as in a zone file; empty if that is its
    normal spelling `name`."""
    text = escape_bytes(raw)
    return "" if text == name else text


@dataclass(frozen=True, slots=True)
class ListedName:
    """An entry of a list; `file` and `line` are where it is written.

    A `host` is exactly that name, a `suffix` the name and all below it, a `glob` a name in which
    ``*`` is any text inside one label. A `pattern` (keyword, regular expression) belongs to no zone
    and is not compared. `attributes` are what the list says about the entry, without ``@`` or
    ``$``.
    """

    kind: ListedKind
    name: str
    file: str
    line: int
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NameList:
    """A list that was read.

    `path` is as the user gave it, `format` the id of its format, `digest` the SHA-256 of its
    content and the files it includes. `names` are without duplicates, and without those that the
    list itself excludes again; `exceptions` are the names that it excludes. With
    `exceptions_prevail` an exception also holds for listed names below it. `skipped` counts entries
    that cannot be names. `problems` are lines that could not be read, at most
    `netwatch.lists.findings.MAX_PROBLEMS` of them; `bad_lines` is how many there were.
    """

    path: str
    format: str
    digest: str
    names: tuple[ListedName, ...]
    exceptions: tuple[ListedName, ...]
    exceptions_prevail: bool
    skipped: Mapping[str, int]
    problems: tuple[Problem, ...]
    bad_lines: int
