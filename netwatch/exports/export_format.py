"""The formats of exports: each format, the input of its writer, the information in a file about
itself, and what it blocks. A new one is an `ExportFormat` that writes and reads it, and a row of
`EXPORTS`, which the command, the console, the documentation and the tests use.

Each format has a reader of its own output. It does not know signatures, so that the preview shows
what the file does and not what it was meant to do.

The heading has the ban, its days, versions, hashes, and what the file does not do. Its lines are
the same in every format that has comments. They only depend on the ban, the rules, the release and
the given time, so that the same input gives the same file.
"""

import functools
import hashlib
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Literal

from netwatch.core.message import Evidence
from netwatch.core.period import days_text, period
from netwatch.core.text import escaped, quantity
from netwatch.core.verdict import Ban
from netwatch.exports.selection import Selection
from netwatch.rules.signature import Kind, Rule

Fit = Literal["exact", "narrower", "wider", "none"]
"""How a format expresses a rule: the same names, only the name itself of a domain, more names than
the rule has, or not at all."""

_NO_WORD = re.compile("[^A-Za-z0-9._-]+")

MAX_TITLE = 40
"""The longest word for apps in names of tables and access lists."""

EVERYWHERE: frozenset[Evidence] = frozenset({"dns-query", "tls-sni", "quic-sni", "http-host"})
"""The kinds of evidence that most sensors see."""

WIDTH = 110
"""Letters in a line of comment."""

MAX_RULES_NAMED = 200
"""Rules to name in a line of an export's head."""

