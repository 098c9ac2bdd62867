"""How evidence was seen: what one sender alone can make, and conversations with both ends."""

import struct
from collections.abc import Callable, Sequence

import handshakes
from craft import Conversation, Host, Wire
from support.situations.situation import Expected, Frames, Situation

DEVICE = Host("10.20.1.7", "02:00:00:20:01:07")
SERVER = Host("203.0.113.10", "02:00:00:00:00:01")
API = "api16-normal.tiktokv.com"
"""A name that only the app calls: in a handshake it gives ``confirmed``."""

START = "2026-05-04T10:00:00+00:00"
ETHERNET, IPV4 = 14, 20


def is_of(frame: bytes, host: Host) -> bool:
    """Whether a host has sent a frame."""
    return frame[6:12] == bytes.fromhex(host.mac.replace(":", ""))


def payload_size(frame: bytes) -> int:
    """Bytes of payload in a frame with TCP over IPv4."""
    at = ETHERNET + IPV4
    total = int.from_bytes(frame[ETHERNET + 2 : ETHERNET + 4])
    return total - IPV4 - (frame[at + 12] >> 4) * 4


def with_wrong_checksum(frame: bytes) -> bytes:
    """A frame with TCP over IPv4 whose checksum is another one."""
    at = ETHERNET + IPV4 + 16
    (checksum,) = struct.unpack_from(">H", frame, at)
    return frame[:at] + struct.pack(">H", checksum ^ 0x1234) + frame[at + 2 :]


def conversation(name: str = API, seed: int = 1) -> list[tuple[int, bytes]]:
    """A whole TLS conversation."""
    wire = Wire(START, seed)
    wire.tls(DEVICE, SERVER, name)
    return wire.frames


def of_client(frames: Frames) -> Frames:
    """What the device has sent, and nothing else."""
    return [each for each in frames if is_of(each[1], DEVICE)]


def of_server(frames: Frames) -> Frames:
    """What the server has sent, and nothing else."""
    return [each for each in frames if is_of(each[1], SERVER)]


def the_hello(frames: Frames) -> tuple[int, bytes]:
    """The segment with the hello, the first with payload."""
    return next(each for each in frames if payload_size(each[1]))


def altered(
    frames: Frames, alter: Callable[[bytes], bytes], which: Sequence[tuple[int, bytes]]
) -> Frames:
    """Frames of which these are altered."""
    return [(time, alter(frame) if (time, frame) in which else frame) for time, frame in frames]


def lone_hello() -> Frames:
    """One segment."""
    return [the_hello(conversation())]


def forged_hello() -> Frames:
    """One segment whose checksum is wrong."""
    ((time, frame),) = lone_hello()
    return [(time, with_wrong_checksum(frame))]


def opened_only() -> Frames:
    """A connection whose client gets no answer to its hello."""
    frames = conversation()
    last = frames.index(the_hello(frames))
    return frames[: last + 1]


def hello_with_wrong_checksum() -> Frames:
    """A conversation with a hello that its server cannot have read."""
    frames = conversation()
    return altered(frames, with_wrong_checksum, [the_hello(frames)])


def offloaded() -> Frames:
    """A conversation as it is captured on the client, whose card computes the checksums."""
    frames = conversation()
    return altered(frames, with_wrong_checksum, list(of_client(frames)))


def stray_hello() -> Frames:
    """A conversation that the capture meets in its middle, and a hello that somebody puts into it,
    with a sequence number that its client is far from."""
    frames = conversation("www.example.org")
    behind = frames.index(the_hello(frames)) + 1
    _, frame = the_hello(conversation(API, 2))
    ports, ours = ETHERNET + IPV4, frames[behind - 1][1]
    frame = frame[:ports] + ours[ports : ports + 4] + frame[ports + 4 :]
    (number,) = struct.unpack_from(">I", ours, ports + 4)
    far = struct.pack(">I", (number + 0x40000000) % 2**32)
    frame = frame[: ports + 4] + far + frame[ports + 8 :]
    return [(frames[behind][0], frame), *frames[behind + 1 :]]


