"""Kinds and outcomes from packets: what became of lookups, connections and flows without a name."""

import json
from collections.abc import Callable
from pathlib import Path

import handshakes
import messages
import pytest
from craft import Conversation, Host, Wire
from scapy.layers.inet import ICMP, IP, TCP
from support import app_traffic as app
from support.app_traffic import API, CDN, SINKHOLE, WEB, asked, visit
from support.office import FAR, FAR6, RESOLVER, SERVICE, capture
from support.recorded_events import Replayed, replay_all  # noqa: F401

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.core.alert import Alert, Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.formats import jsonl
from netwatch.incidents.contacts import ORDER
from netwatch.incidents.scan import ScanIncidents

SENSOR = Sensor("test", "0")
Build = Callable[[Wire], None]
ADDRESS = ((API, "A", 60, FAR.ip),)


def scan(folder: Path, *builds: Build) -> list[Alert]:
    """The alerts of captures, one for each of `builds`."""
    return scanned(folder, captured(folder, *builds))


def captured(folder: Path, *builds: Build, apart: float = 0) -> list[str]:
    """Captures, one for each of `builds`, which begin so many seconds apart."""
    paths = []
    for number, build in enumerate(builds):
        wire = app.wire(number + 1)
        wire.wait(number * apart)
        build(wire)
        paths.append(capture(folder / f"{number}.pcap", wire))
    return paths


def scanned(folder: Path, paths: list[str], workers: int = 1) -> list[Alert]:
    """The alerts of captures."""
    site = config.load(app.configured(folder))
    captures = list(group_files(find_captures(paths), continuous=False))
    with ScanIncidents(site.quiet_gap) as incidents:
        jobs.scan(captures, site, RunStatistics(), incidents, workers=workers)
        return list(incidents.result(None, SENSOR).alerts)


def counts(alert: Alert) -> dict[str, int]:
    every = {outcome: getattr(alert.counts, outcome) for outcome in ORDER}
    return {outcome: count for outcome, count in every.items() if count}


def blocked_for_hours(wire: Wire) -> None:
    """The app asks every quarter of an hour, and a filter answers."""
    for _ in range(6):
        asked(wire, API, rcode=3)
        asked(wire, API, kind="AAAA", rcode=3)
        wire.wait(900)


# No larger than it takes to be above every limit of `kind_thresholds`.
KINDS: dict[str, tuple[Build, str, str, str]] = {
    "session": (lambda wire: app.used(wire, size=20_000), "session", "reached", "high"),
    "short session": (
        lambda wire: app.used(wire, minutes=1.0, flows=9, size=9000),
        "session",
        "reached",
        "high",
    ),
    "background": (app.kept_in_touch, "background", "reached", "high"),
    "one contact": (lambda wire: visit(wire, API, 3000), "background", "reached", "high"),
    "embed": (lambda wire: app.embedded(wire, 20, 30_000), "embed", "reached", "medium"),
    "autoplay": (lambda wire: app.embedded(wire, 30, 40_000), "embed", "reached", "medium"),
    "pixel": (lambda wire: visit(wire, CDN, 900), "embed", "reached", "medium"),
    "lookup": (lambda wire: asked(wire, API, ADDRESS), "lookup", "attempted", "high"),
    "blocked": (blocked_for_hours, "lookup", "blocked", "medium"),
    "long connection": (
        lambda wire: visit(wire, API, 400_000, seconds=90),
        "session",
        "reached",
        "high",
    ),
}


@pytest.mark.parametrize(("build", "kind", "outcome", "severity"), KINDS.values(), ids=KINDS)
def test_kinds(tmp_path: Path, build: Build, kind: str, outcome: str, severity: str) -> None:
    (alert,) = scan(tmp_path, build)
    assert (alert.kind.value, alert.outcome, alert.severity) == (kind, outcome, severity)
    assert all(reason.endswith(".") for reason in alert.kind.reasons)


def test_a_blocked_attempt_says_that_the_app_is_still_there(tmp_path: Path) -> None:
    (alert,) = scan(tmp_path, blocked_for_hours)
    assert counts(alert) == {"blocked": 12}
    assert (
        "The app is probably still installed: app-only names were asked for 12 times at regular"
        f" intervals ({API})."
    ) in alert.kind.reasons


def answer(*records: messages.Record, rcode: int = 0, kind: str = "A", name: str = API) -> Build:
    return lambda wire: asked(wire, name, records, rcode=rcode, kind=kind)


