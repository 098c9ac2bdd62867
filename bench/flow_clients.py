"""Verdicts from the records of real exporters, held to those from packets of real clients.

    .venv/bin/python bench/flow_clients.py

Chromium, Firefox and curl visit names of a banned app and others on a site in network namespaces
(`bench/flow_site.py`). What they send is captured, and counted by softflowd and pmacct, which
sample one packet in 1, 10, 100 and 1,000, and send NetFlow v9 or IPFIX to netwatch, which reads
the resolver's log (dnsmasq) as it is written. What netwatch says of the packets is the truth.
``--write`` replaces the tables in ``docs/concepts/candidates.md``.

Half of the names have addresses of their own, the others share a few.
"""

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import flow_site
import veth
from flow_candidates import (
    GRADES,
    PAGE,
    Contacts,
    Measured,
    Sets,
    contacts_of,
    held,
    noted,
    publish,
    rows_by_k,
    settings_in,
)
from flow_site import SIZES, Exporter, Site
from flow_visitors import VISITORS, Plan, Visit
from population import BANNED, WORDS

from netwatch.config import Config
from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine.log_scan import LiveLogs
from netwatch.logs import LogOptions
from netwatch.logs.live.feed import LogFeed
from netwatch.logs.live.receivers import Receivers
from netwatch.logs.live.source import parse

EXPORTERS = (
    *(Exporter("softflowd", 10, rate) for rate in (1, 10, 100, 1000)),
    Exporter("softflowd", 9),
    *(Exporter("pmacct", 10, rate) for rate in (1, 10, 100, 1000)),
    Exporter("pmacct", 9),
)
CLIENTS = {
    "10.20.1.1": "Chromium",
    "10.20.1.2": "Firefox",
    "10.20.1.3": "curl",
    "10.20.1.4": "curl",
}
IDLE = 5
"""Seconds of silence after which exporters end a flow."""

SHARED_ADDRESSES = 8
OTHERS = tuple(f"www.{word}.example" for word in WORDS[:48])
HEADER = (
    "flows of the app | recorded | `probable` | precision | recall |"
    " `possible` | precision | recall | `one-of-k`"
)


@dataclass(slots=True)
class Listener:
    """netwatch as it reads what one exporter sends, and the resolver's log."""

    receivers: Receivers
    feed: LogFeed
    judge: LiveLogs
    contacts: Contacts
    coverage: Coverage
    statistics: RunStatistics
    sets: Sets = field(default_factory=dict)

    def read(self, timeout: float = 0.02) -> None:
        """Judge what has come."""
        with noted(self.sets):
            self.judge.judge(self.feed.read(timeout))

    def finish(self) -> None:
        """Judge what waits for something that does not come any more."""
        with noted(self.sets):
            self.judge.judge(self.feed.finish(resuming=False))
        self.judge.finish()
        self.feed.close()


def listener(site: Site, settings: Config) -> Listener:
    """One that listens on the gateway of a site."""
    with site.gateway.entered():
        receivers = Receivers([parse("udp://127.0.0.1:0")])
    contacts, coverage, statistics = Contacts(), Coverage(), RunStatistics()
    options = LogOptions(year=datetime.now(UTC).year, zone=UTC)
    return Listener(
        receivers,
        LogFeed([str(site.log)], receivers, options, statistics, {}),
        LiveLogs(settings, statistics, contacts, coverage, keep_records=False),
        contacts,
        coverage,
        statistics,
    )


@contextlib.contextmanager
def listening(listeners: Sequence[Listener]) -> Iterator[None]:
    """Judge as records come, and afterwards what is left."""
    ended = threading.Event()
    failed: list[BaseException] = []

    def read() -> None:
        try:
            while not ended.is_set():
                for each in listeners:
                    each.read()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
        time.sleep(2)
    finally:
        ended.set()
        thread.join()
        for each in listeners:
            each.finish()
    if failed:
        raise failed[0]


@dataclass(slots=True)
class Found:
    """What packets show, and what each exporter's records do."""

    truth: Contacts
    listeners: dict[Exporter, Listener]

    def measured(self, exporter: Exporter, clients: frozenset[str] | None = None) -> Measured:
        """What one exporter's records say, of all clients or of those at these addresses."""
        one = self.listeners[exporter]
        if clients is None:
            return held((one.contacts, one.sets), self.truth.handshakes)
        ips = {parse_ip(each) for each in clients}
        part = Contacts(records={k: v for k, v in one.contacts.records.items() if k[0] in ips})
        sets = {key: names for key, names in one.sets.items() if key[0] in ips}
        return held((part, sets), {key for key in self.truth.handshakes if key[0] in ips})


def found(
    folder: Path,
    names: Mapping[str, str],
    plans: Mapping[str, Plan],
    clients: Mapping[str, str],
    exporters: Sequence[Exporter],
    idle: int = IDLE,
) -> Found:
    """Let clients visit what is planned, by their addresses, all at the same time."""
    settings = settings_in(folder)
    with flow_site.opened(folder, names, list(clients)) as site:
        listeners = {each: listener(site, settings) for each in exporters}
        ports = {each: listeners[each].receivers.ports[0] for each in exporters}
        with (
            listening(list(listeners.values())),
            flow_site.exporting(site, exporters, ports.__getitem__, idle),
        ):
            _visit(site, plans, clients)
    year = datetime.now(UTC).year
    return Found(contacts_of([str(site.capture)], settings, year)[0], listeners)


