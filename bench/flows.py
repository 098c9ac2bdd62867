"""Conversations that are generated packet by packet: DNS lookups, TCP and QUIC connections.

Each flow writes its next packet in `step`. The caller interleaves the flows.
"""

from collections import deque
from typing import Protocol

from shared import handshakes, messages
from stock import RESOLVER_IPV4, RESOLVER_IPV6, Stock, segments_of
from wire import ACK, EMPTY, FIN_ACK, OPTIONS, PSH_ACK, SYN, SYN_ACK, Writer, payload_of


class Flow(Protocol):
    """A conversation."""

    def step(self, writer: Writer, time: int) -> bool:
        """Write the next packet at `time` (microseconds); returns false after the last one."""
        ...

    def incomplete_message(self) -> tuple[str, str] | None:
        """Evidence and name of a message of which some but not all packets were written."""
        ...


class DnsLookup:
    """A DNS query and its answer."""

    __slots__ = ("aliases", "client", "directions", "ident", "ledger", "messages", "site")

    def __init__(self, stock: Stock) -> None:
        self.client, mac, ipv6 = stock.pick_client()
        self.ledger, self.site = stock.ledger, stock.population.draw()
        kind = stock.rng.choices(("A", "AAAA", "HTTPS"), (60, 25, 15))[0]
        query, answer, self.aliases = stock.dns_messages(self.site, kind)
        self.messages = [answer, query]
        resolver = RESOLVER_IPV6 if ipv6 else RESOLVER_IPV4
        self.directions = stock.directions(17, self.client, mac, resolver, 53)
        self.ident = stock.rng.randbytes(2)

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        message = self.messages.pop()
        answered = not self.messages
        writer.udp(self.directions[answered], time, message, self.ident)
        self.ledger.add("dns-answer" if answered else "dns-query", self.client, self.site)
        if answered:
            for alias in self.aliases:
                self.ledger.add("dns-cname", self.client, self.site, alias)
        return not answered

    def incomplete_message(self) -> None:
        """A message of one datagram is never incomplete."""


class TcpConnection:
    """A TCP connection: handshake, first message of the client, data, teardown."""

    __slots__ = (
        "ahead",
        "client",
        "evidence",
        "inbound",
        "outbound",
        "parts",
        "remaining",
        "site",
        "steps",
        "stock",
    )

    def __init__(self, stock: Stock, packets: int, *, http: bool) -> None:
        rng = stock.rng
        self.stock, self.remaining, self.ahead = stock, packets, 0
        self.client, mac, ipv6 = stock.pick_client()
        self.site = stock.population.draw()
        server = self.site.ipv6 if ipv6 else self.site.ipv4
        self.outbound, self.inbound = stock.directions(
            6, self.client, mac, server, 80 if http else 443
        )
        if http:
            self.evidence = "http-host"
            first = messages.request("GET", "/index.html", self.site.name, "Accept: */*")
            reply = b"HTTP/1.1 200 OK\r\nServer: example\r\nConnection: close\r\n\r\n"
        else:
            self.evidence = "tls-sni"
            large = rng.random() < 0.5
            hello = handshakes.client_hello(self.site.name, rng, post_quantum=large)
            first, reply = handshakes.records(hello), rng.choice(stock.server_flights)
        # A step: outbound, flags, payload, offset from the next sequence number, completes a name.
        segments = segments_of(first)
        self.parts = len(segments)
        steps = [(True, PSH_ACK, part, 0, False) for part in segments]
        if len(segments) > 1 and rng.random() < 0.25:
            offset = len(segments[0].data)
            steps = [
                (True, PSH_ACK, segments[1], offset, False),
                (True, PSH_ACK, segments[0], 0, False),
            ]
        steps[-1] = (*steps[-1][:4], True)
        opening = [(True, SYN, OPTIONS, 0, False), (False, SYN_ACK, OPTIONS, 0, False)]
        opening += [(True, ACK, EMPTY, 0, False), *steps, (False, ACK, EMPTY, 0, False)]
        opening += [(False, PSH_ACK, part, 0, False) for part in segments_of(reply)]
        self.steps = deque(opening)

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        steps = self.steps
        if not steps:
            self._add_data()
        outbound_step, flags, payload, offset, is_complete = steps.popleft()
        direction, other = (
            (self.outbound, self.inbound) if outbound_step else (self.inbound, self.outbound)
        )
        seq, size = (direction.seq + offset) & 0xFFFFFFFF, len(payload.data)
        writer.tcp(direction, time, flags, payload, seq, 0 if flags == SYN else other.seq)
        if flags in (SYN, SYN_ACK, FIN_ACK):
            size = 1
        # A segment sent ahead does not move the sequence number; the one before it moves past both.
        if offset:
            self.ahead = size
        else:
            direction.seq = (direction.seq + size + self.ahead) & 0xFFFFFFFF
            self.ahead = 0
        if is_complete:
            self.stock.ledger.add(self.evidence, self.client, self.site)
        return flags != FIN_ACK

    def incomplete_message(self) -> tuple[str, str] | None:
        """See `Flow`."""
        pending = [step[4] for step in self.steps]
        has_begun = True in pending and pending.index(True) + 1 < self.parts
        return (self.evidence, self.site.name) if has_begun else None

    def _add_data(self) -> None:
        stock, steps = self.stock, self.steps
        if self.remaining <= 0:
            steps.append((True, ACK, EMPTY, 0, False))
            steps.append((False, FIN_ACK, EMPTY, 0, False))
            return
        if stock.rng.random() < 0.1 and self.evidence != "http-host":
            request = stock.rng.choice(stock.requests)
            steps.extend([(True, PSH_ACK, request, 0, False), (False, ACK, EMPTY, 0, False)])
        for number, part in enumerate(stock.rng.choice(stock.records)):
            steps.append((False, ACK, part, 0, False))
            if number & 1:
                steps.append((True, ACK, EMPTY, 0, False))
        steps.append((True, ACK, EMPTY, 0, False))
        self.remaining -= len(steps)


