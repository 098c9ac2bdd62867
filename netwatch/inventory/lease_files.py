"""The lease files of DHCP servers that ``devices: leases`` names.

`FORMATS` lists the formats that are read: a new one is a module with `recognise` and
`read_declarations`, and a row.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import key
from netwatch.core.names import normalise_name
from netwatch.core.user_yaml import Problems, read_user_file
from netwatch.core.value_kinds import NANOSECONDS, PATH, choice
from netwatch.inventory import dhcpd_leases, line_leases
from netwatch.inventory.lease_table import (
    LEASE_LIMIT,
    Declaration,
    Lease,
    LeaseRecorder,
    LeaseSyntaxError,
)

MAX_MISTAKES = 20
"""Mistakes of one lease file to report; the rest of the file is then not read."""

ATTEMPTS = 3
"""How often to read files that a server renames meanwhile."""

_HEAD = 65_536
_NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """A lease file as configured; `format` is None if it is to be recognised, and `lease_time` is
    in ns."""

    path: Path = key(
        PATH,
        "the file; it is read when the configuration is",
        required="the path of a lease file",
    )
    format: str | None = key(
        choice(("dhcpd", "kea", "dnsmasq")),
        "`dhcpd` (ISC, DHCPv4 and DHCPv6), `kea` (memfile, both) or `dnsmasq`",
        shown="recognised",
    )
    lease_time: int = key(
        NANOSECONDS,
        "for how long dnsmasq grants a lease: its file has only the end of a lease",
        "1h",
    )


@dataclass(frozen=True, slots=True)
class LeaseFormat:
    """A format: whether a text begins like it, the declarations in a text, a description, and the
    files that continue in a lease file, oldest first."""

    recognise: Callable[[str], bool]
    read: Callable[[str, LeaseFile], Iterator[Declaration | LeaseSyntaxError]]
    description: str
    earlier: Callable[[Path], list[Path]] = lambda _: []


FORMATS: Mapping[str, LeaseFormat] = MappingProxyType(
    {
        "dhcpd": LeaseFormat(
            dhcpd_leases.recognise,
            lambda text, _: dhcpd_leases.read_declarations(text),
            "`dhcpd.leases` and `dhcpd6.leases` of ISC dhcpd",
        ),
        "kea": LeaseFormat(
            line_leases.recognise_kea,
            lambda text, _: line_leases.read_kea(text),
            "`kea-leases4.csv` and `kea-leases6.csv` of Kea (memfile)",
            line_leases.earlier_kea_files,
        ),
        "dnsmasq": LeaseFormat(
            line_leases.recognise_dnsmasq,
            lambda text, file: line_leases.read_dnsmasq(text, file.lease_time),
            "`dnsmasq.leases` of dnsmasq",
        ),
    }
)
"""The formats of lease files by their names, which are also the `source` of a binding."""


def read_leases(file: LeaseFile, problems: Problems) -> list[Lease]:
    """The leases of a file, and of the files that continue in it; mistakes are noted."""
    text = _text(file.path, problems)
    if text is None:
        return []
    format_ = file.format or _recognise(text[:_HEAD])
    if format_ is None:
        if any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
            expected = f"a lease file of {', '.join(FORMATS)}"
            name = str(file.path)
            problems.add(name, 1, f"expected {expected}; name its 'format' if it is one")
        return []
    known = FORMATS[format_]
    recorder = LeaseRecorder(format_)
    for path, part in (*_earlier(file, known, problems), (file.path, text)):
        recorder.begin_file(str(path))
        if not _record(known.read(part, file), recorder, str(path), problems):
            break
    return list(recorder.leases())


def _text(path: Path, problems: Problems) -> str | None:
    try:
        return read_user_file(path).decode("utf-8", "replace").removeprefix("\ufeff")
    except NetwatchError as error:
        problems.add(str(path), 0, f"the lease file {error}")
        return None


def _earlier(file: LeaseFile, known: LeaseFormat, problems: Problems) -> list[tuple[Path, str]]:
    """The files that continue in a lease file, with their texts. The server may rename them while
    they are read, so they are read again if they are different ones afterwards."""
    for _ in range(ATTEMPTS):
        paths = known.earlier(file.path)
        found = Problems()
        texts = [(path, _text(path, found)) for path in paths]
        if known.earlier(file.path) == paths and not found.found:
            break
    problems.found += found.found
    return [(path, text) for path, text in texts if text is not None]


def _recognise(head: str) -> str | None:
    return next((name for name, known in FORMATS.items() if known.recognise(head)), None)


def _record(
    found: Iterator[Declaration | LeaseSyntaxError],
    recorder: LeaseRecorder,
    name: str,
    problems: Problems,
) -> bool:
    """Record the declarations of a file; returns whether there is room for more."""
    mistakes = 0
    for item in found:
        if isinstance(item, LeaseSyntaxError):
            problems.add(name, item.line, str(item))
            mistakes += 1
            if mistakes == MAX_MISTAKES:
                problems.add(name, item.line, "too many mistakes: the rest is not read")
                break
            continue
        hostname = normalise_name(item.hostname.encode("utf-8", "replace"))[:_NAME_LENGTH]
        recorder.add(item._replace(hostname=hostname))
        if len(recorder) > LEASE_LIMIT:
            problems.add(name, item.line, f"expected at most {LEASE_LIMIT:,} leases, found more")
            return False
    return True
