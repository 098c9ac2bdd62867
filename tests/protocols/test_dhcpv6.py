import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import ParseError
from netwatch.protocols import dhcpv6

MAC = bytes.fromhex("020000200614")
OTHER = bytes.fromhex("0200002006ff")
DUID_LL = b"\0\3\0\1" + MAC
DUID_LLT = b"\0\1\0\1" + bytes.fromhex("2be4f1a0") + MAC
DUID_EN = b"\0\2\0\0\x01\x37" + b"opaque"
IP, IP2, IP3 = (bytes.fromhex(f"20010db80020000600000000000000{low}") for low in (14, 15, 16))
XID = b"\x12\x34\x56"


def option(code, value):
    return code.to_bytes(2) + len(value).to_bytes(2) + value


def address(ip=IP, valid=3600, *options):
    return option(5, ip + valid.to_bytes(4) + valid.to_bytes(4) + b"".join(options))


def ia(*addresses, code=3):
    return option(code, bytes(12 if code == 3 else 4) + b"".join(addresses))


def message(kind, *options, duid=DUID_LL):
    """A client or server message (RFC 8415 section 8)."""
    client = option(1, duid) if duid else b""
    return bytes([kind]) + XID + client + b"".join(options)


def relay(inside, *options, kind=12, hops=0):
    """A relay agent message (RFC 8415 section 9)."""
    return (
        bytes([kind, hops])
        + bytes(16)
        + b"\xfe\x80"
        + bytes(14)
        + b"".join(options)
        + option(9, inside)
    )


FQDN = option(39, b"\1\6ws-014\4corp\7example\0")
SERVER = option(2, b"\0\3\0\1" + OTHER)


@pytest.mark.parametrize(
    ("kind", "reported", "kept"),
    [
        (1, "request", False),
        (3, "request", False),
        (4, "request", True),
        (5, "request", True),
        (6, "request", True),
        (8, "release", False),
        (9, "release", False),
    ],
    ids=["solicit", "request", "confirm", "renew", "rebind", "release", "decline"],
)
def test_what_a_client_claims(kind, reported, kept):
    (claim,) = dhcpv6.parse(message(kind, FQDN, SERVER, ia(address()))).claims
    assert (claim.kind, claim.addresses, claim.renewal) == (reported, (IP,), kept)
    assert (claim.hostname, claim.mac, claim.on_link) == ("ws-014.corp.example", MAC, True)
    assert (claim.transaction_id, claim.client_id) == (DUID_LL + XID, DUID_LL)


def test_a_reply_leases_each_address_for_its_lifetime():
    found = dhcpv6.parse(message(7, SERVER, ia(address(), address(IP2, 60)), ia(address(IP3, 0))))
    assert [(each.kind, each.addresses, each.lifetime) for each in found.claims] == [
        ("lease", (IP,), 3600),
        ("lease", (IP2,), 60),
        ("release", (IP3,), 0),
    ]
    assert found.claims[0].server_id == b"\0\3\0\1" + OTHER


def test_temporary_addresses_count_and_prefixes_do_not():
    found = dhcpv6.parse(message(7, ia(address(), code=4), option(25, bytes(12))))
    assert [each.addresses for each in found.claims] == [(IP,)]


def test_an_address_with_an_error_is_not_given():
    bad = address(IP, 3600, option(13, b"\0\2no addresses"))
    good = address(IP2, 60, option(13, b"\0\0fine"))
    assert [each.addresses for each in dhcpv6.parse(message(7, ia(bad, good))).claims] == [(IP2,)]


@pytest.mark.parametrize("kind", [2, 10, 11, 14, 36])
def test_other_messages_make_no_claim(kind):
    assert dhcpv6.parse(message(kind, ia(address()))).claims == ()


@pytest.mark.parametrize(
    ("duid", "mac"), [(DUID_LL, MAC), (DUID_LLT, MAC), (DUID_EN, None), (b"\0\3\0\6" + MAC, None)]
)
def test_the_hardware_address_in_a_duid(duid, mac):
    (claim,) = dhcpv6.parse(message(3, duid=duid)).claims
    assert (claim.mac, claim.client_id) == (mac, duid)


