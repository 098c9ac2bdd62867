"""Verdicts from flow records, held to those from packets of the same traffic.

    python bench/flow_candidates.py

Generated office traffic is written twice: as a capture, and as the log of a resolver (dnsmasq) with
the flow records (nfdump) of an exporter that samples one packet in 1, 10, 100 and 1,000. Banned
names have addresses of their own, and addresses of content networks that they share with other
apps and sites. Clients keep answers, some beyond their TTL; look names up without going there; and
some ask a resolver whose log is not there. What netwatch says of the packets is the truth; of flow
records it is right where the flow of the same client and port went to that app. The figures are
summed over traffic from several seeds; the margin after the TTL was chosen with seed 1. ``--write``
replaces the tables in ``docs/concepts/candidates.md``.
"""

import argparse
import contextlib
import heapq
import math
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

from flows import Flow, QuicConnection, TcpConnection
from population import BANNED, Site
from shared import ROOT
from stock import RESOLVER_IPV4, Stock
from wire import Direction, Writer

from netwatch import config
from netwatch.core.addresses import ip_text
from netwatch.core.flow import Flow as FlowRecord
from netwatch.core.message import HANDSHAKES
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage
from netwatch.engine import pipeline, told_names
from netwatch.engine.capture_files import find_units
from netwatch.engine.told_names import NameSet, ToldNames
from netwatch.logs import LogOptions

RATES = (1, 10, 100, 1000)
MANY = 10
"""Sets of so many names or more are in one row."""

MARGINS = (0, 60, 300, 900)
GRADES = ("confirmed", "probable", "possible")
PAGE = ROOT / "docs" / "concepts" / "candidates.md"

START = 1679299200 * 10**6
"""2023-03-20T08:00:00Z in microseconds."""

CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service}]
bans:
  - {id: our-rule, authority: City, apps: [tiktok], forbids: [service], timezone: UTC,
     min_confidence: possible}
"""
OTHER_APPS = ("www.capcut.com", "web.whatsapp.com", "web.telegram.org", "www.temu.com")
HEADER = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"

Key = tuple[bytes, int, bytes]
"""The client of a flow with its port, and the server."""

Sets = dict[Key, NameSet | None]
"""The names that each flow record can be of."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What clients do. `looked_up` of the lookups come from a prefetch and lead to no flow, and
    `missed` of them are in no log. `unseen` is the share of clients whose resolver has no log,
    `late` of those who keep answers for up to ten minutes beyond their TTL. `shared` of the sites
    and `app_shared` of the app's names are on one of so many addresses of content `networks`."""

    looked_up: float = 0.1
    missed: float = 0.02
    unseen: float = 0.02
    late: float = 0.1
    shared: float = 0.5
    banned: float = 0.15
    ttl: int = 60
    clients: int = 200
    networks: int = 12
    app_shared: float = 0.4
    seconds: int = 3600


SITES = {
    "An office": Habits(),
    "A crowded site": Habits(
        clients=30, networks=4, shared=0.8, app_shared=0.6, missed=0.1, unseen=0.1
    ),
}
"""The sites that are measured, by what they are called."""


class _Planned(Stock):
    """A stock of which the next conversation gets the client and the site that are set."""

    def __init__(self, seed: int, clients: int) -> None:
        super().__init__(seed, None, 400, clients, 0)
        self.next_client = self.clients[0]
        self.next_site = self.population.sites[0]
        self.population.draw = lambda: self.next_site  # type: ignore[method-assign]

    def pick_client(self) -> tuple[bytes, bytes, bool]:
        """The client that is set."""
        return self.next_client, b"\x02\x00" + self.next_client, False


@dataclass(slots=True)
class _Counters:
    """What an exporter has counted of one direction of a flow; times in microseconds."""

    first: int
    last: int = 0
    packets: int = 0
    octets: int = 0


