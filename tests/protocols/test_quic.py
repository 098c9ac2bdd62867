import contextlib
import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import (
    SALTS,
    crypto,
    extension,
    hello,
    real_hello,
    rfc_packets,
    sealed,
    server_name,
    sound_outcome,
    varint,
    vector,
)

from netwatch.core.errors import ParseError
from netwatch.dissect.quic.initial_packets import InitialPackets
from netwatch.dissect.quic.versions import VERSIONS
from netwatch.protocols import quic
from netwatch.protocols.crypto_stream import MAX_CRYPTO, MAX_PIECES, CryptoStream

DCID = bytes.fromhex("8394c8f03e515708")
V1, V2, DRAFT_29 = 1, 0x6B3343CF, 0xFF00001D
HELLO = hello(
    server_name(b"www.example.com")
    + extension(16, vector(2, vector(1, b"h3")))
    + extension(43, vector(1, b"\3\4"))
)


def name(found) -> str:
    (shown,) = found.names
    assert shown.evidence == "quic-sni"
    assert not shown.client_is_destination
    return shown.name


def feed_all(connection: quic.ClientHandshake, datagrams: list[bytes]):
    found = [connection.feed(datagram) for datagram in datagrams]
    return [one for one in found if one]


@pytest.mark.parametrize(("rfc", "version"), [("rfc9001", "1"), ("rfc9369", "2")])
def test_packets_of_the_rfcs(rfc, version):
    packets = rfc_packets(rfc)
    connection = quic.ClientHandshake()
    found = connection.feed(packets["client"])
    assert name(found) == "example.com"
    assert found.size == 1200
    assert found.quic.version == version
    assert found.tls.version == "1.3"
    assert found.tls.alpn == ("alpn",)
    assert found.tls.ja4.startswith("q13d")
    assert found.anomalies == ()
    assert connection.done
    assert connection.feed(packets["client"]) is None
    assert quic.ClientHandshake().feed(packets["retry"]) is None
    with pytest.raises(ParseError) as raised:
        quic.ClientHandshake().feed(packets["server"])
    assert raised.value.anomaly == "quic-not-decrypted"


@pytest.mark.parametrize("version", SALTS)
@pytest.mark.parametrize("number_size", [1, 2, 3, 4])
def test_versions_and_packet_numbers(version, number_size):
    packet = sealed(crypto(0, HELLO), DCID, 3, version=version, number_size=number_size)
    found = quic.ClientHandshake().feed(packet)
    assert name(found) == "www.example.com"
    assert found.quic.version == VERSIONS[version].name


@pytest.mark.parametrize("keys_of", [V1, 0xFF00001D])
@pytest.mark.parametrize("reserved", [0x0A0A0A0A, 0x1A2A3A4A, 0xFAFAFAFA])
def test_a_version_that_makes_the_server_negotiate_has_the_keys_of_another(keys_of, reserved):
    datagram = sealed(crypto(0, HELLO), DCID, version=reserved, like=keys_of)
    found = quic.ClientHandshake().feed(datagram)
    assert (name(found), found.quic.version) == ("www.example.com", "reserved")


def test_a_packet_number_is_reported_from_its_last_bytes():
    connection = quic.ClientHandshake()
    assert connection.feed(sealed(crypto(0, HELLO[:20]), DCID, 254)) is None
    assert connection.feed(sealed(crypto(20, HELLO[20:40]), DCID, 257)) is None
    assert connection.feed(sealed(crypto(40, HELLO[40:60]), DCID, 255)) is None
    assert name(connection.feed(sealed(crypto(60, HELLO[60:]), DCID, 600, number_size=2)))


def test_tokens_source_ids_and_trailing_padding():
    packet = sealed(crypto(0, HELLO), DCID, token=b"t" * 70, scid=b"s" * 20) + bytes(100)
    assert name(quic.ClientHandshake().feed(packet)) == "www.example.com"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_hello_over_datagrams_in_any_order(order):
    cut = [0, 20, 45, 70, len(HELLO)]
    packets = [
        sealed(crypto(cut[at], HELLO[cut[at] : cut[at + 1]]), DCID, at, pad_to=1200)
        for at in range(4)
    ]
    found = feed_all(quic.ClientHandshake(), [packets[at] for at in order])
    assert [name(one) for one in found] == ["www.example.com"]


