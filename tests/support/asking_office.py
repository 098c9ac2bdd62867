"""An office whose devices look names up and then go there, over several days, as events: what is
true of who was told which address is known. The events become frames, or rows of a store.

Devices differ: caches that keep answers for longer than they may, hosts files, clocks set from
servers that nobody looked up, connections that last all day, calls to the addresses of others. The
capture may pause, lose lookups for hours, and begin when devices are at work already.
"""

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from support.made_store import write_rows

from netwatch.core.addresses import ip_text, mac_text
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
START = 1_677_628_800 * SECOND
"""2023-03-01, a Wednesday."""

RESOLVER = bytes([10, 20, 0, 53])
TTLS = (30, 60, 60, 300, 300, 300, 3600, 3600, 86_400)

Way = Literal["asks", "doh", "browser-doh", "vpn", "brings-along"]
"""How a device learns addresses. ``doh``: by lookups that nobody sees; ``browser-doh``: three in
four of them; ``vpn``: all goes to one address that nobody was told; ``brings-along``: besides what
it always does, a program goes to addresses that it knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A device got an answer."""

    time: int
    device: int
    ip: bytes
    name: str
    addresses: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Talk:
    """A device talked to an address; ``name`` is what its request showed. Of a conversation over
    TCP it is known whether its beginning is in the capture."""

    time: int
    last: int
    device: int
    ip: bytes
    port: int
    server: bytes
    server_port: int
    name: str = ""
    transport: str = "tcp"
    start_seen: bool = True


Event = Answer | Talk


@dataclass(frozen=True, slots=True)
class Office:
    """How an office is. `changes` say from which day (from 0) on a device goes another way, `gaps`
    (ns from the start) when nothing is captured, and `deaf` when no lookups are."""

    devices: int = 8
    days: int = 5
    visits: int = 40
    names: int = 200
    changes: dict[int, tuple[int, Way]] = field(default_factory=dict)
    gaps: tuple[tuple[int, int], ...] = ()
    deaf: tuple[tuple[int, int], ...] = ()
    quirks: float = 0.3
    idle: float = 0.1
    moves: bool = False


def events(office: Office, seed: int) -> list[Event]:
    """What is captured, in the order of time."""
    rng = random.Random(seed)
    zone = [_site(rng, number) for number in range(office.names)]
    found: list[Event] = []
    for number in range(office.devices):
        found += _Desk(office, number, zone, random.Random(rng.random())).events()
    kept = [each for event in found for each in _captured(event, office)]
    return sorted(kept, key=lambda event: (event.time, event.device))


def _captured(event: Event, office: Office) -> Iterator[Event]:
    """What the capture has of an event: of a conversation the parts outside of its gaps."""
    if isinstance(event, Answer):
        if not any(_is_in(event.time, each) for each in (*office.gaps, *office.deaf)):
            yield event
        return
    begin, seen = event.time, event.start_seen
    for since, until in sorted((START + since, START + until) for since, until in office.gaps):
        if since <= begin < until:
            begin, seen = until, event.transport == "udp"
        elif begin < since <= event.last:
            yield replace(event, time=begin, last=since - 1, start_seen=seen)
            begin, seen = until, event.transport == "udp"
        if begin > event.last:
            return
    yield replace(event, time=begin, start_seen=seen)


def _is_in(time: int, span: tuple[int, int]) -> bool:
    return span[0] <= time - START < span[1]


@dataclass(frozen=True, slots=True)
class _Site:
    name: str
    addresses: tuple[bytes, ...]
    ttl: int


def _site(rng: random.Random, number: int) -> _Site:
    # A third are at a few providers, whose addresses have many names.
    if rng.random() < 0.33:
        pool = [bytes([198, 18, rng.randrange(2), rng.randrange(40)]) for _ in range(2)]
    else:
        pool = [bytes([198, 51, rng.randrange(100, 200), rng.randrange(1, 250)])
                for _ in range(rng.choice((1, 1, 2, 4)))]  # fmt: skip
    return _Site(f"www{number}.site.example", tuple(dict.fromkeys(pool)), rng.choice(TTLS))


