import hashlib
import struct
from itertools import pairwise

import dpkt
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import sound_outcome, vector

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.core.protocol_numbers import EchConfig
from netwatch.dissect.loop.dns_messages import MAX_QUESTIONS
from netwatch.dissect.loop.dns_records import MAX_ECH_CONFIGS, MAX_RECORDS
from netwatch.protocols import dns

QUERY, RESPONSE = 0x0100, 0x8180


def name(text: str) -> bytes:
    labels = [part.encode() for part in text.split(".") if part]
    return b"".join(vector(1, label) for label in labels) + b"\0"


def question(text: str, kind: int = 1, klass: int = 1) -> bytes:
    return name(text) + struct.pack(">HH", kind, klass)


def record(owner: bytes | str, kind: int, data: bytes, ttl: int = 60, klass: int = 1) -> bytes:
    raw = name(owner) if isinstance(owner, str) else owner
    return raw + struct.pack(">HHI", kind, klass, ttl) + vector(2, data)


def message(
    flags: int,
    questions: list[bytes],
    answers: list[bytes] = [],  # noqa: B006 - never changed
    additionals: list[bytes] = [],  # noqa: B006
) -> bytes:
    counts = (len(questions), len(answers), 0, len(additionals))
    head = struct.pack(">HHHHHH", 0x1234, flags, *counts)
    return head + b"".join([*questions, *answers, *additionals])


def shown(found: Message) -> list[tuple[str, str]]:
    return [(one.evidence, one.name) for one in found.names]


ROOT_OPT = b"\0" + struct.pack(">HHI", 41, 1232, 0) + vector(2, b"")
ADDRESS, ADDRESS6 = bytes([192, 0, 2, 1]), bytes.fromhex("20010db8" + "00" * 11 + "01")
OWNER = b"\xc0\x0c"


def test_a_query_shows_the_name_asked():
    raw = message(QUERY, [question("WWW.Example.com", 28)], additionals=[ROOT_OPT])
    found = dns.parse(raw)
    assert shown(found) == [("dns-query", "www.example.com")]
    assert not found.names[0].client_is_destination
    assert found.dns.type == "AAAA"
    assert found.dns.rcode is None
    assert found.size == len(raw)
    assert found.anomalies == ()


def test_a_query_with_several_questions_shows_each_name_once():
    raw = message(0, [question("a.local", 1, 0x8001), question("a.local", 28), question("b.local")])
    assert shown(dns.parse(raw)) == [("dns-query", "a.local"), ("dns-query", "b.local")]


def test_the_root_shows_nothing():
    found = dns.parse(message(QUERY, [question("", 2)]))
    assert found.names == ()
    assert found.dns.type == "NS"


def test_a_response_follows_the_aliases_in_any_order_of_records():
    raw = message(
        RESPONSE,
        [question("www.example.com")],
        [
            record("c.example.net", 1, ADDRESS, 30),
            record("b.example.net", 5, name("c.example.net")),
            record(OWNER, 5, name("b.example.net")),
            record("other.example.org", 1, bytes([192, 0, 2, 99])),
            record("c.example.net", 28, ADDRESS6, 31),
        ],
    )
    found = dns.parse(raw)
    assert shown(found) == [
        ("dns-answer", "www.example.com"),
        ("dns-cname", "b.example.net"),
        ("dns-cname", "c.example.net"),
    ]
    assert all(one.client_is_destination for one in found.names)
    assert found.dns.chain == ("b.example.net", "c.example.net")
    assert found.dns.answers == (("192.0.2.1", 30), ("2001:db8::1", 31))
    assert found.dns.rcode == "NOERROR"


def test_aliases_that_the_question_does_not_lead_to_are_not_shown():
    raw = message(
        RESPONSE, [question("a.example")], [record("x.example", 5, name("planted.example"))]
    )
    assert shown(dns.parse(raw)) == [("dns-answer", "a.example")]


def test_aliases_in_a_circle_are_each_shown_once():
    answers = [record(OWNER, 5, name("b.example")), record("b.example", 5, OWNER)]
    found = dns.parse(message(RESPONSE, [question("a.example")], answers))
    assert found.dns.chain == ("b.example",)