def _visit(site: Site, plans: Mapping[str, Plan], clients: Mapping[str, str]) -> None:
    failed: list[BaseException] = []

    def run(address: str) -> None:
        try:
            VISITORS[clients[address]](site, address, plans[address])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(address,)) for address in clients]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failed:
        raise failed[0]


def places(rng: random.Random) -> dict[str, str]:
    """The addresses of all names. Two names of the app have one address."""
    shared = [f"203.0.113.{number + 1}" for number in range(SHARED_ADDRESSES)]
    found = {
        name: rng.choice(shared) if number % 2 else f"198.18.0.{number + 1}"
        for number, name in enumerate((*BANNED, *OTHERS))
    }
    found[BANNED[2]] = found[BANNED[0]]
    return found


def planned(rng: random.Random, visits: int) -> list[Visit]:
    """Visits of one client: a page, and what other sites are in it."""
    ranks = [1 / (rank + 3) for rank in range(len(OTHERS))]
    plan = []
    for _ in range(visits):
        page = rng.choice(BANNED) if rng.random() < 0.2 else rng.choices(OTHERS, ranks)[0]
        others = rng.choices(OTHERS, ranks, k=rng.choice((0, 0, 1, 2)))
        names = dict.fromkeys((page, *others))
        pause = min(rng.expovariate(0.5), 15)
        sizes = rng.choices(SIZES, (8, 4, 2, 1), k=len(names))
        plan.append(Visit(pause, tuple(zip(names, sizes, strict=True))))
    return plan


def table(result: Found) -> Iterator[str]:
    """The tables, in lines."""
    yield f"| exporter | sampled | {HEADER} |"
    yield f"|{' --- |' * 11}"
    for exporter in result.listeners:
        cells = [exporter.title, f"1 in {exporter.rate:,}"]
        yield f"| {' | '.join([*cells, *_cells(result.measured(exporter))])} |"
    yield ""
    first = next(iter(result.listeners))
    yield result.measured(first).proof(f" ({first.title})")
    yield ""
    yield f"By the number of names (k), {first.title}:"
    yield ""
    yield "| sampled | k | accused | of the app | precision | recall | `one-of-k` | of the app |"
    yield f"|{' --- |' * 8}"
    for exporter in result.listeners:
        if exporter.title == first.title:
            yield from _by_k(exporter.rate, result.measured(exporter))
    yield ""
    yield f"Unsampled ({first.title}), by client:"
    yield ""
    yield f"| client | {HEADER} |"
    yield f"|{' --- |' * 10}"
    for name in dict.fromkeys(CLIENTS.values()):
        clients = frozenset(address for address, each in CLIENTS.items() if each == name)
        yield f"| {' | '.join([name, *_cells(result.measured(first, clients))])} |"


def _by_k(rate: int, each: Measured) -> Iterator[str]:
    """The rows of a rate, in lines."""
    for number, (k, (accused, right, maybe, of_app)) in enumerate(rows_by_k(each).items()):
        precision = f"{right / accused:.3f}" if accused else "none said"
        cells = ("" if number else f"1 in {rate:,}", k, f"{accused:,}", f"{right:,}", precision)
        recall = f"{right / each.flows:.3f}" if each.flows else "0.000"
        yield f"| {' | '.join((*cells, recall, f'{maybe:,}', f'{of_app:,}'))} |"


def _cells(each: Measured) -> Iterator[str]:
    assert each.grades[GRADES[0]] == [0, 0]
    yield f"{each.flows:,}"
    yield f"{each.recorded:,}"
    for grade in GRADES[1:]:
        yield f"{each.grades[grade][0]:,}"
        yield each.words(grade)
        yield f"{each.recall(grade):.3f}"
    yield f"{sum(said for said, _ in each.one_of.values()):,}"


def wrong(result: Found) -> Iterator[str]:
    """Each accusation that packets do not give, in lines."""
    for exporter, each in result.listeners.items():
        for key, grade in each.contacts.records.items():
            if key not in result.truth.handshakes:
                names = each.sets[key]
                assert names is not None
                ends = f"{ip_text(key[0])}:{key[1]} to {ip_text(key[2])}"
                yield f"{exporter.title} 1 in {exporter.rate}: {grade} {ends} {names.names}"


def main() -> int:
    """Measure, and print or write the tables."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visits", type=int, default=600, metavar="N", help="of each client")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"write them into {PAGE.name}")
    args = parser.parse_args()
    veth.require("dnsmasq", "nginx", "tcpdump", "softflowd", "pmacctd", "curl", "chromium")
    veth.require_programs("firefox-esr")
    rng = random.Random(args.seed)
    plans = {address: planned(rng, args.visits) for address in CLIENTS}
    with tempfile.TemporaryDirectory() as folder:
        result = found(Path(folder), places(rng), plans, CLIENTS, EXPORTERS)
    for line in wrong(result):
        print(line, file=sys.stderr)
    head = f"{args.visits:,} visits of each of {len(CLIENTS)} clients, by `bench/flow_clients.py`."
    publish("clients", (head, "", *table(result)), write=args.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
