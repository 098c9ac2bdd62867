"""CPU a packet of a live capture beside Suricata, in alternation, on a veth pair.

No packet is sent twice: packets of the same flows again would be retransmissions, which every
reader treats in its own way. Sender and reader have a core each. What the kernel does to receive a
packet on a veth pair is done by the sender, so it is in nobody's figure.
"""

import statistics
from typing import Any

import live
import veth
from captures import Traffic, capture
from compare import Options, progress
from measure import as_text

RATES = {1_500: 20, 100_000: 5}
"""By packets per second: for how many seconds they are sent."""
NAMES = ("netwatch live", "suricata --af-packet")


def live_cost(options: Options) -> dict[str, Any]:
    """Measure both readers in each round; raises `veth.MissingError`."""
    veth.require("tcpreplay", "taskset", "chrt")
    rows = [row for rate in RATES for row in _measured(rate, options)]
    return {"rounds": options.rounds, "rows": rows}


def _measured(rate: int, options: Options) -> list[dict[str, Any]]:
    """A row for each reader at a rate."""
    packets = min(rate * RATES[rate], options.office)
    path, _ = capture(Traffic("office", packets), options.work)
    readers = [reader for reader in live.READERS if reader.name in NAMES]
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(1, options.rounds + 1):
        for reader in readers:
            try:
                veth.require(reader.program)
            except veth.MissingError as error:
                progress(f"skipped: {error}")
                continue
            progress(f"live, {rate} packets/s, round {number} of {options.rounds}: {reader.name}")
            row = live.measure_reader(reader, rate, path, options.work, packets / rate)
            found.setdefault(reader.name, []).append(row)
    return [
        {
            "reader": name,
            "rate": rate,
            "packets": packets,
            "pps": statistics.median(row["pps"] for row in several),
            "lost": max(row["lost"] for row in several),
            "each": statistics.median(row["cpu"] / row["sent"] for row in several),
        }
        for name, several in found.items()
    ]


COLUMNS = (
    ("reader", lambda row: row["reader"]),
    ("packets/s", lambda row: f"{row['pps']:,.0f}"),
    ("packets", lambda row: f"{row['packets']:,}"),
    ("dropped", lambda row: f"{row['lost']:,}"),
    ("CPU, µs a packet", lambda row: f"{1e6 * row['each']:.2f}"),
)


def text(found: dict[str, Any]) -> str:
    """The table as text."""
    return as_text(COLUMNS, found["rows"])
