"""The reading of an alert's record that all formats for SIEMs share.

Most of these formats have a single field for what is a list in the record: one name, one server.
This module decides which entry goes there, how severe the event is, and how a sentence describes
it. It works on the JSON record (`netwatch.formats.jsonl.alert_record`) and not on the `Alert`,
because outputs store records on disk and render them when they are delivered.

It also shortens a record until its line fits into a message of limited size (`render_within`). An
alert that is too long for one message is never split into two, because the receiver would take the
second half for another message. Alerts are long because of their lists: the longest one is halved
until the line fits. The strongest evidence and the name that it shows are always retained. If that
is not enough, the reasons of kind and confidence are removed, then the contradictions, which are
reasons too (the confidence is what it is without them), and the sets of candidates. The key
``shortened`` counts the entries removed from each list, the sightings that the removed evidence
represented, the reasons, and the sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netwatch.core.alert import (
    TITLES,
    TRIAGE,
    AlertRecord,
    kind_of,
    note,
    sentences,
    situation,
    verb,
)
from netwatch.core.message import HANDSHAKES, LOOKUPS
from netwatch.formats.registry import Renderer
from netwatch.formats.values import epoch_ns

EventSeverity = Literal["informational", "low", "medium", "high", "critical"]
"""The severity of the record, or ``informational`` if an exemption covers the contact."""

PRODUCT = "netwatch"
"""The vendor and product name, if a format requires one."""

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
_PHRASES = {
    "violation": "{app}, which {ban} forbids",
    "advisory": "{app}, which {ban} advises against",
    "exempt": "{app}, exempt from {ban}",
}


@dataclass(frozen=True, slots=True)
class AlertSummary:
    """One alert as the formats for SIEMs describe it.

    `title` is one of the fixed texts of `netwatch.core.alert.TITLES`, and `message` is a
    sentence that contains names. `kind` and `outcome` are empty if the record has none, because
    it was stored by an earlier version; `kind_reasons`, `confidence_reasons` and `contradictions`
    are sentences.
    `strongest_evidence` is an entry of the record's ``evidence``, or None if that is empty;
    `transport` and `service` follow from its type and are None if it leaves them open.
    `destination` is the first server contacted, or None if there were lookups only.
    `first_seen` and `last_seen` are ns since the epoch. `sightings` counts all evidence,
    including what was removed from the record to limit its length.
    """

    title: str
    message: str
    kind: str
    kind_reasons: str
    outcome: str
    confidence_reasons: str
    contradictions: str
    severity: EventSeverity
    strongest_evidence: AlertRecord | None
    transport: str | None
    service: str | None
    destination: AlertRecord | None
    first_seen: int
    last_seen: int
    sightings: int

    @property
    def name(self) -> str | None:
        """The name that the strongest evidence shows."""
        return None if self.strongest_evidence is None else self.strongest_evidence["name"]


def summarize(record: AlertRecord) -> AlertSummary:
    """Read an alert's record."""
    verdict, evidence = record["verdict"], record["evidence"]
    strongest = min(evidence, key=_weakness, default=None)
    kind = "" if strongest is None else strongest["type"]
    removed = record.get("left_out", {}).get("evidence", 0)
    removed += record.get("shortened", {}).get("sightings", 0)
    return AlertSummary(
        title=TITLES[verdict][situation(record)],
        message=_message(record, strongest),
        kind=kind_of(record) or "",
        kind_reasons=sentences((record.get("kind") or {}).get("reasons", ())),
        outcome=record.get("outcome") or "",
        confidence_reasons=sentences(record.get("confidence_reasons") or ()),
        contradictions=contradiction_texts(record),
        severity="informational" if verdict == "exempt" else record["severity"],
        strongest_evidence=strongest,
        transport=_TRANSPORTS.get(kind),
        service="dns" if kind in LOOKUPS else _SERVICES.get(kind),
        destination=next(iter(record["destinations"]), None),
        first_seen=epoch_ns(record["first_seen"]),
        last_seen=epoch_ns(record["last_seen"]),
        sightings=sum(item["count"] for item in evidence) + removed,
    )


def contradiction_texts(record: AlertRecord) -> str:
    """The contradictions of an alert, as one text, each sentence once."""
    return sentences(dict.fromkeys(each["text"] for each in record.get("contradictions") or ()))


def _message(record: AlertRecord, strongest: AlertRecord | None) -> str:
    """A sentence: which device did what with which app, under which ban, by which evidence, and
    what that means by its kind and outcome."""
    phrase = _PHRASES[record["verdict"]].format(
        app=record["app"]["name"], ban=f"ban {record['ban']['id']}"
    )
    message = f"{record['device']['id']} {verb(record)} {phrase}"
    if strongest is not None:
        message += f" ({record['confidence']}: {strongest['type']} {strongest['name']})"
    meaning = note(record)
    return f"{message}; {meaning}" if meaning else message


