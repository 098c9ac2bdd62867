"""The lease files of DHCP servers that ``devices: leases`` names.

`FORMATS` lists the formats that are read: a new one is a module with `recognise` and
`read_declarations`, and a row.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.core.names import normalise_name
from netwatch.core.user_files import read_user_file
from netwatch.core.user_yaml import Problems
from netwatch.inventory import dhcpd_leases, dnsmasq_leases, kea_leases
from netwatch.inventory.lease_syntax import LeaseSyntaxError
from netwatch.inventory.lease_table import LEASE_LIMIT, Declaration, Lease, LeaseRecorder

MAX_MISTAKES = 20
"""Mistakes of one lease file that are reported; the rest of the file is then not read."""

_HEAD = 65_536
_NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """A lease file as it is configured; `format` is None where it is to be recognised, and
    `lease_time` is in ns."""

    path: Path
    format: str | None = None
    lease_time: int = dnsmasq_leases.DEFAULT_LEASE_TIME


@dataclass(frozen=True, slots=True)
class LeaseFormat:
    """A format: whether a text begins like it, the declarations in a text, and a description."""

    recognise: Callable[[str], bool]
    read: Callable[[str, LeaseFile], Iterator[Declaration | LeaseSyntaxError]]
    description: str


FORMATS: Mapping[str, LeaseFormat] = MappingProxyType(
    {
        "dhcpd": LeaseFormat(
            dhcpd_leases.recognise,
            lambda text, _: dhcpd_leases.read_declarations(text),
            "`dhcpd.leases` and `dhcpd6.leases` of ISC dhcpd",
        ),
        "kea": LeaseFormat(
            kea_leases.recognise,
            lambda text, _: kea_leases.read_declarations(text),
            "`kea-leases4.csv` and `kea-leases6.csv` of Kea (memfile)",
        ),
        "dnsmasq": LeaseFormat(
            dnsmasq_leases.recognise,
            lambda text, file: dnsmasq_leases.read_declarations(text, file.lease_time),
            "`dnsmasq.leases` of dnsmasq",
        ),
    }
)
"""The formats of lease files by their names, which are also the `source` of a binding."""


def read_leases(file: LeaseFile, problems: Problems) -> list[Lease]:
    """The leases of a file; mistakes are noted."""
    name = str(file.path)
    try:
        text = read_user_file(file.path).decode("utf-8", "replace").removeprefix("\ufeff")
    except NetwatchError as error:
        problems.add(name, 0, f"the lease file {error}")
        return []
    format_ = file.format or _recognise(text[:_HEAD])
    if format_ is None:
        if any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
            expected = f"a lease file of {', '.join(FORMATS)}"
            problems.add(name, 1, f"expected {expected}; name its 'format' if it is one")
        return []
    return _record(FORMATS[format_].read(text, file), format_, name, problems)


def _recognise(head: str) -> str | None:
    return next((name for name, known in FORMATS.items() if known.recognise(head)), None)


def _record(
    found: Iterator[Declaration | LeaseSyntaxError], format_: str, name: str, problems: Problems
) -> list[Lease]:
    recorder = LeaseRecorder(format_, name)
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
            break
    return list(recorder.leases())