def test_an_alias_below_a_dname_is_shown():
    answers = [
        record("old.example", 39, name("new.example")),
        record(OWNER, 5, name("www.new.example")),
    ]
    found = dns.parse(message(RESPONSE, [question("www.old.example")], answers))
    assert found.dns.chain == ("www.new.example",)


@pytest.mark.parametrize(
    ("rcode", "text"), [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED")]
)
def test_a_response_shows_its_name_whatever_the_code(rcode, text):
    found = dns.parse(message(RESPONSE | rcode, [question("gone.example")]))
    assert shown(found) == [("dns-answer", "gone.example")]
    assert found.dns.rcode == text


def test_the_upper_bits_of_the_code_come_from_the_opt_record():
    opt = b"\0" + struct.pack(">HHI", 41, 1232, 1 << 24) + vector(2, b"")
    found = dns.parse(message(RESPONSE, [question("a.example")], additionals=[opt]))
    assert found.dns.rcode == "BADVERS"


@pytest.mark.parametrize(
    ("kind", "text"), [(65, "HTTPS"), (16, "TXT"), (12, "PTR"), (255, "ANY"), (4711, "TYPE4711")]
)
def test_types_have_their_names(kind, text):
    assert dns.parse(message(QUERY, [question("a.example", kind)])).dns.type == text


def param(key: int, value: bytes) -> bytes:
    return struct.pack(">H", key) + vector(2, value)


def test_a_service_binding_leads_to_its_target_and_hints():
    params = param(1, b"\x02h2") + param(4, ADDRESS + bytes([192, 0, 2, 2])) + param(6, ADDRESS6)
    answers = [record(OWNER, 65, b"\0\1" + name("svc.example.net") + params, 300)]
    found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
    assert shown(found) == [("dns-answer", "www.example.com")]
    assert (found.dns.chain, found.dns.service_targets) == ((), ("svc.example.net",))
    assert found.dns.answers == (("192.0.2.1", 300), ("192.0.2.2", 300), ("2001:db8::1", 300))


def test_the_resolvers_that_an_answer_designates_are_no_aliases():
    """RFC 9462 section 4, with the records of its example."""
    params = param(1, b"\x02h2") + param(7, b"/dns-query{?dns}")
    answers = [
        record("_dns.resolver.arpa", 64, b"\0\1" + name("doh.example.net") + params),
        record("_dns.resolver.arpa", 64, b"\0\2" + name("dot.example.net") + param(1, b"\x03dot")),
        record("_dns.resolver.arpa", 64, b"\0\3" + name("doh.example.net") + params),
        record("_dns.resolver.arpa", 64, b"\0\4\0" + params),
        record("elsewhere.example", 64, b"\0\1" + name("other.example.net")),
    ]
    found = dns.parse(message(RESPONSE, [question("_dns.resolver.arpa", 64)], answers))
    assert shown(found) == [("dns-answer", "_dns.resolver.arpa")]
    assert found.dns.service_targets == ("doh.example.net", "dot.example.net")
    assert found.dns.chain == ()


def test_a_service_behind_an_alias_is_a_service_of_the_queried_name():
    answers = [
        record(OWNER, 65, b"\0\0" + name("pool.example.net")),
        record("pool.example.net", 65, b"\0\1" + name("svc.example.net") + param(4, ADDRESS)),
        record("svc.example.net", 5, name("far.example.net")),
    ]
    found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
    assert found.dns.chain == ("pool.example.net",)
    assert found.dns.service_targets == ("svc.example.net",)
    assert found.dns.answers == (("192.0.2.1", 60),)


def test_a_service_binding_to_the_owner_shows_no_other_name():
    answers = [record(OWNER, 65, b"\0\1\0" + param(4, ADDRESS))]
    found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
    assert shown(found) == [("dns-answer", "www.example.com")]
    assert found.dns.answers == (("192.0.2.1", 60),)


def test_a_service_binding_in_alias_mode():
    answers = [
        record(OWNER, 65, b"\0\0" + name("pool.example.net")),
        record("pool.example.net", 65, b"\0\1\0" + param(4, ADDRESS)),
    ]
    found = dns.parse(message(RESPONSE, [question("example.com", 65)], answers))
    assert found.dns.chain == ("pool.example.net",)
    assert found.dns.answers == (("192.0.2.1", 60),)


def configurations(*names: bytes, version: int = 0xFE0D) -> bytes:
    """An ECHConfigList (RFC 9849 section 4) of one configuration for each name."""
    made = b""
    for public in names:
        key = b"\x2a\0\x20" + vector(2, bytes(32)) + vector(2, b"\0\1\0\1")
        body = key + b"\0" + vector(1, public) + vector(2, b"")
        made += struct.pack(">H", version) + vector(2, body)
    return vector(2, made)


def test_ech_keys_show_their_public_names():
    list_ = configurations(b"Public.example", b"other.example", b"public.example")
    keys = param(5, list_[:2] + configurations(b"old.example", version=0xFE0A)[2:] + list_[2:])
    keys = keys[:4] + (len(keys) - 6).to_bytes(2) + keys[6:]
    answers = [record(OWNER, 65, b"\0\1\0" + param(1, b"\x02h2") + keys)]
    found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
    assert found.dns.ech_public_names == ("public.example", "other.example")
    assert shown(found) == [("dns-answer", "www.example.com")]
    assert found.anomalies == ()


def test_ech_keys_of_the_name_that_was_asked_for_are_whole():
    def keys(public: bytes, key: bytes, config_id: int) -> bytes:
        body = bytes([config_id]) + b"\0\x20" + vector(2, key) + vector(2, b"\0\1\0\1")
        body += b"\0" + vector(1, public) + vector(2, b"")
        return b"\xfe\x0d" + vector(2, body)

    first, second = keys(b"front.example", bytes(32), 7), keys(b"front.example", b"\1" * 32, 255)
    answers = [
        record(OWNER, 65, b"\0\1\0" + param(5, vector(2, first + second + first))),
        record("other.example", 65, b"\0\1\0" + param(5, vector(2, keys(b"x.example", b"", 1)))),
    ]
    found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
    key_ids = [hashlib.sha256(key).hexdigest()[:16] for key in (bytes(32), b"\1" * 32)]
    assert found.dns.ech_configs == (
        f"front.example/7/{key_ids[0]}/60",
        f"front.example/255/{key_ids[1]}/60",
    )
    assert found.dns.ech_public_names == ("front.example", "x.example")
    parsed = [EchConfig.of(text) for text in found.dns.ech_configs]
    assert [(each.config_id, each.key_id, each.ttl) for each in parsed] == [
        (7, key_ids[0], 60),
        (255, key_ids[1], 60),
    ]


def test_many_ech_keys_are_bounded():
    publics = [b"front%d.example" % number for number in range(MAX_ECH_CONFIGS + 1)]
    answers = [record(OWNER, 65, b"\0\1\0" + param(5, configurations(*publics)))]
    found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
    assert len(found.dns.ech_configs) == MAX_ECH_CONFIGS
    assert found.anomalies == ("dns-many-ech-configs",)


@given(st.binary(max_size=200))
def test_any_bytes_as_ech_keys_give_configurations_that_can_be_read(keys):
    answers = [record(OWNER, 65, b"\0\1\0" + param(5, keys))]
    found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
    for text in found.dns.ech_configs:
        assert EchConfig.of(text).text == text
    assert set(found.anomalies) <= {"dns-svcb"}


def test_ech_keys_truncated_at_every_byte_are_named():
    whole = configurations(b"public.example")
    for end in range(len(whole)):
        for keys in (whole[:end], vector(2, whole[2:end])):
            if keys == vector(2, b""):
                continue
            answers = [record(OWNER, 65, b"\0\1\0" + param(5, keys))]
            found = dns.parse(message(RESPONSE, [question("www.example.com", 65)], answers))
            assert found.anomalies == ("dns-svcb",)


@pytest.mark.parametrize(
    ("kind", "data", "anomaly"),
    [
        (1, b"\1\2\3", "dns-rdata-length"),
        (28, ADDRESS, "dns-rdata-length"),
        (5, name("b.example") + b"x", "dns-rdata-length"),
        (5, b"\xc0\xff", "dns-label-loop"),
        (65, b"\0\1\0" + param(4, b"\1\2\3\4\5"), "dns-rdata-length"),
        (65, b"\0\1\0\0\4\0\x09\1", "dns-svcb"),
    ],
)
def test_a_record_that_is_wrong_inside_does_not_hide_the_next(kind, data, anomaly):
    answers = [record(OWNER, kind, data), record(OWNER, 1, bytes([192, 0, 2, 7]))]
    found = dns.parse(message(RESPONSE, [question("a.example")], answers))
    assert ("192.0.2.7", 60) in found.dns.answers
    assert found.anomalies == (anomaly,)


def test_a_response_without_question_answers_the_owner_of_its_alias():
    answers = [record("a.example", 5, name("b.example")), record("b.example", 1, ADDRESS)]
    found = dns.parse(message(RESPONSE, [], answers))
    assert shown(found) == [("dns-answer", "a.example"), ("dns-cname", "b.example")]
    assert found.dns.answers == (("192.0.2.1", 60),)


def test_a_multicast_response_shows_no_name_but_its_addresses():
    answers = [
        record("_airplay._tcp.local", 12, name("tv._airplay._tcp.local")),
        record("tv.local", 1, ADDRESS, 120, 0x8001),
    ]
    found = dns.parse(message(0x8400, [], answers))
    assert found.names == ()
    assert found.dns.answers == (("192.0.2.1", 120),)
    assert found.anomalies == ()


def test_records_of_other_classes_are_no_addresses():
    answers = [record(OWNER, 1, ADDRESS, klass=3)]
    assert dns.parse(message(RESPONSE, [question("a.example")], answers)).dns.answers == ()


def test_an_update_is_no_lookup():
    found = dns.parse(message(5 << 11, [question("corp.example", 6)]))
    assert found.names == ()
    assert found.anomalies == ("dns-opcode-5",)


def test_truncation_is_noted_in_responses_alone():
    assert dns.parse(message(RESPONSE | 0x0200, [question("a.example")])).anomalies == (
        "dns-truncated",
    )
    assert dns.parse(message(QUERY | 0x0200, [question("a.local")])).anomalies == ()


def test_a_message_truncated_anywhere_gives_what_was_complete():
    first = question("www.example.com")
    second = record(OWNER, 5, name("b.example.net"))
    third = record("b.example.net", 1, ADDRESS)
    raw = message(RESPONSE, [first], [second, third])
    asked = 12 + len(first)
    for size in range(len(raw)):
        if size < asked:
            with pytest.raises(ParseError) as raised:
                dns.parse(raw[:size])
            assert raised.value.anomaly == "dns-cut"
            continue
        found = dns.parse(raw[:size])
        assert found.anomalies == ("dns-cut",)
        assert bool(found.dns.chain) == (size >= asked + len(second))
        assert found.dns.answers == ()


def test_a_second_question_that_is_truncated_leaves_the_first():
    raw = message(QUERY, [question("a.example"), question("b.example")])[:-3]
    found = dns.parse(raw)
    assert shown(found) == [("dns-query", "a.example")]
    assert found.anomalies == ("dns-cut",)


def test_hostile_counts_are_bounded_by_the_bytes():
    raw = struct.pack(">HHHHHH", 1, RESPONSE, 1, 0xFFFF, 0xFFFF, 0xFFFF) + question("a.example")
    assert dns.parse(raw).anomalies == ("dns-many-records", "dns-cut")


def test_no_more_records_are_read_than_the_limit():
    answers = [
        record(OWNER, 1, struct.pack(">I", 0x0A000000 + at)) for at in range(MAX_RECORDS + 9)
    ]
    found = dns.parse(message(RESPONSE, [question("a.example")], answers))
    assert len(found.dns.answers) == MAX_RECORDS
    assert found.anomalies == ("dns-many-records",)


def test_no_more_questions_are_read_than_the_limit():
    raw = message(QUERY, [question(f"{at}.example") for at in range(MAX_QUESTIONS + 1)])
    found = dns.parse(raw)
    assert len(found.names) == MAX_QUESTIONS
    assert found.anomalies == ("dns-many-questions",)


def test_a_ttl_with_its_top_bit_set_is_zero():
    answers = [record(OWNER, 1, ADDRESS, 0x80000001)]
    found = dns.parse(message(RESPONSE, [question("a.example")], answers))
    assert found.dns.answers == (("192.0.2.1", 0),)


def test_over_tcp_a_message_waits_until_it_is_complete():
    raw = message(QUERY, [question("www.example.com")])
    stream = vector(2, raw)
    for size in range(len(stream)):
        with pytest.raises(Incomplete) as raised:
            dns.parse_stream(stream[:size])
        assert size < raised.value.bytes_needed <= len(stream)
    found = dns.parse_stream(stream + b"more")
    assert found.size == len(stream)
    assert shown(found) == [("dns-query", "www.example.com")]


def test_over_tcp_the_last_bytes_are_read_as_far_as_they_go():
    stream = vector(2, message(RESPONSE, [question("a.example")], [record(OWNER, 1, ADDRESS)]))
    found = dns.parse_stream(stream[:-2], last=True)
    assert shown(found) == [("dns-answer", "a.example")]
    assert found.anomalies == ("dns-cut",)
    assert found.size == len(stream) - 2
    with pytest.raises(ParseError):
        dns.parse_stream(stream[:9], last=True)


def test_over_tcp_a_length_without_room_for_a_header_is_no_message():
    with pytest.raises(ParseError) as raised:
        dns.parse_stream(b"\0\x0bGET / HTTP")
    assert raised.value.anomaly == "dns-tcp-length"


LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
NAMES = st.lists(LABEL, min_size=1, max_size=6).map(".".join)


@given(st.lists(NAMES, min_size=1, max_size=5, unique=True), st.binary(min_size=4, max_size=4))
def test_dpkt_packs_and_we_read(names, address):
    answers = [
        dpkt.dns.DNS.RR(name=owner, type=dpkt.dns.DNS_CNAME, cname=target, ttl=5)
        for owner, target in pairwise(names)
    ]
    answers.append(dpkt.dns.DNS.RR(name=names[-1], type=dpkt.dns.DNS_A, ip=address, ttl=7))
    packed = dpkt.dns.DNS(
        id=1, qr=1, rd=1, qd=[dpkt.dns.DNS.Q(name=names[0], type=dpkt.dns.DNS_A)], an=answers
    )
    found = dns.parse(bytes(packed))
    assert [one.name for one in found.names] == names
    assert found.dns.chain == tuple(names[1:])
    assert found.dns.answers == ((".".join(map(str, address)), 7),)
    assert found.anomalies == ()


@given(st.binary(max_size=600))
def test_any_bytes_are_a_message_or_a_named_error(data):
    assert sound_outcome(dns.parse, data, "dns-")
    assert sound_outcome(dns.parse_stream, data, "dns-")
    assert sound_outcome(lambda raw: dns.parse_stream(raw, True), data, "dns-")


SOUND = message(
    RESPONSE,
    [question("www.example.com")],
    [
        record(OWNER, 5, b"\1b" + OWNER),
        record(b"\1b" + OWNER, 65, b"\0\1" + name("c.example") + param(4, ADDRESS)),
        record("c.example", 1, ADDRESS),
    ],
    [ROOT_OPT],
)


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=8))
def test_a_valid_message_with_some_bytes_changed(changes):
    data = bytearray(SOUND)
    for at, value in changes:
        data[at] = value
    assert sound_outcome(dns.parse, bytes(data), "dns-")