def quic() -> Frames:
    """A QUIC connection."""
    wire = Wire(START, 3)
    wire.quic(DEVICE, SERVER, API, version=handshakes.QUIC_V1)
    return wire.frames


def quic_answered_to_another() -> Frames:
    """A hello of QUIC, and datagrams of its server that call their client by another id."""
    mine, other = quic(), Wire(START, 4)
    other.quic(DEVICE, SERVER, "www.example.org", version=handshakes.QUIC_V1)
    ports = ETHERNET + IPV4
    swapped = mine[0][1][ports + 2 : ports + 4] + mine[0][1][ports : ports + 2]
    answers = [
        (time, frame[:ports] + swapped + frame[ports + 4 :])
        for time, frame in of_server(other.frames)
    ]
    return [mine[0], *answers]


def opened() -> Conversation:
    """A connection of the device, on a wire of its own."""
    return Conversation(Wire(START, 5), DEVICE, SERVER, 443)


def resent_before_answer() -> Frames:
    """A hello that is sent twice before its server answers."""
    talk = opened()
    data = handshakes.records(handshakes.client_hello(API, talk.wire.rng))
    talk.repeat(data)
    talk.wire.wait(0.3)
    talk.say(data)
    talk.reply(handshakes.server_flight(talk.wire.rng))
    return talk.wire.frames


_NAMES = (API,)

SITUATIONS: tuple[Situation, ...] = (
    Situation(
        "answered-hello", "evidence", "A hello to an app-only name, in a whole conversation",
        conversation, Expected("confirmed", outcome="reached", names=_NAMES), True,
    ),
    Situation(
        "lone-hello", "evidence", "One segment with a hello, without SYN and answer",
        lone_hello, Expected("probable", names=_NAMES), None,
    ),
    Situation(
        "hello-alone", "evidence",
        "One segment with a hello and a wrong checksum, without SYN and answer",
        forged_hello, Expected("probable", names=_NAMES), None,
    ),
    Situation(
        "client-side-alone", "evidence", "The client's side of a conversation, and nothing of the"
        " server's", lambda: of_client(conversation()), Expected("probable", names=_NAMES), True,
    ),
    Situation(
        "opened-without-answer", "evidence",
        "A connection that the server accepts, and a hello that nobody answers",
        opened_only, Expected("confirmed", outcome="attempted", names=_NAMES), True,
    ),
    Situation(
        "hello-sent-twice", "evidence", "A hello that is sent twice before the server answers",
        resent_before_answer, Expected("confirmed", outcome="reached", names=_NAMES), True,
    ),
    Situation(
        "hello-with-wrong-checksum", "evidence",
        "A conversation in which the checksum of the hello alone is wrong",
        hello_with_wrong_checksum, Expected("probable", outcome="reached", names=_NAMES), None,
    ),
    Situation(
        "offloaded-checksums", "evidence",
        "A conversation captured on the client, whose card computes all its checksums",
        offloaded, Expected("confirmed", outcome="reached", names=_NAMES), True,
    ),
    Situation(
        "hello-into-another-conversation", "evidence",
        "A hello that somebody puts into a conversation, with a sequence number far from its own",
        stray_hello, Expected("probable", names=_NAMES), False,
    ),
    Situation(
        "answered-quic-hello", "evidence", "A hello of QUIC that its server answers",
        quic, Expected("confirmed", outcome="reached", names=_NAMES), True,
    ),
    Situation(
        "lone-quic-hello", "evidence", "A hello of QUIC without an answer",
        lambda: quic()[:1], Expected("probable", names=_NAMES), None,
    ),
    Situation(
        "quic-hello-into-another-connection", "evidence",
        "A hello of QUIC, and answers of its server that are for another connection id",
        quic_answered_to_another, Expected("probable", names=_NAMES), False,
    ),
)  # fmt: skip
"""What one sender alone can make gives at most ``probable``; each has its control."""
