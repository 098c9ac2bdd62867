import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import vector

from netwatch.core.errors import ParseError
from netwatch.dissect.loop.dns_names import join_labels, name_at
from netwatch.protocols import dns


@pytest.mark.parametrize(
    ("raw", "anomaly"),
    [
        (b"\xc0\x0c", "dns-label-loop"),  # to itself
        (b"\xc0\x20", "dns-label-loop"),  # forward
        (b"\x01a\xc0\x0c", "dns-label-loop"),
        (b"\x41" + b"a" * 65 + b"\0", "dns-label-type"),
        (b"\x80a\0", "dns-label-type"),
        (b"\x3f" + b"a" * 10, "dns-cut"),
        (b"\x03abc", "dns-cut"),
        (b"\xc0", "dns-cut"),
        ((b"\x3f" + b"a" * 63) * 4 + b"\0", "dns-name-length"),
    ],
)
def test_names_that_are_none(raw, anomaly):
    tail = b"" if anomaly == "dns-cut" else b"\0\1\0\1"
    with pytest.raises(ParseError) as raised:
        dns.parse(struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + raw + tail)
    assert raised.value.anomaly == anomaly


def test_a_chain_of_pointers_is_followed_to_its_end_and_no_further():
    data = b"\1a\0" + b"".join(struct.pack(">H", 0xC000 | at) for at in [0, *range(3, 399, 2)])
    assert name_at(data, 3) == ("a", 5)
    assert name_at(data, 103) == ("a", 105)
    with pytest.raises(ParseError):
        name_at(data, len(data) - 2)


def test_the_longest_name_is_read():
    label = b"\x3f" + b"a" * 63
    raw = label * 3 + b"\x3d" + b"b" * 61 + b"\0"
    assert len(raw) == 255
    assert name_at(raw, 0)[1] == 255
    query = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + raw + b"\0\1\0\1"
    assert dns.parse(query).names[0].name == name_at(raw, 0)[0]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([b"WWW", b"Example"], "www.example"),
        ([b"tiktok.com", b"example"], "tiktok\\.com.example"),
        ([b"a b", b"x"], "a\\032b.x"),
        ([b"a\\", b"x"], "a\\\\.x"),
        ([b"\xc3\xa9"], "\\195\\169"),
        ([b"new\nline"], "new\\010line"),
        ([b"_dns-sd", b"_udp"], "_dns-sd._udp"),
        ([], ""),
    ],
)
def test_names_are_spelled_so_that_they_cannot_imitate_another(labels, text):
    assert join_labels(labels) == text


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=12))
def test_a_name_is_that_of_its_labels(labels):
    raw = b"".join(vector(1, label) for label in labels)
    assert name_at(raw + b"\0", 0) == (join_labels(labels), len(raw) + 1)
    assert name_at(raw + b"\0" + b"\xc0\0", len(raw) + 1) == (join_labels(labels), len(raw) + 3)


@given(st.lists(st.binary(min_size=1, max_size=6), max_size=4), st.lists(st.binary(min_size=1)))
def test_distinct_names_have_distinct_spellings(one, other):
    lowered = [[label.lower() for label in labels] for labels in (one, other)]
    assert (join_labels(one) == join_labels(other)) == (lowered[0] == lowered[1])
