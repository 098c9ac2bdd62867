"""Traffic of any size as a pcap, and a manifest of the names in it.

``python bench/traffic.py office --packets 1000000 -o office.pcap`` writes what a mirror
port of an office sees: some hundred flows at a time, DNS 3 % of packets, ClientHellos 1 %
(half of them post-quantum, over two segments, one in four of these swapped), QUIC
Initials 1 %, HTTP requests 0.2 %, IPv6 one flow in five, and 0.5 % of contacts to banned
names. ``dns`` writes lookups alone, ``data`` the middle of connections that show no name.
The same seed gives the same bytes. Addresses are those of documentation and 10.20.0.0/16;
nothing is sent. IP, TCP and UDP checksums are right.
"""

import argparse
import contextlib
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from flows import Data, Flow, Lookup, Quic, Stream
from population import BANNED_DOMAINS, MAX_NAMES
from stock import Stock
from wire import Writer

START = 1679299200 * 10**6
"""2023-03-20T08:00:00Z in microseconds: the sample configuration's ban is in force."""
MEAN_GAP = 100
"""Microseconds between packets, on average."""
MIX = {"lookup": 15000, "tls": 10000, "quic": 7700, "http": 2000}
"""Conversations begun in a million packets of an office."""
LENGTHS = {"tls": 40, "quic": 40, "http": 36}
"""Mean packets of a conversation, beside its handshake where it has one."""
KINDS = ("office", "dns", "data")
NAMES = 4000
"""Sites that may be met, beside the banned ones."""
ACTIVE = 400
"""Conversations at a time; fewer where the packets are few."""


def starter(kind: str, stock: Stock) -> Callable[[], Flow]:
    """A function that begins the next conversation."""
    if kind == "dns":
        return lambda: Lookup(stock)
    if kind == "data":
        return lambda: Data(stock)
    rng = stock.rng
    kinds, weights = list(MIX), list(MIX.values())

    def begin() -> Flow:
        choice = rng.choices(kinds, weights)[0]
        if choice == "lookup":
            return Lookup(stock)
        # Many are short and a few are long.
        packets = 4 + int(rng.expovariate(1 / (LENGTHS[choice] - 4)))
        if choice == "quic":
            return Quic(stock, packets)
        return Stream(stock, packets, http=choice == "http")

    return begin


def generate(
    kind: str,
    packets: int,
    seed: int,
    vlan: int | None,
    file: BinaryIO,
    names: int = NAMES,
    conversations: int | None = None,
) -> dict[str, Any]:
    """Write `packets` packets of a kind of traffic; the manifest is returned."""
    stock = Stock(seed, vlan, names)
    writer = Writer(file)
    begin = starter(kind, stock)
    rng = random.Random(seed + 1)
    gaps = [int(rng.expovariate(1 / MEAN_GAP)) for _ in range(4096)]
    some = max(1, min(ACTIVE, packets // 250)) if conversations is None else conversations
    active = [begin() for _ in range(some)]
    time = START
    while writer.packets < packets:
        place = int(rng.random() * len(active))
        flow = active[place]
        # Packets of one flow come in small bursts.
        for _ in range(min(1 + int(rng.random() * 4), packets - writer.packets)):
            time += gaps[writer.packets & 4095]
            if not flow.step(writer, time):
                active[place] = begin()
                break
    writer.flush()
    ledger = stock.ledger
    cut = [list(name) for name in (flow.cut() for flow in active) if name is not None]
    return {
        "kind": kind,
        "seed": seed,
        "vlan": vlan,
        "packets": writer.packets,
        "bytes": writer.bytes,
        "seconds": (time - START) / 10**6,
        "observations": {kind: counts.total() for kind, counts in sorted(ledger.names.items())},
        "distinct_names": len(set().union(*ledger.names.values())),
        "banned_domains": list(BANNED_DOMAINS),
        "banned": dict(sorted(ledger.banned.items())),
        "banned_clients": len(ledger.banned_clients),
        # Begun and not whole where the capture ends: a reader may tell these or not.
        "cut": cut,
        "names": {
            kind: dict(sorted(names.items())) for kind, names in sorted(ledger.names.items())
        },
    }


def main() -> int:
    """Arguments in, a capture out."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--packets", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--vlan", type=int, metavar="ID", help="tag every frame (802.1Q)")
    parser.add_argument("--names", type=int, default=NAMES, metavar="N", help="of sites")
    parser.add_argument("--active", type=int, metavar="N", help="conversations at a time")
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="default: stdout")
    parser.add_argument("--manifest", metavar="FILE", help="counts and names as JSON")
    args = parser.parse_args()
    if args.packets < 0 or not (args.vlan is None or 1 <= args.vlan <= 4094):
        parser.error("packets are 0 or more, a VLAN id is 1 to 4094")
    if not 1 <= args.names <= MAX_NAMES or not (args.active is None or args.active >= 1):
        parser.error(f"names are 1 to {MAX_NAMES}, conversations 1 or more")
    with contextlib.ExitStack() as stack:
        file: BinaryIO = sys.stdout.buffer
        if args.output != "-":
            file = stack.enter_context(Path(args.output).open("wb"))
        try:
            manifest = generate(
                args.kind, args.packets, args.seed, args.vlan, file, args.names, args.active
            )
            file.flush()
        except BrokenPipeError:
            # Whoever reads has had enough; the interpreter must not flush again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
    if args.manifest:
        Path(args.manifest).write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii")
    del manifest["names"]
    print(json.dumps(manifest, indent=1), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
