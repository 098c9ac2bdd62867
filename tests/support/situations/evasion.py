"""Contacts that hide: records and segments that servers read all the same, and decoys.

A decoy is what a sender puts at the place of its real hello and no server takes: it has a wrong
checksum, no ACK, a TTL that ends on the way, or numbers outside of the window.
"""

from collections.abc import Callable
from itertools import pairwise

import handshakes
from craft import Conversation
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from support import layers
from support.app_traffic import wire
from support.office import FAR, SERVICE
from support.situations.situation import Expected, Frames, Situation

APP, DECOY = "api16-normal.tiktokv.com", "www.example.org"
EMPTY, WARNING = b"\x16\3\1\0\0", b"\x15\3\1\0\2\1\0"

Send = Callable[[Conversation, bytes], object]
"""Sends the hello, a handshake message, in a connection."""


def contact(send: Send, name: str = APP) -> Callable[[], Frames]:
    """A connection whose server answers the hello that `send` sends."""

    def made() -> Frames:
        on = wire()
        talk = Conversation(on, SERVICE, FAR, 443)
        send(talk, handshakes.client_hello(name, on.rng))
        answered(talk)
        return on.frames

    return made


def answered(talk: Conversation) -> None:
    """The server answers, and a request and its response follow."""
    talk.reply(handshakes.server_flight(talk.wire.rng))
    talk.say(handshakes.application_data(talk.wire.rng, 300))
    talk.reply(handshakes.application_data(talk.wire.rng, 1200))
    talk.close()


def behind(before: bytes) -> Send:
    return lambda talk, hello: talk.say(before + handshakes.records(hello))


def odd_version(talk: Conversation, hello: bytes) -> None:
    data = handshakes.records(hello)
    talk.say(data[:1] + b"\3\x99" + data[3:])


