"""EVE events, in the words of the user guide of Suricata, versions 3 to 8."""

import pickle

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.log_records import SAMPLES, damaged, read, read_any, sample_lines, sample_of, short

from netwatch.core.errors import RecordError
from netwatch.logs import suricata_eve, suricata_event
from netwatch.logs.records import LogClaim, LogFlow, LogName

FOLDER = SAMPLES / "suricata-eve"
ALL = [line for path in sorted(FOLDER.iterdir()) for line in sample_lines(path)]
CLIENT, RESOLVER, SERVER = "10.20.1.31:51612", "10.20.0.53:53", "203.0.113.10:443"
NANO = 10**9


def event(kind, inner=None, **fields):
    """An event of a client and a server on the ports of TLS."""
    found = {
        "timestamp": "2023-03-20T10:04:31.118342+0100",
        "flow_id": 1804201988612001,
        "event_type": kind,
        "src_ip": "10.20.1.31",
        "src_port": 51612,
        "dest_ip": "203.0.113.10",
        "dest_port": 443,
        "proto": "TCP",
    }
    return orjson.dumps(found | fields | ({} if inner is None else {kind: inner}))


def lookup(inner, **fields):
    to_resolver = {"dest_ip": "10.20.0.53", "dest_port": 53, "proto": "UDP"}
    return event("dns", inner, **(to_resolver | fields))


def names(*lines):
    return [short(each) for each in read(suricata_eve, lines) if isinstance(each, LogName)]


def test_version_1_has_an_event_for_each_record_of_an_answer():
    entries = read(suricata_eve, sample_lines(FOLDER / "version-1.json"))
    assert [short(each) for each in entries] == [
        ("dns-query", "www.tiktok.com", CLIENT, RESOLVER, None),
        ("dns-answer", "www.tiktok.com", CLIENT, RESOLVER, "NOERROR"),
        ("dns-cname", "www.tiktok.com.edgesuite.net", CLIENT, RESOLVER, "NOERROR"),
        ("dns-answer", "nothing.example.org", "10.20.1.31:40233", RESOLVER, "NXDOMAIN"),
        ("tls-sni", "www.tiktok.com", "10.20.1.31:49822", SERVER, "reached"),
        ("tls-cert", "*.tiktok.com", "10.20.1.31:49822", SERVER, "reached"),
    ]
    assert entries[1].dns.type == "A"
    assert entries[1].dns.answers == (("203.0.113.10", 20),)
    assert entries[2].asked == "www.tiktok.com"


def test_answers_of_version_1_may_be_between_each_other():
    """Threads write one behind the other."""

    def record(flow, name, **more):
        return lookup(
            {"type": "answer", "id": 1, "rcode": "NOERROR", "rrname": name} | more, flow_id=flow
        )

    found = read(
        suricata_eve,
        [
            record(1, "a.example.org", rrtype="CNAME", rdata="x.example.net", ttl=60),
            record(2, "b.example.org", rrtype="CNAME", rdata="y.example.net", ttl=60),
            record(1, "x.example.net", rrtype="A", rdata="192.0.2.1", ttl=60),
            record(2, "y.example.net", rrtype="AAAA", rdata="2001:db8::1", ttl=60),
        ],
    )
    answers = [each for each in found if each.evidence == "dns-answer"]
    assert [(each.name, each.dns.type, each.dns.answers) for each in answers] == [
        ("a.example.org", "A", (("192.0.2.1", 60),)),
        ("b.example.org", "AAAA", (("2001:db8::1", 60),)),
    ]


def test_pending_answers_of_version_1_are_bounded():
    reader_limit = suricata_event.MAX_PENDING
    lines = [
        lookup({"type": "answer", "id": at, "rcode": "NOERROR", "rrname": f"n{at}.example.org"})
        for at in range(3 * reader_limit)
    ]
    found = names(*lines)
    assert [each[1] for each in found] == [f"n{at}.example.org" for at in range(3 * reader_limit)]


def test_version_2_as_suricata_7_writes_it():
    found = read(suricata_eve, sample_lines(FOLDER / "version-2.json"))
    assert {type(each) for each in found} == {LogName, LogFlow, LogClaim}
    answer = next(each for each in found if short(each)[0] == "dns-answer")
    asked = next(each for each in found if short(each)[0] == "dns-query")
    # In an answer of this version the source is the client.
    assert (answer.client, answer.server) == (asked.client, asked.server)
    assert answer.flow == asked.flow != ""
    assert answer.client_mac == asked.client_mac is not None