@given(st.data())
def test_a_hello_in_shuffled_overlapping_repeated_frames(data):
    ends = data.draw(st.lists(st.integers(1, len(HELLO) - 1), max_size=8, unique=True))
    cuts = [0, *sorted(ends), len(HELLO)]
    pieces = [
        (start, HELLO[start : end + data.draw(st.integers(0, 20))])
        for start, end in itertools.pairwise(cuts)
    ]
    order = data.draw(st.permutations(pieces + data.draw(st.lists(st.sampled_from(pieces)))))
    idle = st.sampled_from([b"", b"\1", bytes(7), b"\2\5\0\1\0\3\2", b"\3\0\0\0\0\1\2\3"])
    packets = []
    while order:
        count = data.draw(st.integers(1, len(order)))
        frames = b"".join(data.draw(idle) + crypto(*piece) for piece in order[:count])
        packets.append(sealed(frames + data.draw(idle), DCID, len(packets)))
        order = order[count:]
    if data.draw(st.booleans()):
        packets = [b"".join(packets)]
    found = feed_all(quic.ClientHandshake(), packets)
    assert [name(one) for one in found] == ["www.example.com"]
    assert found[0].anomalies == ()


def long_packet(kind: int, version: int = V1) -> bytes:
    head = bytes([0xC0 | kind << 4]) + version.to_bytes(4) + vector(1, DCID) + vector(1, b"")
    return head + varint(30) + bytes(30)


@pytest.mark.parametrize(("version", "kinds"), [(V1, (1, 2)), (V2, (2, 3))])
def test_packets_of_other_types_are_skipped(version, kinds):
    early, handshake = (long_packet(kind, version) for kind in kinds)
    initial = sealed(crypto(0, HELLO), DCID, version=version)
    connection = quic.ClientHandshake()
    assert connection.feed(early + handshake) is None
    assert name(connection.feed(early + initial + handshake)) == "www.example.com"


def test_after_a_retry_the_keys_follow_from_the_new_id():
    connection = quic.ClientHandshake()
    assert connection.feed(sealed(crypto(0, HELLO[:40]), DCID)) is None
    again = b"retried!"
    assert connection.feed(sealed(crypto(0, HELLO[:40]), again, 1, token=b"token")) is None
    found = connection.feed(sealed(crypto(40, HELLO[40:]), again, 2, token=b"token"))
    assert name(found) == "www.example.com"


def test_the_id_of_the_server_does_not_change_the_keys():
    connection = quic.ClientHandshake()
    assert connection.feed(sealed(crypto(0, HELLO[:40]), DCID)) is None
    found = connection.feed(sealed(crypto(40, HELLO[40:]), b"srv", 1, keys_of=DCID))
    assert name(found) == "www.example.com"


def test_after_a_version_negotiation_the_handshake_starts_anew():
    connection = quic.ClientHandshake()
    assert connection.feed(sealed(crypto(0, HELLO[:40]), DCID, version=DRAFT_29)) is None
    found = connection.feed(sealed(crypto(0, HELLO), b"anew-id-", version=V1))
    assert found.quic.version == "1"


def test_what_the_server_sends_is_not_decrypted_and_changes_nothing():
    connection = quic.ClientHandshake()
    assert connection.feed(sealed(crypto(0, HELLO[:40]), DCID)) is None
    answer = sealed(crypto(0, b"\2" + bytes(60)), b"", keys_of=DCID, sender=b"server in")
    for _ in range(20):
        with pytest.raises(ParseError) as raised:
            connection.feed(answer)
        assert raised.value.anomaly == "quic-not-decrypted"
    assert name(connection.feed(sealed(crypto(40, HELLO[40:]), DCID, 1))) == "www.example.com"


def test_no_more_keys_are_stored_than_the_limit():
    connection = quic.ClientHandshake()
    for at in range(quic.MAX_KEYS):
        assert connection.feed(sealed(crypto(0, HELLO[:40]), b"client-%d" % at)) is None
    with pytest.raises(ParseError):
        connection.feed(sealed(crypto(0, HELLO), b"client-9"))


def test_no_more_ids_are_tried_than_the_limit():
    connection = quic.ClientHandshake()
    for at in range(quic.MAX_FAILURES):
        with pytest.raises(ParseError):
            connection.feed(sealed(b"\1", b"server-%d" % at, sender=b"server in"))
    with pytest.raises(ParseError):
        connection.feed(sealed(crypto(0, HELLO), DCID))


def test_a_packet_without_handshake_is_fine():
    connection = quic.ClientHandshake()
    assert connection.feed(sealed(b"\2\0\0\0\0", DCID, pad_to=1200)) is None
    assert connection.finish() is None


def test_a_truncated_hello_shows_its_name_at_the_end():
    connection = quic.ClientHandshake()
    cut = HELLO.index(b"www.example.com") + 15
    assert connection.feed(sealed(crypto(0, HELLO[:cut]), DCID)) is None
    found = connection.finish()
    assert name(found) == "www.example.com"
    assert found.anomalies == ("tls-hello-cut",)
    assert (found.size, found.tls.ja4) == (0, None)
    assert connection.finish() is None


