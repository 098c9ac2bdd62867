import pytest
from hypothesis import given
from hypothesis import strategies as st
from leases import announcement
from scapy.layers.dns import DNS, DNSQR, DNSRR

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim
from netwatch.protocols import dns, mdns

IP, IP6 = bytes([10, 20, 6, 20]), bytes.fromhex("20010db8002000060000000000000014")
TEXT, TEXT6 = "10.20.6.20", "2001:db8:20:6::14"


def payload(packet):
    return bytes(packet.getlayer(DNS))


def response(*answers, additional=(), **fields):
    return bytes(DNS(id=0, qr=1, aa=1, qd=[], an=list(answers), ar=list(additional), **fields))


def a(name="ws-014.local.", ttl=120, rclass=0x8001):
    return DNSRR(rrname=name, type="A", rclass=rclass, ttl=ttl, rdata=TEXT)


def aaaa(name="ws-014.local."):
    return DNSRR(rrname=name, type="AAAA", rclass=0x8001, ttl=120, rdata=TEXT6)


def test_a_host_announces_its_name_with_all_its_addresses():
    found = mdns.parse(payload(announcement(TEXT, "WS-014", TEXT6)))
    assert found.claims == (
        AddressClaim("announcement", (IP, IP6), on_link=True, hostname="ws-014"),
    )
    assert found.names == ()


def test_addresses_among_the_additional_records_count():
    pointer = DNSRR(rrname="_ssh._tcp.local.", type="PTR", ttl=120, rdata="ws._ssh._tcp.local.")
    found = mdns.parse(response(pointer, additional=[a(), aaaa()]))
    assert [(each.hostname, each.addresses) for each in found.claims] == [("ws-014", (IP, IP6))]


@pytest.mark.parametrize(
    "record",
    [
        a(ttl=0),  # goodbye (RFC 6762 section 10.1)
        a("ws-014.example.org."),
        a("ws.sub.local."),
        a(rclass=3),
        DNSRR(rrname="ws-014.local.", type="A", ttl=120, rdata=TEXT, rdlen=4, rclass=0x8003),
    ],
    ids=["goodbye", "other-domain", "below", "chaos", "other-class"],
)
def test_what_makes_no_claim(record):
    assert mdns.parse(response(record)).claims == ()


def test_a_query_with_what_it_probes_for_makes_no_claim():
    query = DNS(id=0, qr=0, qd=[DNSQR(qname="ws-014.local.", qtype=255)], an=[a()], ns=[a()])
    found = mdns.parse(bytes(query))
    assert (found.claims, [each.name for each in found.names]) == ((), ["ws-014.local"])


def test_names_are_shown_as_ever():
    data = bytes(DNS(id=0, qr=1, qd=[DNSQR(qname="ws-014.local.")], an=[a()]))
    assert mdns.parse(data).names == dns.parse(data).names
    assert len(mdns.parse(data).claims) == 1


def test_what_was_complete_before_the_truncation_counts():
    data = response(a(), aaaa())
    found = mdns.parse(data[:-3])
    assert (found.anomalies, found.claims[0].addresses) == (("dns-cut",), (IP,))


def test_many_records_are_bounded():
    data = bytearray(response(a()))
    data += data[12:] * 600
    data[6:8] = (601).to_bytes(2)
    found = mdns.parse(bytes(data))
    assert found.claims[0].addresses == (IP,)
    assert "dns-many-records" in found.anomalies


@given(st.integers(0, 80), st.integers(0, 4), st.binary(max_size=6))
def test_any_bytes_give_what_dns_gives(at, gone, put):
    data = bytearray(response(a(), aaaa(), additional=[a("other.local.")]))
    data[at : at + gone] = put
    try:
        plain = dns.parse(bytes(data))
    except ParseError as error:
        with pytest.raises(ParseError, match=error.anomaly):
            mdns.parse(bytes(data))
    else:
        found = mdns.parse(bytes(data))
        assert found.names == plain.names
        assert all(each.hostname and each.addresses for each in found.claims)