def test_version_2_with_data_by_type_only():
    grouped = {"CNAME": ["edge.example.net", "end.example.net"], "A": ["203.0.113.10"]}
    inner = {
        "version": 2,
        "type": "answer",
        "rrname": "www.tiktok.com",
        "rrtype": "A",
        "rcode": "NOERROR",
        "grouped": grouped,
    }
    answer, *aliases = read(suricata_eve, [lookup(inner)])
    assert answer.dns.chain == ("edge.example.net", "end.example.net")
    assert answer.dns.answers == (("203.0.113.10", 0),)
    assert [each.name for each in aliases] == ["edge.example.net", "end.example.net"]


def test_version_3_has_the_responder_as_the_source():
    found = read(suricata_eve, sample_lines(FOLDER / "version-3.json"))
    assert [short(each) for each in found] == [
        ("dns-query", "www.tiktok.com", CLIENT, RESOLVER, None),
        ("dns-answer", "www.tiktok.com", CLIENT, RESOLVER, "NOERROR"),
        ("dns-cname", "www.tiktok.com.edgesuite.net", CLIENT, RESOLVER, "NOERROR"),
        ("quic-sni", "v16-webapp.tiktok.com", "10.20.1.31:53114", SERVER, None),
        ("flow", "udp", "10.20.1.31:53114", SERVER, 4421, 32119),
    ]
    assert found[0].raw == "www.TikTok.com"
    assert {each.vlan for each in found} == {20}  # the innermost one
    assert found[3].quic.version == "1"
    assert found[3].tls.ja4 == "q13d0312h3_55b375c5d22e_06cda9e17597"
    assert pickle.loads(pickle.dumps(found[3])) == found[3]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("from_server", [False, True])
def test_the_port_of_dns_tells_the_server_in_an_answer(version, from_server):
    """The source is the server in Suricata 4 and 8, the client in those between."""
    inner = {"version": version, "type": "response", "rcode": "NOERROR"}
    inner |= {"queries": [{"rrname": "a.example.org", "rrtype": "A"}], "answers": []}
    sides = {"src_ip": "10.20.1.31", "src_port": 51612, "dest_ip": "10.20.0.53", "dest_port": 53}
    if from_server:
        sides = {
            "src_ip": "10.20.0.53",
            "src_port": 53,
            "dest_ip": "10.20.1.31",
            "dest_port": 51612,
        }
    assert names(lookup(inner, **sides)) == [
        ("dns-answer", "a.example.org", CLIENT, RESOLVER, "NOERROR")
    ]


@pytest.mark.parametrize(("version", "client"), [(2, "10.20.1.31:53"), (3, "10.20.0.53:53")])
def test_the_version_tells_it_where_both_have_the_port_of_dns(version, client):
    inner = {"version": version, "type": "answer", "rcode": "NOERROR", "rrname": "a.example.org"}
    inner["answers"] = []
    assert names(lookup(inner, src_port=53))[0][2] == client


def test_several_questions():
    queries = [{"rrname": "a.example.org", "rrtype": "A"}, {"rrname": "b.example.org"}]
    found = names(lookup({"version": 3, "type": "request", "rcode": "NOERROR", "queries": queries}))
    assert [(each[0], each[1], each[4]) for each in found] == [
        ("dns-query", "a.example.org", None),
        ("dns-query", "b.example.org", None),
    ]


def test_an_update_of_a_zone_is_no_lookup():
    inner = {"version": 2, "type": "query", "rrname": "example.org", "rrtype": "SOA", "opcode": 5}
    assert read(suricata_eve, [lookup(inner)]) == []


@pytest.mark.parametrize(
    ("written", "name", "raw"),
    [
        ("www.TikTok.com.", "www.tiktok.com", "www.TikTok.com."),
        ("a\\xff\\x00.example.org", "a\\255\\000.example.org", ""),
        ('a"b\n.example.org', 'a"b\\010.example.org', ""),
        ("b\u00fccher.example", "xn--bcher-kva.example", "b\\195\\188cher.example"),
    ],
)
def test_names_as_they_are_in_the_log(written, name, raw):
    (entry,) = read(suricata_eve, [lookup({"type": "query", "rrname": written, "rrtype": "A"})])
    assert (entry.name, entry.raw) == (name, raw)


def test_the_root_shows_nothing():
    assert read(suricata_eve, [lookup({"type": "query", "rrname": "", "rrtype": "NS"})]) == []


