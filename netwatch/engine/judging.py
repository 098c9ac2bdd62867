"""What a capture shows becomes contacts: its rows, its flows, and its claims of addresses; and whom
its flows are counted for: networks, devices and apps by address.

This is the part of the pipeline without packets. `netwatch.engine.engine` feeds it while reading
them, `netwatch.engine.replay` from what was stored: both in the same order, and so with the same
contacts.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from netwatch.config import Config
from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES, Directions, Flow, FlowClient, Seen
from netwatch.core.message import Message, Observation, Packet
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import (
    EVIDENCE_DNS_ANSWER,
    EVIDENCE_HTTP_HOST,
    WORD_EVIDENCE,
    WORD_TLS_ECH_CONFIG_ID,
)
from netwatch.core.statistics import TableUsage
from netwatch.core.verdict import Candidates, Contact
from netwatch.coverage.counts import Location
from netwatch.coverage.flow_visibility import FLOW_RECORD_LOGS
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.flows.address_tables import AddressCategories, AddressFilter, AddressRanges
from netwatch.engine.contact_flows import (
    ContactCollector,
    ContactFlows,
    FollowedFlows,
    block_by,
    outcome_of,
)
from netwatch.engine.contact_groups import ContactGroups
from netwatch.engine.judge import EVIDENCE_SOCKS_HOST, Judge
from netwatch.engine.resolved_addresses import (
    ECH_LIMIT,
    LIMIT,
    SELF_EXPLAINING,
    EchCandidates,
    KnownPairs,
    ResolvedAddresses,
    UninterestingAddresses,
)
from netwatch.engine.told_names import (
    NameSet,
    ToldNames,
    record_contact,
    record_name,
    record_observation,
)
from netwatch.incidents.contacts import ContactProgress, strip_frames, use_of
from netwatch.inventory.bindings import ENTRY_LIMIT as LEARNED_LIMIT
from netwatch.inventory.devices import Devices
from netwatch.inventory.learned import LearnedBindings
from netwatch.inventory.networks import Networks
from netwatch.inventory.shared_clients import NAT, PROXY
from netwatch.rules.catalog import Catalog


class LearnedAddresses(Protocol):
    """Takes the addresses whose device was learned."""

    def add(self, address: bytes) -> None:
        """Note a packed address."""
        ...


@dataclass(frozen=True, slots=True)
class CaptureTables:
    """What judging needs from, or tells, the reader of a capture's packets."""

    flows: FollowedFlows
    uninteresting: UninterestingAddresses
    resolved: KnownPairs
    learned: LearnedAddresses


