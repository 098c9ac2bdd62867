"""Conversations that are played a packet at a time: lookups, TCP flows, QUIC connections.

Every flow has `step`, which writes its next packet and says whether more come; whoever
plays the flows chooses whose turn it is.
"""

from collections import deque
from typing import Protocol

from shared import handshakes, messages
from stock import RESOLVER_FOUR, RESOLVER_SIX, Stock, cut
from wire import ACK, EMPTY, FIN_ACK, OPTIONS, PSH_ACK, SYN, SYN_ACK, Writer, piece


class Flow(Protocol):
    """A conversation under way."""

    def step(self, writer: Writer, time: int) -> bool:
        """Write the next packet at `time` (microseconds); false when it was the last."""
        ...

    def cut(self) -> tuple[str, str] | None:
        """Evidence and name of a message that is begun and not yet whole."""
        ...


class Lookup:
    """A DNS query and its answer."""

    __slots__ = ("aliases", "client", "ident", "ledger", "messages", "site", "ways")

    def __init__(self, stock: Stock) -> None:
        self.client, mac, six = stock.ends()
        self.ledger, self.site = stock.ledger, stock.population.draw()
        kind = stock.rng.choices(("A", "AAAA", "HTTPS"), (60, 25, 15))[0]
        query, answer, self.aliases = stock.dns_messages(self.site, kind)
        self.messages = [answer, query]
        resolver = RESOLVER_SIX if six else RESOLVER_FOUR
        self.ways = stock.ways(17, self.client, mac, resolver, 53)
        self.ident = stock.rng.randbytes(2)

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        message = self.messages.pop()
        answered = not self.messages
        writer.udp(self.ways[answered], time, message, self.ident)
        self.ledger.shows("dns-answer" if answered else "dns-query", self.client, self.site)
        if answered:
            for alias in self.aliases:
                self.ledger.shows("dns-cname", self.client, self.site, alias)
        return not answered

    def cut(self) -> None:
        """A datagram is never cut."""


class Stream:
    """A TCP connection: handshake, first message of the client, data, end."""

    __slots__ = (
        "back",
        "client",
        "evidence",
        "left",
        "out",
        "owed",
        "parts",
        "site",
        "steps",
        "stock",
    )

    def __init__(self, stock: Stock, packets: int, *, http: bool) -> None:
        rng = stock.rng
        self.stock, self.left, self.owed = stock, packets, 0
        self.client, mac, six = stock.ends()
        self.site = stock.population.draw()
        server = self.site.six if six else self.site.four
        self.out, self.back = stock.ways(6, self.client, mac, server, 80 if http else 443)
        if http:
            self.evidence = "http-host"
            first = messages.request("GET", "/index.html", self.site.name, "Accept: */*")
            reply = b"HTTP/1.1 200 OK\r\nServer: example\r\nConnection: close\r\n\r\n"
        else:
            self.evidence = "tls-sni"
            large = rng.random() < 0.5
            hello = handshakes.client_hello(self.site.name, rng, post_quantum=large)
            first, reply = handshakes.records(hello), rng.choice(stock.flights)
        # A step: outwards?, flags, payload, how far behind the next byte, names a site?
        asked = cut(first)
        self.parts = len(asked)
        steps = [(True, PSH_ACK, part, 0, False) for part in asked]
        if len(asked) > 1 and rng.random() < 0.25:
            behind = len(asked[0].data)
            steps = [
                (True, PSH_ACK, asked[1], behind, False),
                (True, PSH_ACK, asked[0], 0, False),
            ]
        steps[-1] = (*steps[-1][:4], True)
        opening = [(True, SYN, OPTIONS, 0, False), (False, SYN_ACK, OPTIONS, 0, False)]
        opening += [(True, ACK, EMPTY, 0, False), *steps, (False, ACK, EMPTY, 0, False)]
        opening += [(False, PSH_ACK, part, 0, False) for part in cut(reply)]
        self.steps = deque(opening)

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        steps = self.steps
        if not steps:
            self._go_on()
        outwards, flags, payload, behind, shows = steps.popleft()
        way, other = (self.out, self.back) if outwards else (self.back, self.out)
        seq, size = (way.seq + behind) & 0xFFFFFFFF, len(payload.data)
        writer.tcp(way, time, flags, payload, seq, 0 if flags == SYN else other.seq)
        if flags in (SYN, SYN_ACK, FIN_ACK):
            size = 1
        # The segment sent ahead moves nothing; the one that fills the gap moves past both.
        if behind:
            self.owed = size
        else:
            way.seq = (way.seq + size + self.owed) & 0xFFFFFFFF
            self.owed = 0
        if shows:
            self.stock.ledger.shows(self.evidence, self.client, self.site)
        return flags != FIN_ACK

    def cut(self) -> tuple[str, str] | None:
        """See `Flow`."""
        waiting = [step[4] for step in self.steps]
        begun = True in waiting and waiting.index(True) + 1 < self.parts
        return (self.evidence, self.site.name) if begun else None

    def _go_on(self) -> None:
        stock, steps = self.stock, self.steps
        if self.left <= 0:
            steps.append((True, ACK, EMPTY, 0, False))
            steps.append((False, FIN_ACK, EMPTY, 0, False))
            return
        if stock.rng.random() < 0.1 and self.evidence != "http-host":
            request = stock.rng.choice(stock.requests)
            steps.extend([(True, PSH_ACK, request, 0, False), (False, ACK, EMPTY, 0, False)])
        for number, part in enumerate(stock.rng.choice(stock.groups)):
            steps.append((False, ACK, part, 0, False))
            if number & 1:
                steps.append((True, ACK, EMPTY, 0, False))
        steps.append((True, ACK, EMPTY, 0, False))
        self.left -= len(steps)