class _Exporter(Writer):
    """Writes packets, and counts those that exporters sample."""

    def __init__(self, file: BinaryIO, rng: random.Random) -> None:
        super().__init__(file)
        self._rng = rng
        self.seen: dict[int, dict[Direction, _Counters]] = {rate: {} for rate in RATES}

    def _emit(self, direction: Direction, time: int, length: int, payload: bytes) -> None:
        super()._emit(direction, time, length, payload)
        drawn = self._rng.random()
        for rate, found in self.seen.items():
            if drawn < 1 / rate:
                counters = found.get(direction) or found.setdefault(direction, _Counters(time))
                counters.last, counters.packets = time, counters.packets + 1
                counters.octets += length + 20

    def records(self, rate: int) -> str:
        """The records of an exporter that samples one packet in `rate`, as nfdump prints them."""
        rows = []
        for direction, found in self.seen[rate].items():
            head, at = direction.head, direction.transport
            ends = [ip_text(bytes(head[at - 8 : at - 4])), ip_text(bytes(head[at - 4 : at]))]
            ports = [int.from_bytes(head[at + place : at + place + 2], "big") for place in (0, 2)]
            if 53 in ports:
                continue
            since = datetime.fromtimestamp(found.first / 10**6, UTC)
            lasted = (found.last - found.first) / 10**6
            rows.append(
                (
                    found.last,
                    f"{since:%Y-%m-%d %H:%M:%S}.{since.microsecond // 1000:03},{lasted:.3f},"
                    f"{head[at - 11]},{ends[0]},{ports[0]},{ends[1]},{ports[1]},"
                    f"{found.packets},{found.octets},1\n",
                )
            )
        return HEADER + "".join(text for _, text in sorted(rows))


def sites_of(stock: _Planned, habits: Habits) -> tuple[list[Site], list[Site]]:
    """The banned sites and the others, with their addresses: of their own, or of a content network
    that some of each share."""
    rng = stock.rng
    shared = [bytes([203, 0, 113, 2 * number]) for number in range(habits.networks)]
    own = (bytes([198, 18, number >> 7, number << 1 & 0xFE]) for number in range(4096))
    plain = [site.name for site in stock.population.sites] + [*OTHER_APPS]

    def site(name: str, is_banned: bool, share: float) -> Site:
        address = rng.choice(shared) if rng.random() < share else next(own)
        return Site(name, address, bytes(16), (), is_banned)

    banned = [site(name, True, habits.app_shared) for name in BANNED]
    # Two names of the app have one address.
    banned[1] = Site(banned[1].name, banned[0].ipv4, bytes(16), (), True)
    return banned, [site(name, False, habits.shared) for name in plain]


@dataclass(slots=True)
class _Client:
    """What a client has in its cache: until when (microseconds), by name."""

    cache: dict[str, int] = field(default_factory=dict)
    is_logged: bool = True
    keeps: int = 0


def written(
    folder: Path, visits: int, seed: int, habits: Habits | None = None, start: int = START
) -> dict[int, list[str]]:
    """Write the traffic into a folder, from `start` on (microseconds); the paths of the capture
    under 0, else those of the log and the flow records by the rate of sampling."""
    habits = habits or Habits()
    stock = _Planned(seed, habits.clients)
    rng = stock.rng
    banned, plain = sites_of(stock, habits)
    ranks = [1 / (rank + 3) for rank in range(len(plain))]
    clients = {
        address: _Client(
            is_logged=rng.random() >= habits.unseen,
            keeps=rng.randrange(600) if rng.random() < habits.late else 0,
        )
        for address in stock.clients
    }
    lines: list[str] = []
    with (folder / "traffic.pcap").open("wb") as file:
        writer = _Exporter(file, random.Random(seed + 1))
        active: list[tuple[int, int, Flow]] = []
        now = start
        for number in range(visits):
            now += int(rng.expovariate(visits / habits.seconds / 10**6))
            _run(active, writer, now, rng)
            choice = banned if rng.random() < habits.banned else plain
            site = rng.choices(choice, ranks if choice is plain else None)[0]
            address = rng.choice(stock.clients)
            stock.next_client, stock.next_site = address, site
            _look_up(stock, writer, lines, clients[address], now, habits)
            if rng.random() >= habits.looked_up:
                packets = 4 + int(rng.expovariate(1 / 30))
                is_quic = rng.random() < 0.3
                flow: Flow = (
                    QuicConnection(stock, packets)
                    if is_quic
                    else TcpConnection(stock, packets, http=False)
                )
                heapq.heappush(active, (now + 30_000, number, flow))
        _run(active, writer, None, rng)
        writer.flush()
    (folder / "dnsmasq.log").write_text("".join(lines))
    found = {0: [str(folder / "traffic.pcap")]}
    for rate in RATES:
        path = folder / f"flows-{rate}.csv"
        path.write_text(writer.records(rate))
        found[rate] = [str(folder / "dnsmasq.log"), str(path)]
    return found


