"""How a list is read: its bytes, its format, its entries, and the files that it includes.

A new format is a pair of functions (`is_…_line` and `read_…`) in `netwatch.lists.formats`, of a
sensor in `netwatch.lists.sensor_formats`, and a row of `LIST_FORMATS`. A line is evidence for a
format only if no other format has such lines; the format with the most such lines is chosen. A list
that consists of names only is a plain one.

Only files next to a list are included, by a name without a slash and each of them once; bytes,
files and names are bounded in total.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.names import NameList
from netwatch.core.text import quantity
from netwatch.core.user_yaml import read_user_file
from netwatch.lists.findings import MAX_LINE, Findings, Lines, split_lines
from netwatch.lists.formats import (
    is_adblock_line,
    is_clash_line,
    is_dnsmasq_line,
    is_domain_list_line,
    is_hosts_line,
    is_pihole_line,
    is_plain_line,
    is_rpz_line,
    read_adblock,
    read_clash,
    read_dnsmasq,
    read_domain_list,
    read_hosts,
    read_pihole,
    read_plain,
    read_rpz,
)
from netwatch.lists.sensor_formats import (
    is_ndpi_line,
    is_suricata_line,
    is_zeek_intel_line,
    read_ndpi,
    read_suricata,
    read_zeek_intel,
)

MAX_LINES_TRIED = 2000
"""Lines at the beginning of a list from which its format is recognised."""


@dataclass(frozen=True, slots=True)
class ListFormat:
    """One format. `recognises` returns whether a line (stripped, not empty, not a ``#`` comment)
    can only be in this format, `read` reads a list. With `exceptions_prevail`, an exception also
    applies to the names below it, however specific the other entry is."""

    summary: str
    recognises: Callable[[str], bool]
    read: Callable[[Lines, Findings], None]
    exceptions_prevail: bool = False


LIST_FORMATS: Mapping[str, ListFormat] = MappingProxyType(
    {
        "domain-list": ListFormat(
            "v2fly's domain-list-community: `full:`, `domain:`, `keyword:`, `regexp:`, `include:`",
            is_domain_list_line,
            read_domain_list,
        ),
        "adblock": ListFormat(
            "filters of AdGuard and uBlock Origin: `||name^`, `@@||name^`",
            is_adblock_line,
            read_adblock,
            exceptions_prevail=True,
        ),
        "hosts": ListFormat("hosts files: `0.0.0.0 name`", is_hosts_line, read_hosts),
        "dnsmasq": ListFormat(
            "dnsmasq: `address=/name/…`, `server=/name/…`, `local=/name/`",
            is_dnsmasq_line,
            read_dnsmasq,
        ),
        "clash": ListFormat(
            "Clash, Surge, Quantumult: `DOMAIN-SUFFIX,name`, `DOMAIN,name`",
            is_clash_line,
            read_clash,
        ),
        "rpz": ListFormat(
            "response policy zones: `name CNAME .`, `*.name CNAME .`", is_rpz_line, read_rpz
        ),
        "pihole": ListFormat(
            r"Pi-hole: names, hosts files, `||name^`, expressions such as `(\.|^)name$`",
            is_pihole_line,
            read_pihole,
            exceptions_prevail=True,
        ),
        "suricata": ListFormat(
            "rules of Suricata with `dns.query`, `tls.sni`, `quic.sni` or `http.host`",
            is_suricata_line,
            read_suricata,
        ),
        "zeek-intel": ListFormat(
            "Zeek's intelligence files: `Intel::DOMAIN`", is_zeek_intel_line, read_zeek_intel
        ),
        "ndpi": ListFormat(
            'protocol files of nDPI: `host:"name"@Protocol`', is_ndpi_line, read_ndpi
        ),
        "plain": ListFormat("names, one a line; `*.name` and `.name`", is_plain_line, read_plain),
    }
)
"""The formats by their ids, which ``--as`` takes."""

_PLAIN = "plain"


def recognise_format(text: str) -> str | None:
    """The id of a list's format; None if no line is in any of them."""
    counts = dict.fromkeys(LIST_FORMATS, 0)
    for _, line in islice(split_lines(text), MAX_LINES_TRIED):
        # White space before a record is part of a zone file, and indents a YAML list.
        stripped = line.strip()
        if not stripped or stripped[0] == "#":
            continue
        for word, form in LIST_FORMATS.items():
            counts[word] += form.recognises(stripped)
    names = counts.pop(_PLAIN)
    best = max(counts, key=lambda word: counts[word])
    if counts[best]:
        return best
    return _PLAIN if names else None


MAX_LIST_BYTES = 128 << 20
"""Bytes of a list, including all files that it includes."""

MAX_DRAFT_BYTES = 16 << 20
"""The same for a list of which a draft is made."""

MAX_DRAFT_NAMES = 100_000
"""Names in a list of which a draft is made. No app has so many: a larger list is about something
else, and nobody would review its draft."""

MAX_INCLUDES = 1000
"""Files that a list includes, directly and indirectly."""

_FILE_NAME = re.compile(r"[A-Za-z0-9!_][A-Za-z0-9!_.-]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a list: `bytes` including all files that it includes, and `names`. A list with
    more names is refused; if `names` is None, further names are only counted."""

    bytes: int = MAX_LIST_BYTES
    names: int | None = None


COMPARED = Bounds()
"""The limits of a list that is compared with the catalogue."""

DRAFTED = Bounds(MAX_DRAFT_BYTES, MAX_DRAFT_NAMES)
"""The limits of a list of which a draft is made, which a person reviews."""


def read_list(
    path: str, format: str | None = None, raw: bytes | None = None, bounds: Bounds = COMPARED
) -> NameList:
    """The list in the file `path`, or in `raw`, which is from elsewhere and cannot include files.
    `format` is an id of `LIST_FORMATS`; if not given, it is recognised by the content.

    Raises `ConfigError` if the file cannot be read, has no known format, or is too large.
    """
    return _Reading(path, raw, bounds).read(format)


class _Reading:
    """One list while it is being read."""

    def __init__(self, path: str, raw: bytes | None, bounds: Bounds) -> None:
        self._path = path
        self._raw = raw
        self._digest = hashlib.sha256()
        self._left = bounds.bytes
        self._included: dict[tuple[str, tuple[str, ...], tuple[str, ...]], None] = {}
        self._pending: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        self._findings = Findings(path, self._include, bounds.names)

    def read(self, format: str | None) -> NameList:
        findings = self._findings
        text = self._decode(self._bytes(Path(self._path)) if self._raw is None else self._raw)
        word = format or recognise_format(text)
        if word is None:
            known = ", ".join(LIST_FORMATS)
            message = f"expected a list in one of the formats {known}, found another"
            raise ConfigError.of(self._path, message)
        form = LIST_FORMATS[word]
        form.read(self._lines(text), findings)
        while self._pending:
            name, findings.wanted, findings.unwanted = self._pending.pop()
            included = Path(self._path).parent / name
            findings.file = str(included)
            form.read(self._lines(self._decode(self._bytes(included))), findings)
        findings.finish(exceptions_prevail=form.exceptions_prevail)
        return NameList(
            self._path,
            word,
            self._digest.hexdigest(),
            tuple(findings.names.values()),
            tuple(findings.exceptions.values()),
            form.exceptions_prevail,
            dict(findings.skipped),
            tuple(findings.problems),
            findings.bad_lines,
        )

    def _bytes(self, path: Path) -> bytes:
        try:
            raw = read_user_file(path, self._left)
        except NetwatchError as error:
            raise ConfigError.of(str(path), str(error)) from None
        self._left -= len(raw)
        return raw

    def _decode(self, raw: bytes) -> str:
        """The text of a file. Bytes that are not UTF-8 stay visible, and are not part of a name."""
        self._digest.update(raw)
        return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")

    def _lines(self, text: str) -> Lines:
        for number, line in split_lines(text):
            if len(line) > MAX_LINE:
                self._findings.fault(number, f"a line of at most {MAX_LINE:,} characters", line)
            else:
                yield number, line

    def _include(
        self, name: str, line: int, wanted: tuple[str, ...], unwanted: tuple[str, ...]
    ) -> None:
        """Note that a file is included. The attributes by which the including file selects also
        apply to the files that these include."""
        findings = self._findings
        if not _FILE_NAME.match(name):
            findings.fault(line, "the name of a file next to the list", name)
            return
        if self._raw is not None:
            findings.fault(line, "a list from a file, which can include files next to it", name)
            return
        if not (Path(self._path).parent / name).is_file():
            findings.fault(line, "the name of a file next to the list", name)
            return
        key = (name, (*findings.wanted, *wanted), (*findings.unwanted, *unwanted))
        if key in self._included or (name == Path(self._path).name and not wanted + unwanted):
            return
        if len(self._included) >= MAX_INCLUDES:
            limit = quantity(MAX_INCLUDES, "included file")
            findings.fault(line, f"at most {limit}", name)
            return
        self._included[key] = None
        self._pending.append(key)
