"""Which packets of an incident are written, in which order, and with which comments.

Contacts are chosen in order of importance, beginning with the one that begins the incident, and
only if all packets of a contact fit into the limits: half a ClientHello proves nothing. Their
packets are then put back into capture order: by number within a source, by time between sources.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.alert import Alert
from netwatch.core.frame import LOG_LINE, EvidenceFrames, Frame, packet_digest, record_digest
from netwatch.core.text import escaped
from netwatch.formats.values import rfc3339
from netwatch.incidents.evidence_pcapng import with_vlan_tag
from netwatch.incidents.incident import incident_id

MAX_PACKETS = 2048
"""Packets in one evidence capture."""

MAX_BYTES = 8 << 20
"""Bytes of the packets in one evidence capture."""

MAX_AGE = 30 * 86_400 * 1_000_000_000
"""How long after the beginning of an incident packets are added to its evidence capture, ns."""

MAX_COMMENTS = 8
"""Comments on one packet."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one evidence capture: packets, their bytes, and the time after the beginning
    of the incident, in ns, after which packets are left out."""

    packets: int = MAX_PACKETS
    octets: int = MAX_BYTES
    age: int = MAX_AGE


Chosen = list[tuple[Frame, list[str]]]


def choose(alert: Alert, limits: Limits) -> tuple[Chosen, Counter[str]]:
    """The packets of an alert with their comments, in capture order, and the number of contacts
    that were left out, by reason."""
    left_out: Counter[str] = Counter()
    begin = first_time(alert)
    chosen: dict[Frame, list[str]] = {}
    size = 0
    for contact in alert.evidence_frames:
        if not begin <= contact.time <= begin + limits.age:
            left_out["evidence-age"] += 1
            continue
        new = [frame for frame in contact.frames if frame not in chosen]
        more = sum(len(frame.data) for frame in new)
        if len(chosen) + len(new) > limits.packets or size + more > limits.octets:
            left_out["evidence-packets"] += 1
            continue
        size += more
        for frame in contact.frames:
            comments = chosen.setdefault(frame, [])
            text = comment(alert, contact, frame)
            if text not in comments and len(comments) < MAX_COMMENTS:
                comments.append(text)
    return [(frame, chosen[frame]) for frame in ordered(list(chosen))], left_out


def first_time(alert: Alert) -> int:
    """The time from which the alert's id was computed, ns. An incident that was reported while it
    was open keeps its id when an earlier contact is added later. Such a contact must stay out of
    the file: with it, a scan of the file would compute another id."""
    key = alert.device.id, alert.app.id, alert.ban.id, alert.verdict
    times = sorted({alert.first_seen, *(contact.time for contact in alert.evidence_frames)})
    sensor = alert.sensor.name_in_ids
    fitting = (time for time in times if incident_id(key, time, sensor) == alert.id)
    return next(fitting, alert.first_seen)


def comment(alert: Alert, contact: EvidenceFrames, frame: Frame) -> str:
    """The comment on a packet of a contact. ``part of`` marks a packet that is needed to read the
    contact's message, but is not the one that its evidence names. The device, the time of the
    contact in ns and the digest of the packet follow where the device is known, so that the file
    alone says what `netwatch verify` has to find in it. A device that has a pseudonym is called by
    that, as in the alert."""
    part = "" if (frame.source, frame.number) == (contact.source, contact.packet) else "part of "
    is_line = frame.link_type == LOG_LINE
    place = f"line {frame.source}:" if is_line else f"packet {frame.source}#"
    text = f"{part}{contact.type} {contact.name}, incident {alert.id}, {place}{frame.number}"
    if contact.client_ip:
        digest = (
            record_digest(frame.data)
            if is_line
            else packet_digest(max(0, frame.time), with_vlan_tag(frame)[0])
        )
        client = alert.device.id if alert.device.has_pseudonym else _client(contact)
        text += f", from {client} at {rfc3339(contact.time, 9)}, sha256 {digest}"
    return escaped(text)


def _client(contact: EvidenceFrames) -> str:
    mac = f" {mac_text(contact.client_mac)}" if contact.client_mac else ""
    vlan = "" if contact.vlan is None else f" vlan {contact.vlan}"
    return f"{ip_text(contact.client_ip)}{mac}{vlan}"


def ordered(frames: list[Frame]) -> list[Frame]:
    """Packets in capture order: by number within a source, by time between sources. Within a
    source time never runs backwards: a clock that was set back is ignored."""
    sources: dict[str, list[Frame]] = {}
    for frame in sorted(frames, key=attrgetter("source", "number")):
        sources.setdefault(frame.source, []).append(frame)
    placed = []
    for source, numbered in sources.items():
        latest = accumulate((frame.time for frame in numbered), max)
        placed += [
            (time, source, at, frame)
            for at, (time, frame) in enumerate(zip(latest, numbered, strict=True))
        ]
    return [frame for *_, frame in sorted(placed, key=lambda entry: entry[:3])]
