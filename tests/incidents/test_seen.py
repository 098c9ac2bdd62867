"""Nobody is confirmed by what one sender alone can make, and everybody by a conversation."""

import random
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.captures import pcap
from support.evidence import scan_alerts
from support.examples import examples
from support.paths import PCAPS
from support.situations import evidence
from support.situations.situation import Frames

from netwatch.config import Config, load
from netwatch.formats.jsonl import alert_record

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.0.0.0/8, "2001:db8::/32"], class: service, authority: Example}
bans:
  - {id: rule, authority: Example, apps: [tiktok], forbids: [service], timezone: UTC,
     legal_basis: none, min_confidence: possible, severity: high}
"""


def alerts(folder: Path, frames: Frames) -> list[dict[str, Any]]:
    """The records of the alerts on these frames."""
    capture = folder / "a.pcap"
    capture.write_bytes(pcap(sorted(frames, key=lambda frame: frame[0])))
    return records(capture)


def records(capture: Path) -> list[dict[str, Any]]:
    """The records of the alerts on a capture."""
    return [dict(alert_record(each)) for each in scan_alerts(site(), capture)]


@cache
def site() -> Config:
    """The configuration, read once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "netwatch.yaml")
        path.write_text(CONFIG)
        return load(str(path))


@pytest.mark.parametrize(
    ("frames", "seen", "reason"),
    [
        (evidence.lone_hello, (False, "client", "right"), "only what the client sent was seen"),
        (evidence.forged_hello, (False, "client", "wrong"), "The checksum of the packet"),
        (evidence.conversation, (True, "both", "right"), ""),
        (evidence.offloaded, (True, "both", "unknown"), ""),
        (evidence.hello_with_wrong_checksum, (True, "both", "wrong"), "The checksum of the packet"),
        (evidence.opened_only, (True, "both", "right"), ""),
        (evidence.stray_hello, (False, "both", "wrong"), "nothing that acknowledges this packet"),
        (evidence.quic_answered_to_another, (False, "both", "right"), "nothing that acknowledges"),
    ],
)
def test_evidence_says_how_it_was_seen(frames: Any, seen: Any, reason: str, tmp_path: Path) -> None:
    (alert,) = alerts(tmp_path, frames())
    (piece,) = alert["evidence"]
    assert tuple(piece["seen"].values()) == seen
    assert list(piece["seen"]) == ["server", "directions", "checksum"]
    reasons = " ".join(alert["confidence_reasons"])
    assert reason in reasons
    assert ("at most probable" in reasons) == bool(reason)


def test_a_truncated_packet_has_no_checksum(tmp_path: Path) -> None:
    frames = evidence.conversation()
    capture = tmp_path / "cut.pcap"
    keep = len(evidence.the_hello(frames)[1]) - 4
    octets = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    for time, frame in frames:
        cut = frame[:keep]
        octets += struct.pack("<4I", *divmod(time // 1000, 10**6), len(cut), len(frame)) + cut
    capture.write_bytes(octets)
    (alert,) = records(capture)
    assert alert["evidence"][0]["seen"] == {
        "server": True, "directions": "both", "checksum": "unknown",
    }  # fmt: skip
    assert alert["confidence"] == "confirmed"


def test_the_answered_one_of_two_contacts_is_shown(tmp_path: Path) -> None:
    """A forged hello before the real one neither hides it nor is taken for it."""
    real = evidence.conversation()
    other = evidence.the_hello(evidence.conversation(seed=9))[1]
    forged = [(real[0][0] - 10**9, evidence.with_wrong_checksum(other))]
    (alert,) = alerts(tmp_path, [*forged, *real])
    assert alert["confidence"] == "confirmed"
    (piece,) = alert["evidence"]
    assert (piece["count"], piece["packet"], piece["seen"]["server"]) == (2, 5, True)


@examples(6)
@given(
    sample=st.sampled_from(["office-day", "post-quantum-hello", "quic-two-packets", "http-host"]),
    of=st.sampled_from(["client", "server"]),
)
def test_one_side_of_any_capture_confirms_nobody(tmp_path_factory, sample: str, of: str) -> None:
    """And both sides confirm what they did."""
    folder = tmp_path_factory.mktemp("side")
    frames = packets(PCAPS / f"{sample}.pcap")
    kept = [each for each in frames if _is_of_client(each[1]) == (of == "client")]
    found = alerts(folder, kept)
    assert "confirmed" not in {alert["confidence"] for alert in found}
    both = alerts(folder, frames)
    confirmed = [each for each in both if each["confidence"] == "confirmed"]
    assert all(_has_proof(each) for each in confirmed)
    assert confirmed or sample != "office-day"


@examples(12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), one=st.booleans(), lost=st.floats(0, 0.5))
def test_generated_conversations(tmp_path_factory, seed: int, one: bool, lost: float) -> None:
    """Whatever the capture has lost, one side alone confirms nobody; and conversations of which
    nothing is missing, in whatever order two cards hand their packets over, are confirmed."""
    folder, rng = tmp_path_factory.mktemp("made"), random.Random(seed)
    frames = [evidence.conversation(seed=seed), evidence.quic()][seed % 2]
    if one:
        kept = rng.choice([evidence.of_client, evidence.of_server])(frames)
        frames = [each for each in kept if rng.random() >= lost]
    else:
        frames = [(time + rng.randrange(2) * rng.randrange(10**6), each) for time, each in frames]
    confidences = {each["confidence"] for each in alerts(folder, frames)}
    assert confidences <= {"probable", "possible"} if one else confidences == {"confirmed"}


def packets(path: Path) -> Frames:
    """The packets of a sample, which is little-endian and has microseconds."""
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        seconds, micros, size, _ = struct.unpack_from("<4I", data, at)
        found.append(((seconds * 10**6 + micros) * 1000, data[at + 16 : at + 16 + size]))
        at += 16 + size
    return found


def _is_of_client(frame: bytes) -> bool:
    """Whether a client has sent a frame: its port is the greater one. There are up to two tags
    before the packet, and no options in the headers of IP."""
    at = 12
    while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    ports = at + 2 + (20 if frame[at : at + 2] == b"\x08\x00" else 40)
    return frame[ports : ports + 2] > frame[ports + 2 : ports + 4]


def _has_proof(alert: dict[str, Any]) -> bool:
    return any(
        piece["seen"]["server"] and piece["seen"]["checksum"] != "wrong"
        for piece in alert["evidence"]
        if piece["type"] in ("tls-sni", "quic-sni", "http-host")
    )