def test_tls_before_the_server_has_answered():
    inner = {"sni": "www.tiktok.com", "version": "UNDETERMINED", "ja4": "not a fingerprint"}
    (entry,) = read(suricata_eve, [event("tls", inner)])
    assert (entry.evidence, entry.outcome, entry.tls, entry.transport) == (
        "tls-sni",
        None,
        None,
        "tcp",
    )


def test_a_session_and_the_names_in_its_certificate():
    inner = {
        "subject": "C=XX, O=Example, Inc., CN=*.tiktok.com",
        "subjectaltname": ["*.tiktok.com", "TikTok.com"],
        "sni": "www.tiktok.com",
        "version": "TLS 1.2",
        "client_alpns": ["h2", "http/1.1"],
        "ja4": "t13d1516h2_8daaf6152771_02713d6af862",
    }
    sni, *certificate = read(suricata_eve, [event("tls", inner)])
    assert (sni.outcome, sni.tls.version, sni.tls.alpn) == ("reached", "1.2", ("h2", "http/1.1"))
    assert sni.tls.ja4 == "t13d1516h2_8daaf6152771_02713d6af862"
    assert [(each.evidence, each.name, each.raw) for each in certificate] == [
        ("tls-cert", "*.tiktok.com", ""),
        ("tls-cert", "tiktok.com", "TikTok.com"),
    ]


def test_a_hello_that_comes_again_counts_once():
    """As after a Retry."""
    line = event("quic", {"version": "1", "sni": "www.tiktok.com"}, proto="UDP")
    other = event("quic", {"version": "1", "sni": "www.tiktok.com"}, proto="UDP", flow_id=2)
    assert len(read(suricata_eve, [line, line, other])) == 2


def test_quic_events_without_a_hello_show_nothing():
    assert read(suricata_eve, [event("quic", {"version": "58010000"}, proto="UDP")]) == []


@pytest.mark.parametrize(
    ("inner", "found"),
    [
        (
            {"hostname": "www.tiktok.com", "url": "/", "status": 200},
            [("www.tiktok.com", "reached")],
        ),
        ({"hostname": "www.tiktok.com", "url": "/"}, [("www.tiktok.com", None)]),
        (
            {"hostname": "a.example.org", "http_method": "GET", "url": "http://b.example.org/x"},
            [("a.example.org", None), ("b.example.org", None)],
        ),
        (
            {"hostname": "x", "http_method": "CONNECT", "url": "www.tiktok.com:443", "status": 200},
            [("x", "reached"), ("www.tiktok.com", "reached")],
        ),
        (
            {"http_method": "CONNECT", "url": "www.tiktok.com:443", "status": 403},
            [("www.tiktok.com", "blocked")],
        ),
        (
            {
                "version": "2",
                "request_headers": [
                    {"name": ":authority", "value": "www.tiktok.com:8443"},
                    {"name": "cookie", "value": "b.example.org"},
                ],
            },
            [("www.tiktok.com", None)],
        ),
        ({"http_method": "GET", "url": "/"}, []),
    ],
)
def test_hosts_of_requests(inner, found):
    entries = read(suricata_eve, [event("http", inner, dest_port=80)])
    assert [(each.name, each.outcome) for each in entries] == found
    assert {each.evidence for each in entries} <= {"http-host"}


def flow(tcp=None, **fields):
    inner = {
        "pkts_toserver": 3,
        "pkts_toclient": 2,
        "bytes_toserver": 200,
        "bytes_toclient": 120,
        "start": "2023-03-20T10:04:31.118342+0100",
        "end": "2023-03-20T10:05:01.118342+0100",
    }
    more = {} if tcp is None else {"tcp": tcp}
    return event("flow", inner | fields.pop("inner", {}), **more, **fields)


@pytest.mark.parametrize(
    ("line", "sent", "start_seen"),
    [
        (
            flow({"tcp_flags_ts": "1b", "tcp_flags_tc": "1b", "syn": True}),
            ("payload", "payload"),
            True,
        ),
        (
            flow({"tcp_flags_ts": "02", "tcp_flags_tc": "14", "syn": True}),
            ("headers", "refusal"),
            True,
        ),
        (
            flow({"tcp_flags_ts": "12", "tcp_flags_tc": "12", "syn": True}),
            ("headers", "headers"),
            True,
        ),
        (flow({"tcp_flags_ts": "10", "tcp_flags_tc": "10"}), ("headers", "headers"), False),
        (flow(inner={"bytes_toclient": 3000}), ("headers", "payload"), True),
        (flow(inner={"pkts_toclient": 0, "bytes_toclient": 0}), ("headers", "nothing"), True),
        (flow(proto="UDP"), ("payload", "payload"), True),
        (flow({"tcp_flags_tc": "no number", "syn": True}), ("headers", "headers"), True),
    ],
)
def test_what_the_sides_of_a_flow_have_sent(line, sent, start_seen):
    (entry,) = read(suricata_eve, [line])
    assert (entry.client_sent, entry.server_sent) == sent
    assert entry.start_seen == start_seen
    assert entry.last - entry.first == 30 * NANO