def test_a_gap_before_the_name_shows_nothing():
    connection = quic.ClientHandshake()
    assert connection.feed(sealed(crypto(10, HELLO[10:]), DCID)) is None
    assert connection.finish() is None
    assert connection.feed(sealed(crypto(0, HELLO), DCID, 1)) is None


def test_no_hello_is_an_error_once():
    connection = quic.ClientHandshake()
    with pytest.raises(ParseError) as raised:
        connection.feed(sealed(crypto(0, b"\2\0\0\1\0"), DCID))
    assert raised.value.anomaly == "tls-not-a-client-hello"
    assert connection.feed(sealed(crypto(0, b"\2\0\0\1\0"), DCID, 1)) is None


OTHER_HELLO = HELLO.replace(b"www.example.com", b"www.example.org")


@pytest.mark.parametrize("dcid", [DCID, b"another!"])
@pytest.mark.parametrize("first", [HELLO, b"\2\0\0\1\0"])
def test_another_hello_is_read_until_the_server_answers(dcid, first):
    connection = quic.ClientHandshake()
    with contextlib.suppress(ParseError):
        connection.feed(sealed(crypto(0, first), DCID))
    assert connection.done
    assert connection.feed(sealed(crypto(40, OTHER_HELLO[40:]), dcid, 1)) is None
    found = connection.feed(sealed(crypto(0, OTHER_HELLO[:40]), dcid, 2))
    assert name(found) == "www.example.org"
    assert connection.feed(sealed(crypto(0, OTHER_HELLO), dcid, 3)) is None
    connection.answered()
    third = HELLO.replace(b"www.example.com", b"www.example.net")
    assert connection.feed(sealed(crypto(0, third), dcid, 4)) is None
    assert (connection.finish(), connection.unread) == (None, False)


def test_bytes_that_do_not_come_again_are_those_of_the_hello_before():
    connection = quic.ClientHandshake()
    cut = HELLO.index(b"www.example.com")
    assert name(connection.feed(sealed(crypto(0, HELLO), DCID))) == "www.example.com"
    assert connection.feed(sealed(crypto(cut, OTHER_HELLO[cut : cut + 15]), DCID, 1)) is None
    assert name(connection.finish()) == "www.example.org"
    assert not connection.unread


@pytest.mark.parametrize(
    ("frames", "dcid"), [(crypto(40, OTHER_HELLO[40:]), b"another!"), (crypto(0, b"\2"), DCID)]
)
def test_another_hello_that_cannot_be_read_is_noted(frames, dcid):
    connection = quic.ClientHandshake()
    assert name(connection.feed(sealed(crypto(0, HELLO), DCID))) == "www.example.com"
    assert connection.feed(sealed(frames, dcid, 1)) is None
    assert (connection.finish(), connection.unread) == (None, True)


def test_no_more_hellos_are_read_than_the_limit():
    connection = quic.ClientHandshake()
    hellos = [HELLO.replace(b"www", b"w%02d" % at) for at in range(quic.MAX_READ + 1)]
    found = [connection.feed(sealed(crypto(0, each), DCID, at)) for at, each in enumerate(hellos)]
    assert [name(each) for each in found[:-1]] == [
        f"w{at:02}.example.com" for at in range(quic.MAX_READ)
    ]
    assert (found[-1], connection.unread) == (None, True)


def test_more_keys_than_are_tried_are_noted():
    connection = quic.ClientHandshake()
    for at in range(quic.MAX_KEYS):
        connection.feed(sealed(crypto(0, HELLO), b"client-%d" % at))
    assert not connection.unread
    connection.feed(sealed(crypto(0, OTHER_HELLO), b"client-9"))
    assert connection.unread


def test_a_hello_that_was_read_elsewhere_is_not_returned():
    connection = quic.ClientHandshake()
    connection.remember(HELLO)
    assert connection.feed(sealed(crypto(0, HELLO), DCID)) is None
    assert name(connection.feed(sealed(crypto(0, OTHER_HELLO), b"another!"))) == "www.example.org"