class TcpDownload:
    """The middle of a TCP connection: data that the server sends without end."""

    __slots__ = ("direction", "record", "stock")

    def __init__(self, stock: Stock) -> None:
        client, mac, ipv6 = stock.pick_client()
        site = stock.population.draw()
        server = site.ipv6 if ipv6 else site.ipv4
        self.stock, self.direction = stock, stock.directions(6, client, mac, server, 443)[1]
        self.record = iter(stock.rng.choice(stock.records))

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        part = next(self.record, None)
        if part is None:
            self.record = iter(self.stock.rng.choice(self.stock.records))
            part = next(self.record)
        writer.tcp(self.direction, time, ACK, part, self.direction.seq, 0)
        self.direction.seq = (self.direction.seq + len(part.data)) & 0xFFFFFFFF
        return True

    def incomplete_message(self) -> None:
        """It contains no name."""


class QuicConnection:
    """A QUIC connection: Initials of both sides, then packets with short headers."""

    __slots__ = ("client", "inbound", "outbound", "parts", "remaining", "site", "steps", "stock")

    def __init__(self, stock: Stock, packets: int) -> None:
        rng = stock.rng
        self.stock, self.remaining = stock, packets
        self.client, mac, ipv6 = stock.pick_client()
        self.site = stock.population.draw()
        server = self.site.ipv6 if ipv6 else self.site.ipv4
        self.outbound, self.inbound = stock.directions(17, self.client, mac, server, 443)
        large = rng.random() < 0.3
        hello = handshakes.quic_hello(handshakes.QUIC_V1, self.site.name, rng, post_quantum=large)
        frames = b"\2\0\0\0\0" + handshakes.crypto_frame(handshakes.server_hello(rng), 0, 1200)
        reply = handshakes.quic_initial(
            handshakes.QUIC_V1, hello[0][15 : 15 + hello[0][14]], rng.randbytes(8), 0, frames,
            key_id=hello[0][6:14], side="server",
        )  # fmt: skip
        self.parts = len(hello)
        self.steps = deque((True, payload_of(datagram), False) for datagram in hello)
        self.steps[-1] = (True, self.steps[-1][1], True)
        self.steps.append((False, payload_of(reply), False))

    def step(self, writer: Writer, time: int) -> bool:
        """See `Flow`."""
        if not self.steps:
            rng, stock = self.stock.rng, self.stock
            for _ in range(rng.randint(1, 6)):
                self.steps.append((False, rng.choice(stock.large), False))
                if rng.random() < 0.3:
                    self.steps.append((True, rng.choice(stock.small), False))
        outbound_step, payload, is_complete = self.steps.popleft()
        writer.udp(self.outbound if outbound_step else self.inbound, time, payload)
        if is_complete:
            self.stock.ledger.add("quic-sni", self.client, self.site)
        self.remaining -= 1
        return self.remaining > 0

    def incomplete_message(self) -> tuple[str, str] | None:
        """See `Flow`."""
        pending = [step[2] for step in self.steps]
        has_begun = True in pending and pending.index(True) + 1 < self.parts
        return ("quic-sni", self.site.name) if has_begun else None
