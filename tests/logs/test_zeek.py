"""Logs of Zeek as TSV and JSON, in the words of its documentation."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.log_records import SAMPLES, read, read_any, sample_lines, sample_of, short
from support.logs import items_of

from netwatch.core.errors import RecordError
from netwatch.engine.log_events import LogEvents
from netwatch.logs import zeek
from netwatch.logs.records import LogClaim, LogName

FOLDER = SAMPLES / "zeek"
SAMPLE = {path.name: sample_lines(path) for path in sorted(FOLDER.iterdir())}
CLIENT, RESOLVER = "10.20.1.31:51612", "10.20.0.53:53"
SESSION, SERVER = "10.20.1.31:49822", "203.0.113.10:443"
START = 1679303071118342000


def shorts(*lines):
    return [short(each) for each in read(zeek, lines)]


def record(path, **fields):
    """A record in JSON between a client and the server."""
    found = {"_path": path, "ts": 1679303071.118342, "uid": "CHhAvVGS1DHFjwGM9"}
    found |= {"id.orig_h": "10.20.1.31", "id.orig_p": 49822}
    found |= {"id.resp_h": "203.0.113.10", "id.resp_p": 443}
    return orjson.dumps(found | {key.replace("__", "."): each for key, each in fields.items()})


def table(path, fields, *records, separator="\t", name_of_separator="\\x09"):
    """A log in TSV with these columns, all of them text but ``answers``."""
    columns = fields.split()
    types = ["vector[string]" if each in ("answers", "TTLs") else "string" for each in columns]
    header = [
        f"#separator {name_of_separator}",
        separator.join(("#set_separator", ",")),
        separator.join(("#empty_field", "(empty)")),
        separator.join(("#unset_field", "-")),
        separator.join(("#path", path)),
        separator.join(("#fields", *columns)),
        separator.join(("#types", *types)),
    ]
    return [line.encode() for line in (*header, *(separator.join(each) for each in records))]


IDS = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p"
VALUES = ("1679303071.118342", "CHhAvVGS1DHFjwGM9", "10.20.1.31", "51612", "10.20.0.53", "53")


def test_a_lookup_is_one_record_with_its_answer():
    found = read(zeek, SAMPLE["dns.log"])
    assert [short(each) for each in found] == [
        ("dns-answer", "www.tiktok.com", CLIENT, RESOLVER, "NOERROR"),
        ("dns-cname", "www.tiktok.com.edgesuite.net", CLIENT, RESOLVER, "NOERROR"),
        ("dns-answer", "nothing.example.org", "10.20.1.31:40233", RESOLVER, "NXDOMAIN"),
        ("dns-query", "muscdn.com", "2001:db8:20::31:40777", "2001:db8:20::53:53", None),
    ]
    answer, alias, _, query = found
    assert (answer.time, answer.time_digits) == (START, 6)
    assert answer.dns.type == "A"
    assert answer.dns.answers == (("203.0.113.10", 20),)
    assert answer.flow == "CJ3xTgq2YQ0aVtC1"
    assert alias.asked == "www.tiktok.com"
    assert (query.dns.type, query.dns.rcode) == ("HTTPS", None)


def test_a_session():
    """The second record is a handshake of QUIC, which the log of QUIC has too, if there is one."""
    found, quic = read(zeek, SAMPLE["ssl.log"])
    assert short(quic)[:2] == ("quic-sni", "v16-webapp.tiktok.com")
    assert (quic.outcome, quic.transport) == ("reached", "udp")
    assert short(found) == ("tls-sni", "www.tiktok.com", SESSION, SERVER, "reached")
    assert (found.tls.version, found.tls.alpn, found.transport) == ("1.3", ("h2",), "tcp")


def test_a_connection_of_quic():
    (found,) = read(zeek, SAMPLE["quic.log"])
    assert short(found)[:2] == ("quic-sni", "v16-webapp.tiktok.com")
    assert (found.outcome, found.transport, found.quic.version) == ("reached", "udp", "1")
    assert found.tls.alpn == ("h3",)


def test_requests():
    assert shorts(*SAMPLE["http.log"]) == [
        ("http-host", "log.byteoversea.com", "10.20.1.31:51792", "203.0.113.30:80", "reached"),
        ("http-host", "www.tiktok.com", "10.20.1.31:51799", "10.20.0.31:3128", "blocked"),
    ]


def test_connections_are_flows_but_for_lookups():
    found = read(zeek, SAMPLE["conn.log"])
    assert [short(each) for each in found] == [
        ("flow", "tcp", SESSION, SERVER, 2210, 84412),
        ("flow", "udp", "10.20.1.31:53114", "203.0.113.20:443", 4110, 31002),
        ("flow", "tcp", "10.20.1.31:49830", SERVER, 0, 0),
    ]
    assert [(each.client_sent, each.server_sent, each.start_seen) for each in found] == [
        ("payload", "payload", True),
        ("payload", "payload", True),
        ("headers", "refusal", True),
    ]
    assert found[0].last - found[0].first == 12_500_000_000
    assert found[0].vlan == 20  # the inner one
    assert found[0].client_mac == bytes.fromhex("020000200131")
    assert found[1].vlan is None


@pytest.mark.parametrize(
    ("fields", "sent", "start_seen"),
    [
        ({"conn_state": "S0", "history": "S"}, ("headers", "nothing"), True),
        ({"conn_state": "S1", "history": "Sh"}, ("headers", "headers"), True),
        ({"conn_state": "RSTRH", "history": "hr"}, ("nothing", "refusal"), False),
        ({"conn_state": "OTH", "history": "Dd"}, ("payload", "payload"), False),
        ({"conn_state": "SF", "orig_bytes": 1, "resp_bytes": 2}, ("payload", "payload"), True),
        ({"conn_state": "REJ"}, ("nothing", "refusal"), True),
        ({"conn_state": "SHR", "resp_pkts": 1}, ("nothing", "headers"), False),
    ],
)
def test_what_the_sides_have_sent(fields, sent, start_seen):
    (found,) = read(zeek, [record("conn", proto="tcp", **fields)])
    assert (found.client_sent, found.server_sent) == sent
    assert found.start_seen == start_seen


def test_connections_without_ports_are_none():
    assert (
        read(zeek, [record("conn", proto="icmp"), record("conn", proto="unknown_transport")]) == []
    )


def test_leases():
    (found,) = read(zeek, SAMPLE["dhcp.log"])
    assert isinstance(found, LogClaim)
    claim = found.claim
    assert (claim.kind, claim.addresses, claim.hostname, claim.lifetime) == (
        "lease",
        (b"\x0a\x14\x01\x1f",),
        "desk-31",
        3600,
    )
    assert claim.mac == bytes.fromhex("020000200131")


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"msg_types": ["DISCOVER", "OFFER"]}, []),
        ({"msg_types": ["INFORM", "ACK"], "client_addr": "10.20.1.31"}, ["announcement"]),
        ({"msg_types": ["REQUEST", "NAK"]}, ["nak"]),
        ({"msg_types": ["RELEASE"], "client_addr": "10.20.1.31"}, ["release"]),
        ({"msg_types": ["RELEASE"]}, []),
        (
            {"msg_types": ["REQUEST", "ACK", "DECLINE"], "assigned_addr": "10.20.1.31"},
            ["lease", "release"],
        ),
        ({"assigned_ip": "10.20.1.31", "lease_time": 60.0}, ["lease"]),  # before Zeek 2.6
        ({"msg_types": ["ACK"], "assigned_addr": "10.20.1.31", "mac": None}, []),
    ],
)
def test_how_a_conversation_ends(fields, kinds):
    found = read(zeek, [record("dhcp", **({"mac": "02:00:00:20:01:31"} | fields))])
    assert [each.claim.kind for each in found] == kinds


def test_streamed_json_says_which_log_a_record_is_of():
    assert shorts(*SAMPLE["streaming.json"]) == [
        ("dns-answer", "www.tiktok.com", CLIENT, RESOLVER, "NOERROR"),
        ("dns-cname", "www.tiktok.com.edgesuite.net", CLIENT, RESOLVER, "NOERROR"),
        ("flow", "tcp", SESSION, SERVER, 2210, 84412),
    ]


def test_json_without_the_name_of_the_log():
    assert shorts(*SAMPLE["ssl.json"]) == [
        ("tls-sni", "www.tiktok.com", SESSION, SERVER, "reached"),
        ("tls-cert", "*.tiktok.com", SESSION, SERVER, "reached"),
        ("tls-sni", "www.tiktok.com", "10.20.1.31:49829", SERVER, None),
    ]


@pytest.mark.parametrize(
    ("keys", "log"),
    [
        ({"query": "a", "qtype": 1}, "dns"),
        ({"server_name": "a", "established": True}, "ssl"),
        ({"server_name": "a", "client_scid": "1"}, "quic"),
        ({"method": "GET", "status_code": 200}, "http"),
        ({"proto": "tcp", "conn_state": "SF"}, "conn"),
        ({"mac": "a", "msg_types": []}, "dhcp"),
        ({"request_type": "AS", "cipher": "aes256-cts-hmac-sha1-96"}, ""),  # kerberos
        ({"name": "window_recision", "peer": "zeek"}, ""),  # weird
    ],
)
def test_the_keys_of_a_log(keys, log):
    assert zeek.log_of(keys) == log


@pytest.mark.parametrize(
    ("written", "time", "digits"),
    [
        (1679303071.118342, START, 6),
        ("2023-03-20T09:04:31.118342Z", START, 6),
        ("1679303071.118342", START, 6),
        (1679303071118.0, START - 342000, 3),
        (1679303071118, START - 342000, 3),
        (1679303071, START - 118342000, 0),
    ],
)
def test_times(written, time, digits):
    (found,) = read(zeek, [record("ssl", server_name="a.example.org", ts=written)])
    assert (found.time, found.time_digits) == (time, digits)


@pytest.mark.parametrize(
    "sides",
    [
        {"id": {"orig_h": "10.20.1.31", "orig_p": 49822, "resp_h": "203.0.113.10", "resp_p": 443}},
        {
            "id_orig_h": "10.20.1.31",
            "id_orig_p": 49822,
            "id_resp_h": "203.0.113.10",
            "id_resp_p": 443,
        },
    ],
)
def test_other_spellings_of_the_sides(sides):
    found = {"_path": "ssl", "ts": 1679303071.118342, "server_name": "a.example.org"} | sides
    assert shorts(orjson.dumps(found))[0][2:4] == (SESSION, SERVER)
    assert zeek.recognise(sample_of([orjson.dumps(found)])) == 1


def test_columns_may_have_another_order_and_separator():
    lines = table(
        "dns",
        "query id.resp_p id.orig_h answers id.orig_p TTLs rcode_name qtype_name id.resp_h ts proto",
        """a.example.org|53|10.20.1.31|b.example.net,192.0.2.1|51612|60.0,20.0|NOERROR|A|
        10.20.0.53|1679303071.118342|udp""".replace("\n        ", "").split("|"),
        separator="|",
        name_of_separator="\\x7c",
    )
    answer, alias = read(zeek, lines)
    assert short(answer) == ("dns-answer", "a.example.org", CLIENT, RESOLVER, "NOERROR")
    assert answer.dns.answers == (("192.0.2.1", 20),)
    assert alias.name == "b.example.net"


def test_a_header_in_the_middle_begins_another_log():
    """Rotated logs that were put together."""
    assert shorts(*SAMPLE["dns.log"], *SAMPLE["ssl.log"]) == [
        *shorts(*SAMPLE["dns.log"]),
        *shorts(*SAMPLE["ssl.log"]),
    ]
    assert shorts(*SAMPLE["ssl.log"][:-2], *SAMPLE["quic.log"]) == [
        *shorts(*SAMPLE["ssl.log"])[:1],
        *shorts(*SAMPLE["quic.log"]),
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("www.TikTok.com", "www.tiktok.com"),
        ("a\\x09\\x0a\\xff.example.org", "a\\009\\010\\255.example.org"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ('a"b.example.org', 'a"b.example.org'),
    ],
)
def test_names_as_they_were_on_the_wire(written, name):
    (tsv,) = read(zeek, table("dns", f"{IDS} query", (*VALUES, written)))
    assert tsv.name == name
    (streamed,) = read(zeek, [record("quic", server_name=written.replace("\\x0a", "\n"))])
    assert streamed.name == name


def test_a_column_that_is_unset_or_empty():
    assert read(zeek, table("dns", f"{IDS} query", (*VALUES, "-"), (*VALUES, "(empty)"))) == []


def test_types_and_codes_without_their_names():
    line = record("dns", query="a.example.org", qtype=65, rcode=3, id__resp_p=53)
    (found,) = read(zeek, [line])
    assert (found.dns.type, found.dns.rcode) == ("HTTPS", "NXDOMAIN")


def test_names_in_answers_for_other_types_are_no_aliases():
    answers = ["10 mail.example.org", "mail.example.net"]
    (found,) = read(
        zeek,
        [record("dns", query="example.org", qtype_name="MX", rcode=0, answers=answers)],
    )
    assert found.dns.chain == ()


def test_names_of_netbios_and_updates_are_no_lookups():
    lines = [
        record("dns", query="WORKGROUP", id__resp_p=137),
        record("dns", query="example.org", opcode=5),
    ]
    assert read(zeek, lines) == []


@pytest.mark.parametrize("version", ["DTLSv12", "DTLSv13"])
def test_dtls(version):
    (found,) = read(zeek, [record("ssl", server_name="a.example.org", version=version)])
    assert (found.evidence, found.transport) == ("dtls-sni", "udp")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([b"1679303071.1\tC1"], "header-missing"),
        ([*table("dns", f"{IDS} query"), b"1679303071.1\tC1"], "columns-missing"),
        (table("dns", f"{IDS} query", ("x", *VALUES[1:], "a.example.org")), "time-invalid"),
        (table("dns", "ts query", (VALUES[0], "a.example.org")), "address-invalid"),
        ([b"{"], "json-invalid"),
        ([record("ssl", server_name="a.example.org", ts=None)], "time-missing"),
        ([record("ssl", server_name="a.example.org", ts=-5)], "time-invalid"),
        ([record("ssl", server_name="a.example.org", ts=1e30)], "time-invalid"),
        ([record("ssl", server_name="a.example.org", ts=9.9e9)], "time-invalid"),
        ([record("ssl", server_name="a.example.org", ts="9999999999.999999")], "time-invalid"),
        ([record("ssl", server_name="a.example.org", ts="99999999999.9")], "time-invalid"),
        ([record("ssl", server_name="a.example.org", ts="9999-01-01T00:00:00Z")], "time-invalid"),
        ([record("http", host="a.example.org", id__orig_h=5)], "address-invalid"),
        ([b"#separator \\x09", b"#fields" + b"\ta" * 2000], "header-columns"),
    ],
)
def test_what_cannot_be_read(lines, reason):
    with pytest.raises(RecordError, match=reason):
        read(zeek, lines)


def test_other_logs_say_nothing():
    assert read(zeek, [*table("weird", f"{IDS} name", (*VALUES, "x")), b"", b"{}"]) == []


def test_the_samples_are_of_this_format():
    for name, lines in SAMPLE.items():
        assert zeek.recognise(sample_of(lines)) == len(lines), name


@given(st.sampled_from(sorted(SAMPLE)), st.data())
def test_any_bytes(name, data):
    """A real log may be damaged anywhere, and have lines of anything."""
    lines = list(SAMPLE[name])
    at = data.draw(st.integers(0, len(lines) - 1))
    line = bytearray(lines[at])
    start = data.draw(st.integers(0, max(len(line) - 1, 0)))
    line[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    lines[at] = bytes(line).replace(b"\n", b"")
    found = read_any(zeek, [*lines, *data.draw(st.lists(st.binary(max_size=99), max_size=3))])
    assert all(each.name for each in found if isinstance(each, LogName))


@given(
    st.sampled_from(SAMPLE["streaming.json"] + SAMPLE["ssl.json"]),
    st.data(),
)
def test_any_value_anywhere(line, data):
    found = orjson.loads(line)
    key = data.draw(st.sampled_from(sorted(found)))
    scalar = (
        st.none()
        | st.booleans()
        | st.integers(-(1 << 60), 1 << 60)
        | st.floats(allow_nan=False)
        | st.text(max_size=9)
    )
    found[key] = data.draw(scalar | st.lists(scalar | st.lists(scalar, max_size=1), max_size=3))
    read_any(zeek, [orjson.dumps(found)])


def test_the_separator_may_be_written_as_in_programs():
    header, *lines = SAMPLE["dns.log"]
    assert header == b"#separator \\x09"
    for written in (b"\\t", b"\t", b"\\x09"):
        assert shorts(b"#separator " + written, *lines) == shorts(header, *lines)


def test_a_hello_of_quic_in_two_logs_is_shown_once():
    """Zeek writes it into ``ssl`` and into ``quic``."""
    paths = [SAMPLES / "zeek" / name for name in ("ssl.log", "quic.log")]
    both = [item for path in paths for item in items_of(path, "zeek")]
    alone = [item for item in both if item.source == str(paths[0])]
    for items in (both, alone):
        found = [event.evidence for event in LogEvents().events(items)]
        assert found == ["tls-sni", "quic-sni"]
