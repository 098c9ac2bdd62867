"""Which packets of an incident are written, in which order, with what said of each.

Contacts are taken by weight, the one that the incident begins with first, as long as there
is room for all packets of one; half a hello proves nothing. They are then put back into
the order in which they were captured: within a source by number, between sources by time.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

from netwatch.core.alert import Alert
from netwatch.core.frame import EvidenceFrames, Frame
from netwatch.formats.values import escaped
from netwatch.incidents.incident import incident_id

MAX_PACKETS = 2048
"""Packets of one incident that are written."""

MAX_BYTES = 8 << 20
"""Bytes of them."""

MAX_AGE = 30 * 86_400 * 1_000_000_000
"""How long after its beginning, in ns, contacts of an incident are proven by packets."""

MAX_COMMENTS = 8
"""Comments of one packet."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one incident: packets, bytes of them, and how long after its beginning, in ns, its
    contacts are proven by packets."""

    packets: int = MAX_PACKETS
    octets: int = MAX_BYTES
    age: int = MAX_AGE


Chosen = list[tuple[Frame, list[str]]]


def choose(alert: Alert, limits: Limits) -> tuple[Chosen, Counter[str]]:
    """The packets of an alert with their comments, in the order of the capture; and how many
    contacts were left out, by the reason."""
    left_out: Counter[str] = Counter()
    began = beginning(alert)
    taken: dict[Frame, list[str]] = {}
    size = 0
    for proof in alert.proof:
        if not began <= proof.time <= began + limits.age:
            left_out["evidence-age"] += 1
            continue
        new = [frame for frame in proof.frames if frame not in taken]
        more = sum(len(frame.data) for frame in new)
        if len(taken) + len(new) > limits.packets or size + more > limits.octets:
            left_out["evidence-packets"] += 1
            continue
        size += more
        for frame in proof.frames:
            comments = taken.setdefault(frame, [])
            told = comment(alert, proof, frame)
            if told not in comments and len(comments) < MAX_COMMENTS:
                comments.append(told)
    return [(frame, taken[frame]) for frame in ordered(list(taken))], left_out


def beginning(alert: Alert) -> int:
    """The time that an alert's id is made of, ns. An incident that was told while it went on
    keeps its id where an earlier contact turns up later; that one has to stay out of the
    file, or the file would tell of another incident."""
    key = alert.device.id, alert.app.id, alert.ban.id, alert.verdict
    times = sorted({alert.first_seen, *(proof.time for proof in alert.proof)})
    return next((time for time in times if incident_id(key, time) == alert.id), alert.first_seen)


def comment(alert: Alert, proof: EvidenceFrames, frame: Frame) -> str:
    """What a packet is to a contact: the one that its evidence names, or one that is needed
    to read it."""
    part = "" if (frame.source, frame.number) == (proof.source, proof.packet) else "part of "
    place = f"{frame.source}#{frame.number}"
    return escaped(f"{part}{proof.type} {proof.name}, incident {alert.id}, packet {place}")


def ordered(frames: list[Frame]) -> list[Frame]:
    """Packets in the order of the capture: of one source by number, of several by time, where
    a clock that was set back does not count."""
    sources: dict[str, list[Frame]] = {}
    for frame in sorted(frames, key=attrgetter("source", "number")):
        sources.setdefault(frame.source, []).append(frame)
    placed = []
    for source, each in sources.items():
        latest = accumulate((frame.time for frame in each), max)
        placed += [
            (time, source, at, frame)
            for at, (time, frame) in enumerate(zip(latest, each, strict=True))
        ]
    return [frame for *_, frame in sorted(placed, key=lambda entry: entry[:3])]
