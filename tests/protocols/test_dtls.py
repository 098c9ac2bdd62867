import contextlib
import itertools
import socket
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.handshake_samples import dtls_hello, dtls_record, fragment
from support.programs import needs
from support.protocol_samples import extension, hello, server_name, vector

from netwatch.core.errors import ParseError
from netwatch.protocols import dtls

EXTENSIONS = server_name(b"www.example.com") + extension(16, vector(2, vector(1, b"webrtc")))
BODY = dtls_hello(hello(EXTENSIONS))
AGAIN = dtls_hello(hello(EXTENSIONS), cookie=b"c" * 20)
RETRIED = dtls_hello(hello(EXTENSIONS + extension(44, vector(2, b"c" * 20))))
ANEW = BODY[:2] + b"\xaa" * 32 + BODY[34:]


def whole(body: bytes = BODY, sequence: int = 0) -> bytes:
    return dtls_record(fragment(body, 0, len(body), sequence))


def name(found) -> str:
    (shown,) = found.names
    assert shown.evidence == "dtls-sni"
    assert not shown.client_is_destination
    return shown.name


def test_a_hello_in_one_datagram():
    connection = dtls.ClientHandshake()
    found = connection.feed(whole())
    assert name(found) == "www.example.com"
    assert (found.size, found.anomalies, found.quic) == (len(whole()), (), None)
    assert (found.tls.version, found.tls.alpn) == ("dtls1.2", ("webrtc",))
    assert found.tls.ja4.startswith("dd2d0202wc_")
    assert connection.done


def test_the_newest_version_offered():
    offer = extension(43, vector(1, bytes.fromhex("fefcfefd")))
    body = dtls_hello(hello(server_name(b"a.example") + offer))
    found = dtls.ClientHandshake().feed(whole(body))
    assert found.tls.version == "dtls1.3"
    assert found.tls.ja4.startswith("dd3d")


@pytest.mark.parametrize("version", [0xFEFF, 0xFEFD, 0x0100])
def test_record_versions(version):
    record = dtls_record(fragment(BODY, 0, len(BODY)), version=version)
    assert name(dtls.ClientHandshake().feed(record)) == "www.example.com"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_hello_retransmitted_with_a_cookie_or_without_is_reported_once(order):
    connection = dtls.ClientHandshake()
    sent = [whole(), whole(AGAIN, 1), whole(RETRIED, 1)]
    found = [connection.feed(sent[at]) for at in (*order, *order)]
    assert [one is not None for one in found] == [True, *[False] * 5]
    assert connection.finish() is None


def test_a_hello_of_which_a_part_was_lost_is_reported_with_the_cookie():
    connection = dtls.ClientHandshake()
    assert connection.feed(dtls_record(fragment(BODY, 0, 60))) is None
    assert name(connection.feed(whole(AGAIN, 1))) == "www.example.com"
    assert connection.finish() is None


