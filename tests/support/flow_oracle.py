"""What the visibility of a flow is, and where it is counted, said of a flow as a value.

netwatch decides both from the integers of the flow table, many flows at a time. This is the same
said plainly, one flow after the other, and shares nothing with it but the tables of ports.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from netwatch.core.flow import BYPASS_CATEGORIES, Flow, FlowClient
from netwatch.coverage.counts import Coverage, Directory
from netwatch.coverage.flow_visibility import DOH_PORTS, ENCRYPTED_DNS_PORT, VPN_PORTS, Visibility
from netwatch.dissect.flows.records import to_flow
from netwatch.dissect.flows.table import FlowTable
from netwatch.dissect.loop.layout import FLAG_REPORT_END, FLOW_FLAGS, FLOW_WORDS
from netwatch.engine.engine import Engine
from netwatch.engine.judging import ConfiguredDirectory


def count(
    flow: Flow, coverage: Coverage, directory: Directory, category: Callable[[bytes], str | None]
) -> None:
    """Count one flow for the client that it has; `category` is that of the app at an address."""
    flow = correct_direction(flow)
    client = FlowClient(flow.client_ip, flow.vlan, flow.client_mac)
    network, device = directory.locate(client, flow.first)
    coverage.add(network, device, flow_visibility(flow, category(flow.server_ip)))
    if network is None and directory.missed(client):
        coverage.add_missed(directory.missed(client), 1)


class ObjectRecords:
    """In the place of `netwatch.dissect.flows.records.FlowRecords`: each flow that has ended
    becomes a value at the end of its block, is counted by itself, and all but the merely named are
    handed to the engine."""

    def __init__(
        self,
        table: FlowTable,
        sources: Sequence[str],
        accounting: Any,
        counted: Any,
        slots_ended: None,
    ) -> None:
        self._table, self._sources = table, sources
        self._engine: Engine = counted.__self__
        self._batch = accounting.named_batch
        self._words: list[list[int]] = []
        self._named: list[Flow] = []

    def collect(self) -> None:
        words = list(self._table.take_closed())
        self._words += [words[at : at + FLOW_WORDS] for at in range(0, len(words), FLOW_WORDS)]

    def report_individually(self, flow: int) -> None:
        if not self._table.report_end(flow):
            for words in self._found(flow)[-1:]:
                words[FLOW_FLAGS] |= FLAG_REPORT_END

    def set_name_status(self, flow: int, name_status: int) -> None:
        if not self._table.set_name_status(flow, name_status):
            for words in self._found(flow)[-1:]:
                words[7] = max(words[7], words[7] & 255 | name_status << 8)

    def forget_name(self, flow: int) -> None:
        if not self._table.forget_name(flow):
            for words in self._found(flow)[-1:]:
                words[7] &= 255

    def _found(self, flow: int) -> list[list[int]]:
        return [words for words in self._words if words[0] | words[7] & 255 == flow]

    def flows(self) -> Iterator[Flow]:
        ended, self._words = self._words, []
        for words in ended:
            flow = to_flow(tuple(words), self._sources)
            ports = {flow.client_port, flow.server_port}
            followed = bool(words[FLOW_FLAGS] & FLAG_REPORT_END)
            payload = flow.bytes_out or flow.bytes_in
            if not followed and flow.name_status == "named" and payload and not ports & {53, 853}:
                self._named.append(flow)
            elif followed or 53 not in ports:
                self._count(flow)
                yield flow

    def hand_over_named(self, *, all_: bool = False) -> None:
        if all_ or len(self._named) >= self._batch:
            for flow in self._named:
                self._count(flow)
            self._named.clear()

    def hand_over_others(self) -> None:
        pass

    def _count(self, flow: Flow) -> None:
        config = self._engine._judging.config
        apps = config.catalog.apps_by_address()
        count(
            flow,
            self._engine._coverage,
            ConfiguredDirectory(config, self._engine._judging.learned),
            lambda address: apps[address].category if address in apps else None,
        )


def correct_direction(flow: Flow) -> Flow:
    """A flow with client and server exchanged where they were mistaken for each other.

    UDP does not show who opened a conversation, and a tunnel may be older than the capture:
    where the first packet came from the port of a VPN, its sender is the server all the same.
    """
    client = (flow.transport, flow.client_port)
    server = (flow.transport, flow.server_port)
    if (
        flow.transport != "udp"
        or client not in VPN_PORTS
        or server in VPN_PORTS
        or flow.server_port < 1024
        or flow.name_status != "none"
    ):
        return flow
    return replace(
        flow,
        client_ip=flow.server_ip,
        client_port=flow.server_port,
        server_ip=flow.client_ip,
        server_port=flow.client_port,
        bytes_out=flow.bytes_in,
        bytes_in=flow.bytes_out,
        client_sent=flow.server_sent,
        server_sent=flow.client_sent,
        client_mac=None,
    )


def flow_visibility(flow: Flow, address_category: str | None = None) -> Visibility:
    """Whether the name of a flow could be read, and if not, why.

    `address_category` is the category in `BYPASS_CATEGORIES` of the app that, by the signatures,
    has a server at the flow's server address, else None. In order of precedence: a bypass
    recognised by its name, the port of DNS over TLS and QUIC, a name, what the port and the
    address say of a flow without a name, the reason why no name was seen.
    """
    status = flow.name_status
    if status in BYPASS_CATEGORIES:
        return status  # type: ignore[return-value]
    if not flow.bytes_out and not flow.bytes_in:
        return "no-data"
    port = flow.server_port
    if port == ENCRYPTED_DNS_PORT:
        return "encrypted-dns"
    if status == "named" or status == "ech":
        return status
    if (flow.transport, port) in VPN_PORTS:
        return "vpn"
    if address_category is not None and (address_category != "encrypted-dns" or port in DOH_PORTS):
        return address_category  # type: ignore[return-value]
    if status == "no-sni":
        return status
    if flow.bytes_out and status == "truncated":
        return status
    if flow.bytes_out and flow.incomplete_message:
        return "hello-incomplete"
    if not flow.start_seen:
        return "begun-before-capture"
    return "no-hello" if flow.bytes_out and flow.bytes_in else "one-direction"