def test_what_begins_a_stream_of_messages():
    query = messages.query(7, "www.example.org", "A")
    answer = messages.answer(7, "www.example.org", "A", [("www.example.org", "A", 60, "192.0.2.1")])
    for message in (query, answer, messages.query(7, "a.b", "HTTPS")):
        data = len(message).to_bytes(2) + message
        assert all(dns.begins_stream(data[:size]) for size in range(19, len(data) + 1))
        assert not any(dns.begins_stream(data[:size]) for size in range(19))
    data = len(query).to_bytes(2) + query
    others = {
        "length": b"\0\x10" + query,
        "opcode": data[:4] + b"\x29" + data[5:],
        "response code": data[:5] + b"\x0b" + data[6:],
        "questions": data[:6] + b"\0\2" + data[8:],
        "answers to a query": data[:8] + b"\0\1" + data[10:],
        "the root": data[:14] + b"\0" + data[15:],
        "a long label": data[:14] + b"\x40" + data[15:],
        "letters": data.replace(b"www", b"w w"),
        "class": data[:34] + b"\3" + data[35:],
        "behind the length": query,
    }
    assert [what for what, each in others.items() if dns.begins_stream(each)] == []


@given(st.binary(max_size=80))
def test_most_bytes_begin_no_stream_of_messages(data):
    assert not dns.begins_stream(data) or data[6:8] == b"\0\1"