def _weakness(item: AlertRecord) -> tuple[bool, int, int, bool, int]:
    """A sort key that puts the strongest evidence first: a name before just an address, names that
    only the app uses before shared ones, a handshake before a lookup before a certificate, one in
    which the server took part before one in which it did not, earlier before later."""
    kind = item["type"]
    category = 0 if kind in HANDSHAKES else 1 if kind in LOOKUPS else 2
    return (
        kind.startswith(("ip-", "ech-")),
        _ROLES.index(item["role"]) if item["role"] in _ROLES else len(_ROLES),
        category,
        seen_fields(item).get("server") != "true",
        epoch_ns(item["time"]),
    )


def seen_fields(piece: AlertRecord) -> dict[str, str]:
    """How a piece of evidence was seen, as words by the keys ``server``, ``directions`` and
    ``checksum``; empty for a record that an earlier netwatch stored."""
    return {key: str(value).lower() for key, value in (piece.get("seen") or {}).items()}


def seen_words(record: AlertRecord) -> list[str]:
    """How each piece of evidence was seen, as one word:
    ``server=true,directions=both,checksum=right``; ``unknown`` if the record lacks it."""
    return [
        ",".join(f"{key}={value}" for key, value in seen_fields(piece).items()) or "unknown"
        for piece in record["evidence"]
    ]


def rule_text(piece: AlertRecord) -> str:
    """The rule of a piece of evidence. Records that an earlier netwatch stored have it as a
    text."""
    rule = piece["rule"]
    text: str = rule if isinstance(rule, str) else rule["text"]
    return text


def event_uid(record: AlertRecord) -> str:
    """A unique id of one report of an incident. All reports of an incident share its id: it is
    reported once as ``open``, once as ``closed``, and as ``update`` when its confidence, kind or
    outcome becomes graver; and whenever people decide something of it."""
    uid = f"{record['id']}-{record['status']}-{record['confidence']}"
    if record["status"] == "update" and record.get("outcome"):
        uid += f"-{kind_of(record)}-{record['outcome']}"
    if triage := record.get(TRIAGE):
        uid += f"-{triage['state']}-{triage['at']}"
    return uid


def action_of(record: AlertRecord) -> str:
    """What a record reports, as one word: ``violation-open``, or ``triage-false`` if people have
    decided something of its incident, which is no new alert."""
    triage = record.get(TRIAGE)
    return f"triage-{triage['state']}" if triage else f"{record['verdict']}-{record['status']}"


def version_words(record: AlertRecord) -> list[str]:
    """The versions by which an alert was judged, as words ``signatures=5e1a``. A set is ``set=12``
    and ``set_hash=…``. Empty for a record that an earlier netwatch stored."""
    versions = dict(record.get("versions") or {})
    installed = versions.pop("set", None)
    if installed:
        versions |= {"set": installed["version"], "set_hash": installed["hash"]}
    return [f"{key}={value}" for key, value in versions.items() if value]


def without_empty(value: Any) -> Any:
    """A copy of a value without unknown parts: None, empty lists, empty texts and empty mappings
    are removed from mappings at any depth."""
    if isinstance(value, Mapping):
        copies = {key: without_empty(inner) for key, inner in value.items()}
        return {key: copy for key, copy in copies.items() if copy not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return [without_empty(inner) for inner in value]
    return value


_LISTS = ("evidence", "destinations", "names", "community_ids", "contradictions")


def render_within(render: Renderer, record: AlertRecord, limit: int) -> str:
    """Render a record in at most `limit` bytes of UTF-8 if shorter lists can achieve that,
    otherwise as the shortest line that they can."""
    line = render(record)
    while len(line.encode(errors="surrogatepass")) > limit:
        longest = max(_LISTS, key=lambda name: len(record.get(name) or ()))
        if len(record.get(longest) or ()) <= 1:
            return render(_without_reasons(record))
        record = _with_half_of(record, longest)
        line = render(record)
    return line


def _without_reasons(record: AlertRecord) -> AlertRecord:
    kind, of_confidence = record.get("kind") or {}, record.get("confidence_reasons") or ()
    removed = {
        "reasons": len(kind.get("reasons", ()))
        + len(of_confidence)
        + len(record.get("contradictions") or ()),
        "candidates": len(record.get("candidates") or ()),
    }
    counts = {name: count for name, count in removed.items() if count}
    if not counts:
        return record
    return {
        **record,
        "kind": {**kind, "reasons": []},
        "confidence_reasons": [],
        "contradictions": [],
        "candidates": [],
        "shortened": {**record.get("shortened", {}), **counts},
    }


def _with_half_of(record: AlertRecord, list_name: str) -> dict[str, Any]:
    entries, strongest = record[list_name], summarize(record).strongest_evidence
    retained = list(entries[: len(entries) // 2])
    if list_name == "evidence" and not any(item is strongest for item in retained):
        retained[-1] = strongest
    elif list_name == "names" and strongest is not None and strongest["name"] not in retained:
        retained[-1] = strongest["name"]
    removed: Mapping[str, int] = record.get("shortened", {})
    removed = dict(removed)
    removed[list_name] = removed.get(list_name, 0) + len(entries) - len(retained)
    if list_name == "evidence":
        sightings = sum(item["count"] for item in entries)
        sightings -= sum(item["count"] for item in retained)
        removed["sightings"] = removed.get("sightings", 0) + sightings
    return {**record, list_name: retained, "shortened": removed}