class Judging:
    """Judges one capture by `config`: contacts go to `collector`, those to which no ban applies are
    counted in `without_verdict`.

    `before_change` is called before anything known about devices changes. `connect` sets the tables
    of the capture, before the first row; `judge` can be used at once.
    """

    def __init__(
        self,
        config: Config,
        collector: ContactCollector,
        without_verdict: Counter[str],
        before_change: Callable[[], None],
    ) -> None:
        self.config = config
        self._collector = collector
        self._without_verdict = without_verdict
        self._before_change = before_change
        self.learned = self._learning() if config.learn else None
        self.judge = Judge(config, self.learned)
        self._contact_flows: ContactFlows
        self._contacts: ContactGroups
        self.resolved: ResolvedAddresses
        self.candidates: EchCandidates
        self.told = ToldNames()
        self._learned_addresses: LearnedAddresses

    def connect(self, tables: CaptureTables) -> None:
        """Judge the capture that has these tables."""
        self._contact_flows = ContactFlows(tables.flows, self._collector, self.config.quiet_gap)
        self._contacts = ContactGroups(
            self.judge, self._collector, self._without_verdict, self._contact_flows
        )
        self.resolved = ResolvedAddresses(tables.uninteresting, tables.resolved)
        self.candidates = EchCandidates(self.resolved)
        self._learned_addresses = tables.learned

    def reload(self, config: Config) -> None:
        """Judge by another configuration from now on. Resolved addresses and learned devices
        stay."""
        self.config = config
        self._contact_flows.quiet_gap = config.quiet_gap
        if not config.learn:
            self.learned = None
        elif self.learned is None:
            self.learned = self._learning()
        self.judge.reload(config, self.learned)

    def add_rows(self, batch: ObservationBatch, ranges: Iterable[tuple[int, int]]) -> None:
        """Collect the contacts of ranges of rows, in the order of packets, and remember the
        addresses that they resolved."""
        for start, stop in ranges:
            self._contacts.add_rows(batch, start, stop)
            for row in range(start, stop):
                if batch.word(row, WORD_EVIDENCE) == EVIDENCE_DNS_ANSWER:
                    answer = batch.observation(row)
                    matched = self.judge.app_of_answer(answer)
                    self.resolved.add(answer, matched)
                    if answer.log is not None:
                        self.told.add(answer, matched)
                    self.candidates.add(answer, matched is not None, self._is_of_interest)
                elif batch.word(row, WORD_TLS_ECH_CONFIG_ID):
                    self._add_outer_hello(batch.observation(row))
        self._contacts.flush()

    def _add_outer_hello(self, hello: Observation) -> None:
        """Collect the contact of an outer hello, if its client was given its key for names of apps.
        One whose outer name is an app's is already a contact. Where packets are sampled it is not
        known what else the client was given, and so not which names the hello can have."""
        if self.judge.sampling > 1:
            return
        names = self.candidates.names_of(hello, self._is_still_same)
        if self.judge.contacted(hello.name) is not None:
            return
        if hello.name in names and self.candidates.is_visited(hello):
            # It may be GREASE, whose config_id matches by chance: that is no evidence of a contact.
            self.candidates.visited += 1
            return
        shown = [
            replace(
                hello,
                evidence="ech-from-dns",
                name=name,
                raw="",
                frames=(*answer.frames, *hello.frames) if answer.frames and hello.frames else (),
            )
            for name, answer in names.items()
            if answer is not None and self.judge.contacted(name) is not None
        ]
        if shown:
            candidates = Candidates(tuple(names), hello.name, len(shown) < len(names))
            self._contacts.add_candidates(shown, candidates)

    def _is_of_interest(self, name: str) -> bool:
        return self.judge.match(name) is not None

    def note_request(self, batch: ObservationBatch, row: int) -> None:
        """Note what a row of a client that another worker judges reveals about its server: if it is
        asked for a host of an app, it is a proxy."""
        if batch.word(row, WORD_EVIDENCE) in (EVIDENCE_HTTP_HOST, EVIDENCE_SOCKS_HOST):
            shown = batch.observation(row)
            if self.judge.contacted(shown.name) is not None:
                self.judge.note_request(shown.server_ip, shown.vlan, shown.time)

    def sampled(self, sampling: int) -> None:
        """Of the packets of the rows that follow one of `sampling` was looked at."""
        self.judge.sampling = sampling

    def learn(self, packet: Packet, message: Message) -> None:
        """Learn which device has which address from a message that claims addresses."""
        if self.learned is not None:
            self.learned.record(packet, message)
            for claim in message.claims:
                for address in (*claim.addresses, packet.src):
                    self._learned_addresses.add(address)

    def flow_ended(self, flow: Flow, *, identify: bool = True) -> None:
        """Judge an ended flow by its server's address if it has no name, unless another worker
        judges its client (`identify` is false)."""
        self._contacts.flush()
        if self._contact_flows.flow_ended(flow) or not identify:
            return
        contact = self._unnamed(flow)
        if contact is None:
            return
        if contact.outcome == "attempted":
            outcome = outcome_of(flow)
            blocked_by = block_by(flow.server_sent) if outcome == "blocked" else ""
            contact = replace(contact, outcome=outcome, blocked_by=blocked_by)
        answered = flow.server_sent in ("payload", "headers")
        directions: Directions = "client" if flow.server_sent == "nothing" else "both"
        contact = replace(contact, seen=Seen(answered, directions, "unknown"))
        self._collector.add(contact)
        if contact.candidates is not None and contact.candidates.shared:
            return  # Nothing of a flow counts as the app's that may not be of it.
        progress = ContactProgress(
            flow.first,
            flow.bytes_out,
            flow.bytes_in,
            flow.last,
            use_in=use_of(flow.bytes_in, flow.last - flow.first),
        )
        self._collector.add_progress(strip_frames(contact), progress)

    def flush(self) -> None:
        """Collect the contacts so far: flows have ended."""
        self._contacts.flush()

    def _unnamed(self, flow: Flow) -> Contact | None:
        """The contact that a flow without a name is, by the address of its server; None if it is
        none, or no ban applies."""
        if flow.log not in FLOW_RECORD_LOGS:
            observation = self.resolved.identify(flow, self._is_same_device)
            late = None if observation is None else self._contacts.add_late(observation)
            return None if late is None else replace(late, sampling=flow.sampling)
        found = self.names_of(flow)
        if found is None:
            return None
        if not found.is_of_one_app:
            self.resolved.shared += 1
            return None
        told = record_name(found, self.judge.contacted)
        if told is None:
            return None
        contact = self._contacts.add_late(record_observation(told, found, flow, self.resolved))
        return None if contact is None else record_contact(contact, found, flow, self.judge.match)

    def names_of(self, flow: Flow) -> NameSet | None:
        """The names that a flow record can be of, where any is of an app."""
        if flow.name_status in SELF_EXPLAINING:
            return None
        return self.told.names_of(flow, self._is_one_device)

    def one_of(self, flow: Flow) -> int:
        """Of how many names a flow record has one, if some of them are of an app that a ban
        mentions, and others are not of it; else 0."""
        found = self.names_of(flow)
        if found is None or found.is_of_one_app or not any(map(self.judge.is_banned, found.apps)):
            return 0
        return found.count

    def is_to_vendor(self, flow: Flow) -> bool:
        """Whether a flow record without candidates shows bytes both ways with an address in a
        network of the vendor of an app that a ban mentions."""
        return (
            flow.bytes_out > 0
            and flow.bytes_in > 0
            and flow.server_ip in self.judge.vendor_networks
            and self.names_of(flow) is None
        )

    def report_progress(self) -> None:
        """Report the bytes so far of the flows with contacts."""
        self._contact_flows.report()

    def report_recent(self) -> None:
        """The same for the flows of devices that had a contact since the last report."""
        self._contact_flows.report_recent()

    def forget_flows(self, before: int) -> None:
        """Forget the flows without a contact since `before`, ns since the epoch."""
        self._contact_flows.forget(before)

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        flows, resolved = self._contact_flows, self.resolved
        learned, evicted = (
            (0, 0) if self.learned is None else (len(self.learned), self.learned.evicted)
        )
        return {
            "learned_addresses": TableUsage(learned, LEARNED_LIMIT, evicted),
            "contact_flows": TableUsage(len(flows), flows.limit, flows.rejected),
            "resolved_addresses": TableUsage(len(resolved), LIMIT, resolved.evicted),
            "told_names": TableUsage(len(self.told), self.told.limit, self.told.evicted),
            "ech_configurations": TableUsage(
                len(self.candidates), ECH_LIMIT, self.candidates.evicted
            ),
        }

    def anomalies(self, *, with_claims: bool = True) -> Counter[str]:
        """The counts of the tables so far; without those of claims, which all workers learn from,
        if another one counts them."""
        anomalies = Counter(
            {
                "contact-flows-full": self._contact_flows.rejected,
                "contact-sightings-full": self._contact_flows.unsighted,
                "resolved-address-shared": self.resolved.shared,
                "resolved-addresses-full": self.resolved.evicted + self.told.evicted,
                "ech-candidates-full": self.candidates.evicted,
                "ech-candidates-many": self.candidates.crowded,
                "ech-maybe-grease": self.candidates.visited,
                "ech-name-shared": self._contacts.shared_names,
                "device-behind-nat": self.judge.shared_contacts[NAT],
                "device-is-proxy": self.judge.shared_contacts[PROXY],
                "shared-clients-full": self.judge.shared_evicted,
                "flow-names-full": self._contacts.names_evicted,
            }
        )
        learned = self.learned
        if learned is not None:
            anomalies["device-address-shared"] = learned.shared_addresses
            anomalies["device-mac-shared"] = learned.shared_macs
        if learned is not None and with_claims:
            anomalies["device-claim-refused"] = learned.refused
            anomalies["devices-full"] = learned.evicted
            anomalies["proof-device-lost"] = learned.evidence_dropped
        return anomalies

    def _learning(self) -> LearnedBindings:
        """What is learned from now on. Flows that ended before something is learned are counted by
        what was known then."""
        return LearnedBindings(
            self._network_name, self.config.quiet_gap, before_change=self._before_change
        )

    def _network_name(self, ip: bytes, vlan: int | None) -> str | None:
        network = self.config.networks.find(ip, vlan)
        return network.name if network is not None else None

    def _is_same_device(self, answer: Observation, flow: Flow) -> bool:
        """Whether the client of a flow is the device that got a DNS answer before."""
        return self._is_still_same(answer, flow.first)

    def _is_still_same(self, answer: Observation, time: int) -> bool:
        """Whether the client of an answer is the device that has its address at a later time."""
        client = answer.client_ip, answer.client_mac, answer.vlan
        return self._is_one_device(client, answer.time, time)

    def _is_one_device(
        self, client: tuple[bytes, bytes | None, int | None], since: int, time: int
    ) -> bool:
        """Whether a client (address, MAC and VLAN) is the device that has its address later."""
        ip, mac, vlan = client
        if not self.config.devices.is_same_device(ip, mac, since, time):
            return False
        return self.learned is None or self.learned.is_same_device(ip, mac, vlan, since, time)


