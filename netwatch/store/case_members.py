"""An incident of one sensor, as a member of a case.

Times within cases are by the clock of the centre: what a sensor says, less how far its clock was
ahead. Of several states of one incident the newest counts, in whatever order they arrive: one that
is closed before one that is not, then the one that was seen later. The incident spans what any of
its states spans.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_address
from json.encoder import encode_basestring_ascii
from typing import Any

from netwatch.core.alert import UNHEARD, AlertRecord
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.formats.values import epoch_ns
from netwatch.privacy.pseudonyms import key_id_of

INVENTORY = "inventory"
"""The source of the binding of a device that an inventory names."""

# Hashed texts are JSON lists with a space behind each comma; this is what json.dumps does to texts.
_quoted = encode_basestring_ascii

OUTSIDE_NETWORK, OUTSIDE_DEVICE = "sensor-network", "sensor-device"
"""The types of the contradictions of an alert whose sensor may not speak of its network, or of its
device."""

NETWORKS, DEVICES = "networks", "devices"
"""The keys of `sensor` in a record with the networks, and with patterns of the ids of devices of an
inventory, of which the sensor may speak, as its centre noted them; without one these are all."""

_OUTSIDE = frozenset((OUTSIDE_NETWORK, OUTSIDE_DEVICE))

# What a device is called that no inventory names: its address, or its MAC with a host name.
_UNKNOWN = "unknown:"
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?:/.*)?", re.DOTALL)

STATUS_RANK = {"open": 0, "update": 1, "closed": 2}
"""How far along an incident is in a state."""

_SKETCH = 8

Key = tuple[str, str]
"""A sensor, and the id of an incident."""


Rank = tuple[bool, int, int]
"""By which states of an incident are compared."""


def rank_of(status: str, last_seen: int, unheard: Mapping[str, Any] | None = None) -> Rank:
    """How new a state is that was seen last at a time (ns). One that was closed because nothing was
    heard of its sensor is a little older than the state that was reported last, so that the sensor
    can report that again."""
    if unheard is not None:
        return False, last_seen, 2 * STATUS_RANK[unheard["status"]] - 1
    return status == "closed", last_seen, 2 * STATUS_RANK[status]


@dataclass(frozen=True, slots=True)
class Member:
    """An incident of a sensor: its `key`, its newest record with its line of JSON, the times (ns)
    that all its states span by the sensor's clock, how far that was ahead (ns), the Community IDs
    of its flows, at most `COMMUNITY_LIMIT`, and hashes by which others of the same device, app and
    ban are found. `run` and `case` are where it is stored, None and empty where it is not yet."""

    key: Key
    record: AlertRecord
    line: str
    first_seen: int
    last_seen: int
    clock_offset: int
    community_ids: frozenset[str]
    words: frozenset[str]
    run: int | None = None
    case: str = ""

    @classmethod
    def of(
        cls,
        sensor: str,
        record: AlertRecord,
        line: str,
        clock_offset: int,
        span: tuple[int, int] | None = None,
        *,
        run: int | None = None,
        case: str = "",
    ) -> "Member":
        """The member that a record is; `span` are the times (ns) that all its states span, those of
        the record where there is no other state."""
        first, last = span or (epoch_ns(record["first_seen"]), epoch_ns(record["last_seen"]))
        flows = frozenset(record["community_ids"])
        words = frozenset(_words(record, flows))
        key = sensor, record["id"]
        return cls(key, record, line, first, last, clock_offset, flows, words, run, case)

    @property
    def sensor(self) -> str:
        """The sensor that reported it."""
        return self.key[0]

    @property
    def begins(self) -> str:
        """The id of a case that this incident is the first of: 32 hex digits, the same however
        often the incident is replayed."""
        return case_id(*self.key)

    @property
    def first(self) -> int:
        """When it began, by the clock of the centre (ns)."""
        return self.first_seen - self.clock_offset

    @property
    def last(self) -> int:
        """When its last contact was, by the clock of the centre (ns)."""
        return self.last_seen - self.clock_offset

    @property
    def is_listed(self) -> bool:
        """Whether an inventory names its device."""
        return (self.record.get("binding") or {}).get("source") == INVENTORY

    @property
    def is_outside(self) -> bool:
        """Whether its sensor may not speak of its network, or of its device."""
        return any(each["type"] in _OUTSIDE for each in self.record.get("contradictions") or ())

    @property
    def networks(self) -> frozenset[str | None] | None:
        """The networks of which its sensor may speak; None for all."""
        found = (self.record.get("sensor") or {}).get(NETWORKS)
        return None if found is None else frozenset(found)

    @property
    def devices(self) -> tuple[str, ...] | None:
        """Patterns of the devices of an inventory of which its sensor may speak; None for all."""
        found = (self.record.get("sensor") or {}).get(DEVICES)
        return None if found is None else tuple(found)

    @property
    def rank(self) -> Rank:
        """How new the state is: one with a greater rank is newer, whatever else it says."""
        record = self.record
        return rank_of(record["status"], epoch_ns(record["last_seen"]), record.get(UNHEARD))

    def placed(self, run: int | None, case: str) -> "Member":
        """The same incident where it is stored."""
        if run == self.run and case == self.case:
            return self
        return Member(self.key, self.record, self.line, self.first_seen, self.last_seen,
                      self.clock_offset, self.community_ids, self.words, run, case)  # fmt: skip

    def merged(self, other: "Member") -> "Member":
        """The same incident as two states of it say."""
        newer = max(self, other, key=_state)
        return replace(
            newer,
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=max(self.last_seen, other.last_seen),
            run=newer.run,
            case=self.case or other.case,
        )


def device_of_inventory(record: Mapping[str, Any]) -> str | None:
    """The id of the device that a record says an inventory names; None where it says none, or a
    pseudonym. A sensor may leave out that an inventory has it, so an id is of one unless it is what
    a device is called otherwise."""
    device = record["device"]
    identity: str = device["id"] or ""
    # Nobody but an inventory knows whose a device is.
    if not device["owner"]:
        is_listed = (record.get("binding") or {}).get("source") == INVENTORY
        if key_id_of(identity) or (not is_listed and _is_not_of_inventory(identity)):
            return None
    return identity


def _is_not_of_inventory(identity: str) -> bool:
    if not identity or _MAC.fullmatch(identity):
        return True
    try:
        # A zone behind an address could be any text.
        return "%" not in identity and bool(ip_address(identity.removeprefix(_UNKNOWN)))
    except ValueError:
        return False


def is_among(device: str, patterns: Iterable[str]) -> bool:
    """Whether the id of a device matches one of the patterns."""
    return any(fnmatchcase(device, pattern) for pattern in patterns)


@lru_cache(8192)
def case_id(sensor: str, incident: str) -> str:
    """The id of the case whose first incident is this one."""
    text = f'["netwatch.case/1", {_quoted(sensor)}, {_quoted(incident)}]'
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _words(record: AlertRecord, flows: frozenset[str]) -> Iterator[str]:
    """Hashes of the names of a device with app and ban. A device whose address is not shown is
    found by its flows as well, and never by a sensor that shows it."""
    device = record["device"]
    names = [("id", device["id"]), ("ip", device["ip"]), ("mac", device["mac"]),
             ("hostname", (device["hostname"] or "").lower())]  # fmt: skip
    if not device["ip"]:
        names += [("flow", each) for each in sorted(flows)[:_SKETCH]]
    said = _said(record["app"]["id"], record["ban"]["id"])
    for kind, name in names:
        if name:
            word = said.copy()
            word.update(f'"{kind}", {_quoted(name)}]'.encode())
            yield word.hexdigest()


@lru_cache(256)
def _said(app: str, ban: str) -> "hashlib.blake2b":
    """The hash of how the words of an app and a ban begin."""
    text = f"[{_quoted(app)}, {_quoted(ban)}, "
    return hashlib.blake2b(text.encode(), digest_size=16)


def _state(member: Member) -> tuple[bool, int, int, int, int, str]:
    """Of two states of an incident the newer one has the greater of these."""
    record = member.record
    counts = record["counts"]
    return (
        *member.rank,
        CONFIDENCE_RANK[record["confidence"]],
        counts["lookups"] + counts["handshakes"] + counts["bytes_out"] + counts["bytes_in"],
        member.line,
    )
