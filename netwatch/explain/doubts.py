"""What an incident does not prove, and what would refute it, as codes with values; and which
exemptions were looked at for it, and why those that do not apply do not.

Each code is one statement, which every page words in its own way and language. Codes and the names
of their values never change their meaning: texts in other languages refer to them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from netwatch.core.addresses import parse_ip
from netwatch.core.alert import AlertRecord
from netwatch.core.verdict import Exemption as Registered
from netwatch.explain.steps import Contact, Exemption, Explanation
from netwatch.formats.values import epoch_ns
from netwatch.rules.policy import Policy

NOT_PROVED = (
    "person",
    "content",
    "attempt-only",
    "lookup-only",
    "embed",
    "other-apps",
    "unattended",
    "address-only",
    "shared-address",
    "hidden-name",
    "server",
    "clock",
    "log-clock",
    "log-truth",
    "log-lacks",
    "log-denied",
    "left-out",
)
"""The codes of what is not proved, in the order of a page."""

REFUTATIONS = (
    "packet",
    "log-line",
    "log-packets",
    "file-hash",
    "mac-not-bound",
    "address-claimed-twice",
    "two-names",
    "overlap",
    "sensor-network",
    "sensor-device",
    "binding",
    "class",
    "translation",
    "rule",
    "page-history",
    "other-app",
    "app-absent",
    "period",
    "exemption",
    "sinkhole",
)
"""The codes of what would refute an incident, in the order of a page."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement by its code, with the values that its words need."""

    code: str
    values: Mapping[str, str]


def not_proved(incident: Explanation) -> tuple[Statement, ...]:
    """What an incident does not prove."""
    return tuple(Statement(code, values) for code, values in _not_proved(incident))


def refutations(incident: Explanation) -> tuple[Statement, ...]:
    """What would refute an incident."""
    return tuple(Statement(code, values) for code, values in _refutations(incident))


def strongest(incident: Explanation) -> Contact:
    """The contact that weighs most: the first handshake, of names that only the app calls before
    others, else the first lookup of such a name."""
    return min(
        incident.contacts,
        key=lambda each: (not each.is_handshake, not each.app_only, each.packet.time),
    )


def _not_proved(incident: Explanation) -> Iterator[tuple[str, Mapping[str, str]]]:
    device, traffic = incident.device, incident.traffic
    yield "person", {"device": device.id}
    if traffic.handshakes:
        yield "content", {"app": incident.app}
    if not traffic.handshakes:
        yield "lookup-only", {"app": incident.app}
    elif incident.outcome in ("blocked", "attempted", "unknown"):
        yield "attempt-only", {"app": incident.app, "outcome": incident.outcome}
    if not any(contact.app_only for contact in incident.contacts):
        yield "embed" if incident.is_page_possible else "other-apps", {"app": incident.app}
    elif incident.kind == "background":
        yield "unattended", {"app": incident.app}
    if device.is_address_only and device.binding is None:
        yield "address-only", {"ip": device.ip}
    if any(contact.evidence == "ip-from-dns" for contact in incident.contacts):
        yield "shared-address", {"app": incident.app}
    if incident.candidates:
        yield "hidden-name", {"app": incident.app}
    if traffic.handshakes:
        yield "server", {}
    yield from _doubts_of_logs(incident)
    if incident.left_out:
        yield "left-out", {"contacts": str(sum(incident.left_out.values()))}


def _doubts_of_logs(incident: Explanation) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What packets prove and logs do not."""
    of_logs = [contact for contact in incident.contacts if contact.log is not None]
    if len(of_logs) < len(incident.contacts):
        yield "clock", {"sensor": incident.sensor}
    if not of_logs:
        return
    sources = ", ".join(dict.fromkeys(log.packet.source for log in of_logs))
    yield "log-clock", {"source": sources}
    if len(of_logs) == len(incident.contacts):
        formats = dict.fromkeys(log.log.format for log in of_logs if log.log)
        yield "log-truth", {"source": sources, "format": ", ".join(formats)}
    lacks = dict.fromkeys(lack for log in of_logs if log.log for lack in log.log.lacks)
    if lacks:
        yield "log-lacks", {"lacks": ", ".join(lacks)}
    if incident.outcome == "blocked" and incident.traffic.handshakes:
        yield "log-denied", {"by": ", ".join(incident.blocked_by)}


def _refutations(incident: Explanation) -> Iterator[tuple[str, Mapping[str, str]]]:
    device, best = incident.device, strongest(incident)
    packet = best.packet
    place = {"source": packet.source, "name": best.raw or best.name}
    if best.log is None:
        yield "packet", {"packet": str(packet.number), **place}
    else:
        yield "log-line", {"line": str(packet.number), **place}
        yield "log-packets", {"name": best.name}
    if packet.file and packet.file.sha256:
        yield "file-hash", {"source": packet.source, "sha256": packet.file.sha256}
    for type_ in dict.fromkeys(contradiction.type for contradiction in incident.contradictions):
        yield type_, {"device": device.id, "time": incident.first_seen}
    yield "binding", {"ip": device.ip or device.id, "time": incident.first_seen}
    yield "class", {"device": device.id, "class": device.device_class}
    yield "translation", {"ip": device.ip or device.id}
    yield "rule", {"name": best.name, "rule": best.rule.text, "app": incident.app}
    if not any(contact.app_only for contact in incident.contacts):
        if incident.is_page_possible:
            yield "page-history", {"app": incident.app, "time": incident.first_seen}
        else:
            yield "other-app", {"device": device.id, "name": best.name}
    else:
        yield "app-absent", {"app": incident.app, "device": device.id}
    yield "period", {"ban": incident.ban.id, "time": incident.first_seen}
    if incident.exemption is None:
        yield "exemption", {"device": device.id, "ban": incident.ban.id}
    addresses = [each for each in incident.blocked_by if parse_ip(each) is not None]
    if incident.outcome == "blocked" and addresses:
        yield "sinkhole", {"addresses": ", ".join(addresses)}


def exemptions_asked(record: AlertRecord, policy: Policy) -> tuple[Exemption, ...]:
    """The exemptions from the ban of an alert, in the order of the configuration. The first one
    that applies is the one that decided."""
    if record["ban"]["id"] not in {ban.id for ban in policy.bans}:
        return ()
    return tuple(
        Exemption(
            exemption.device,
            tuple(sorted(exemption.apps)),
            exemption.start.isoformat() if exemption.start else None,
            exemption.end.isoformat() if exemption.end else None,
            exemption.reason,
            exemption.approved_by,
            _why_not(exemption, record, policy),
        )
        for exemption in policy.exemptions
        if exemption.ban == record["ban"]["id"]
    )


def _why_not(exemption: Registered, record: AlertRecord, policy: Policy) -> str:
    device = record["device"]
    if exemption.device not in (device["id"], device["ip"], device["mac"]):
        return "device"
    if exemption.apps and record["app"]["id"] not in exemption.apps:
        return "app"
    state = policy.state(exemption, epoch_ns(record["first_seen"]))
    return {"not yet": "early", "over": "late"}.get(state, "")
