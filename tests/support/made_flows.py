"""Flows with given fields."""

from ipaddress import ip_address
from typing import Any

from netwatch.core.flow import Flow
from netwatch.core.verdict import Network

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