class Data:
    """The middle of a TCP connection: what its server sends, without end."""

    __slots__ = ("group", "stock", "way")

    def __init__(self, stock: Stock) -> None:
        client, mac, six = stock.ends()
        site = stock.population.draw()
        server = site.six if six else site.four
        self.stock, self.way = stock, stock.ways(6, client, mac, server, 443)[1]
        self.group = iter(stock.rng.choice(stock.groups))

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        part = next(self.group, None)
        if part is None:
            self.group = iter(self.stock.rng.choice(self.stock.groups))
            part = next(self.group)
        writer.tcp(self.way, time, ACK, part, self.way.seq, 0)
        self.way.seq = (self.way.seq + len(part.data)) & 0xFFFFFFFF
        return True

    def cut(self) -> None:
        """It shows no name."""


class Quic:
    """A QUIC connection: Initials of both sides, then packets with short headers."""

    __slots__ = ("back", "client", "left", "out", "parts", "site", "steps", "stock")

    def __init__(self, stock: Stock, packets: int) -> None:
        rng = stock.rng
        self.stock, self.left = stock, packets
        self.client, mac, six = stock.ends()
        self.site = stock.population.draw()
        server = self.site.six if six else self.site.four
        self.out, self.back = stock.ways(17, self.client, mac, server, 443)
        large = rng.random() < 0.3
        hello = handshakes.quic_hello(handshakes.QUIC_V1, self.site.name, rng, post_quantum=large)
        frames = b"\2\0\0\0\0" + handshakes.crypto_frame(handshakes.server_hello(rng), 0, 1200)
        reply = handshakes.quic_initial(
            handshakes.QUIC_V1, b"", rng.randbytes(8), 0, frames,
            key_id=hello[0][6:14], side="server",
        )  # fmt: skip
        self.parts = len(hello)
        self.steps = deque((True, piece(datagram), False) for datagram in hello)
        self.steps[-1] = (True, self.steps[-1][1], True)
        self.steps.append((False, piece(reply), False))

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        if not self.steps:
            rng, stock = self.stock.rng, self.stock
            for _ in range(rng.randint(1, 6)):
                self.steps.append((False, rng.choice(stock.large), False))
                if rng.random() < 0.3:
                    self.steps.append((True, rng.choice(stock.small), False))
        outwards, payload, shows = self.steps.popleft()
        writer.udp(self.out if outwards else self.back, time, payload)
        if shows:
            self.stock.ledger.shows("quic-sni", self.client, self.site)
        self.left -= 1
        return self.left > 0

    def cut(self) -> tuple[str, str] | None:
        """See `Flow`."""
        waiting = [step[2] for step in self.steps]
        begun = True in waiting and waiting.index(True) + 1 < self.parts
        return ("quic-sni", self.site.name) if begun else None
