import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim
from netwatch.protocols import dhcp
from netwatch.protocols.dhcp import from_labels, from_text

MAC = bytes.fromhex("020000200614")
XID = bytes.fromhex("3903f326")
IP, SERVER = bytes([10, 20, 6, 20]), bytes([10, 20, 6, 1])
COOKIE = bytes([99, 130, 83, 99])


def option(code, value):
    return bytes([code, len(value)]) + value


def message(kind, *options, op=None, ciaddr=bytes(4), yiaddr=bytes(4), **fields):
    """A message as RFC 2131 figure 1 lays it out."""
    op = (2 if kind in (2, 5, 6) else 1) if op is None else op
    head = bytes([op, fields.get("htype", 1), fields.get("hlen", 6), 0]) + XID + bytes(4)
    head += ciaddr + yiaddr + bytes(8) + MAC + bytes(10)
    head += fields.get("sname", bytes(64)) + fields.get("file", bytes(128))
    typed = b"" if kind is None else option(53, bytes([kind]))
    end = fields.get("end", b"\xff")
    return head + fields.get("cookie", COOKIE) + typed + b"".join(options) + end


def claim(payload):
    (found,) = dhcp.parse(payload).claims
    return found


HOST, LEASE, WANTED = option(12, b"WS-014"), option(51, (3600).to_bytes(4)), option(50, IP)
BY = option(54, SERVER)


@pytest.mark.parametrize(
    ("payload", "kind", "ips", "kept"),
    [
        (message(1, HOST), "request", (), False),
        (message(1, HOST, WANTED), "request", (IP,), False),
        (message(3, HOST, WANTED, BY), "request", (IP,), False),  # SELECTING
        (message(3, HOST, WANTED), "request", (IP,), True),  # INIT-REBOOT
        (message(3, HOST, ciaddr=IP), "request", (IP,), True),  # RENEWING, REBINDING
        (message(4, WANTED, BY), "release", (IP,), False),
        (message(5, BY, LEASE, yiaddr=IP), "lease", (IP,), False),
        (message(6, BY), "nak", (), False),
        (message(7, BY, ciaddr=IP), "release", (IP,), False),
        (message(8, HOST, ciaddr=IP), "announcement", (IP,), False),
    ],
    ids=[
        "discover",
        "discover-again",
        "selecting",
        "reboot",
        "renewing",
        "decline",
        "ack",
        "nak",
        "release",
        "inform",
    ],
)
def test_what_each_message_claims(payload, kind, ips, kept):
    found = claim(payload)
    assert (found.kind, found.addresses, found.renewal) == (kind, ips, kept)
    assert (found.mac, found.transaction_id, found.client_id) == (MAC, MAC + XID, MAC)
    assert not found.on_link
    assert dhcp.parse(payload).anomalies == ()
    assert dhcp.parse(payload).size == len(payload)


def test_a_lease_as_a_whole():
    given_name = option(12, b"given.corp.example")
    assert claim(message(5, BY, LEASE, given_name, option(61, b"\1id"), yiaddr=IP)) == AddressClaim(
        "lease",
        (IP,),
        MAC,
        hostname="given.corp.example",
        lifetime=3600,
        transaction_id=MAC + XID,
        client_id=b"\1id",
        server_id=SERVER,
    )


@pytest.mark.parametrize("kind", [2, 9, 13, 18])
def test_offers_and_newer_messages_make_no_claim(kind):
    assert dhcp.parse(message(kind, BY, LEASE, yiaddr=IP)).claims == ()


def test_the_answer_to_an_inform_makes_no_lease():
    assert dhcp.parse(message(5, BY)).claims == ()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ([HOST], "ws-014"),
        ([HOST, option(81, b"\0\0\0ws-014.corp.example")], "ws-014.corp.example"),
        ([option(81, b"\5\xff\xff\6ws-014\4corp\7example\0")], "ws-014.corp.example"),
        ([HOST, option(81, b"\4\0\0")], "ws-014"),
        ([option(12, b"ws"), option(12, b"-014")], "ws-014"),  # RFC 3396
        ([], ""),
    ],
)
def test_names(options, name):
    assert claim(message(1, *options)).hostname == name


def test_a_name_that_cannot_be_read_leaves_the_other():
    found = dhcp.parse(message(1, HOST, option(81, b"\4\0\0\x7fws")))
    assert found.anomalies == ("dhcp-name",)
    assert found.claims[0].hostname == "ws-014"


def test_options_go_on_in_file_and_sname():
    file = (HOST + b"\xff").ljust(128, b"\0")
    sname = (LEASE + BY + b"\xff").ljust(64, b"\0")
    found = claim(message(5, option(52, b"\3"), yiaddr=IP, file=file, sname=sname))
    assert (found.hostname, found.lifetime, found.server_id) == ("ws-014", 3600, SERVER)
    alone = claim(message(5, option(52, b"\1"), yiaddr=IP, file=file, sname=sname))
    assert (alone.hostname, alone.lifetime) == ("ws-014", None)


