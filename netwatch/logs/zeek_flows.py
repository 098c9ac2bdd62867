"""Connections in the log ``conn`` of Zeek, as flows."""

from collections.abc import Iterator

from netwatch.core.flow import NameStatus, Sent
from netwatch.logs.records import LogFlow
from netwatch.logs.zeek_row import Row

LOOKUP_PORTS = frozenset({53, 5353, 5355})
"""Ports of lookups, whose packets are no flows here."""

_NO_START = frozenset({"OTH", "SHR", "RSTRH"})
"""States in which no SYN of the side was seen that opened the connection."""
_REFUSED = frozenset({"REJ"})


def conn(row: Row) -> Iterator[LogFlow]:
    """A connection that has ended, with the payload of both sides."""
    transport = row.transport()
    if transport is None:
        return
    client, server = row.sides()
    service = row.text("service")
    if service == "dns" or not LOOKUP_PORTS.isdisjoint((client.port, server.port)):
        return
    time, _ = row.time()
    sent, received = row.number("orig_bytes"), row.number("resp_bytes")
    history, state = row.text("history"), row.text("conn_state")
    is_tcp = transport == "tcp"
    yield LogFlow(
        time,
        time + row.seconds("duration"),
        transport,
        client,
        server,
        sent,
        received,
        row.text("uid"),
        _name_status(service),
        _sent(history, "DRSHAF", sent, row.number("orig_pkts"), False),
        _sent(history, "drshaf", received, row.number("resp_pkts"), state in _REFUSED),
        not is_tcp or ("S" in history if history else state not in _NO_START),
        row.mac("orig_l2_addr"),
        row.vlan(),
    )


def _name_status(service: str) -> NameStatus:
    """Connections of these protocols have a name, or would have one: the engine knows whether it
    was in the log. A protocol with a minus was dropped."""
    return "no-sni" if not {"ssl", "quic"}.isdisjoint(service.split(",")) else "none"


def _sent(history: str, letters: str, size: int, packets: int, refused: bool) -> Sent:
    """What a side sent, by its letters in the history: data, a reset, or anything else."""
    if letters[0] in history or size:
        return "payload"
    if letters[1] in history or refused:
        return "refusal"
    return "headers" if packets or not set(letters).isdisjoint(history) else "nothing"
