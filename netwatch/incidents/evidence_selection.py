"""The files that prove one incident: which of its packets are written, in which order, with which
comments, and how: packets as pcapng, log records as text.

Contacts are chosen in order of importance, beginning with the one that begins the incident, and
only if all packets of a contact fit into the limits: half a ClientHello proves nothing. Their
packets are then put back into capture order: by number within a source, by time between sources.

The writer of pcapng (draft-ietf-opsawg-pcapng) makes one little-endian section, of packets with
comments. Timestamps are written in nanoseconds (if_tsresol 9), whatever the resolution of the
capture. A VLAN tag that the NIC had stripped is inserted again, so that a reader sees the frame as
it was on the wire.

In the text, for people and for `netwatch verify`, netwatch's own lines begin with ``#``: the
incident, the SHA-256 of each log as far as it was there, and before each record what it shows. The
record follows, byte for byte as in the log; if it is not a line of text, it is in base64. So ``grep
-v '^#'`` prints what was logged.
"""

import base64
import hashlib
import stat
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from pathlib import Path

from netwatch import __version__
from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.alert import Alert
from netwatch.core.flow import LOG_LINE, EvidenceFrames, Frame, packet_digest, record_digest
from netwatch.core.text import escaped
from netwatch.formats.values import rfc3339
from netwatch.incidents.alert_parts import incident_id

MAX_PACKETS = 2048
"""Packets in one evidence capture, at most."""

MAX_BYTES = 8 << 20
"""Bytes of the packets in one evidence capture, at most."""

MAX_AGE = 30 * 86_400 * 1_000_000_000
"""How long after the start of an incident packets are added to its evidence capture, ns."""

MAX_COMMENTS = 8
"""Comments on one packet, at most."""


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
    left out, by reason."""
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
    contact's message, but is not the one that its evidence names. If the device is known, it
    follows with the time of the contact in ns and the digest of the packet, so that the file alone
    is enough for `netwatch verify`. A device with a pseudonym is called by it, as in the alert."""
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
    """Packets in capture order: by number within a source, by time between sources. Within a source
    time never goes backwards: a clock that was set back is ignored."""
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


MAX_OPTION = 4096
"""Bytes of an option's text, such as a comment; longer texts are truncated."""

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_COMMENT, _APPLICATION, _NAME, _DESCRIPTION, _RESOLUTION = 1, 4, 2, 3, 9
_SNAPLEN = 262144
_ETHERNET = 1
_TAGGED = b"\x81\x00"

MAX_HASHED = 4 << 30
"""Bytes of a log to hash, at most."""

BASE64 = "# base64"
"""The comment before a record that is in base64."""

_PIECE = 1 << 20


def section(application: str, comment: str) -> bytes:
    """A Section Header Block (section 4.1) of unknown length."""
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    options = [(_COMMENT, _text(comment)), (_APPLICATION, _text(application))]
    return _block(_SECTION, body, options)


def interface(link_type: int, name: str, description: str, longest: int) -> bytes:
    """An Interface Description Block (section 4.2); `longest` is the length of its longest packet
    in bytes."""
    body = struct.pack("<HHI", link_type & 0xFFFF, 0, max(_SNAPLEN, longest))
    options = [(_NAME, _text(name))] if name else []
    options += [(_DESCRIPTION, _text(description)), (_RESOLUTION, b"\x09")]
    return _block(_INTERFACE, body, options)


def packet(frame: Frame, number: int, comments: Iterable[str]) -> bytes:
    """An Enhanced Packet Block (section 4.3) for a packet on the interface with this `number`."""
    data, wire = with_vlan_tag(frame)
    ticks = max(0, frame.time)
    body = struct.pack("<IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire)
    body += data + bytes(-len(data) % 4)
    return _block(_ENHANCED, body, [(_COMMENT, _text(text)) for text in comments])


def with_vlan_tag(frame: Frame) -> tuple[bytes, int]:
    """The bytes of a packet and its length on the wire, with the VLAN tag that the NIC had stripped
    (IEEE 802.1Q section 9.6)."""
    if frame.vlan_tci < 0 or frame.link_type != _ETHERNET or len(frame.data) < 12:
        return frame.data, frame.wire_length
    tag = _TAGGED + (frame.vlan_tci & 0xFFFF).to_bytes(2)
    return frame.data[:12] + tag + frame.data[12:], frame.wire_length + 4


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:MAX_OPTION].decode("utf-8", "ignore").encode()


def _block(kind: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    for code, value in options:
        body += struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
    if options:
        body += bytes(4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def lines_text(title: str, chosen: Sequence[tuple[Frame, list[str]]]) -> bytes:
    """The file of the incident described by `title`, with records in the order given, each with its
    comments."""
    head = [f"# netwatch {__version__}", f"# {title}"]
    head += [_file_line(source) for source in dict.fromkeys(frame.source for frame, _ in chosen)]
    parts = ["\n".join(head).encode("utf-8", "backslashreplace") + b"\n"]
    for frame, comments in chosen:
        texts = [f"# {text}" for text in comments]
        record = frame.data
        if not _is_line(record):
            texts.append(BASE64)
            record = base64.b64encode(record)
        if frame.wire_length > len(frame.data):
            texts.append(f"# cut: the record has {frame.wire_length:,} bytes")
        parts.append("\n".join(texts).encode("utf-8", "backslashreplace") + b"\n")
        parts.append(record + b"\n")
    return b"".join(parts)


def _file_line(source: str) -> str:
    """What identifies a log, up to where it was when the evidence was written."""
    found = hashed(source)
    name = escaped(source)
    if found is None:
        return f"# log {name}, which could not be hashed"
    digest, size = found
    return f"# log {name}, sha256 {digest} of its first {size:,} bytes"


def hashed(source: str, size: int | None = None) -> tuple[str, int] | None:
    """The SHA-256 of the first `size` bytes of a file as stored, by default all, and their number;
    None if it is not a local file, is too large, or cannot be read."""
    digest, left = hashlib.sha256(), size
    try:
        path = Path(source)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_HASHED:
            return None
        left = status.st_size if size is None else size
        total = left
        with path.open("rb") as stream:
            while left and (piece := stream.read(min(_PIECE, left))):
                digest.update(piece)
                left -= len(piece)
    except (OSError, ValueError):
        return None
    return digest.hexdigest(), total - left


def _is_line(record: bytes) -> bool:
    """Whether a record can be on a line of its own without looking like a comment."""
    return not record.startswith(b"#") and not any(each in record for each in b"\n\r\0")
