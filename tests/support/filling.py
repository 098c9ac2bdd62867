"""Captures read twice: by parsers alone, and with what the packet loop reads itself."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import NamedTuple

from netwatch.capture.block import Block
from netwatch.core.flow import Flow
from netwatch.core.message import Message, Observation
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.flow_visibility import message_name_status
from netwatch.dissect.consumer import DissectorOptions, WantsEverything
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.flows.records import to_flow
from netwatch.dissect.loop.layout import FLOW_WORDS
from netwatch.engine import observe

SEED = 7

RECORDED = {"record_flows": True, "knows_bypasses": False}
"""How `read` reads what is recorded for a store."""


class Observed(NamedTuple):
    """What a capture shows: observations as values in order, flows, names by evidence, anomalies,
    and packets that may carry a name. `read_by_loop` are rows that no parser has read."""

    observations: list[tuple[object, ...]]
    flows: list[Flow]
    names: Counter[str]
    anomalies: Counter[str]
    candidates: int
    read_by_loop: int

    @property
    def shown(self) -> tuple[object, ...]:
        """What does not depend on who has read it."""
        return self[:-1]


class FlowReader(WantsEverything):
    """The consumer of all that packets show, with the flows that ended."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []

    def name_status(self, message: Message) -> int:
        """What the message itself tells."""
        return message_name_status(message, lambda name: None)

    def slots_ended(self, slots: "array[int]") -> None:
        """Add the flows in these slots."""
        for slot in zip(*[iter(slots)] * FLOW_WORDS, strict=True):
            self.flows.append(to_flow(slot, ["test"]))


def read(
    blocks: Iterable[Block],
    *,
    parse_all: bool,
    domains: Sequence[bytes] | None = None,
    record_flows: bool = False,
    knows_bypasses: bool = True,
    module: ModuleType = observe,
) -> Observed:
    """The observations of blocks, by an observer of `module` (compiled or interpreted)."""
    statistics, consumer = RunStatistics(), FlowReader()
    options = DissectorOptions(
        domains=domains,
        flows=FlowOptions(slots_ended=consumer.slots_ended) if record_flows else None,
        parse_all=parse_all,
        knows_bypasses=knows_bypasses,
        fingerprints=True,
    )
    observer = module.Observer(consumer, statistics, options, seed=SEED)
    found: list[tuple[object, ...]] = []
    # A JA4 is a text of its batch, which is soon cleared.
    for block in blocks:
        for batch in observer.batches(block, "test"):
            found += map(flat, batch.observations())
    for batch in observer.flush():
        found += map(flat, batch.observations())
    observer.close()
    names = statistics.observations
    parsed = sum(observer.dissector._filters[0].names_by_evidence.values())
    return Observed(
        found,
        consumer.flows,
        names,
        statistics.anomalies,
        statistics.candidates,
        sum(names.values()) - parsed,
    )


def hold_to_parsers(
    blocks: Sequence[Block],
    *,
    domains: Sequence[bytes] | None = None,
    record_flows: bool = False,
    module: ModuleType = observe,
) -> int:
    """Compare both ways to read a capture, without flows and with those that nobody judges; how
    many names the packet loop has read. With `record_flows` they are judged."""
    options = {"domains": domains, "module": module}
    ways = [{"record_flows": True}] if record_flows else [{}, RECORDED]
    for way in ways:
        parsed = read(blocks, parse_all=True, **options, **way)
        filled = read(blocks, parse_all=False, **options, **way)
        assert filled.shown == parsed.shown
    return filled.read_by_loop


def flat(observation: Observation) -> tuple[object, ...]:
    """An observation as values of both forms of its class."""
    tls, quic, dns = observation.tls, observation.quic, observation.dns
    return (
        observation.time,
        observation.time_digits,
        observation.evidence,
        observation.name,
        observation.raw,
        observation.asked,
        (observation.client_ip, observation.client_port, observation.client_mac),
        (observation.server_ip, observation.server_port),
        (observation.transport, observation.vlan, observation.source),
        (observation.packet, observation.flow_id),
        dns
        and (
            dns.type,
            dns.rcode,
            dns.answers,
            dns.chain,
            dns.ech_public_names,
            dns.service_targets,
        ),
        tls and (tls.version, tls.alpn, tls.ech, tls.ja4),
        quic and quic.version,
    )
