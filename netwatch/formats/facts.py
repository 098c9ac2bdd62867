"""What the formats for a SIEM tell alike: one reading of an alert's record.

Most of them have one place where the record has a list: one name, one server. Here is
decided which of several stands there, how loud an alert is, and how it is told in a
sentence. Everything works on the record (`netwatch.formats.jsonl.alert`), not on the
`Alert`: outputs keep records, and render them when they are delivered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netwatch.core.message import HANDSHAKES, LOOKUPS
from netwatch.formats.values import epoch_ns

Record = Mapping[str, Any]
"""An alert as `netwatch.formats.jsonl.alert` makes it."""

Grade = Literal["informational", "low", "medium", "high", "critical"]

PRODUCT = "netwatch"
"""Vendor and product, where a format asks for them."""

_ROLES = ("exclusive", "vendor", "embed", "cdn")
_TRANSPORTS = {
    "tls-sni": "tcp",
    "tls-cert": "tcp",
    "http-host": "tcp",
    "socks-host": "tcp",
    "quic-sni": "udp",
    "dtls-sni": "udp",
}
_SERVICES = {
    "tls-sni": "tls",
    "tls-cert": "tls",
    "http-host": "http",
    "socks-host": "socks",
    "quic-sni": "quic",
    "dtls-sni": "dtls",
}
_VERDICTS = {
    "violation": ("Banned app contacted", "contacted {app}, which {ban} forbids"),
    "advisory": (
        "App contacted that is advised against",
        "contacted {app}, which {ban} advises against",
    ),
    "exempt": ("Banned app contacted under an exemption", "contacted {app}, exempt from {ban}"),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """One alert in the words that formats share.

    `title` is one of three fixed texts, `message` a sentence with names in it. `grade` is
    the severity, but ``informational`` for what an exemption covers: that is told for
    audit. `lead` is the strongest evidence, None where there is none; `transport` and
    `service` what it says of its protocol, None where it leaves that open. `destination`
    is the first server reached, None after lookups alone. `first` and `last` are ns since
    the epoch, `sightings` counts all evidence.
    """

    title: str
    message: str
    grade: Grade
    lead: Record | None
    transport: str | None
    service: str | None
    destination: Record | None
    first: int
    last: int
    sightings: int

    @property
    def name(self) -> str | None:
        """The name that the strongest evidence shows."""
        return None if self.lead is None else self.lead["name"]


def facts(record: Record) -> Facts:
    """Read an alert's record."""
    verdict, evidence = record["verdict"], record["evidence"]
    title, phrase = _VERDICTS[verdict]
    lead = min(evidence, key=_strength, default=None)
    message = f"{record['device']['id']} " + phrase.format(
        app=record["app"]["name"], ban=f"ban {record['ban']['id']}"
    )
    if lead is not None:
        message += f" ({record['confidence']}: {lead['type']} {lead['name']})"
    kind = None if lead is None else lead["type"]
    left_off = record.get("left_out", {}).get("evidence", 0)
    left_off += record.get("shortened", {}).get("sightings", 0)
    return Facts(
        title=title,
        message=message,
        grade="informational" if verdict == "exempt" else record["severity"],
        lead=lead,
        transport=_TRANSPORTS.get(kind or ""),
        service="dns" if kind in LOOKUPS else _SERVICES.get(kind or ""),
        destination=next(iter(record["destinations"]), None),
        first=epoch_ns(record["first_seen"]),
        last=epoch_ns(record["last_seen"]),
        sightings=sum(item["count"] for item in evidence) + left_off,
    )


def _strength(item: Record) -> tuple[bool, int, int, int]:
    """Sorts evidence, strongest first: what shows a name before an address, names of the
    app alone before shared ones, a handshake before a lookup before a certificate, the
    earlier before the later."""
    kind = item["type"]
    weight = 0 if kind in HANDSHAKES else 1 if kind in LOOKUPS else 2
    return kind.startswith("ip-"), _ROLES.index(item["role"]), weight, epoch_ns(item["time"])


def event_uid(record: Record) -> str:
    """Names one telling of an incident, whose id all its tellings share: ``open`` is told
    once, ``closed`` once, ``update`` once for each confidence."""
    return f"{record['id']}-{record['status']}-{record['confidence']}"


def told(value: Any) -> Any:
    """A copy of a value without what is not known in it: None, and empty lists, texts and
    mappings at any depth."""
    if isinstance(value, Mapping):
        kept = {key: told(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return [told(each) for each in value]
    return value