def _run(
    active: list[tuple[int, int, Flow]], writer: Writer, until: int | None, rng: random.Random
) -> None:
    """Write the packets of conversations up to a time."""
    while active and (until is None or active[0][0] < until):
        time, number, flow = heapq.heappop(active)
        if flow.step(writer, time):
            heapq.heappush(active, (time + 200 + int(rng.expovariate(1 / 20_000)), number, flow))


def _look_up(
    stock: _Planned,
    writer: Writer,
    lines: list[str],
    client: _Client,
    now: int,
    habits: Habits,
) -> None:
    """A lookup of the next site by the next client, unless it has an answer."""
    address, site = stock.next_client, stock.next_site
    if client.cache.get(site.name, 0) >= now:
        return
    client.cache[site.name] = now + (habits.ttl + client.keeps) * 10**6
    if not client.is_logged or stock.rng.random() < habits.missed:
        return
    query, answer, _ = stock.dns_messages(site, "A")
    there, back = stock.directions(17, address, b"\x02\x00" + address, RESOLVER_IPV4, 53)
    ident = stock.rng.randbytes(2)
    writer.udp(there, now, query, ident)
    writer.udp(back, now + 10_000, answer, ident)
    at = datetime.fromtimestamp((now + 10_000) // 10**6, UTC)
    serial, text = len(lines) + 1, ip_text(address)
    head = f"{at:%b %d %H:%M:%S} gw dnsmasq[900]: {serial} {text}/40001 "
    lines.append(f"{head}query[A] {site.name} from {text}\n")
    near = site.ipv4[:3] + bytes([site.ipv4[3] ^ 1])
    lines += [f"{head}reply {site.name} is {ip_text(each)}\n" for each in (site.ipv4, near)]


@dataclass(slots=True)
class Contacts:
    """Takes contacts: flows by the app that they go to, and with the confidence that they give."""

    handshakes: set[Key] = field(default_factory=set)
    records: dict[Key, str] = field(default_factory=dict)

    def add(self, contact: Contact) -> None:
        """See `netwatch.engine.contact_flows.ContactCollector`."""
        shown = contact.observation
        repeats = contact.repeats
        ports = [shown.client_port] if repeats is None else list(repeats.ports)
        for port in ports:
            key = shown.client_ip, port, shown.server_ip
            if shown.evidence in HANDSHAKES:
                self.handshakes.add(key)
            elif shown.evidence == "ip-from-dns":
                self.records[key] = contact.confidence or ""

    def add_sender(self, contact: Contact) -> None:
        """See `netwatch.engine.contact_flows.ContactCollector`."""

    def add_progress(self, *_: Any) -> None:
        """See `netwatch.engine.contact_flows.ContactCollector`."""


@dataclass(slots=True)
class Measured:
    """What was found at one rate: flows that packets show to be of the app, flows that have a
    record, and those that records say are of it, by grade, and by how many names (k). `one_of` are
    those that may be, by k; of each pair the second number are those that are of the app."""

    flows: int = 0
    recorded: int = 0
    grades: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    sets: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    one_of: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def precision(self, grade: str) -> float:
        """The share of flows of a grade that are of the app; 1 where there are none."""
        said, right = self.grades[grade]
        return right / said if said else 1.0

    def words(self, grade: str) -> str:
        """The precision of a grade, for a table."""
        return f"{self.precision(grade):.3f}" if self.grades[grade][0] else "none said"

    def recall(self, grade: str) -> float:
        """The share of flows of the app that have a grade."""
        return self.grades[grade][1] / self.flows if self.flows else 0.0

    def add(self, other: "Measured") -> None:
        """Add what was found in other traffic."""
        self.flows += other.flows
        self.recorded += other.recorded
        for grade, counts in other.grades.items():
            _add(self.grades[grade], counts)
        for mine, its in ((self.sets, other.sets), (self.one_of, other.one_of)):
            for k, counts in its.items():
                _add(mine[k], counts)

    def proof(self, title: str) -> str:
        """A sentence about what is proven of the precision of `probable`."""
        said, right = self.grades["probable"]
        return (
            f"Unsampled{title}, {right:,} of {said:,} accusations that were `probable` were right,"
            f" which proves a precision of at least {least_precision(said, right):.3f} (95 %)."
        )


def _add(counts: list[int], others: list[int]) -> None:
    counts[:] = [one + other for one, other in zip(counts, others, strict=True)]


def least_precision(said: int, right: int, level: float = 0.95) -> float:
    """The precision that so many right accusations prove with the probability `level`: Clopper and
    Pearson (Biometrika 26, 1934, 404-413), on one side."""

    def as_good(precision: float) -> float:
        return sum(
            math.comb(said, each) * precision**each * (1 - precision) ** (said - each)
            for each in range(right, said + 1)
        )

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if as_good(middle) < 1 - level else (low, middle)
    return low


def measured(
    paths: dict[int, list[str]],
    settings: config.Config,
    rates: Iterable[int] = RATES,
    year: int = 2023,
) -> dict[int, Measured]:
    """What netwatch says of the flow records at each rate, held to what it says of packets. The log
    of the resolver is of this year."""
    truth = contacts_of(paths[0], settings, year)[0].handshakes
    return {rate: held(contacts_of(paths[rate], settings, year), truth) for rate in rates}


def held(said: tuple[Contacts, Sets], truth: set[Key]) -> Measured:
    """What flow records say, held to the flows that packets show to be of the app."""
    found, sets = said
    result = Measured(len(truth), len(truth & sets.keys()))
    for key, grade in found.records.items():
        is_right = key in truth
        of_k = sets[key]
        assert of_k is not None
        for counts in (result.grades[grade], result.sets[of_k.count]):
            counts[0] += 1
            counts[1] += is_right
    for key, of_k in sets.items():
        if of_k is not None and key not in found.records and "tiktok" in of_k.apps:
            result.one_of[of_k.count][0] += 1
            result.one_of[of_k.count][1] += key in truth
    return result


def contacts_of(paths: list[str], settings: config.Config, year: int) -> tuple[Contacts, Sets]:
    """The contacts, and the names that each flow record can be of."""
    found = Contacts()
    sets: Sets = {}
    options = LogOptions(year=year, zone=UTC)
    captures, logs = find_units(paths, options, counts_flows=True)
    with noted(sets):
        for unit in (*captures, *logs):
            pipeline.scan(unit, settings, RunStatistics(), found, coverage=Coverage())
    return found, sets


@contextlib.contextmanager
def noted(sets: Sets) -> Iterator[None]:
    """Note the names that each flow record can be of that is judged meanwhile."""
    asked = ToldNames.names_of

    def names_of(self: ToldNames, flow: FlowRecord, *rest: Any) -> NameSet | None:
        names = asked(self, flow, *rest)
        sets[flow.client_ip, flow.client_port, flow.server_ip] = names
        return names

    with mock.patch.object(ToldNames, "names_of", names_of):
        yield


def table(found: dict[int, Measured]) -> Iterator[str]:
    """The tables, in lines."""
    yield "| sampled | flows of the app | recorded | grade | said | right | precision | recall |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for rate, each in found.items():
        for grade in GRADES:
            said, right = each.grades[grade]
            precision = each.words(grade)
            first = (f"1 in {rate:,}", f"{each.flows:,}", f"{each.recorded:,}")
            if grade != GRADES[0]:
                first = ("", "", "")
            yield (
                f"| {' | '.join(first)} | `{grade}` | {said:,} | {right:,} | {precision} |"
                f" {each.recall(grade):.3f} |"
            )
    yield ""
    yield found[1].proof("")
    yield ""
    yield "By the number of names (k), unsampled:"
    yield ""
    yield "| k | accused | of the app | `one-of-k` | of the app |"
    yield "| --- | --- | --- | --- | --- |"
    for k, row in rows_by_k(found[1]).items():
        yield f"| {k} | {' | '.join(f'{count:,}' for count in row)} |"


def rows_by_k(each: Measured) -> dict[str, list[int]]:
    """By the number of names: flows that are accused, those of them that are of the app, flows
    ``one-of-k``, and those of them that are."""
    counts: dict[int, list[int]] = {}
    for at, of_k in ((0, each.sets), (2, each.one_of)):
        for k, (said, right) in of_k.items():
            row = counts.setdefault(min(k, MANY), [0, 0, 0, 0])
            row[at] += said
            row[at + 1] += right
    return {f"{k}{' or more' if k == MANY else ''}": row for k, row in sorted(counts.items())}


def measured_by_margin(paths: dict[int, list[str]], settings: config.Config) -> dict[int, Measured]:
    """What is found unsampled with other margins after the TTL, by these (s)."""
    found = {}
    for seconds in MARGINS:
        with mock.patch.object(told_names, "DNS_TTL_GRACE", seconds * 10**9):
            found[seconds] = measured(paths, settings, (1,))[1]
    return found


def margin_table(found: dict[int, Measured]) -> Iterator[str]:
    """The table of margins, in lines."""
    yield "| margin | `probable` | precision | `possible` | precision | recall of both |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for seconds, each in found.items():
        recall = each.recall("probable") + each.recall("possible")
        cells = [f"{each.grades[grade][0]:,} | {each.words(grade)}" for grade in GRADES[1:]]
        yield f"| {seconds} s | {' | '.join(cells)} | {recall:.3f} |"


def settings_in(folder: Path) -> config.Config:
    """The configuration of the measure."""
    (folder / "netwatch.yaml").write_text(CONFIG)
    return config.load(str(folder / "netwatch.yaml"))


def main() -> int:
    """Measure, and print or write the tables."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visits", type=int, default=2000, metavar="N", help="of each site")
    parser.add_argument("--seed", type=int, default=2, help="the first")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="how many")
    parser.add_argument("--write", action="store_true", help=f"write them into {PAGE.name}")
    args = parser.parse_args()
    last = args.seed + args.seeds - 1
    lines = [
        f"{args.visits:,} visits of each for each of the seeds {args.seed} to {last}, by"
        " `bench/flow_candidates.py`."
    ]
    for name, habits in SITES.items():
        by_rate, by_margin = (
            defaultdict[int, Measured](Measured),
            defaultdict[int, Measured](Measured),
        )
        for seed in range(args.seed, last + 1):
            with tempfile.TemporaryDirectory() as made:
                folder = Path(made)
                paths, settings = written(folder, args.visits, seed, habits), settings_in(folder)
                for rate, each in measured(paths, settings).items():
                    by_rate[rate].add(each)
                for seconds, each in measured_by_margin(paths, settings).items():
                    by_margin[seconds].add(each)
            print(name, seed, file=sys.stderr)
        lines += ["", f"### {name}", "", *table(by_rate)]
        lines += ["", "By the margin after the TTL, unsampled:", "", *margin_table(by_margin)]
    publish("measured", lines, write=args.write)
    return 0


def publish(part: str, lines: Iterable[str], *, write: bool) -> None:
    """Print lines, or replace what the page has between the markers of a part."""
    text = "\n".join(lines)
    if not write:
        print(text)
        return
    page = PAGE.read_text(encoding="utf-8")
    start, end = f"<!-- {part} -->", f"<!-- /{part} -->"
    before, _, behind = page.partition(start)
    after = behind.partition(end)[2]
    PAGE.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
