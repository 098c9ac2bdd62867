import pytest

from netwatch.logs.json_values import (
    inner,
    number,
    objects,
    packed_ip,
    packed_mac,
    port,
    text,
    texts,
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (5, 5),
        ("5", 5),
        (5.9, 5),
        (-1, 0),
        (True, 0),
        ("x", 0),
        (1 << 62, 0),
        ("9" * 30, 0),
        ("\u0663", 0),
    ],
)
def test_numbers(value, found):
    assert number({"a": value}, "a") == found


def test_ports():
    assert [port({"a": value}, "a") for value in (443, "443", 65536, None)] == [443, 443, 0, 0]


def test_what_has_another_type_is_not_there():
    found = {"text": "a", "object": {"b": 1}, "list": ["a", 1, {"b": 1}, None]}
    assert (text(found, "text"), text(found, "list"), text(found, "none")) == ("a", "", "")
    assert (inner(found, "object"), inner(found, "text")) == ({"b": 1}, {})
    assert objects(found, "list", 9) == [{"b": 1}]
    assert objects(found, "list", 2) == objects(found, "text", 9) == []
    assert texts(found, "list", 9) == texts(found, "text", 9) == ["a"]
    assert texts(found, "list", 0) == texts(found, "object", 9) == []


@pytest.mark.parametrize(
    ("written", "packed"),
    [
        ("192.0.2.1", b"\xc0\0\2\1"),
        ("::ffff:192.0.2.1", b"\xc0\0\2\1"),
        ("fe80::1%eth0", b"\xfe\x80" + bytes(13) + b"\1"),
        ("2001:db8::1", b"\x20\1\r\xb8" + bytes(11) + b"\1"),
        ("", None),
        ("-", None),
    ],
)
def test_addresses(written, packed):
    assert packed_ip(written) == packed


def test_mac_addresses():
    assert packed_mac("02:00:00:20:01:31") == b"\2\0\0\x20\1\x31"
    assert packed_mac("?") is None