class ConfiguredDirectory:
    """A `netwatch.coverage.counts.Directory` from the configuration and, where devices
    are learned, from the traffic. Without `by_device` it knows networks only."""

    def __init__(
        self, config: Config, learned: LearnedBindings | None, *, by_device: bool = True
    ) -> None:
        self._config = config
        self._learned = learned
        self._by_device = by_device

    def locate(self, client: FlowClient, time: int | None) -> Location:
        """The network and device of a client at a time, in ns since the epoch; None if they are
        permanent."""
        network = self._config.networks.find(client.ip, client.vlan)
        if network is None or not self._by_device:
            return network, ""
        binding = None
        if time is not None and self._learned is not None:
            binding = self._learned.past_binding(client.ip, client.mac, client.vlan, time)
        if time is not None and binding is None:
            binding = self._config.devices.leases.binding_at(client.ip, client.mac, time)
        devices, privacy = self._config.devices, self._config.privacy
        # If the device is permanent, any time gives it.
        at = time or 0
        if privacy is None:
            return network, devices.id_of(client.ip, client.mac, network, at, binding)
        found = devices.identify(client.ip, client.mac, network, at, binding)
        return network, privacy.device(found.device, network).id

    def missed(self, client: FlowClient) -> str:
        """Which range or VLAN would match a client outside of all networks with another tag."""
        return self._config.networks.missed(client.ip, client.vlan)

    def is_permanent(self, client: FlowClient) -> bool:
        """Whether nothing was learned about the address, no lease has it, and no inventory row with
        a limited period has it, so that its device does not change."""
        if not self._by_device:
            return True
        if not self._config.devices.is_permanent(client.ip, client.mac):
            return False
        return self._learned is None or not self._learned.has_bindings(client.ip, client.vlan)


