"""Streams of syslog messages are divided as RFC 6587 says."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs.receiving.senders import MAX_MESSAGE, SyslogFrames

MESSAGE = b"<30>1 2026-11-27T00:00:00Z resolver dnsmasq 1 - - query[A] example.org from 10.0.0.1"


def divided(pieces: Sequence[bytes]) -> list[bytes]:
    frames = SyslogFrames()
    found = [message for piece in pieces for message in frames.feed(piece)]
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
    assert frames.feed(b"%d %s5 <1>ab" % (len(long), long)) == [b"<1>ab"]
    assert frames.too_long == 1
    frames = SyslogFrames()
    for _ in range(3):
        assert frames.feed(long) == []
    assert frames.feed(b"\n<1>ab\n") == [b"<1>ab"]
    assert (frames.too_long, frames.waiting) == (1, 0)


def test_wrong_length_ends_the_stream() -> None:
    frames = SyslogFrames()
    assert frames.feed(b"5 <1>ab<30>no length\n") == [b"<1>ab"]
    assert frames.failure == "frame-length-invalid"


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes(pieces: list[bytes]) -> None:
    frames = SyslogFrames()
    given_, taken = sum(map(len, pieces)), 0
    for piece in pieces:
        taken += sum(map(len, frames.feed(piece)))
        if frames.failure:
            break
    else:
        taken += sum(map(len, frames.end()))
    assert taken <= given_