@pytest.mark.parametrize(
    ("frames", "anomalies"),
    [
        (b"\x1c\0\0\3bye", ()),
        (b"\x08\1\2", ("quic-frame-type",)),
        (b"\x40\x1e", ("quic-frame-type",)),
        (b"\6\0\x10x", ("quic-frame",)),
        (b"\2\0\0" + varint(1 << 60) + bytes(9), ("quic-frame",)),
        (crypto(0, b"\1x"), ("quic-crypto-overlap",)),
        (crypto(MAX_CRYPTO, b"x"), ("quic-crypto-limit",)),
    ],
)
def test_anomalies_behind_the_hello_are_named(frames, anomalies):
    found = quic.ClientHandshake().feed(sealed(crypto(0, HELLO) + frames, DCID))
    assert name(found) == "www.example.com"
    assert found.anomalies == anomalies


def test_a_packet_that_goes_wrong_behind_one_that_does_not_is_named():
    packet = sealed(crypto(0, HELLO), DCID)
    assert quic.ClientHandshake().feed(packet + packet[:-5]).anomalies == ("quic-header",)
    other = packet[:-1] + bytes([packet[-1] ^ 1])
    assert quic.ClientHandshake().feed(packet + other).anomalies == ("quic-not-decrypted",)


@pytest.mark.parametrize(
    ("datagram", "anomaly"),
    [
        (sealed(crypto(0, HELLO), DCID)[:-1], "quic-header"),
        (b"\xc0\0\0\0\1\x08" + DCID + b"\0\0\x0a" + bytes(10), "quic-short"),
        (b"\xc0\0\0\0\1\x08" + DCID + b"\0\x7f\xff" + bytes(10), "quic-header"),
    ],
)
def test_datagrams_that_give_nothing(datagram, anomaly):
    with pytest.raises(ParseError) as raised:
        quic.ClientHandshake().feed(datagram)
    assert raised.value.anomaly == anomaly


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\xc0\0\0\0\1",
        b"\x40" + bytes(30),
        b"\xc0\0\0\0\0\x08" + bytes(30),  # Version Negotiation
        b"\xc0\x1a\x2b\x3a\x4a\x08" + bytes(30),  # a version that nobody knows
        b"\xc0\0\0\0\1\x15" + bytes(60),  # an ID of 21 bytes
        b"\xe0\0\0\0\1\x08" + bytes(60),  # a Handshake packet
        b"\xc0\x6b\x33\x43\xcf\x08" + bytes(60),  # a Retry of version 2
    ],
)
def test_bytes_that_are_no_initial(datagram):
    assert quic.ClientHandshake().feed(datagram) is None


def test_pieces_out_of_order_have_a_limit():
    stream = CryptoStream()
    for at in range(MAX_PIECES):
        assert stream.add(2 * at + 2, b"x") is None
    assert stream.add(1000, b"x") == "quic-crypto-limit"
    assert stream.add(0, b"xx") is None
    assert bytes(stream.contiguous) == b"xxx"
    wide = CryptoStream()
    assert wide.add(1, bytes(MAX_CRYPTO - 1)) is None
    assert wide.add(2, bytes(2)) == "quic-crypto-limit"


def test_a_longer_piece_takes_the_place_of_a_shorter():
    stream = CryptoStream()
    for data in (b"cd", b"cdef", b"c"):
        assert stream.add(2, data) is None
    assert stream.add(0, b"ab") is None
    assert bytes(stream.contiguous) == b"abcdef"


@given(st.binary(max_size=300))
def test_any_frames_are_walked_without_another_error(frames):
    packets = InitialPackets()
    packets.plain[: len(frames)] = memoryview(bytearray(frames))
    pieces, anomaly = quic.read_frames(packets, len(frames))
    assert anomaly in ("", "quic-frame", "quic-frame-type")
    assert sum(len(data) for _, data in pieces) <= len(frames)


@given(st.binary(max_size=300), st.sampled_from(sorted(VERSIONS)), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, version, framed):
    raw = b"\xc0" + version.to_bytes(4) + data if framed else data
    connection = quic.ClientHandshake()
    assert sound_outcome(connection.feed, raw, "quic-")
    assert sound_outcome(lambda _: connection.finish(), raw, "quic-")


SOUND = sealed(crypto(0, real_hello()[5:]), DCID) + sealed(b"\1", DCID, 1)


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=4))
def test_a_valid_datagram_with_some_bytes_changed(changes):
    data = bytearray(SOUND)
    for at, value in changes:
        data[at] = value
    assert sound_outcome(quic.ClientHandshake().feed, bytes(data), "quic-")


def test_cryptography_is_not_imported_for_packets():
    code = (
        "import sys; from netwatch.protocols import quic; "
        "quic.ClientHandshake().feed(bytes.fromhex(sys.argv[1])); "
        "sys.exit('cryptography' in sys.modules)"
    )
    sent = sealed(crypto(0, HELLO), DCID).hex()
    assert subprocess.run([sys.executable, "-c", code, sent], check=False).returncode == 0