def flow_options(
    config: Config, *, report_all: bool, counting: bool = True, by_device: bool = True
) -> FlowOptions:
    """The part of a configuration for counting flows (see `FlowOptions`)."""
    tables = _tables(config.networks, config.catalog, config.devices)
    return FlowOptions(*tables, report_all=report_all, counting=counting, by_device=by_device)


@lru_cache(maxsize=2)
def _tables(
    networks: Networks, catalog: Catalog, devices: Devices
) -> tuple[AddressRanges, AddressCategories, AddressFilter]:
    """The tables of `FlowOptions`. Nothing changes them, so the captures of a run share them."""
    spans = (span for scope in networks.scopes for span in scope.ranges)
    ranges = ((span.network_address.packed, span.broadcast_address.packed) for span in spans)
    vlans = {vlan for scope in networks.scopes if not scope.ranges for vlan in scope.vlans}
    categories = {
        address: NAME_STATUSES.index(category)
        for address, app in catalog.apps_by_address().items()
        for category in BYPASS_CATEGORIES
        if category == app.category
    }
    changing = AddressFilter(0)
    for address in devices.leases.addresses():
        changing.add(address)
    if devices.entries.has_periods:
        # Rows may name only a MAC, which can have any address.
        changing.add_all()
    return AddressRanges(ranges, vlans), AddressCategories(categories), changing