def in_segments(talk: Conversation, hello: bytes, count: int = 6) -> None:
    """The hello in segments, the last of them first."""
    data = handshakes.records(hello)
    cuts = [len(data) * part // count for part in range(1, count)]
    talk.say(data, cuts, order=range(count)[::-1])


def decoy(talk: Conversation, name: str = DECOY) -> bytes:
    return handshakes.records(handshakes.client_hello(name, talk.wire.rng))


def plain(talk: Conversation, hello: bytes) -> None:
    talk.say(handshakes.records(hello))


def behind_decoy(fake: Callable[[Conversation], None], send: Send = plain) -> Send:
    """What `send` sends, behind a decoy."""

    def sent(talk: Conversation, hello: bytes) -> None:
        fake(talk)
        send(talk, hello)

    return sent


def no_ack(talk: Conversation) -> None:
    talk._out("P", decoy(talk))


def far_ahead(talk: Conversation) -> None:
    talk._out("PA", decoy(talk), shift=1 << 30)


def damaged(talk: Conversation) -> None:
    talk._out("PA", decoy(talk), chksum=1)


def dying(talk: Conversation) -> None:
    """A decoy that the first router drops."""
    talk._out("PA", decoy(talk))
    time, data = talk.wire.frames.pop()
    frame = Ether(data)
    frame[IP].ttl = 1
    del frame[IP].chksum
    talk.wire.frames.append((time, bytes(frame)))


def request(talk: Conversation) -> None:
    talk._out("PA", f"GET / HTTP/1.1\r\nHost: {DECOY}\r\n\r\n".encode())


def half(talk: Conversation, hello: bytes) -> None:
    """The second half of the real hello is not in the capture."""
    data = handshakes.records(hello)
    talk._out("PA", data[:200])
    talk.ours = (talk.ours + len(data)) % 2**32


def in_fragments(talk: Conversation, hello: bytes) -> None:
    """Each fragment of the packet comes behind one with the bytes of the decoy."""
    fake, data = decoy(talk), handshakes.records(hello)
    assert len(fake) == len(data)
    talk._out("PA", fake)
    talk._out("PA", data)
    (_, first), (time, second) = talk.wire.frames[-2:]
    del talk.wire.frames[-2:]
    cuts = (20, 40, 60)
    pieces = [
        [frame[:14] + piece for piece in layers.fragments(frame[14:], cuts, 7)]
        for frame in (first, second)
    ]
    for place in range(len(cuts) + 1):
        talk.wire.frames += [(time, each[place]) for each in pieces]
    talk.ours = (talk.ours + len(data)) % 2**32


def quic_contact(*names: str) -> Callable[[], Frames]:
    """QUIC, with a hello of each name in Initial packets of connection ids of their own; the server
    answers the last one."""

    def made() -> Frames:
        on = wire()
        port = on.port()
        for number, name in enumerate(names):
            hello = handshakes.client_hello(name, on.rng, quic=handshakes.QUIC_V1)
            key_id = bytes([number + 1]) * 8
            halves = pairwise((0, len(hello) // 2, len(hello)))
            frames = [handshakes.crypto_frame(hello, *half) for half in halves]
            sent = handshakes.quic_initial(
                handshakes.QUIC_V1, key_id, b"\1" * 5, 0, b"".join(frames[::-1])
            )
            on.udp(SERVICE, port, FAR, 443, sent)
        answer = handshakes.quic_initial(
            handshakes.QUIC_V1, b"\1" * 5, b"\2" * 8, 0, b"\2\0\0\0\0", key_id=key_id, side="server"
        )
        on.udp(FAR, 443, SERVICE, port, answer)
        for size in (1200, 900):
            on.udp(FAR, 443, SERVICE, port, b"\x40" + on.rng.randbytes(size))
        on.udp(SERVICE, port, FAR, 443, b"\x40" + on.rng.randbytes(60))
        return on.frames

    return made


READ = Expected("confirmed", outcome="reached", names=(APP,))
BOTH = Expected("probable", outcome="reached", contradictions=("overlap",), names=(APP,))
"""Nobody can tell whether the server took the decoy or the hello."""


def _hidden(id_: str, title: str, frames: Callable[[], Frames], expected: Expected) -> Situation:
    return Situation(id_, "evasion", title, frames, expected, contact=True)


SITUATIONS = (
    _hidden("plain-hello", "A hello in one segment, as clients send it", contact(plain), READ),
    _hidden(
        "hello-behind-empty-records",
        "A hello behind empty TLS records, which OpenSSL skips",
        contact(behind(EMPTY * 3)),
        READ,
    ),
    _hidden(
        "hello-behind-warning-alert",
        "A hello behind a warning alert, which Go's servers skip",
        contact(behind(WARNING)),
        READ,
    ),
    _hidden(
        "hello-of-odd-record-version",
        "A hello in a TLS record of version 0x0399, which servers ignore",
        contact(odd_version),
        READ,
    ),
    _hidden(
        "hello-in-many-records",
        "A hello in TLS records of three bytes each",
        contact(lambda talk, hello: talk.say(handshakes.records(hello, 3))),
        READ,
    ),
    _hidden(
        "hello-last-segment-first",
        "A hello in six segments, the last one first",
        contact(in_segments),
        READ,
    ),
    _hidden(
        "decoy-without-ack",
        "A hello with another name and without ACK comes before the hello",
        contact(behind_decoy(no_ack)),
        READ,
    ),
    _hidden(
        "decoy-outside-window",
        "A hello with another name and numbers outside of the window comes before the hello",
        contact(behind_decoy(far_ahead)),
        READ,
    ),
    _hidden(
        "decoy-with-wrong-checksum",
        "A hello with another name and a wrong checksum comes before the hello",
        contact(behind_decoy(damaged)),
        BOTH,
    ),
    _hidden(
        "decoy-with-low-ttl",
        "A hello with another name and a TTL of 1 comes before the hello",
        contact(behind_decoy(dying)),
        BOTH,
    ),
    _hidden(
        "decoy-before-segments",
        "A hello with another name comes before the hello in six segments, the last one first",
        contact(behind_decoy(dying, in_segments)),
        BOTH,
    ),
    _hidden(
        "decoy-of-another-protocol",
        "An HTTP request at the place of the hello comes before it",
        contact(behind_decoy(request)),
        BOTH,
    ),
    _hidden(
        "overlapping-fragments",
        "A hello in IP fragments, each behind a fragment with other bytes of another name",
        contact(in_fragments),
        BOTH,
    ),
    _hidden(
        "quic-decoy",
        "An Initial packet with another name and another connection id comes before the hello",
        quic_contact(DECOY, APP),
        BOTH,
    ),
    _hidden(
        "hello-missing-behind-decoy",
        "Behind a decoy, the capture has only a part of the hello",
        contact(behind_decoy(dying, half), "www.example.com"),
        Expected(None, blind="hello-incomplete"),
    ),
    Situation(
        "decoy-of-nobody",
        "evasion",
        "A decoy and a hello, neither of which names a banned app",
        contact(behind_decoy(dying), "www.example.com"),
        Expected(None),
        contact=False,
    ),
)