class _Desk:
    """One device."""

    def __init__(
        self, office: Office, number: int, zone: Sequence[_Site], rng: random.Random
    ) -> None:
        self._office, self._number, self._zone, self._rng = office, number, zone, rng
        self._cache: dict[str, tuple[tuple[bytes, ...], int]] = {}
        # Some programs keep what they were told for long after its TTL.
        self._keeps = (rng.random() < office.quirks and rng.choice((600, 3600, 4 * 3600))) or 0
        self._hosts = (
            [bytes([192, 0, 2, rng.randrange(1, 250)]) for _ in range(rng.choice((1, 1, 2, 3)))]
            if rng.random() < office.quirks
            else []
        )
        self._weights = [1 / (1 + place) for place in range(len(zone))]
        self._favourites = list(zone)
        rng.shuffle(self._favourites)
        self._found: list[Event] = []
        self._ip = b""

    def events(self) -> list[Event]:
        """What it does."""
        for day in range(self._office.days):
            shift = day // 2 if self._office.moves else 0
            self._ip = bytes([10, 20, 1 + shift, 10 + self._number])
            if self._rng.random() < 0.3:
                self._cache.clear()
            since, way = self._office.changes.get(self._number, (self._office.days, "asks"))
            self._day(START + day * DAY, way if day >= since else "asks")
        return self._found

    def _day(self, begin: int, way: Way) -> None:
        rng, office = self._rng, self._office
        visits = rng.randrange(3) if rng.random() < office.idle else rng.randrange(
            office.visits // 2, office.visits * 3 // 2 + 1)  # fmt: skip
        arrive = begin + 7 * HOUR + rng.randrange(2 * HOUR)
        leave = begin + 16 * HOUR + rng.randrange(2 * HOUR)
        if way == "vpn":
            self._talk(arrive, bytes([203, 0, 113, 77]), 51_820, "udp", length=leave - arrive)
            return
        # What keeps in touch all day, and at night.
        for time in range(begin + rng.randrange(HOUR // 3), begin + DAY, HOUR // 3):
            self._visit(time, self._favourites[rng.randrange(3)], way)
        self._visit(arrive, self._favourites[1], way, length=leave - arrive)
        for address in self._hosts:
            for time in range(arrive, leave, HOUR):
                if rng.random() < 0.7:
                    self._talk(time + rng.randrange(HOUR), address, 443, "tcp")
        for time in range(begin, begin + DAY, 6 * HOUR):
            self._talk(time, bytes([198, 18, 200, self._number]), 123, "udp")
        if rng.random() < office.quirks / 3:
            for _ in range(rng.randrange(1, 4)):
                other = bytes([203, 0, 113, rng.randrange(1, 250)])
                self._talk(rng.randrange(arrive, leave), other, 40_000, "udp", length=1800 * SECOND)
        for time in sorted(rng.randrange(arrive, leave) for _ in range(visits)):
            for site in rng.choices(self._favourites, self._weights, k=rng.choice((1, 2, 3, 4))):
                self._visit(time + rng.randrange(5 * SECOND), site, way)
        if way == "brings-along":
            for _ in range(60):
                other = bytes([203, 0, rng.randrange(100), rng.randrange(1, 250)])
                self._talk(rng.randrange(arrive, leave), other, 6881, "udp")

    def _visit(self, time: int, site: _Site, way: Way, length: int = 0) -> None:
        addresses, until = self._cache.get(site.name, ((), 0))
        if time > until + self._keeps * SECOND:
            addresses = tuple(self._rng.sample(site.addresses, len(site.addresses)))
            self._cache[site.name] = addresses, time + site.ttl * SECOND
            hides = way == "doh" or (way == "browser-doh" and self._rng.random() < 0.75)
            if not hides:
                told = tuple((address, site.ttl) for address in addresses)
                self._found.append(Answer(time, self._number, self._ip, site.name, told))
        self._talk(time + SECOND // 20, addresses[0], 80, "tcp", site.name, length)

    def _talk(
        self, time: int, server: bytes, port: int, transport: str, name: str = "", length: int = 0
    ) -> None:
        own = self._rng.randrange(49_152, 65_536)
        last = time + (length or self._rng.randrange(SECOND, 20 * SECOND))
        self._found.append(
            Talk(time, last, self._number, self._ip, own, server, port, name, transport)
        )


def mac_of(device: int) -> bytes:
    return bytes([2, 0, 0, 0, 1, device])


_ROUTER = bytes([2, 0, 0, 0, 0, 1])


def frames(found: Iterable[Event]) -> Iterator[tuple[int, bytes]]:
    """The frames of events, in the order of time."""
    made = [frame for event in found for frame in _frames(event)]
    yield from sorted(made, key=lambda frame: frame[0])


def _frames(event: Event) -> Iterator[tuple[int, bytes]]:
    mac, millisecond = mac_of(event.device), 1_000_000
    if isinstance(event, Answer):
        port = 40_000 + event.time // SECOND % 20_000
        name = b"".join(bytes([len(part)]) + part for part in event.name.encode().split(b"."))
        question = name + b"\0\0\1\0\1"
        yield event.time - 2 * millisecond, _frame(
            mac, event.ip, RESOLVER, 17, _udp(port, 53, struct.pack(
                "!6H", 7, 0x0100, 1, 0, 0, 0) + question))  # fmt: skip
        records = b"".join(
            b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", ttl, 4) + address
            for address, ttl in event.addresses
        )
        head = struct.pack("!6H", 7, 0x8180, 1, len(event.addresses), 0, 0)
        yield (
            event.time,
            _frame(mac, RESOLVER, event.ip, 17, _udp(53, port, head + question + records)),
        )
        return
    there, back = (event.ip, event.server), (event.server, event.ip)
    ports = event.port, event.server_port
    if event.transport == "udp":
        yield event.time, _frame(mac, *there, 17, _udp(*ports, b"\4" * 60))
        for time in range(event.time + millisecond, event.last, 120 * SECOND):
            yield time, _frame(mac, *back, 17, _udp(*ports[::-1], b"\5" * 90))
        return
    request = b"GET / HTTP/1.1\r\nHost: " + (event.name or "[]").encode() + b"\r\n\r\n"
    request = request if event.name else b"\1\2\3\4"
    size = len(request)
    steps = [
        (there, ports, 100, 0, 2, b""),
        (back, ports[::-1], 500, 101, 18, b""),
        (there, ports, 101, 501, 16, request),
        (back, ports[::-1], 501, 101 + size, 16, b"HTTP/1.1 200 OK\r\n\r\n"),
    ]
    for number, (ends, its, place, acked, flags, data) in enumerate(
        steps if event.start_seen else []
    ):
        yield (
            event.time + number * millisecond,
            _frame(mac, *ends, 6, _tcp(*its, place, acked, flags, data)),
        )
    for time in range(event.time + 240 * SECOND, event.last - SECOND, 240 * SECOND):
        yield time, _frame(mac, *there, 6, _tcp(*ports, 101 + size, 520, 16, b""))
    yield event.last, _frame(mac, *there, 6, _tcp(*ports, 101 + size, 520, 17, b""))
    yield (
        event.last + millisecond,
        _frame(mac, *back, 6, _tcp(*ports[::-1], 520, 102 + size, 17, b"")),
    )


def _udp(source: int, to: int, data: bytes) -> bytes:
    return struct.pack("!4H", source, to, 8 + len(data), 0) + data


def _tcp(source: int, to: int, place: int, acked: int, flags: int, data: bytes) -> bytes:
    return struct.pack("!HHIIBBHHH", source, to, place, acked, 80, flags, 8192, 0, 0) + data


def _frame(mac: bytes, source: bytes, to: bytes, protocol: int, data: bytes) -> bytes:
    macs = (_ROUTER + mac) if source[:2] == b"\x0a\x14" and source != RESOLVER else (mac + _ROUTER)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 0, 0, 64, protocol, 0, source, to)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return macs + b"\x08\0" + head[:10] + struct.pack("!H", total) + head[12:] + data


@contextmanager
def stored(found: Sequence[Event], folder: Path) -> Iterator[tuple[Catalogue, StoreOptions]]:
    """A store with the rows of events, as if a capture had shown them."""
    options = StoreOptions(str(folder / "kept"))
    with open_catalogue(options, create=True) as catalogue:
        run = catalogue.begin_run("scan", "sensor")
        capture = catalogue.begin_capture(run, 0, [])
        owners = {event.ip: event.device for event in found}
        clients = [
            ClientAddress(ip_text(ip), mac_text(mac_of(device)), "hq", "service")
            for ip, device in owners.items()
        ]
        numbers = dict(zip(owners, catalogue.client_numbers(clients, "sensor"), strict=True))
        rows: dict[str, list[dict[str, Any]]] = {"observation": [], "flow": []}
        for place, event in enumerate(found):
            table = "observation" if isinstance(event, Answer) else "flow"
            rows[table].append(
                _row(event) | {"capture": capture, "sequence": place, "client": numbers[event.ip]}
            )
        for table, its in rows.items():
            write_rows(catalogue, options, table, its)
        yield catalogue, options


def _row(event: Event) -> dict[str, Any]:
    if isinstance(event, Answer):
        return {
            "time": event.time, "time_digits": 9, "evidence": "dns-answer", "name": event.name,
            "client_port": 40_000, "server_ip": ip_text(RESOLVER), "server_port": 53,
            "transport": "udp", "source": "made", "packet": 1, "flow": 0,
            "dns_answers": [ip_text(address) for address, _ in event.addresses],
            "dns_ttls": [ttl for _, ttl in event.addresses],
        }  # fmt: skip
    return {
        "first": event.time, "last": event.last, "transport": event.transport,
        "client_port": event.port, "server_ip": ip_text(event.server),
        "server_port": event.server_port, "bytes_out": 100, "bytes_in": 1000,
        "name_status": "named" if event.name else "none", "start_seen": event.start_seen,
        "incomplete_message": False, "client_sent": "payload", "server_sent": "payload",
        "source": "made", "packet": 1, "flow": event.time,
    }  # fmt: skip


def switched(office: Office, device: int, day: int, way: Way) -> Office:
    """The same office with a device that goes another way from a day on."""
    return replace(office, changes={**office.changes, device: (day, way)})
