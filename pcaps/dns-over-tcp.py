"""DNS over TCP (RFC 7766): length prefixes cut from their message, pipelined queries, and
answers that need several segments."""

from collections.abc import Sequence

import messages
from craft import Conversation, Host, Wire, main

DESK = Host("10.20.1.33", "02:00:00:20:01:33")
RESOLVER = Host("10.20.0.53", "02:00:5e:20:00:53")


def framed(message: bytes) -> bytes:
    """The message behind its length (RFC 1035 section 4.2.2)."""
    return len(message).to_bytes(2, "big") + message


def exchange(
    wire: Wire,
    questions: Sequence[tuple[str, str, Sequence[messages.Record]]],
    *,
    cuts: Sequence[int] = (),
) -> None:
    """One connection with all its queries in one stretch, and all answers after it."""
    wire.wait(30)
    talk = Conversation(wire, DESK, RESOLVER, 53)
    queries, answers = b"", b""
    for ident, (name, kind, records) in enumerate(questions, 1):
        queries += framed(messages.query(ident, name, kind))
        answers += framed(messages.answer(ident, name, kind, records))
    talk.ask(queries, "dns-query", *(name for name, _, _ in questions), cuts=cuts)
    for name, _, records in questions:
        wire.answered(DESK, name, records)
    talk.reply(answers)
    talk.close()


def build() -> Wire:
    """Five connections to the resolver."""
    wire = Wire("2024-10-17T10:00:00+02:00", seed=4)
    tiktok = "www.tiktok.com"
    edge = "www.tiktok.com.edgesuite.net"
    exchange(wire, [(tiktok, "A", [(tiktok, "CNAME", 300, edge), (edge, "A", 20, "203.0.113.10")])])
    plain = "plain.example.org"
    exchange(wire, [(plain, "A", [(plain, "A", 60, "198.51.100.10")])], cuts=(2,))
    late = "late-length.example.org"
    exchange(wire, [(late, "AAAA", [(late, "AAAA", 60, "2001:db8:ffff::10")])], cuts=(1, 20))
    first, second = "first.example.org", "second.example.org"
    pipelined = [
        (first, "A", [(first, "A", 60, "198.51.100.11")]),
        (second, "HTTPS", [(second, "HTTPS", 60, "1 service.example.org")]),
    ]
    exchange(wire, pipelined)
    long = "long.example.org"
    many = [(long, "TXT", 60, "a record to fill segments with " * 6) for _ in range(16)]
    exchange(wire, [(long, "TXT", many)])
    return wire


if __name__ == "__main__":
    main(__file__, build())