def test_the_same_ports_may_start_anew():
    connection = dtls.ClientHandshake()
    assert connection.feed(whole())
    assert connection.feed(whole(ANEW))
    half = dtls.ClientHandshake()
    assert half.feed(dtls_record(fragment(BODY, 0, 60))) is None
    assert name(half.feed(whole(ANEW))) == "www.example.com"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("per_record", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_fragments_in_any_order(order, per_record, together):
    cut = [0, 10, 50, 70, len(BODY)]
    pieces = [fragment(BODY, cut[at], cut[at + 1]) for at in order]
    datagrams = [dtls_record(piece) for piece in pieces]
    if together:
        datagrams = [b"".join(datagrams) if per_record else dtls_record(b"".join(pieces))]
    connection = dtls.ClientHandshake()
    found = [one for one in map(connection.feed, datagrams) if one]
    assert [name(one) for one in found] == ["www.example.com"]
    assert found[0].anomalies == ()


@given(st.data())
def test_fragments_that_overlap_and_repeat(data):
    ends = data.draw(st.lists(st.integers(1, len(BODY) - 1), max_size=8, unique=True))
    spans = [
        (start, min(len(BODY), end + data.draw(st.integers(0, 20))))
        for start, end in itertools.pairwise([0, *sorted(ends), len(BODY)])
    ]
    order = data.draw(st.permutations(spans + data.draw(st.lists(st.sampled_from(spans)))))
    connection = dtls.ClientHandshake()
    found = [one for span in order if (one := connection.feed(dtls_record(fragment(BODY, *span))))]
    assert [name(one) for one in found] == ["www.example.com"]


def test_fragments_that_disagree_are_named():
    connection = dtls.ClientHandshake()
    other = BODY[:60] + b"?" + BODY[61:]
    assert connection.feed(dtls_record(fragment(BODY, 0, 70))) is None
    assert connection.feed(dtls_record(fragment(other, 50, 80))) is None
    found = connection.feed(dtls_record(fragment(BODY, 80, len(BODY))))
    assert found.anomalies == ("dtls-fragment-overlap",)


def test_other_records_and_messages_are_skipped():
    other = dtls_record(b"\1", content=20) + dtls_record(bytes(40), epoch=1)
    certificate = dtls_record(fragment(bytes(30), 0, 30, 2, kind=11))
    connection = dtls.ClientHandshake()
    assert name(connection.feed(other + certificate + whole() + b"\x2f" + bytes(40)))
    with pytest.raises(ParseError) as raised:
        connection.feed(other + certificate)
    assert raised.value.anomaly == "dtls-no-hello"


def test_a_truncated_hello_shows_its_name_at_the_end():
    connection = dtls.ClientHandshake()
    end = BODY.index(b"www") + 15
    assert connection.feed(dtls_record(fragment(BODY, 0, end))) is None
    found = connection.finish()
    assert name(found) == "www.example.com"
    assert (found.size, found.anomalies) == (0, ("tls-hello-cut",))
    assert connection.finish() is None


def test_a_datagram_that_the_capture_truncated():
    connection = dtls.ClientHandshake()
    end = whole().index(b"www") + 15
    assert connection.feed(whole()[:end]) is None
    assert connection.finish().anomalies == ("tls-hello-cut", "dtls-record-cut")


def test_a_gap_before_the_name_shows_nothing():
    connection = dtls.ClientHandshake()
    assert connection.feed(dtls_record(fragment(BODY, 20, len(BODY)))) is None
    assert connection.finish() is None
    other = dtls.ClientHandshake()
    assert other.feed(dtls_record(fragment(BODY, 0, 40))) is None
    assert other.finish() is None


def test_no_more_hellos_are_stored_than_the_limit():
    connection = dtls.ClientHandshake()
    for sequence in range(dtls.MAX_HELLOS + 1):
        assert connection.feed(dtls_record(fragment(BODY, 0, 40, sequence))) is None
    assert connection.feed(dtls_record(fragment(BODY, 40, len(BODY), 0))) is None
    last = dtls_record(fragment(BODY, 40, len(BODY), dtls.MAX_HELLOS))
    assert name(connection.feed(last)) == "www.example.com"


@pytest.mark.parametrize(
    ("datagram", "anomaly"),
    [
        (b"", "dtls-no-hello"),
        (b"\x16\xfe", "dtls-record"),
        (whole()[:12], "dtls-record"),
        (b"\x16\3\1" + whole()[3:], "dtls-record"),
        (b"\x20" + whole()[1:], "dtls-record"),
        (dtls_record(fragment(BODY, 0, 9), epoch=1), "dtls-no-hello"),
        (dtls_record(b"\1\0\0\x10\0\0\0\0\x0a\0\0\7" + bytes(7)), "dtls-handshake"),
        (dtls_record(b"\1\1\0\0\0\0\0\0\0\0\0\7" + bytes(7)), "tls-hello-length"),
        (dtls_record(fragment(b"", 0, 0)), "tls-hello"),
        (dtls_record(fragment(bytes(40), 0, 40)), "tls-hello"),
        (dtls_record(fragment(bytes(40), 0, 40, kind=2)), "dtls-no-hello"),
    ],
)
def test_datagrams_that_give_nothing(datagram, anomaly):
    with pytest.raises(ParseError) as raised:
        dtls.ClientHandshake().feed(datagram)
    assert raised.value.anomaly == anomaly


def test_a_datagram_truncated_at_every_byte():
    for end in range(len(whole())):
        connection = dtls.ClientHandshake()
        with contextlib.suppress(ParseError):
            assert connection.feed(whole()[:end]) is None
        found = connection.finish()
        assert found is None or name(found) == "www.example.com"


def sound_feed(connection: dtls.ClientHandshake, data: bytes) -> bool:
    try:
        found = connection.feed(data)
    except ParseError as error:
        return error.anomaly.startswith(("dtls-", "tls-"))
    return found is None or found.size == len(data)


@given(st.lists(st.binary(max_size=120), max_size=4), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(datagrams, framed):
    connection = dtls.ClientHandshake()
    for data in datagrams:
        raw = dtls_record(b"\1\0\0" + data) if framed else data
        assert sound_feed(connection, raw)
    assert connection.finish() is None or connection.done


@given(st.lists(st.tuples(st.integers(0, len(whole()) - 1), st.integers(0, 255)), max_size=4))
def test_a_valid_datagram_with_some_bytes_changed(changes):
    data = bytearray(whole())
    for at, value in changes:
        data[at] = value
    assert sound_feed(dtls.ClientHandshake(), bytes(data))


@needs("openssl")
@pytest.mark.parametrize("mtu", [[], ["-mtu", "256"]])
def test_a_real_client(mtu):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        command = ["openssl", "s_client", "-dtls1_2", "-connect", address, "-alpn", "a,b"]
        client = subprocess.Popen(
            [*command, "-servername", "www.example.com", *mtu],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection = dtls.ClientHandshake()
        datagrams = 0
        found = None
        try:
            while found is None:
                found = connection.feed(server.recv(65536))
                datagrams += 1
        finally:
            client.kill()
            client.communicate()
    assert name(found) == "www.example.com"
    assert (found.tls.version, found.tls.alpn) == ("dtls1.2", ("a", "b"))
    assert (datagrams > 1) == bool(mtu)
