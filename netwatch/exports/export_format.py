"""What a format of exports is, and what its writer gets."""

import hashlib
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from netwatch.core.message import Evidence
from netwatch.core.period import period
from netwatch.core.verdict import Ban
from netwatch.exports.blocklist import Blocklist
from netwatch.exports.selection import Selection
from netwatch.rules.signature import Kind, Rule

Fit = Literal["exact", "narrower", "wider", "none"]
"""How a format says a rule: the same names, only the name itself of a domain, more names than the
rule has, or not at all."""

_NO_WORD = re.compile("[^A-Za-z0-9._-]+")

MAX_TITLE = 40
"""The longest word for apps that stands in names of tables and access lists."""

EVERYWHERE: frozenset[Evidence] = frozenset({"dns-query", "tls-sni", "quic-sni", "http-host"})
"""The kinds of evidence that most sensors see."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An address or a network of servers of the apps, such as ``192.0.2.7`` or ``192.0.2.0/24``,
    and where it is from, in words."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported: the rules, and what a file says of itself.

    `ban` is None where apps were named without one. `time` is the moment that a file has as that of
    its making, in UTC. `netwatch` and `signatures` are the versions of both. `addresses` are those
    of servers, for a format that needs them, and `shared` is how many were left out because
    other names have them too. With `spare`, names of other roles and apps below the domains of the
    rules pass, where the format can say so.
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
        """A short word for what is exported: the id of the ban, else those of the apps, of many
        the first with a hash of all. It has nothing that a format could take for more than a
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
        """The begin and the end of each period of the ban, in UTC, None where it is open; none
        without a ban."""
        spans = self.ban.days if self.ban else []
        zone = self.ban.timezone if self.ban else "UTC"
        days = (period(first, last, zone) for first, last in spans)
        return [(_moment(each.start), _moment(each.end)) for each in days]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format of exports.

    `program` says what reads it. `fits` says how it can say each kind of rule, `sees` by which
    evidence its program finds a name, and `is_resolver` whether that only answers lookups: then
    a device that got no address does not connect either. `comment` is what begins a comment, empty
    where a format has none. `lost` says in a sentence what the program cannot do with it. `feed` is
    the name of the file in the console, for lists that firewalls fetch, and `product` what the
    console calls them. `max_name` is how long a name may be, `max_rows` how many rules its program
    reads from one file, 0 where there is no limit. With `needs_addresses` the entries are
    addresses. `spares` are the kinds of rules that it can except from a domain.
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
        """How it says a rule."""
        return "none" if len(rule.name) > self.max_name else self.fits[rule.kind]

    def rules(self, selection: Selection, *fits: Fit) -> tuple[Rule, ...]:
        """The rules that it says in these ways."""
        return tuple(rule for rule in selection.rules if self.fit(rule) in fits)

    def spared(self, export: Export) -> tuple[Rule, ...]:
        """The rules whose names pass, though they are below an exported domain."""
        found = export.selection.spareable if export.spare else ()
        return tuple(
            rule for rule in found if rule.kind in self.spares and len(rule.name) <= self.max_name
        )

    def text(self, export: Export) -> str:
        """The file."""
        return self.write(export, self.rules(export.selection, "exact", "narrower", "wider"))


def time_text(time: datetime) -> str:
    """A moment in UTC as RFC 3339 has it, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(time: int | None) -> datetime | None:
    return None if time is None else datetime.fromtimestamp(time // 1_000_000_000, UTC)