_MISFITS: tuple[tuple[Fit, str], ...] = (
    ("none", "left out, as the format cannot express it"),
    ("narrower", "only the names that are known, not all that is below"),
    ("wider", "also names that the rule does not have, of"),
)


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Entries of an export: names that are matched exactly (`exact`), domains below which all names
    are matched (`below`, without the domain itself), patterns, and networks of addresses as first
    and last packed address. `spared` are entries that let a name pass: with `longest` only if no
    longer entry blocks it, otherwise always."""

    exact: frozenset[str] = frozenset()
    below: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()
    spans: tuple[tuple[bytes, bytes], ...] = ()
    spared: "Blocklist | None" = None
    longest: bool = False

    def has(self, name: str) -> bool:
        """Whether the entries block a name."""
        matched = self._length(name)
        if not matched or self.spared is None:
            return bool(matched)
        spared = self.spared._length(name)
        return matched > spared if self.longest else not spared

    def _length(self, name: str) -> int:
        """The length of the longest entry that matches a name, 0 if none does."""
        if name in self.exact:
            return len(name) + 1
        dot = name.find(".")
        while dot >= 0:
            if name[dot + 1 :] in self.below:
                return len(name) - dot
            dot = name.find(".", dot + 1)
        return int(any(pattern.search(name) for pattern in self.patterns))

    def has_address(self, packed: bytes) -> bool:
        """Whether an entry contains an address."""
        return any(
            len(packed) == len(first) and first <= packed <= last for first, last in self.spans
        )


def blocklist(
    exact: Iterable[str] = (),
    below: Iterable[str] = (),
    patterns: Iterable[str] = (),
    spared: Blocklist | None = None,
    *,
    longest: bool = False,
) -> Blocklist:
    """A list of names; `patterns` are regular expressions, which match anywhere in a name."""
    compiled = tuple(re.compile(pattern, re.IGNORECASE | re.ASCII) for pattern in patterns)
    return Blocklist(frozenset(exact), frozenset(below), compiled, spared=spared, longest=longest)


def glob_pattern(glob: str) -> str:
    """A regular expression for the whole of a name, which PCRE, RE2, POSIX and Python read alike:
    each ``*`` is any text inside one label."""
    parts = (re.escape(part).replace("\\-", "-") for part in glob.split("*"))
    return f"^{'[^.]*'.join(parts)}$"


def longest_literal(glob: str) -> str:
    """The longest text without a wildcard, by which a scanner finds candidates."""
    return max(glob.split("*"), key=len)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An address or a network of servers of the apps, such as ``192.0.2.7`` or ``192.0.2.0/24``,
    and its origin, in words."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Export:
    """The content of an export: the rules, and the file's information about itself.

    `ban` is None if apps were named without one. `time` is the creation time in a file, in UTC.
    `netwatch` and `signatures` are the versions of both. `addresses` are servers', for a format
    that needs them, and `shared` is how many were left out because other names have them too. With
    `spare`, names of other roles and apps below the domains of the rules pass, if the format can
    express it.
    """

    selection: Selection
    ban: Ban | None
    time: datetime
    netwatch: str
    signatures: str
    addresses: tuple[ServerAddress, ...] = ()
    shared: int = 0
    spare: bool = False

    @property
    def title(self) -> str:
        """A short word for what is exported: the id of the ban, otherwise of the apps; of many the
        first with a hash of all. It contains nothing that a format could take for more than a
        word."""
        if self.ban is not None:
            return _NO_WORD.sub("_", self.ban.id)
        text = "-".join(app.id for app in self.selection.apps)
        if len(text) <= MAX_TITLE:
            return text
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"{self.selection.apps[0].id}-and-others-{digest[:8]}"

    @property
    def periods(self) -> list[tuple[datetime | None, datetime | None]]:
        """The start and the end of each period of the ban, in UTC, None if it is open; none without
        a ban."""
        spans = self.ban.days if self.ban else []
        zone = self.ban.timezone if self.ban else "UTC"
        days = (period(first, last, zone) for first, last in spans)
        return [(_moment(day.start), _moment(day.end)) for day in days]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format of exports.

    `program` is what reads it. `fits` tells how it can express each kind of rule, `sees` by which
    evidence its program finds a name, and `is_resolver` whether that only answers lookups: then a
    device that got no address does not connect either. `comment` is what begins a comment, empty if
    a format has none. `lost` is a sentence on what the program cannot do with it. `feed` is the
    name of the file in the console, for lists that firewalls fetch, and `product` the product's
    name in the console. `max_name` is the maximum length of a name, `max_rows` the number of rules
    that its program reads from one file, 0 if there is no limit. With `needs_addresses` the entries
    are addresses. `spares` are the kinds of rules that it can except from a domain.
    """

    program: str
    write: Callable[[Export, tuple[Rule, ...]], str]
    read: Callable[[str], Blocklist]
    fits: Mapping[Kind, Fit]
    sees: Set[Evidence]
    lost: str
    comment: str = ""
    is_resolver: bool = False
    needs_addresses: bool = False
    max_name: int = 253
    max_rows: int = 0
    spares: Set[Kind] = frozenset()
    product: str = ""
    feed: str = ""

    def fit(self, rule: Rule) -> Fit:
        """How it expresses a rule."""
        return "none" if len(rule.name) > self.max_name else self.fits[rule.kind]

    def rules(self, selection: Selection, *fits: Fit) -> tuple[Rule, ...]:
        """The rules that it expresses in these ways."""
        return tuple(rule for rule in selection.rules if self.fit(rule) in fits)

    def spared(self, export: Export) -> tuple[Rule, ...]:
        """The rules whose names pass, although they are below an exported domain."""
        found = export.selection.spareable if export.spare else ()
        return tuple(
            rule for rule in found if rule.kind in self.spares and len(rule.name) <= self.max_name
        )

    def text(self, export: Export) -> str:
        """The file."""
        return self.write(export, self.rules(export.selection, "exact", "narrower", "wider"))


