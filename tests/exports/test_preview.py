"""What an export would have stopped: of the apps, of others, and what passes.

Addresses of the servers of apps, out of answers, handshakes and a database.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from support.exported import example, shipped
from support.made_records import BARE
from support.observing import batch_of

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import NetwatchError
from netwatch.core.message import DnsInfo, Evidence, Observation
from netwatch.exports import preview as module
from netwatch.exports.export_format import EXPORTS, ServerAddress, blocklist
from netwatch.exports.preview import Preview, PreviewReport, ServerAddresses, networks_of

A, B, OUTSIDE = "10.1.0.1", "10.1.0.2", "203.0.113.9"

Shown = tuple[str, Evidence, str]


def seen(client: str, evidence: Evidence, name: str, server: str = "192.0.2.80") -> Observation:
    """One observation."""
    source, destination = parse_ip(client), parse_ip(server)
    assert source is not None
    assert destination is not None
    return replace(
        BARE, client_ip=source, evidence=evidence, name=name, server_ip=destination, vlan=None
    )


Previewed = Callable[..., PreviewReport]


@pytest.fixture
def previewed(tmp_path: Path) -> Previewed:
    """The preview of a format over contacts."""
    config, export = example(tmp_path)

    def run(name: str, *shown: Shown, addresses: tuple[ServerAddress, ...] = ()) -> PreviewReport:
        form = EXPORTS[name]
        entries = form.read(form.text(replace(export, addresses=addresses)))
        counted = Preview(
            form,
            entries,
            export.selection,
            config.catalog,
            config.networks,
            lambda word: word.removesuffix(".corp.example"),
        )
        counted.add(batch_of(*(seen(*each) for each in shown)))
        return counted.report()

    return run


def results(report: PreviewReport) -> list[tuple[str, str, int, int, int, str]]:
    return [
        (each.result, each.name, each.lookups, each.handshakes, each.devices, each.reason)
        for each in report.names
    ]


def test_a_resolver_stops_lookups_and_the_handshakes_behind_them(previewed: Previewed) -> None:
    report = previewed(
        "rpz",
        (A, "dns-query", "m.video.example"),
        (A, "dns-answer", "m.video.example"),
        (A, "tls-sni", "m.video.example"),
        (B, "quic-sni", "m.video.example"),
        (B, "dns-query", "www.example.org"),
    )
    assert results(report) == [
        ("stopped", "m.video.example", 1, 1, 1, ""),
        ("missed", "m.video.example", 0, 1, 1, "no lookup by the device was seen"),
    ]
    assert (report.app_devices, report.stopped_devices, report.missed_devices) == (2, 1, 1)
    assert report.innocent_devices == 0
    assert report.observations == 5


def test_a_sensor_sees_handshakes_by_themselves(previewed: Previewed) -> None:
    report = previewed(
        "suricata",
        (A, "dns-query", "m.video.example"),
        (B, "quic-sni", "m.video.example"),
        (B, "dtls-sni", "m.video.example"),
    )
    assert results(report) == [
        ("stopped", "m.video.example", 1, 1, 2, ""),
        ("missed", "m.video.example", 0, 1, 1, "not seen by dtls-sni"),
    ]


def test_names_of_others_below_a_domain_are_innocent(previewed: Previewed) -> None:
    report = previewed(
        "dnsmasq",
        (A, "dns-query", "x.analytics.video.example"),
        (A, "dns-query", "shop.video.example"),
        (B, "dns-query", "shop.video.example"),
    )
    assert results(report) == [
        ("innocent", "shop.video.example", 2, 0, 2,
         "host shop.video.example belongs to shop, role exclusive"),
        ("innocent", "x.analytics.video.example", 1, 0, 1,
         "suffix analytics.video.example belongs to video, role embed"),
    ]  # fmt: skip
    # An embedded part is the app's, but it is stopped in a role that is not exported.
    assert (report.app_devices, report.innocent_devices) == (0, 2)


def test_what_passes_has_a_reason(previewed: Previewed) -> None:
    shown: list[Shown] = [
        (A, "dns-query", name)
        for name in (
            "www.vendor.example", "p16-a.cdn.example", "new.video.example",
            "m.video.example.edge.example", "m.video.example.corp.example",
        )
    ]  # fmt: skip
    assert [each[1::4] for each in results(previewed("hosts", *shown))] == [
        ("m.video.example.corp.example", "not in the file as the device asks for it"),
        ("m.video.example.edge.example", "a CDN's alias under edge.example"),
        ("new.video.example", "only known names are in the file"),
        ("p16-a.cdn.example", "the format cannot express glob p16-*.cdn.example"),
        ("www.vendor.example", "role vendor is not exported"),
    ]


def test_a_wider_entry_stops_names_that_no_rule_has(previewed: Previewed) -> None:
    report = previewed("fortigate", (A, "dns-query", "p16-a.b.cdn.example"))
    assert results(report) == [
        ("innocent", "p16-a.b.cdn.example", 1, 0, 1, "no rule has it")
    ]  # fmt: skip


def test_addresses_stop_handshakes_whatever_the_name(tmp_path: Path) -> None:
    config, export = example(tmp_path)
    form = EXPORTS["nftables"]
    addresses = (ServerAddress("192.0.2.0/28", "seen"), ServerAddress("2001:db8::7", "seen"))
    counted = Preview(
        form,
        form.read(form.text(replace(export, addresses=addresses))),
        export.selection,
        config.catalog,
        config.networks,
    )
    counted.add(
        batch_of(
            seen(A, "dns-query", "m.video.example", "192.0.2.1"),
            seen(A, "tls-sni", "m.video.example", "192.0.2.7"),
            seen(A, "tls-sni", "m.video.example", "192.0.2.99"),
            seen(B, "quic-sni", "www.example.org", "192.0.2.15"),
        )
    )
    assert results(counted.report()) == [
        ("stopped", "m.video.example", 0, 1, 1, ""),
        ("innocent", "www.example.org", 0, 1, 1, "no rule has it"),
        ("missed", "m.video.example", 1, 1, 1, "none of its addresses is in the file"),
    ]


def test_clients_in_no_network_and_resolvers_are_left_aside(previewed: Previewed) -> None:
    report = previewed("rpz", (OUTSIDE, "dns-query", "m.video.example"))
    assert (report.names, report.outside, report.observations) == ((), 1, 1)


def test_pairs_are_bounded(previewed: Previewed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 1)
    monkeypatch.setattr(module, "MAX_CACHED_NAMES", 1)
    report = previewed(
        "rpz",
        (A, "dns-query", "m.video.example"),
        (B, "dns-query", "m.video.example"),
        (A, "dns-query", "www.video.example"),
        (A, "dns-query", "m.video.example"),
    )
    assert (report.uncounted, len(report.names), report.names[0].lookups) == (2, 1, 2)


ASCII = st.characters(max_codepoint=0x7F)
CONTACTS = st.lists(
    st.builds(
        seen,
        st.sampled_from([A, B, OUTSIDE, "2001:db8::1"]),
        st.sampled_from(get_args(Evidence)),
        st.sampled_from(["tiktok.com", "im-api.tiktokv.com"])
        | st.text(ASCII, min_size=1, max_size=40),
    ),
    max_size=8,
)


@given(contacts=CONTACTS, form=st.sampled_from(sorted(EXPORTS)))
def test_any_observation_is_counted(contacts: list[Observation], form: str) -> None:
    config, export = shipped("be-fed-tiktok-2023")
    entries = blocklist(["tiktok.com"], ["tiktok.com", "example.org"])
    counted = Preview(EXPORTS[form], entries, export.selection, config.catalog, config.networks)
    counted.add(batch_of(*contacts))
    assert counted.report().observations == len(contacts)


OURS = parse_ip("10.1.0.7")


@pytest.fixture
def collected(tmp_path: Path) -> Callable[..., ServerAddresses]:
    config, export = example(tmp_path)

    def run(*shown: Observation) -> ServerAddresses:
        found = ServerAddresses(export.selection, config.catalog, str, lambda each: each == OURS)
        found.add(batch_of(*shown))
        return found

    return run


def handshake(name: str, server: str, evidence: Evidence = "tls-sni") -> Observation:
    packed = parse_ip(server)
    assert packed is not None
    return replace(BARE, evidence=evidence, name=name, server_ip=packed)


def answer(name: str, *addresses: str) -> Observation:
    dns = DnsInfo("A", "NOERROR", tuple((each, 60) for each in addresses), (), (), ())
    return replace(BARE, evidence="dns-answer", name=name, dns=dns)


def test_answers_and_handshakes_have_addresses(collected: Callable[..., ServerAddresses]) -> None:
    found, shared = collected(
        answer("m.video.example", "192.0.2.8", "2001:db8::8"),
        handshake("app.cdn.example", "192.0.2.7"),
        handshake("www.vendor.example", "192.0.2.9"),
        handshake("www.example.org", "192.0.2.10"),
    ).found()
    assert [(each.text, each.origin) for each in found] == [
        ("192.0.2.7", "seen of app.cdn.example"),
        ("192.0.2.8", "seen of m.video.example"),
        ("2001:db8::8", "seen of m.video.example"),
    ]
    assert shared == 0


def test_an_address_that_others_have_is_left_out(collected: Callable[..., ServerAddresses]) -> None:
    found, shared = collected(
        answer("m.video.example", "192.0.2.7", "192.0.2.8"),
        answer("www.example.org", "192.0.2.7"),
        handshake("shop.video.example", "192.0.2.8"),
    ).found()
    assert (found, shared) == ([], 2)


def test_addresses_of_nobody_are_left_out(collected: Callable[..., ServerAddresses]) -> None:
    blocked = ("0.0.0.0", "::", "127.0.0.1", "224.0.0.251", "fe80::1", "10.1.0.7")
    assert collected(answer("m.video.example", *blocked)).found() == ([], 0)


def test_addresses_are_bounded(
    collected: Callable[..., ServerAddresses], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ADDRESSES", 2)
    monkeypatch.setattr(module, "MAX_REMEMBERED", 1)
    seen = collected(
        answer("m.video.example", "192.0.2.7", "192.0.2.8", "192.0.2.9"),
        answer("www.example.org", "192.0.2.7"),
    )
    found, shared = seen.found()
    assert ([each.text for each in found], shared, seen.uncounted) == (["192.0.2.8"], 1, 1)


def test_networks_of_an_autonomous_system(tmp_path: Path) -> None:
    writer = MMDBWriter(4, "GeoLite2-ASN")
    writer.insert_network(IPSet(["192.0.2.0/25"]), {"autonomous_system_number": 64500})
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"autonomous_system_number": 64501})
    path = tmp_path / "asn.mmdb"
    writer.to_db_file(str(path))
    found = list(networks_of(path, {64500: "VIDEO"}))
    assert [(each.text, each.origin) for each in found] == [("192.0.2.0/25", "AS64500 VIDEO")]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(NetwatchError, match=r"asn\.mmdb: cannot be read"):
        list(networks_of(path, {64500: "VIDEO"}))
