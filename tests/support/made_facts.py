"""Made observations for a store: devices that look up names by Zipf's law, over a day."""

import itertools
import random
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from netwatch.store.fact_tables import schema

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 19_675 * 86_400_000_000_000
"""The day of made rows, 2023-11-14, in ns since the epoch."""

BATCH = 16_384
"""Rows of a batch."""


def made_batches(
    rows: int, *, devices: int = 5000, names: int = 200_000, seed: int = 1
) -> "Iterator[pa.RecordBatch]":
    """Batches of the table ``observation`` of capture 1: for each contact a query, its answer and
    a ClientHello."""
    import pyarrow as pa

    made = _Made(rows, devices, names, seed)
    layout = schema("observation")
    for at in range(0, rows, BATCH):
        columns = made.columns(min(BATCH, rows - at))
        arrays = []
        for field in layout:
            values = columns.get(field.name)
            if values is None:
                arrays.append(pa.nulls(min(BATCH, rows - at), field.type))
            elif pa.types.is_dictionary(field.type):
                arrays.append(pa.array(values, field.type.value_type).dictionary_encode())
            else:
                arrays.append(pa.array(values, field.type))
        yield pa.RecordBatch.from_arrays(arrays, schema=layout)


class _Made:
    def __init__(self, rows: int, devices: int, names: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(names)))
        self._names = [f"h{rank}.site{rank % 7919}.example.com" for rank in range(names)]
        self._clients = self._random.sample(range(1, 2**31), devices)
        self._time, self._step = DAY, 80_000_000_000_000 // rows * 3
        self._sequence = self._packet = 0
        self._rows = iter(self._contacts())

    def columns(self, rows: int) -> dict[str, list[Any]]:
        """The columns of the next rows."""
        taken = list(itertools.islice(self._rows, rows))
        return {key: [row.get(key) for row in taken] for key in taken[0] | taken[-1] | _SOME}

    def _contacts(self) -> Iterator[dict[str, Any]]:
        chance = self._random
        while True:
            rank = bisect_left(self._weights, chance.random() * self._weights[-1])
            client, device = chance.choice(self._clients), chance.randrange(40)
            self._time += int(self._step * chance.random() * 2)
            addresses = [f"203.{rank % 250}.{rank * 7 % 250}.{n}" for n in range(1 + rank % 3)]
            dns = {
                "client_port": chance.randrange(32768, 61000),
                "flow": chance.getrandbits(62),
                "server_ip": "10.20.0.53",
                "server_port": 53,
                "transport": "udp",
                "dns_type": "A",
            }
            answer = {
                "dns_rcode": "NOERROR",
                "dns_answers": addresses,
                "dns_ttls": [chance.choice((60, 300))] * len(addresses),
            }
            hello = {
                "client_port": chance.randrange(32768, 61000),
                "flow": chance.getrandbits(62),
                "server_ip": addresses[0],
                "server_port": 443,
                "transport": "tcp",
                "tls_version": "1.3",
                "tls_alpn": ["h2", "http/1.1"],
                "tls_ja4": f"t13d1516h2_8daaf6152771_{device:012x}",
            }
            steps = (("dns-query", dns), ("dns-answer", dns | answer), ("tls-sni", hello))
            for late, (evidence, shown) in enumerate(steps):
                self._sequence += 1
                self._packet += chance.randrange(1, 12)
                yield {
                    "capture": 1,
                    "sequence": self._sequence,
                    "time": self._time + late * 20_000_000 + chance.randrange(1000) * 1000,
                    "time_digits": 6,
                    "evidence": evidence,
                    "name": self._names[rank],
                    "client": client,
                    "source": "/captures/day.pcap",
                    "packet": self._packet,
                    **shown,
                }


_SOME = dict.fromkeys(("dns_rcode", "dns_answers", "dns_ttls", "tls_version", "tls_alpn",
                       "tls_ja4", "dns_type"))  # fmt: skip
