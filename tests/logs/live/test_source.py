"""Streams of syslog messages are divided as RFC 6587 says.

Addresses of receivers, as a user writes them.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import NetwatchError
from netwatch.logs.live.source import MAX_MESSAGE, SCHEMES, SyslogFrames, is_receiver, parse

MESSAGE = b"<30>1 2026-11-27T00:00:00Z resolver dnsmasq 1 - - query[A] example.org from 10.0.0.1"


def divided(pieces: Sequence[bytes]) -> list[bytes]:
    frames = SyslogFrames()
    found = [message for piece in pieces for message in frames.feed(piece)[0]]
    return found + frames.end()


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_counted_messages(size: int) -> None:
    # RFC 6587 section 3.4.1: MSG-LEN SP SYSLOG-MSG, and a message may contain line feeds.
    messages = [MESSAGE, b"<30>two\nlines", b"<30>x"]
    data = b"".join(b"%d %s" % (len(message), message) for message in messages)
    assert divided(pieces_of(data, size)) == messages


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0\n"])
def test_lines(size: int, end: bytes) -> None:
    messages = [MESSAGE, b"<30>x", b"1679303071.123 no syslog"]
    assert divided(pieces_of(end.join(messages), size)) == messages


def test_line_that_begins_with_a_number_is_a_line() -> None:
    data = b"1679303071.123    10 10.0.0.1 TCP_MISS/200"
    assert divided(pieces_of(data + b"\n", 1)) == [data]


def test_long_messages_are_skipped() -> None:
    long = b"y" * (MAX_MESSAGE + 1)
    frames = SyslogFrames()
    assert frames.feed(b"%d %s5 <1>ab" % (len(long), long)) == ([b"<1>ab"], b"")
    assert frames.too_long == 1
    frames = SyslogFrames()
    for _ in range(3):
        assert frames.feed(long) == ([], b"")
    assert frames.feed(b"\n<1>ab\n") == ([b"<1>ab"], b"")
    assert (frames.too_long, frames.waiting) == (1, 0)


def test_wrong_length_ends_the_stream() -> None:
    frames = SyslogFrames()
    assert frames.feed(b"5 <1>ab<30>no length\n") == ([b"<1>ab"], b"")
    assert frames.failure == "frame-length-invalid"


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes(pieces: list[bytes]) -> None:
    frames = SyslogFrames()
    given_, taken = sum(map(len, pieces)), 0
    for piece in pieces:
        taken += sum(map(len, frames.feed(piece)[0]))
        if frames.failure:
            break
    else:
        taken += sum(map(len, frames.end()))
    assert taken <= given_


def test_loopback_is_the_default() -> None:
    found = parse("syslog+udp://:5514")
    assert (found.host, found.port, found.scheme) == ("127.0.0.1", 5514, SCHEMES["syslog+udp"])
    assert parse("syslog+tcp://").port == 514
    encrypted = parse("syslog+tls://?cert=c.pem&key=k.pem")
    assert (encrypted.port, encrypted.text) == (6514, "syslog+tls://")
    assert parse("syslog+tcp://[::1]:1").host == "::1"


def test_unix_socket_is_for_its_owner() -> None:
    found = parse("dnstap+unix:///run/netwatch/dnstap.sock")
    assert (found.path, found.mode, found.group) == ("/run/netwatch/dnstap.sock", 0o600, None)
    found = parse("dnstap+unix:///run/netwatch/dnstap.sock?mode=660&group=root")
    assert (found.mode, found.group) == (0o660, 0)


def test_senders_are_limited() -> None:
    found = parse("syslog+udp://0.0.0.0:514?from=10.0.0.0/8,2001:db8::/32")
    assert found.accepts("10.1.2.3")
    assert found.accepts("::ffff:10.1.2.3")
    assert found.accepts("2001:db8::1%eth0")
    assert not found.accepts("192.0.2.1")
    assert parse("syslog+udp://0.0.0.0:514").accepts("192.0.2.1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://127.0.0.1", "expected a path, or syslog+udp"),
        ("syslog+udp://resolver:514", "is no IP address"),
        ("syslog+udp://127.0.0.1:99999", "Port out of range"),
        ("syslog+tcp://127.0.0.1/path", "expected syslog+tcp://ADDRESS:PORT"),
        ("syslog+tcp://127.0.0.1?form=10.0.0.0/8", "there is no option 'form', expected from"),
        ("syslog+tcp://127.0.0.1?from=10.0.0.1/8", "has host bits set"),
        ("syslog+tls://127.0.0.1", "expected ?cert=FILE"),
        ("dnstap+unix://relative", "expected dnstap+unix:///PATH"),
        ("dnstap+unix:///d.sock?mode=666", "expected mode=600 or mode=660"),
        ("dnstap+unix:///d.sock?group=nobody-at-all", "there is no group"),
    ],
)
def test_mistakes_say_what_is_expected(text: str, reason: str) -> None:
    with pytest.raises(NetwatchError) as caught:
        parse(text)
    assert str(caught.value).startswith(text)
    assert reason in str(caught.value)


def test_path_is_no_receiver() -> None:
    assert not is_receiver("/var/log/dns.log")
    assert is_receiver("dnstap+unix:///d.sock")
