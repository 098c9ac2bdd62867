"""Generate traffic of any size as a pcap, with a manifest of the names in it.

``python bench/traffic.py office --packets 1000000 -o office.pcap`` writes the traffic
of an office as a mirror port delivers it: some hundred concurrent flows; 3 % of the packets are
DNS, 1 % ClientHellos (half of them post-quantum and therefore in two segments, of which one in
four is reordered), 1 % QUIC Initials, 0.2 % HTTP requests; one flow in five is IPv6, and 0.5 % of
the contacts are to banned names. ``dns`` writes DNS lookups only, ``data`` the middle of
connections, without any name.

The same seed produces the same bytes. Addresses are documentation addresses and 10.20.0.0/16, and
the checksums of IP, TCP and UDP are valid. Nothing is sent to a network.
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

from flows import DnsLookup, Flow, QuicConnection, TcpConnection, TcpDownload
from population import BANNED_DOMAINS, MAX_NAMES
from stock import Stock
from wire import Writer

START = 1679299200 * 10**6
"""2023-03-20T08:00:00Z in microseconds, when the ban of the sample configuration is in force."""
MEAN_GAP = 100
"""Microseconds between packets, on average."""
MIX = {"lookup": 15000, "tls": 10000, "quic": 7700, "http": 2000}
"""Conversations that start in a million packets of office traffic."""
LENGTHS = {"tls": 40, "quic": 40, "http": 36}
"""Mean packets of a conversation, without its handshake."""
KINDS = ("office", "dns", "data")
NAMES = 4000
"""Different sites, without the banned ones."""
CLIENTS = 2000
"""Different clients."""
BANNED_SHARE = 0.005
"""The share of contacts to banned names."""
ACTIVE = 400
"""Concurrent conversations; fewer for short captures."""


def flow_starter(kind: str, stock: Stock) -> Callable[[], Flow]:
    """A function that starts the next conversation."""
    if kind == "dns":
        return lambda: DnsLookup(stock)
    if kind == "data":
        return lambda: TcpDownload(stock)
    rng = stock.rng
    kinds, weights = list(MIX), list(MIX.values())

    def start_flow() -> Flow:
        choice = rng.choices(kinds, weights)[0]
        if choice == "lookup":
            return DnsLookup(stock)
        # Many conversations are short and a few are long.
        packets = 4 + int(rng.expovariate(1 / (LENGTHS[choice] - 4)))
        if choice == "quic":
            return QuicConnection(stock, packets)
        return TcpConnection(stock, packets, http=choice == "http")

    return start_flow


def generate(
    kind: str,
    packets: int,
    seed: int,
    vlan: int | None,
    file: BinaryIO,
    names: int = NAMES,
    conversations: int | None = None,
    clients: int = CLIENTS,
    banned: float = BANNED_SHARE,
) -> dict[str, Any]:
    """Write `packets` packets of a kind of traffic; returns the manifest."""
    stock = Stock(seed, vlan, names, clients, banned)
    writer = Writer(file)
    start_flow = flow_starter(kind, stock)
    rng = random.Random(seed + 1)
    gaps = [int(rng.expovariate(1 / MEAN_GAP)) for _ in range(4096)]
    count = max(1, min(ACTIVE, packets // 250)) if conversations is None else conversations
    active = [start_flow() for _ in range(count)]
    time = START
    while writer.packets < packets:
        index = int(rng.random() * len(active))
        flow = active[index]
        # The packets of a flow arrive in small bursts.
        for _ in range(min(1 + int(rng.random() * 4), packets - writer.packets)):
            time += gaps[writer.packets & 4095]
            if not flow.step(writer, time):
                active[index] = start_flow()
                break
    writer.flush()
    ledger = stock.ledger
    incomplete = [flow.incomplete_message() for flow in active]
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
        # Incomplete at the end of the capture: a reader may report these or not.
        "cut": [list(name) for name in incomplete if name is not None],
        "names": {
            kind: dict(sorted(names.items())) for kind, names in sorted(ledger.names.items())
        },
    }


def main() -> int:
    """Generate the capture that the arguments describe."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--packets", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--vlan", type=int, metavar="ID", help="tag every frame (802.1Q)")
    parser.add_argument("--names", type=int, default=NAMES, metavar="N", help="different sites")
    parser.add_argument("--active", type=int, metavar="N", help="concurrent conversations")
    parser.add_argument("--clients", type=int, default=CLIENTS, metavar="N")
    parser.add_argument(
        "--banned", type=float, default=BANNED_SHARE, metavar="SHARE", help="of contacts"
    )
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="default: stdout")
    parser.add_argument("--manifest", metavar="FILE", help="counts and names as JSON")
    args = parser.parse_args()
    if args.packets < 0 or not (args.vlan is None or 1 <= args.vlan <= 4094):
        parser.error("--packets must be 0 or more, --vlan 1 to 4094")
    if not 1 <= args.names <= MAX_NAMES or not (args.active is None or args.active >= 1):
        parser.error(f"--names must be 1 to {MAX_NAMES}, --active 1 or more")
    if args.clients < 1 or not 0 <= args.banned <= 1:
        parser.error("--clients must be 1 or more, --banned 0 to 1")
    with contextlib.ExitStack() as stack:
        file: BinaryIO = sys.stdout.buffer
        if args.output != "-":
            file = stack.enter_context(Path(args.output).open("wb"))
        try:
            manifest = generate(
                args.kind, args.packets, args.seed, args.vlan, file, args.names, args.active,
                args.clients, args.banned,
            )  # fmt: skip
            file.flush()
        except BrokenPipeError:
            # The reader closed the pipe; the interpreter must not flush to it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
    if args.manifest:
        Path(args.manifest).write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii")
    del manifest["names"]
    print(json.dumps(manifest, indent=1), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
