"""Which hellos are outer ones, by what their client was given."""

import random
from array import array
from dataclasses import replace

import handshakes
import pytest
from support import made_ech

from netwatch.core.flow import DNS_TTL_GRACE
from netwatch.core.message import DnsInfo, Message, Packet, ShownName, TlsInfo
from netwatch.core.protocol_numbers import EchConfig
from netwatch.dissect.ech_keys import EchKeys
from netwatch.dissect.loop import layout
from netwatch.dissect.loop.prefilter import Prefilter
from netwatch.protocols import tls

SECOND = 1_000_000_000
PUBLIC = "front.example"


def packet(time: int, *, client: int = 7, to_client: bool = False) -> Packet:
    ends = (bytes([10, 0, 0, client]), b"\x0a\0\0\x35")
    src, dst = reversed(ends) if to_client else ends
    return Packet("test", 1, time * SECOND, 9, "udp", src, 1, dst, 2, None, None, None, 0)


def answer(ttl: int = 60, config_id: int = 7) -> DnsInfo:
    return DnsInfo("HTTPS", ech_configs=(EchConfig(PUBLIC, config_id, "ab" * 8, ttl).text,))


def hello(config_id: int | None = 7, ech: str | None = "grease") -> Message:
    return Message(
        (ShownName("tls-sni", PUBLIC),), 1, tls=TlsInfo("1.3", ech=ech, ech_config_id=config_id)
    )


def kind(keys: EchKeys, time: int, config_id: int = 7, client: int = 7) -> str | None:
    found = keys.read(packet(time, client=client), hello(config_id)).tls
    assert found is not None
    return found.ech


def test_a_key_is_that_of_its_client_and_as_old_as_its_answer() -> None:
    given = array("B", bytes(256))
    keys = EchKeys(given)
    keys.add(packet(100, to_client=True), answer(ttl=60))
    last = 100 + 60 + DNS_TTL_GRACE // SECOND
    assert [number for number in range(256) if given[number]] == [7]
    assert [kind(keys, time) for time in (99, 100, last, last + 1)] == [
        *("grease", "outer", "outer", "grease")
    ]
    assert kind(keys, 101, config_id=8) == "grease"
    assert kind(keys, 101, client=8) == "grease"
    keys.add(packet(200, to_client=True), answer(ttl=60))
    assert [kind(keys, time) for time in (150, last + 1, last + 101)] == [
        *("outer", "outer", "grease")
    ]
    keys.add(packet(10_000, to_client=True), answer(ttl=60))
    assert [kind(keys, time) for time in (9_999, 10_000)] == ["grease", "outer"]


def test_a_full_table_evicts_the_oldest_and_counts() -> None:
    keys = EchKeys(array("B", bytes(256)), limit=2)
    for config_id in (1, 2, 1, 3):
        keys.add(packet(0, to_client=True), answer(config_id=config_id))
    assert [kind(keys, 1, config_id=number) for number in (1, 2, 3)] == ["outer", "grease", "outer"]
    assert (len(keys), keys.evicted) == (2, 1)


def test_a_hello_without_ech_stays_as_it_is() -> None:
    keys = EchKeys(array("B", bytes(256)))
    keys.add(packet(0, to_client=True), answer())
    plain = hello(None, None)
    assert keys.read(packet(1), plain) is plain


@pytest.mark.parametrize("config_id", [0, 42, 255])
def test_the_parser_reads_the_config_id(config_id: int) -> None:
    rng = random.Random(1)
    body = made_ech.extension(config_id, rng=rng)
    made = handshakes.records(handshakes.client_hello(PUBLIC, rng, ech=body))
    found = tls.parse(made).tls
    assert found is not None
    assert found.ech_config_id == config_id
    assert found == replace(found, ech="grease")


def test_the_prefilter_passes_on_hellos_with_a_config_id_that_was_given() -> None:
    """All others of no interest stay in the packet loop."""
    rng = random.Random(1)
    body = made_ech.extension(42, rng=rng)
    made = handshakes.records(handshakes.client_hello(PUBLIC, rng, ech=body))
    prefilter = Prefilter([b"tiktok.com"])
    hellos = prefilter.messages
    assert hellos.uninteresting(layout.KIND_TLS, made)
    prefilter.given[43] = 1
    assert hellos.uninteresting(layout.KIND_TLS, made)
    prefilter.given[42] = 1
    assert not hellos.uninteresting(layout.KIND_TLS, made)
