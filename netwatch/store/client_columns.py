"""Clients of rows as a column: their places in the list of clients of a chunk.

The writer puts the numbers of the catalogue in the place of these.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from netwatch.formats.values import json_line

if TYPE_CHECKING:
    import pyarrow as pa


class ClientKey(NamedTuple):
    """A client as frames show it: its packed address, its MAC and the VLAN of the frame."""

    ip: bytes
    mac: bytes | None
    vlan: int | None


class Clients:
    """The clients of a chunk of rows by their number in it."""

    def __init__(self) -> None:
        self.keys: dict[ClientKey, int] = {}

    def number(self, key: ClientKey) -> int:
        """The number of a client, which is given when it is first asked for."""
        return self.keys.setdefault(key, len(self.keys))


def client_places(
    ips: "pa.Array",
    addresses: Sequence[bytes],
    macs: "pa.Array",
    tags: "pa.Array",
    clients: Clients,
) -> "pa.Array":
    """The number among `clients` of the client of each row. `ips` are places in `addresses`, `macs`
    words with bit 48 set, 0 where there is no MAC, and `tags` VLAN ids plus 1, 0 without one."""
    import pyarrow as pa
    from pyarrow import compute

    encoded = macs.dictionary_encode()
    # Three codes that fit into an integer tell one client from another.
    key = compute.bit_wise_or(
        compute.shift_left(ips.cast(pa.int64()), 36),
        compute.bit_wise_or(compute.shift_left(encoded.indices.cast(pa.int64()), 16), tags),
    ).dictionary_encode()
    known = encoded.dictionary.to_pylist()
    numbers = [
        clients.number(_client(addresses, known, each)) for each in key.dictionary.to_pylist()
    ]
    return pa.array(numbers, pa.int32()).take(key.indices)


def readable(source: str) -> str:
    """The name of a source as strict readers of its JSON get it: without unpaired surrogates."""
    return source if source.isascii() else json.loads(json_line({"": source}))[""]


def _client(addresses: Sequence[bytes], macs: Sequence[int], key: int) -> ClientKey:
    mac, tag = macs[key >> 16 & 0xFFFFF], key & 0xFFFF
    return ClientKey(
        addresses[key >> 36], mac.to_bytes(7, "big")[1:] if mac else None, tag - 1 if tag else None
    )