def time_text(time: datetime) -> str:
    """A time in UTC as RFC 3339, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(time: int | None) -> datetime | None:
    return None if time is None else datetime.fromtimestamp(time // 1_000_000_000, UTC)


def heading(export: Export, form: ExportFormat) -> list[str]:
    """The lines, without the comment mark. Nothing in them can begin another line."""
    ban, selection = export.ban, export.selection
    lines = [f"netwatch: names for {form.program}"]
    if ban is not None:
        lines.append(f"ban: {ban.id}, {ban.authority}, {days_text(ban.days, ban.timezone)}")
    apps = ", ".join(app.id for app in selection.apps)
    lines.append(f"apps: {apps}; roles: {', '.join(selection.roles)}")
    count = quantity(len(selection.rules), "rule")
    lines.append(f"signatures: {export.signatures}; {count}, sha256 {selection.digest}")
    lines.append(f"made by netwatch {export.netwatch} for {time_text(export.time)}")
    lines += losses(export, form)
    lines.append(f"note: {form.lost}")
    return [escaped(line) for line in lines]


def losses(export: Export, form: ExportFormat) -> list[str]:
    """How the file differs from the rules, in lines; none if it does not."""
    selection, lines = export.selection, []
    if form.needs_addresses:
        count = quantity(len(export.addresses), "address or network", "addresses and networks")
        lines.append(f"{count}, of the day they were seen: they change")
        if export.shared:
            shared = quantity(export.shared, "address", "addresses")
            lines.append(f"left out: {shared} that other names have too")
        return lines
    for fit, words in _MISFITS:
        rules = form.rules(selection, fit)
        if rules:
            lines.append(f"{words} {quantity(len(rules), 'rule')}: {named(rules)}")
    if "narrower" in form.fits.values():
        return lines
    spared = form.spared(export)
    passing = {(rule.kind, rule.name) for rule in spared}
    stopped = tuple(rule for rule in selection.others if (rule.kind, rule.name) not in passing)
    for rules, words in ((stopped, "also stopped, names of"), (spared, "let pass, names of")):
        if rules:
            lines.append(f"{words} {quantity(len(rules), 'rule')} below these: {_by_role(rules)}")
    return lines


def _by_role(rules: Sequence[Rule]) -> str:
    """How many rules there are of each app and role, with one of them."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(f"{rule.app.id} ({rule.role})", []).append(rule)
    return "; ".join(f"{word} {len(own)}, as {own[0].text}" for word, own in found.items())


def named(rules: Sequence[Rule]) -> str:
    """Rules in words, of very many the first."""
    texts = (rule.text for rule in rules[:MAX_RULES_NAMED])
    more = len(rules) - MAX_RULES_NAMED
    return ", ".join(texts) + (f" and {more:,} more" if more > 0 else "")


def comments(export: Export, form: ExportFormat, *more: str) -> list[str]:
    """The lines of the heading and `more` as comments of the format, wrapped: dnsmasq reads no line
    of more than 1,025 bytes."""
    return [
        f"{form.comment} {piece}"
        for line in [*heading(export, form), *more]
        for piece in textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]


def joined(lines: Iterable[str]) -> str:
    """Lines as a text."""
    return "".join(f"{line}\n" for line in lines)


class _Formats(Mapping[str, ExportFormat]):
    """Formats by their word. A module is imported when its format is used, because most commands
    only need the words."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> ExportFormat:
        module, _, attribute = self._places[name].partition(":")
        found: ExportFormat = getattr(import_module(f"netwatch.exports.{module}"), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


EXPORTS: Mapping[str, ExportFormat] = _Formats(
    {
        "rpz": "resolvers:RPZ",
        "hosts": "resolvers:HOSTS",
        "dnsmasq": "resolvers:DNSMASQ",
        "unbound": "resolvers:UNBOUND",
        "adguard": "resolvers:ADGUARD",
        "nftables": "firewalls:NFTABLES",
        "suricata": "sensors:SURICATA",
        "zeek-intel": "sensors:ZEEK_INTEL",
        "sigma": "sensors:SIGMA",
        "squid": "firewalls:SQUID",
        "edl": "firewalls:EDL",
        "fortigate": "firewalls:FORTIGATE",
        "stix": "platforms:STIX",
        "misp": "platforms:MISP",
        "defender-csv": "platforms:DEFENDER",
    }
)
"""The formats by the words of ``--as``."""


@functools.cache
def feeds() -> Mapping[str, ExportFormat]:
    """The lists that firewalls fetch from the console, by the name of their file. They have no
    comments, so that they change when a name does, and not every day."""
    return {export.feed: export for export in EXPORTS.values() if export.feed}