def together(*builds: Build) -> Build:
    def build(wire: Wire) -> None:
        for each in builds:
            each(wire)

    return build


NULL = answer((API, "A", 60, "0.0.0.0"))
LOOKUPS: dict[str, tuple[Build, dict[str, int]]] = {
    "no such name": (answer(rcode=3), {"blocked": 1}),
    "refused": (answer(rcode=5), {"blocked": 1}),
    "null": (NULL, {"blocked": 1}),
    "null of IPv6": (answer((API, "AAAA", 60, "::"), kind="AAAA"), {"blocked": 1}),
    "sinkhole": (answer((API, "A", 60, "10.20.0.80")), {"blocked": 1}),
    "range": (answer((API, "AAAA", 60, "2001:db8:80::5"), kind="AAAA"), {"blocked": 1}),
    "beside the sinkhole": (answer((API, "A", 60, "10.20.0.81")), {"attempted": 1}),
    "null, no data for the other types": (
        together(NULL, answer(kind="AAAA"), answer(kind="HTTPS")),
        {"blocked": 3},
    ),
    "null, address for the other type": (
        together(NULL, answer((API, "AAAA", 60, FAR6.ip), kind="AAAA")),
        {"attempted": 1, "blocked": 1},
    ),
    "address, no data for the other type": (
        together(answer(*ADDRESS), answer(kind="AAAA")),
        {"attempted": 2},
    ),
    "one of two addresses": (
        answer((API, "A", 60, "0.0.0.0"), (API, "A", 60, FAR.ip)),
        {"attempted": 1},
    ),
    "no data": (answer(), {"attempted": 1}),
    "failure": (answer(rcode=2), {"attempted": 1}),
    "suffix": (answer(rcode=3, name=f"{API}.corp.example"), {"attempted": 1}),
    "suffix, refused": (answer(rcode=5, name=f"{API}.corp.example"), {"blocked": 1}),
    "alias to a filter": (
        answer(
            (API, "CNAME", 60, "block.example.net"), ("block.example.net", "A", 60, SINKHOLE.ip)
        ),
        {"blocked": 1},
    ),
    "alias of another name": (
        answer(
            ("shop.example.org", "CNAME", 60, CDN),
            (CDN, "A", 60, "0.0.0.0"),
            name="shop.example.org",
        ),
        {"blocked": 1},
    ),
}


@pytest.mark.parametrize(
    ("key", "blocked_by"),
    [
        ("no such name", ("NXDOMAIN",)),
        ("refused", ("REFUSED",)),
        ("null", ("0.0.0.0",)),
        ("null of IPv6", ("::",)),
        ("sinkhole", ("10.20.0.80",)),
        ("alias to a filter", (SINKHOLE.ip,)),
        ("beside the sinkhole", ()),
        ("null, no data for the other types", ("0.0.0.0",)),
    ],
)
def test_the_answer_that_blocked_a_lookup_is_named(
    tmp_path: Path, key: str, blocked_by: tuple[str, ...]
) -> None:
    (alert,) = scan(tmp_path, LOOKUPS[key][0])
    assert alert.blocked_by == blocked_by


@pytest.mark.parametrize(("build", "expected"), LOOKUPS.values(), ids=LOOKUPS)
def test_what_lookups_were_answered_with(
    tmp_path: Path, build: Build, expected: dict[str, int]
) -> None:
    (alert,) = scan(tmp_path, build)
    assert (counts(alert), alert.kind.value) == (expected, "lookup")


def hello(wire: Wire, name: str = API, server: Host = FAR) -> Conversation:
    """A connection up to its hello, and no answer."""
    talk = Conversation(wire, SERVICE, server, 443)
    talk._push(handshakes.records(handshakes.client_hello(name, wire.rng)), (), ())
    return talk


def refused_by_reset(wire: Wire) -> None:
    hello(wire)._back("RA")


def reset_and_late_answer(wire: Wire) -> None:
    talk = hello(wire)
    talk._back("RA")
    talk._back("PA", bytes(4000))


def reset_and_conversation(wire: Wire) -> None:
    talk = hello(wire)
    talk._back("RA")
    for _ in range(20):
        talk.reply(bytes(1460))


def reset_after_answer(wire: Wire) -> None:
    talk = hello(wire)
    talk.reply(handshakes.server_flight(wire.rng))
    talk._back("RA")


def reset_by_client(wire: Wire) -> None:
    hello(wire)._out("RA")


