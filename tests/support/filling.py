"""Captures read twice: by parsers alone, and with what the packet loop reads itself."""

from collections import Counter
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import NamedTuple

from netwatch.capture.block import Block
from netwatch.core.observation import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.dissect.consumer import DissectorOptions, WantsEverything
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.engine import observe

SEED = 7


class Observed(NamedTuple):
    """What a capture shows: observations as values in order, names by evidence, anomalies, and
    packets that may carry a name. `read_by_loop` are rows that no parser has read."""

    observations: list[tuple[object, ...]]
    names: Counter[str]
    anomalies: Counter[str]
    candidates: int
    read_by_loop: int

    @property
    def shown(self) -> tuple[object, ...]:
        """What does not depend on who has read it."""
        return self[:-1]


def read(
    blocks: Iterable[Block],
    *,
    parse_all: bool,
    domains: Sequence[bytes] | None = None,
    record_flows: bool = False,
    module: ModuleType = observe,
) -> Observed:
    """The observations of blocks, by an observer of `module` (compiled or interpreted)."""
    statistics = RunStatistics()
    options = DissectorOptions(
        domains=domains,
        flows=FlowOptions() if record_flows else None,
        parse_all=parse_all,
        fingerprints=True,
    )
    observer = module.Observer(WantsEverything(), statistics, options, seed=SEED)
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
        found, names, statistics.anomalies, statistics.candidates, sum(names.values()) - parsed
    )


def hold_to_parsers(
    blocks: Sequence[Block],
    *,
    domains: Sequence[bytes] | None = None,
    record_flows: bool = False,
    module: ModuleType = observe,
) -> int:
    """Compare both ways to read a capture; how many names the packet loop has read."""
    options = {"domains": domains, "record_flows": record_flows, "module": module}
    parsed = read(blocks, parse_all=True, **options)
    filled = read(blocks, parse_all=False, **options)
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
