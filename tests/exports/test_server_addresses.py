"""Addresses of the servers of apps, out of answers, handshakes and a database."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from support.exported import example
from support.made_records import BARE
from support.observing import batch_of

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import NetwatchError
from netwatch.core.message import DnsInfo, Evidence, Observation
from netwatch.exports import server_addresses as module
from netwatch.exports.server_addresses import ServerAddresses, networks_of

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
    monkeypatch.setattr(module, "MAX_CACHED_NAMES", 1)
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