def one_direction(wire: Wire) -> None:
    visit(wire, API, 4000)
    keep = [frame for frame in wire.frames if frame[1][6:12] == bytes.fromhex("020000200107")]
    wire.frames[:] = keep


def one_direction_with_lookup(wire: Wire) -> None:
    asked(wire, API, ADDRESS)
    one_direction(wire)


def quic_hello(wire: Wire) -> None:
    for datagram in handshakes.quic_hello(handshakes.QUIC_V1, API, wire.rng):
        wire.udp(SERVICE, 50000, FAR, 443, datagram)


def quic_prohibited(wire: Wire) -> None:
    quic_hello(wire)
    quoted = IP(wire.frames[-1][1][14:])
    wire.send(FAR.at("10.20.0.1"), SERVICE, ICMP(type=3, code=13) / quoted)


def quic_one_direction(wire: Wire) -> None:
    quic_hello(wire)
    for _ in range(20):
        wire.udp(SERVICE, 50000, FAR, 443, handshakes.quic_data(wire.rng, 1200))


def request(wire: Wire, server: Host) -> None:
    talk = Conversation(wire, SERVICE, server, 80)
    talk.ask(messages.request("GET", "/", API), "http-host", API)
    talk.reply(messages.response(b"<h1>blocked</h1>", "200 OK"))


def denied(*answers: bytes) -> Build:
    """A hello with these answers."""

    def build(wire: Wire) -> None:
        talk = hello(wire)
        for answer in answers:
            talk.reply(answer)

    return build


def proxied(*statuses: str) -> Build:
    """As many requests to a proxy as it has responses."""

    def build(wire: Wire) -> None:
        talk = Conversation(wire, SERVICE, FAR, 3128)
        for status in statuses:
            talk.say(messages.request("CONNECT", f"{API}:443", f"{API}:443"))
            talk.reply(messages.response(b"", status))

    return build


@pytest.mark.parametrize(
    ("build", "blocked_by"),
    [
        (denied(b"\x15\x03\x03\0\2\2\x28"), ("tls-alert handshake_failure",)),
        (proxied("407 Authenticate", "403 Forbidden"), ("HTTP 403",)),
    ],
)
def test_what_denied_a_connection_is_named(
    tmp_path: Path, build: Build, blocked_by: tuple[str, ...]
) -> None:
    (alert,) = scan(tmp_path, build)
    assert (alert.outcome, alert.blocked_by) == ("blocked", blocked_by)


CONNECTIONS: dict[str, tuple[Build, dict[str, int]]] = {
    "answered": (lambda wire: visit(wire, API, 100), {"reached": 1}),
    "not answered": (lambda wire: hello(wire), {"attempted": 1}),  # type: ignore[dict-item]
    "reset": (refused_by_reset, {"blocked": 1}),
    "reset by a middlebox": (reset_and_late_answer, {"blocked": 1}),
    "a reset that nobody heeded": (reset_and_conversation, {"reached": 1}),
    "reset later": (reset_after_answer, {"reached": 1}),
    "given up by the client": (reset_by_client, {"attempted": 1}),
    "sinkhole": (lambda wire: visit(wire, API, 4000, SINKHOLE), {"blocked": 1}),
    "block page": (lambda wire: request(wire, SINKHOLE), {"blocked": 1}),
    "page": (lambda wire: request(wire, FAR), {"reached": 1}),
    "fatal alert": (denied(b"\x15\x03\x03\0\2\2\x28"), {"blocked": 1}),
    "warning": (denied(b"\x15\x03\x03\0\2\1\x70", bytes(900)), {"reached": 1}),
    "proxy that forbids": (proxied("403 Forbidden"), {"blocked": 1}),
    "proxy that asks for a password": (proxied("407 Authenticate", "200 OK"), {"reached": 2}),
    "proxy that asks twice": (proxied("407 Authenticate", "407 Authenticate"), {"blocked": 2}),
    "one direction": (one_direction, {"unknown": 1}),
    "one direction and its lookup": (one_direction_with_lookup, {"unknown": 2}),
    "QUIC": (
        lambda wire: wire.quic(SERVICE, FAR, API, version=handshakes.QUIC_V1),
        {"reached": 1},
    ),
    "QUIC not answered": (quic_hello, {"attempted": 1}),
    "QUIC prohibited by a filter": (quic_prohibited, {"blocked": 1}),
    "QUIC of one direction": (quic_one_direction, {"unknown": 1}),
}