@pytest.mark.parametrize(
    ("payload", "anomaly"),
    [
        (b"", "dhcp-cut"),
        (message(1)[:239], "dhcp-cut"),
        (message(1, cookie=bytes(4)), "dhcp-cookie"),
        (message(None), "dhcp-type"),
        (message(0), "dhcp-type"),
        (message(19), "dhcp-type"),
        (message(5, op=1, yiaddr=IP), "dhcp-type"),
        (message(3, op=2), "dhcp-type"),
        (message(1, htype=32), "dhcp-hardware"),
        (message(1, hlen=0), "dhcp-hardware"),
        (message(1, hlen=16), "dhcp-hardware"),
    ],
)
def test_bytes_that_are_no_dhcp_message(payload, anomaly):
    with pytest.raises(ParseError) as caught:
        dhcp.parse(payload)
    assert caught.value.anomaly == anomaly


@pytest.mark.parametrize("code", [50, 51, 52, 54])
def test_an_option_of_the_wrong_size_is_skipped(code):
    found = dhcp.parse(message(5, option(code, b""), yiaddr=IP))
    assert found.anomalies == ("dhcp-option",)
    assert found.claims[0].lifetime is None


def test_options_that_run_out_are_read_as_far_as_they_are_complete():
    found = dhcp.parse(message(1, HOST, end=b"\x0c\x09cut"))
    assert (found.anomalies, found.claims[0].hostname) == (("dhcp-cut",), "ws-014")
    assert dhcp.parse(message(1, HOST, end=b"")).anomalies == ()


def test_options_without_end():
    many = dhcp.parse(message(1, HOST, b"\x2b\0" * 400))
    assert many.anomalies == ("dhcp-many-options",)
    assert many.claims[0].hostname == "ws-014"


@given(st.binary(max_size=120), st.integers(0, 60), st.binary(max_size=4))
def test_any_bytes_give_a_message_or_an_anomaly(tail, at, change):
    payload = bytearray(message(5, BY, LEASE, HOST, yiaddr=IP, end=tail))
    payload[at : at + len(change)] = change
    for data in (bytes(payload), tail):
        try:
            found = dhcp.parse(data)
        except ParseError as error:
            anomalies = (error.anomaly,)
        else:
            anomalies = found.anomalies
            assert found.names == ()
            assert all(each.mac and len(each.mac) == 6 for each in found.claims)
        assert all(anomaly.startswith("dhcp-") for anomaly in anomalies)


@given(
    st.sampled_from([1, 3, 5]),
    st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    st.integers(1, 2**32 - 1),
)
def test_reads_what_dpkt_reads(kind, name, lifetime):
    options = [option(12, name.encode()), option(51, lifetime.to_bytes(4)), BY, WANTED]
    payload = message(kind, *options, yiaddr=IP if kind == 5 else bytes(4))
    theirs = dpkt.dhcp.DHCP(payload)
    ours = claim(payload)
    reported = dict(theirs.opts)
    assert ours.hostname.encode() == reported[12]
    assert ours.transaction_id == theirs.chaddr[:6] + theirs.xid.to_bytes(4)
    if kind == 5:
        assert (ours.addresses, ours.lifetime) == ((theirs.yiaddr.to_bytes(4),), lifetime)
        assert reported[51] == lifetime.to_bytes(4)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"ws-014", "ws-014"),
        (b"WS-014.Corp.Example.", "ws-014.corp.example"),
        (b"ws-014\0\0", "ws-014"),  # RFC 2132 section 2 has no NUL, clients do
        (b" ws-014 ", "ws-014"),
        (b"", ""),
        (b"\0", ""),
        (b"a b\n\x1b[31m", "a\\032b\\010\\027[31m"),
        ("bücher".encode(), "xn--bcher-kva"),
        (b"\xff\xfe", "\\255\\254"),
    ],
)
def test_text(raw, name):
    assert from_text(raw, "x") == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"\6ws-014\0", "ws-014"),
        (b"\6ws-014", "ws-014"),  # partial (RFC 4704 section 4.2)
        (b"\6WS-014\4corp\7example\0", "ws-014.corp.example"),
        (b"", ""),
        (b"\0", ""),
        (b"\3a.b\0", "a\\.b"),
    ],
)
def test_labels(raw, name):
    assert from_labels(raw, "x") == name


@pytest.mark.parametrize(
    "raw",
    [b"\7ws-014", b"\x40" + bytes(64), b"\xc0\x0c", (b"\x3f" + b"a" * 63) * 5, b"\1a\5"],
)
def test_labels_that_do_not_fit(raw):
    with pytest.raises(ParseError, match="odd-one"):
        from_labels(raw, "odd-one")


def test_a_text_longer_than_a_name():
    assert from_text(b"a" * 255, "odd-one") == "a" * 255
    with pytest.raises(ParseError, match="odd-one"):
        from_text(b"a" * 256, "odd-one")


@given(st.binary(max_size=400))
def test_any_bytes_give_a_name_or_the_anomaly(raw):
    for read in (from_text, from_labels):
        try:
            name = read(raw, "odd-one")
        except ParseError as error:
            name, anomaly = "", error.anomaly
        else:
            anomaly = "odd-one"
        assert anomaly == "odd-one"
        assert name.isascii()
        assert not any(char.isspace() or ord(char) < 32 for char in name)
