"""Flows in EVE logs. They count bytes with all headers, from Ethernet on."""

from collections.abc import Iterator

from netwatch.core.flow import NameStatus, Sent
from netwatch.logs.json_values import NO_OBJECT, Object, inner, number, text
from netwatch.logs.minute_times import MinuteTimes
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogFlow
from netwatch.logs.suricata_event import Event

LOOKUP_PORTS = frozenset({53, 5353, 5355})
"""Ports of lookups, whose packets are no flows here."""

HEADERS = 118
"""Bytes of the headers of a packet without payload at most: Ethernet with a VLAN, IPv6 without
extensions, and TCP with all its options. A packet with more on average has payload."""

_FIN, _SYN, _RST, _PSH = 1, 2, 4, 8


def flow(event: Event, values: Object, times: MinuteTimes) -> Iterator[LogFlow]:
    """A flow that has ended. Its source is the client as Suricata saw it."""
    found = inner(values, "flow")
    if found is NO_OBJECT:
        raise RecordError("flow-missing")
    protocol = text(values, "app_proto")
    if protocol == "dns" or not LOOKUP_PORTS.isdisjoint(
        (event.source.port, event.destination.port)
    ):
        return
    first, _ = times.read(text(found, "start"))
    last, _ = times.read(text(found, "end"))
    bytes_out, bytes_in = number(found, "bytes_toserver"), number(found, "bytes_toclient")
    packets_out, packets_in = number(found, "pkts_toserver"), number(found, "pkts_toclient")
    tcp = inner(values, "tcp")
    is_tcp = event.transport == "tcp"
    yield LogFlow(
        first,
        max(first, last),
        event.transport,
        event.source,
        event.destination,
        bytes_out,
        bytes_in,
        event.flow,
        _name_status(protocol),
        _sent(is_tcp, text(tcp, "tcp_flags_ts"), bytes_out, packets_out),
        _sent(is_tcp, text(tcp, "tcp_flags_tc"), bytes_in, packets_in),
        not is_tcp or not tcp or tcp.get("syn") is True,
        event.source_mac,
        event.vlan,
    )


def _name_status(protocol: str) -> NameStatus:
    """Flows of these protocols have a name, or would have one: the engine knows whether it was
    in the log."""
    return "no-sni" if protocol in ("tls", "quic") else "none"


def _sent(is_tcp: bool, flags: str, size: int, packets: int) -> Sent:
    """What one side sent, by the flags that all its packets had together and by their size."""
    if not packets:
        return "nothing"
    if not is_tcp:
        return "payload"
    try:
        seen = int(flags[:8] or "0", 16)
    except ValueError:
        seen = 0
    if seen & _PSH or size > packets * HEADERS:
        return "payload"
    return "refusal" if seen & _RST else "headers"
