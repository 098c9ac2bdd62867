"""Fields that several formats write alike."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import RecordError
from netwatch.logs.fields import (
    HOST_NAME,
    MAX_NAMES,
    Sides,
    address,
    authority,
    certificate_names,
    csv_row,
    host_of_url,
    json_object,
    number,
    number_of,
    object_of,
    objects_of,
    octets,
    packed_ip,
    packed_mac,
    port,
    port_of,
    sides,
    target,
    text_of,
    texts_of,
    tls_info,
)
from netwatch.logs.records import NOWHERE, Endpoint

INNER, OUTER = parse_ip("10.0.0.1"), parse_ip("203.0.113.1")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.tiktok.com/foryou?x=http://other.example/", ("www.tiktok.com", 0)),
        ("www.tiktok.com:443", ("www.tiktok.com", 443)),
        ("www.tiktok.com/login?next=https://other.example", ("www.tiktok.com", 0)),
        ("http://user:secret@www.tiktok.com:8080/", ("www.tiktok.com", 8080)),
        ("https://[2001:db8::7]:8443/", ("[2001:db8::7]", 8443)),
        ("/only/a/path", ("", 0)),
        ("www.tiktok.com:99999999/", ("www.tiktok.com", 0)),
    ],
)
def test_host_of_url(url: str, host: tuple[str, int]) -> None:
    assert host_of_url(url) == host


@pytest.mark.parametrize(
    ("inner", "outer", "host", "expected"),
    [
        (INNER, OUTER, "pc", Sides(Endpoint(INNER, 5))),
        (None, INNER, "pc", Sides(Endpoint(INNER, 5))),
        (OUTER, OUTER, "", Sides(Endpoint(OUTER, 5), "", ("device-behind-nat",))),
        (None, OUTER, "pc", Sides(NOWHERE, "pc")),
        (None, OUTER, "", Sides(Endpoint(OUTER, 5), "", ("device-behind-nat",))),
        (None, parse_ip("2001:db8::1"), "", Sides(Endpoint(parse_ip("2001:db8::1"), 5))),
        (None, None, "", Sides(NOWHERE, "", ("client",))),
    ],
)
def test_the_device_is_known_by_its_own_address_before_its_name(
    inner: bytes | None, outer: bytes | None, host: str, expected: Sides
) -> None:
    assert sides(inner, outer, host, 5) == expected


def test_addresses() -> None:
    assert address("::ffff:192.0.2.1") == parse_ip("192.0.2.1")
    assert address("[2001:db8::1]") == parse_ip("2001:db8::1")
    assert address("0.0.0.0") is address("") is address("N/A") is address(7) is None


def test_numbers() -> None:
    assert [number(each) for each in ("12", " 7 ", 5, "NA", "-", "-3", -3, None, "9" * 40)] == [
        12, 7, 5, 0, 0, 0, 0, 0, 0,
    ]  # fmt: skip
    assert [port(each) for each in ("443", "70000", 53)] == [443, 0, 53]


def test_names_of_any_bytes() -> None:
    assert octets("www.tiktok.com.") == b"www.tiktok.com"
    assert octets("a\udcff.example") == b"a\xff.example"


def test_what_is_no_object_or_row() -> None:
    for bad, reason in ((b"{", "json-invalid"), (b"[1]", "json-not-object")):
        with pytest.raises(RecordError, match=reason):
            json_object(bad, "json-not-object")
    with pytest.raises(RecordError, match="csv-invalid"):
        csv_row(b'"' + b"x" * 200_000)
    assert csv_row(b'"a, b", "c""d",\xff') == ["a, b", 'c"d', "\udcff"]


JA4 = "t13d1516h2_8daaf6152771_02713d6af862"


@pytest.mark.parametrize(
    ("method", "url", "found"),
    [
        (b"CONNECT", b"www.tiktok.com:443", ("www.tiktok.com", "", 443)),
        (b"connect", b"www.TikTok.com", ("www.tiktok.com", "www.TikTok.com", 443)),
        (b"CONNECT", b"https://www.tiktok.com:8443/", ("www.tiktok.com", "", 8443)),
        (b"CONNECT", b"[2001:db8::1]:443", ("2001:db8::1", "", 443)),
        (b"CONNECT", b"2001:db8::1", ("2001:db8::1", "", 443)),
        (b"GET", b"http://www.tiktok.com/a?b=http://c/", ("www.tiktok.com", "", 80)),
        (b"GET", b"https://user:secret@www.tiktok.com:99999/", ("www.tiktok.com", "", 443)),
        (b"GET", b"ws://a.example.org?x", ("a.example.org", "", 80)),
        (b"GET", b"/path", None),
        (b"GET", b"http:///path", None),
        (b"CONNECT", b":443", None),
        (b"GET", b"http://" + b"a" * 256 + b"/", None),
    ],
)
def test_the_host_of_a_request(method, url, found):
    assert target(method, url) == found


def test_a_host_alone():
    assert authority(b"www.tiktok.com.:8080") == ("www.tiktok.com", "www.tiktok.com.", 8080)
    assert authority(b"") is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [(b"www.tiktok.com", True), (b"a.b-c.x1", True), (b"192.0.2.1", False), (b"localhost", False)],
)
def test_what_looks_like_a_host_name(text, is_one):
    assert (HOST_NAME.fullmatch(text) is not None) == is_one


@given(st.binary(max_size=50), st.binary(max_size=300))
def test_any_bytes(method, url):
    found = target(method, url)
    assert found is None or (found.name.isascii() and 0 <= found.port < 65536)


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("C=XX, O=Example, CN=www.TikTok.com", [("www.tiktok.com", "www.TikTok.com")]),
        ("CN=*.tiktok.com,O=Example,C=XX", [("*.tiktok.com", "")]),
        ("/C=XX/CN=www.tiktok.com", [("www.tiktok.com", "")]),
        ("CN=Example CA R1", []),
        ("O=Example, OU=CN, NotCN=www.tiktok.com", []),
        ("", []),
    ],
)
def test_common_names_that_are_hosts(subject, names):
    assert list(certificate_names(subject, [])) == names


def test_alternative_names_each_once():
    found = list(certificate_names("CN=a.example.org", ["a.example.org", "B.example.org", ""]))
    assert found == [("a.example.org", ""), ("b.example.org", "B.example.org")]
    many = certificate_names("", [f"n{at}.example.org" for at in range(2 * MAX_NAMES)])
    assert len(list(many)) == MAX_NAMES


def test_what_is_known_of_a_handshake():
    assert tls_info("UNDETERMINED", [], "") is None
    assert tls_info("TLSv12", [], "x").ja4 is None
    found = pickle.loads(pickle.dumps(tls_info("TLS 1.3", ["h2"], JA4)))
    assert (found.version, found.alpn, found.ja4) == ("1.3", ("h2",), JA4)


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
def test_numbers_of_objects(value, found):
    assert number_of({"a": value}, "a") == found


def test_ports():
    assert [port_of({"a": value}, "a") for value in (443, "443", 65536, None)] == [443, 443, 0, 0]


def test_what_has_another_type_is_not_there():
    found = {"text": "a", "object": {"b": 1}, "list": ["a", 1, {"b": 1}, None]}
    assert (text_of(found, "text"), text_of(found, "list"), text_of(found, "none")) == ("a", "", "")
    assert (object_of(found, "object"), object_of(found, "text")) == ({"b": 1}, {})
    assert objects_of(found, "list", 9) == [{"b": 1}]
    assert objects_of(found, "list", 2) == objects_of(found, "text", 9) == []
    assert texts_of(found, "list", 9) == texts_of(found, "text", 9) == ["a"]
    assert texts_of(found, "list", 0) == texts_of(found, "object", 9) == []


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
def test_packed_addresses(written, packed):
    assert packed_ip(written) == packed


def test_mac_addresses():
    assert packed_mac("02:00:00:20:01:31") == b"\2\0\0\x20\1\x31"
    assert packed_mac("?") is None