def test_lookups_are_no_flows():
    assert read(suricata_eve, [flow(app_proto="dns"), flow(dest_port=53)]) == []


def test_a_flow_with_several_macs_has_none():
    lines = [flow(ether={"src_macs": ["02:00:00:20:01:31"]}), flow(ether={"src_macs": ["a", "b"]})]
    assert [each.client_mac for each in read(suricata_eve, lines)] == [
        bytes.fromhex("020000200131"),
        None,
    ]


def test_dhcp_makes_claims():
    def message(kind, **more):
        inner = {"id": 77, "client_mac": "02:00:00:20:01:31", "dhcp_type": kind} | more
        return event("dhcp", inner, src_ip="10.20.0.1", src_port=67, proto="UDP")

    lines = [
        message("request", requested_ip="10.20.1.31", client_ip="0.0.0.0", hostname="Desk-31"),
        message("ack", assigned_ip="10.20.1.31", client_ip="0.0.0.0", lease_time=3600),
        message("offer", assigned_ip="10.20.1.31"),
        message("ack", assigned_ip="0.0.0.0"),
        message("nak"),
        message("release", client_ip="10.20.1.31"),
    ]
    found = [each.claim for each in read(suricata_eve, lines)]
    assert [(each.kind, each.addresses, each.lifetime) for each in found] == [
        ("request", (b"\x0a\x14\x01\x1f",), None),
        ("lease", (b"\x0a\x14\x01\x1f",), 3600),
        ("nak", (), None),
        ("release", (b"\x0a\x14\x01\x1f",), None),
    ]
    assert found[0].hostname == "desk-31"
    assert found[0].transaction_id == found[1].transaction_id
    assert not found[0].renewal


def test_alerts_and_netflow_repeat_what_other_events_say():
    dns = {"query": [{"type": "query", "rrname": "www.tiktok.com"}]}
    assert read(suricata_eve, [event("alert", {}, dns=dns), event("netflow", {})]) == []


def test_a_time_without_a_zone_is_local():
    line = event("tls", {"sni": "a.example.org"}, timestamp="2009-11-24T21:27:09.534255")
    (entry,) = read(suricata_eve, [line])
    assert (entry.time, entry.time_digits) == (1259098029534255000, 6)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not JSON", "event-type-missing"),
        (b'{"event_type":"dns",', "json-invalid"),
        (b'[{"event_type":"dns"}]', "json-invalid"),
        (event("dns", {}), "dns-type-missing"),
        (event("tls", {}, proto=5), "protocol-missing"),
        (event("tls", {}, src_ip="somewhere"), "address-invalid"),
        (event("tls", {}, timestamp="yesterday"), "time-invalid"),
        (event("tls", {}, timestamp="9999-03-20T10:04:31.118342+0100"), "time-invalid"),
        (event("flow"), "flow-missing"),
        (event("dhcp", {"dhcp_type": "ack", "client_mac": "?"}), "mac-invalid"),
    ],
)
def test_what_cannot_be_read(line, reason):
    with pytest.raises(RecordError, match=reason):
        read(suricata_eve, [line])


def test_other_protocols_are_passed_over():
    assert read(suricata_eve, [event("flow", {}, proto="ICMP"), b"", event("stats", {})]) == []


def test_the_samples_are_of_this_format():
    for path in FOLDER.iterdir():
        lines = sample_lines(path)
        assert suricata_eve.recognise(sample_of(lines)) == len(lines), path.name


_JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)
)
_VALUES = st.recursive(
    _JUNK,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(ALL), st.data())
def test_any_value_anywhere(line, data):
    """Each field of a real event may be anything that JSON has."""
    found = orjson.loads(line)
    place = found
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_VALUES)
    try:
        written = orjson.dumps(found)
    except TypeError:  # beyond 64 bits
        return
    assert len(read_any(suricata_eve, [written])) < 20


@given(damaged(ALL))
def test_any_bytes(lines):
    read_any(suricata_eve, lines)
