"""Fields that several formats write alike."""

import pytest

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import RecordError
from netwatch.logs.fields import (
    Sides,
    address,
    csv_row,
    host_of_url,
    json_object,
    number,
    octets,
    port,
    sides,
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
            json_object(bad)
    with pytest.raises(RecordError, match="csv-invalid"):
        csv_row(b'"' + b"x" * 200_000)
    assert csv_row(b'"a, b", "c""d",\xff') == ["a, b", 'c"d', "\udcff"]