def test_a_relay_adds_the_hardware_address():
    inside = message(3, FQDN)
    (claim,) = dhcpv6.parse(relay(inside, option(79, b"\0\1" + OTHER))).claims
    assert (claim.mac, claim.on_link, claim.hostname) == (OTHER, False, "ws-014.corp.example")
    (claim,) = dhcpv6.parse(relay(relay(inside, option(79, b"\0\1" + OTHER)), hops=1)).claims
    assert claim.mac == OTHER
    (claim,) = dhcpv6.parse(relay(message(7, ia(address())), kind=13)).claims
    assert (claim.kind, claim.mac, claim.on_link) == ("lease", MAC, False)


def test_relays_are_bounded():
    wrapped = message(3)
    for hops in range(8):
        wrapped = relay(wrapped, hops=hops)
    assert len(dhcpv6.parse(wrapped).claims) == 1
    with pytest.raises(ParseError, match="dhcpv6-relays"):
        dhcpv6.parse(relay(wrapped, hops=8))


@pytest.mark.parametrize(
    ("payload", "anomaly"),
    [
        (b"", "dhcpv6-cut"),
        (b"\1\2\3", "dhcpv6-cut"),
        (b"\0" + bytes(3), "dhcpv6-type"),
        (b"\x25" + bytes(3), "dhcpv6-type"),
        (message(3, duid=None), "dhcpv6-no-client"),
        (bytes([12]) + bytes(33), "dhcpv6-relays"),
        (bytes([12]) + bytes(32), "dhcpv6-cut"),
        (relay(b"\1\2"), "dhcpv6-cut"),
    ],
)
def test_bytes_that_are_no_message(payload, anomaly):
    with pytest.raises(ParseError) as caught:
        dhcpv6.parse(payload)
    assert caught.value.anomaly == anomaly


@pytest.mark.parametrize(
    ("odd", "anomaly"),
    [
        (option(39, b""), "dhcpv6-name"),
        (option(39, b"\0\x3fws"), "dhcpv6-name"),
        (option(3, b"short"), "dhcpv6-option"),
        (ia(option(5, IP)), "dhcpv6-option"),
        (ia(b"\0\5\0\xffcut"), "dhcpv6-option"),
        (option(1, b"\0"), "dhcpv6-option"),
        (option(1, bytes(131)), "dhcpv6-option"),
        (b"\0\x27\0\xffcut", "dhcpv6-cut"),
        (b"\0\x06\0\0" * 300, "dhcpv6-many-options"),
    ],
)
def test_what_can_be_read_anyway(odd, anomaly):
    found = dhcpv6.parse(message(3, ia(address()), odd))
    assert found.anomalies == (anomaly,)
    assert (found.claims[0].client_id, found.claims[0].addresses) == (DUID_LL, (IP,))


def test_an_invalid_address_of_a_relay_is_skipped():
    found = dhcpv6.parse(relay(message(3), option(79, b"\0\1\2")))
    assert (found.anomalies, found.claims[0].mac) == (("dhcpv6-option",), MAC)


@given(st.data())
def test_any_bytes_give_a_message_or_an_anomaly(data):
    sound = relay(message(7, FQDN, SERVER, ia(address(), address(IP2))), option(79, b"\0\1" + MAC))
    payload = bytearray(data.draw(st.sampled_from([sound, sound[38:], b"\3\0\0\0"])))
    at = data.draw(st.integers(0, len(payload)))
    payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    try:
        found = dhcpv6.parse(bytes(payload))
    except ParseError as error:
        anomalies = (error.anomaly,)
    else:
        anomalies = found.anomalies
        assert all(len(ip) == 16 for each in found.claims for ip in each.addresses)
    assert all(anomaly.startswith("dhcpv6-") for anomaly in anomalies)
