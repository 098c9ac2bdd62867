"""Flows with given fields, as values and as the words of the flow table."""

from array import array
from ipaddress import ip_address
from typing import Any

from netwatch.core.flow import NAME_STATUSES, Flow
from netwatch.core.verdict import Network
from netwatch.dissect.flows import accounting, address_tables
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.loop import layout

HQ, BYOD = Network("hq", "service", "BE-FED"), Network("byod", "personal")


def flow(client: str = "10.20.1.7", server: str = "203.0.113.10", **fields: Any) -> Flow:
    """A TCP flow to port 443 from its start, with payload in both directions and without a name."""
    values: dict[str, Any] = {
        "first": 1,
        "last": 2,
        "transport": "tcp",
        "client_ip": ip_address(client).packed,
        "client_port": 50000,
        "server_ip": ip_address(server).packed,
        "server_port": 443,
        "vlan": None,
        "bytes_out": 600,
        "bytes_in": 4000,
        "name_status": "none",
        "start_seen": True,
        "incomplete_message": False,
    }
    return Flow(**{**values, **fields})


def slot(
    client: bytes, server: bytes = b"", *, status: str = "none", vlan: int | None = None
) -> list[int]:
    """The words of a flow over TCP with payload in both directions."""
    words = [0] * layout.FLOW_WORDS
    words[layout.FLOW_KEY] = 1 << 9
    words[layout.FLOW_BYTES] = words[layout.FLOW_BYTES + 1] = 5
    words[layout.FLOW_GENERATION] = NAME_STATUSES.index(status) << 8
    words[layout.FLOW_FIRST] = 77
    words[layout.FLOW_ADDRESSES : layout.FLOW_ADDRESSES + 8] = [
        *address_tables.words_of(client),
        *address_tables.words_of(server),
    ]
    words[layout.FLOW_PORTS] = 50000 << 16 | 443
    words[layout.FLOW_FLAGS] = (
        6
        | layout.FLAG_CLIENT_KNOWN
        | layout.FLAG_START_SEEN
        | (layout.FLAG_IPV6 if len(client) == 16 else 0)
        | (0 if vlan is None else vlan + 1 << 16)
    )
    return words


def counted(options: FlowOptions, *slots: list[int], pair: Any = None) -> tuple[list, list]:
    """The cells of these flows, and the flows to report."""
    found = accounting.FlowAccounting(options, 3)
    if pair:
        found.resolved.add(*pair)
    reported: list[int] = []
    words = array("q", [word for each in slots for word in each])
    assert found.account(words, 0, set(), reported) == len(words)
    return list(found.others.take()), reported