@pytest.mark.parametrize(("build", "expected"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_what_servers_answered(tmp_path: Path, build: Build, expected: dict[str, int]) -> None:
    (alert,) = scan(tmp_path, build)
    assert counts(alert) == expected
    assert alert.outcome in expected


def resolved(then: Callable[[Wire, TCP], None]) -> Build:
    """A connection without a name, to an address that the device has resolved."""

    def build(wire: Wire) -> None:
        asked(wire, API, ADDRESS)
        then(wire, TCP(sport=50001, dport=443, flags="S", seq=100))

    return build


def syn(wire: Wire, segment: TCP) -> None:
    wire.send(SERVICE, FAR, segment)


def syn_and_reset(wire: Wire, segment: TCP) -> None:
    syn(wire, segment)
    wire.send(FAR, SERVICE, TCP(sport=443, dport=50001, flags="RA", seq=0, ack=101))


def no_name(wire: Wire, _segment: TCP) -> None:
    talk = Conversation(wire, SERVICE, FAR, 443)
    talk.say(b"\x01" * 300)
    talk.reply(b"\x02" * 3000)


@pytest.mark.parametrize(
    ("then", "outcome", "flow"),
    [
        (syn, "attempted", {"attempted": 2}),
        (syn_and_reset, "blocked", {"attempted": 1, "blocked": 1}),
        (no_name, "reached", {"attempted": 1, "reached": 1}),
    ],
)
def test_flows_without_a_name(
    tmp_path: Path, then: Callable[[Wire, TCP], None], outcome: str, flow: dict[str, int]
) -> None:
    (alert,) = scan(tmp_path, resolved(then))
    assert (alert.outcome, counts(alert)) == (outcome, flow)
    assert alert.kind.value == "background"


def test_requests_in_one_connection_count_each(tmp_path: Path) -> None:
    def build(wire: Wire) -> None:
        talk = Conversation(wire, SERVICE, FAR, 80)
        for name in (API, WEB, API):
            talk.ask(messages.request("GET", "/", name), "http-host", name)
            talk.reply(messages.response(b"x"))
            wire.wait(600)

    (alert,) = scan(tmp_path, build)
    assert (counts(alert), alert.counts.flows) == ({"reached": 3}, 1)


def test_a_connection_that_outlasts_the_quiet_gap_is_in_both_incidents(tmp_path: Path) -> None:
    def build(wire: Wire) -> None:
        talk = Conversation(wire, SERVICE, FAR, 80)
        for _ in range(2):
            talk.ask(messages.request("GET", "/", API), "http-host", API)
            wire.wait(3600)
        talk.reply(messages.response(b"x"))

    first, second = scan(tmp_path, build)
    assert (counts(first), counts(second)) == ({"reached": 1}, {"reached": 1})
    assert (first.counts.bytes_in > 0, second.counts.bytes_in) == (True, 0)


def test_any_number_of_jobs_gives_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where these captures are scanned one by one, each is judged again.
    monkeypatch.setattr(Replayed, "busy", True)
    # To the workers, `autoplay` is more of `embed`.
    builds = [build for kind, (build, *_) in KINDS.items() if kind != "autoplay"]
    builds += [build for build, _ in CONNECTIONS.values()]
    paths = captured(tmp_path, *builds, apart=7200)
    found = [
        [json.dumps(jsonl.alert_record(alert)) for alert in scanned(tmp_path, paths, workers)]
        for workers in (1, 2)
    ]
    assert found[0] == found[1]
    assert len(found[0]) > 1


def test_captures_of_this_module_are_judged_again(tmp_path: Path) -> None:
    before = Replayed.captures, Replayed.alerts
    build, *_ = KINDS["embed"]
    scan(tmp_path, build)
    assert (Replayed.captures, Replayed.alerts) == (before[0] + 1, before[1] + 1)


def test_the_answer_may_be_in_another_file(tmp_path: Path) -> None:
    def query(wire: Wire) -> None:
        wire.udp(SERVICE, 50000, RESOLVER, 53, messages.query(1, API, "A"))

    def block(wire: Wire) -> None:
        wire.wait(1)
        wire.udp(RESOLVER, 53, SERVICE, 50000, messages.answer(1, API, "A", (), 3))

    for builds in ((query, block), (block, query)):
        (alert,) = scan(tmp_path, *builds)
        assert (alert.outcome, counts(alert)) == ("blocked", {"blocked": 1})
