"""dnstap, with frames written as dnstap.proto has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from support.dnstap_frames import (
    CLIENT_QUERY,
    CLIENT_RESPONSE,
    NXDOMAIN_ACTION,
    PASS_ACTION,
    RESOLVER_QUERY,
    field,
    frame,
    policy,
    stream,
    varint,
)
from support.log_records import SAMPLES, read, read_any, sample_of, short

from netwatch.logs import dnstap
from netwatch.logs.reading import RecordError
from netwatch.logs.recognise import recognise_head
from netwatch.logs.records import LogName

QUERY = bytes(DNS(id=7, rd=1, qd=DNSQR(qname="www.TikTok.com")))
ANSWER = bytes(
    DNS(
        id=7,
        qr=1,
        qd=DNSQR(qname="www.TikTok.com"),
        an=[
            DNSRR(rrname="www.tiktok.com", type="CNAME", ttl=300, rdata="edge.example.net"),
            DNSRR(rrname="edge.example.net", type="A", ttl=20, rdata="203.0.113.10"),
        ],
    )
)
REFUSED = bytes(DNS(id=7, qr=1, rcode=3, qd=DNSQR(qname="www.tiktok.com")))
CLIENT, SERVER = "10.20.1.31:51612", "10.20.0.53:53"


def test_the_query_of_a_client_and_its_answer():
    asked, answered, alias = read(
        dnstap, [frame(CLIENT_QUERY, QUERY), frame(CLIENT_RESPONSE, ANSWER)]
    )
    assert short(asked) == ("dns-query", "www.tiktok.com", CLIENT, SERVER, None)
    assert short(answered) == ("dns-answer", "www.tiktok.com", CLIENT, SERVER, "NOERROR")
    assert short(alias) == ("dns-cname", "edge.example.net", CLIENT, SERVER, "NOERROR")
    assert (asked.time, asked.time_digits, asked.raw) == (
        1679303071118342001,
        9,
        "www.TikTok.com",
    )
    assert answered.dns.answers == (("203.0.113.10", 20),)
    assert alias.asked == "www.tiktok.com"
    assert asked.transport == "udp"


@pytest.mark.parametrize(
    ("protocol", "transport"), [(1, "udp"), (2, "tcp"), (3, "tcp"), (4, "tcp")]
)
def test_the_transport(protocol, transport):
    (entry,) = read(dnstap, [frame(CLIENT_QUERY, QUERY, protocol=protocol)])
    assert entry.transport == transport


def test_a_query_of_the_resolver_itself_has_no_client():
    """Whoever has asked it is in no field, so that nobody is named."""
    (entry,) = read(dnstap, [frame(RESOLVER_QUERY, QUERY, client=b"\x0a\x14\x00\x35")])
    assert short(entry)[:3] == ("dns-query", "www.tiktok.com", "-:0")
    assert entry.lacks == ("client",)


def test_a_server_may_leave_out_addresses():
    (entry,) = read(dnstap, [frame(CLIENT_QUERY, QUERY, server=b"")])
    assert short(entry)[2:4] == (CLIENT, "-:53")
    six = bytes.fromhex("20010db8002000000000000000000031")
    (entry,) = read(dnstap, [frame(CLIENT_QUERY, QUERY, client=six)])
    assert short(entry)[2] == "2001:db8:20::31:51612"


def test_a_response_policy_zone_has_blocked():
    blocked = policy(b"www.tiktok.com.rpz.example.", NXDOMAIN_ACTION)
    (entry,) = read(dnstap, [frame(CLIENT_RESPONSE, REFUSED, policy=blocked)])
    assert (entry.outcome, entry.blocked_by) == (
        "blocked",
        "NXDOMAIN (www.tiktok.com.rpz.example.)",
    )
    assert entry.dns.rcode == "NXDOMAIN"
    (entry,) = read(dnstap, [frame(CLIENT_RESPONSE, REFUSED, policy=policy(b"x.", PASS_ACTION))])
    assert (entry.outcome, entry.blocked_by) == (None, "")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\x08", "protobuf-invalid"),
        (b"\x72\x05ab", "protobuf-invalid"),
        (b"\xff" * 11, "protobuf-invalid"),
        (varint(3 << 3 | 3), "protobuf-invalid"),  # a group
        (field(14, field(1, 5)) + field(15, 1), "dns-message-missing"),
        (frame(CLIENT_QUERY, QUERY[:8]), "dns-cut"),
        (frame(CLIENT_QUERY, QUERY, client=b"abc"), "address-invalid"),
        (frame(CLIENT_QUERY, QUERY, nanoseconds=10**9), "time-invalid"),
        (frame(CLIENT_QUERY, QUERY, seconds=1 << 40), "time-invalid"),
        (frame(CLIENT_QUERY, QUERY, seconds=0), "time-missing"),
    ],
)
def test_what_cannot_be_read(record, reason):
    with pytest.raises(RecordError, match=reason):
        read(dnstap, [record])


def test_other_messages_say_nothing():
    update = field(14, field(1, 13)) + field(15, 1)
    assert read(dnstap, [b"", field(15, 2), update]) == []


def test_the_content_type_tells_the_format():
    made = stream([frame(CLIENT_QUERY, QUERY)])
    assert recognise_head(made).format is None  # standard input cannot be read twice
    assert dnstap.recognise(sample_of([made])) > 0
    other = made.replace(b"protobuf:dnstap.Dnstap", b"protobuf:another.Types")
    assert dnstap.recognise(sample_of([other])) == 0
    sample = (SAMPLES / "dnstap" / "resolver.dnstap").read_bytes()
    assert dnstap.recognise(sample_of([sample])) > 0


@given(st.lists(st.binary(max_size=200), max_size=4), st.data())
def test_any_bytes(records, data):
    damaged = bytearray(frame(CLIENT_RESPONSE, ANSWER, policy=policy(b"x.", 1)))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    found = read_any(dnstap, [*records, bytes(damaged)])
    assert len(found) < 100
    assert all(isinstance(each, LogName) for each in found)
