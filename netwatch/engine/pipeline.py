"""The street: bytes become packets, packets names, names verdicts, verdicts incidents.

`netwatch.engine.observe` goes from captures to observations, `netwatch.engine.judge` from a name
to the contacts it makes; here they are walked one after the other, with what is only known
later: flows without a readable name, and how much was said. A capture that ends and one
that goes on for ever take the same way.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from netwatch.capture.block import Block
from netwatch.capture.files import Found
from netwatch.config import Config
from netwatch.core.flow import BYPASS_CATEGORIES, Flow
from netwatch.core.message import HANDSHAKES, Message
from netwatch.core.observation import Observation
from netwatch.core.packet import Packet
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact, Network
from netwatch.coverage.counts import Coverage
from netwatch.coverage.survey import Survey
from netwatch.dissect.flows.records import Client
from netwatch.engine.judge import Judge
from netwatch.engine.observe import Progress, Wire
from netwatch.engine.resolved_addresses import LIMIT, Resolved
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.incident import strip_frames
from netwatch.inventory.binding_tables import ENTRY_LIMIT as LEARNED_LIMIT
from netwatch.inventory.learned import LearnedBindings

FLOW_LIMIT = 65536
"""Conversations of contacts whose bytes are counted at a time."""

FLOW_AGE = 600_000_000_000
"""Silence after which a flow of a capture that goes on for ever is over, ns."""


def names(
    files: Sequence[Found], statistics: RunStatistics, progress: Progress | None = None
) -> Iterator[Observation]:
    """Every observation of one capture, before any rule."""
    wire = Wire(statistics, progress)
    for found in files:
        yield from wire.read(found)
    yield from wire.flush()
    wire.close()


def scan(
    files: Sequence[Found],
    config: Config,
    statistics: RunStatistics,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_frames: bool = False,
) -> Incidents:
    """The incidents of one capture; its flows are counted in `coverage`. With `keep_frames` the
    packets that prove them are kept."""
    incidents = Incidents(config.quiet_gap)
    counted = Coverage() if coverage is None else coverage
    engine = Engine(config, statistics, incidents, counted, progress, keep_frames=keep_frames)
    for found in files:
        engine.read(found)
    engine.end()
    return incidents


class Gathers(Protocol):
    """Takes contacts, and what was said in their flows."""

    def add(self, contact: Contact) -> object:
        """Take a contact."""
        ...

    def add_bytes(self, contact: Contact, bytes_out: int, bytes_in: int) -> None:
        """Count further payload of the flow of a contact that was added before."""
        ...


@dataclass(slots=True)
class _Said:
    """A contact of a handshake, and how much of its flow is counted already."""

    contact: Contact
    bytes_out: int = 0
    bytes_in: int = 0


class Engine:
    """One capture on its way down the street: `incidents` get its contacts, `coverage` its
    flows, `statistics` its counts. With `keep_frames` contacts come with the packets that prove
    them. `relay` is told what messages claim of addresses, for others to learn from."""

    def __init__(
        self,
        config: Config,
        statistics: RunStatistics,
        incidents: Gathers,
        coverage: Coverage,
        progress: Progress | None = None,
        *,
        keep_frames: bool = False,
        relay: Callable[[Packet, Message], None] = lambda packet, message: None,
    ) -> None:
        self._incidents = incidents
        self._statistics = statistics
        self._config = config
        self._coverage = coverage
        self._learned = LearnedBindings(self._place, config.quiet_gap) if config.learn else None
        self._judge = Judge(config, statistics.without_verdict, self._learned)
        self._survey = _survey(config, coverage, self._learned)
        self._relay = relay
        self._wire = Wire(
            statistics,
            progress,
            self._wanted,
            self._judge.zones(),
            self._judge.name_status,
            self._ended,
            self._named,
            self._concerned if keep_frames else None,
            config.learn,
            self._claimed,
        )
        self._resolved = Resolved(self._wire.answered, self._wire.note)
        self._flows: dict[int, dict[str, _Said]] = {}
        self._left_out = 0
        self._counted: Counter[str] = Counter()

    def read(self, found: Found) -> None:
        """A file of the capture, from its start to its end."""
        self._take(self._wire.read(found))

    def block(self, block: Block, source: str) -> None:
        """The next block of `source` (file or interface)."""
        self._take(self._wire.block(block, source))

    def reload(self, config: Config) -> None:
        """Judge by another configuration from here on. Flows, unfinished messages, resolved
        addresses and what was learned of devices stay."""
        self._config = config
        if not config.learn:
            self._learned = None
        elif self._learned is None:
            self._learned = LearnedBindings(self._place, config.quiet_gap)
        self._judge.reload(config, self._learned)
        self._survey = _survey(config, self._coverage, self._learned)
        self._wire.learn(config.learn)
        self._wire.interest(self._judge.zones())

    def settle(self, now: int) -> None:
        """Count what was said so far, and the flows that were silent for `FLOW_AGE` at `now`
        (ns of packet time)."""
        self._say()
        self._wire.settle(now - FLOW_AGE)
        self.count()

    def count(self) -> None:
        """Bring the statistics up to date."""
        self._wire.count()
        self._count()

    def end(self) -> None:
        """The capture is over: what messages cut short show, all flows, and all counts."""
        self._take(self._wire.flush())
        self._say()
        self._wire.close()
        self._count()

    def tables(self) -> dict[str, tuple[int, int, int]]:
        """How full the tables are, by name: entries now and at most, and how many had to go
        or were turned away."""
        learned = len(self._learned) if self._learned is not None else 0
        return self._wire.tables() | {
            "learned_addresses": (learned, LEARNED_LIMIT, self._counted["devices-full"]),
            "contact_flows": (len(self._flows), FLOW_LIMIT, self._left_out),
            "resolved_addresses": (len(self._resolved), LIMIT, self._resolved.dropped),
        }

    def _concerned(self, address: bytes) -> bool:
        return self._resolved.watches(address)

    def _named(self, client: Client, times: list[int]) -> None:
        self._survey.add_named(client, times)

    def _wanted(self, message: Message) -> bool:
        return self._judge.wanted(message) or self._resolved.concerns(message)

    def learn(self, packet: Packet, message: Message) -> None:
        """Take what a message claims of who has which address."""
        if self._learned is not None:
            self._learned.record(packet, message)

    def _claimed(self, packet: Packet, message: Message) -> None:
        self.learn(packet, message)
        self._relay(packet, message)

    def _place(self, ip: bytes, vlan: int | None) -> str | None:
        network = self._config.networks.find(ip, vlan)
        return network.name if network is not None else None

    def _take(self, observations: Iterable[Observation]) -> None:
        """Judge observations, and keep in mind what they resolved."""
        for observation in observations:
            for contact in self._judge.contacts(observation):
                self._incidents.add(contact)
                if observation.evidence in HANDSHAKES:
                    self._follow(contact)
            if observation.evidence == "dns-answer":
                answered = self._judge.answered(observation)
                self._resolved.remember(observation, answered)

    def _follow(self, contact: Contact) -> None:
        """From now on the bytes of a contact's flow are counted, once for each ban."""
        flow, ban = contact.observation.flow_id, contact.verdict.ban
        if ban is None:
            return
        if flow not in self._flows and len(self._flows) >= FLOW_LIMIT:
            self._left_out += 1
            return
        self._flows.setdefault(flow, {}).setdefault(ban.id, _Said(strip_frames(contact)))
        self._wire.follow(flow)

    def _ended(self, flow: Flow) -> None:
        """Count a flow that is over, and judge it by its address where it has no name."""
        for said in self._flows.pop(flow.flow_id, {}).values():
            seen, spoken = said.contact.observation, (flow.bytes_out, flow.bytes_in)
            asked = (seen.client_ip, seen.client_port) == (flow.client_ip, flow.client_port)
            self._tell(said, spoken if asked else spoken[::-1])
        self._survey.add(flow)
        answer = self._resolved.known(flow, self._stayed)
        if answer is None:
            return
        for contact in self._judge.contacts(answer, late=True):
            self._incidents.add(contact)
            self._incidents.add_bytes(contact, flow.bytes_out, flow.bytes_in)

    def _stayed(self, answer: Observation, flow: Flow) -> bool:
        """Whether a flow is of the device that had got the answer."""
        if self._learned is None:
            return True
        ip, mac, vlan = answer.client_ip, answer.client_mac, answer.vlan
        return self._learned.is_same_device(ip, mac, vlan, answer.time, flow.first)

    def _say(self) -> None:
        """Tell what was said since the last time; flows that the table let go are left."""
        for flow, contacts in list(self._flows.items()):
            for said in contacts.values():
                spoken = self._wire.bytes_of(said.contact.observation)
                if spoken == (0, 0):
                    self._flows.pop(flow, None)
                else:
                    self._tell(said, spoken)

    def _tell(self, said: _Said, spoken: tuple[int, int]) -> None:
        further = spoken[0] - said.bytes_out, spoken[1] - said.bytes_in
        if further != (0, 0):
            said.bytes_out, said.bytes_in = spoken
            self._incidents.add_bytes(said.contact, *further)

    def _count(self) -> None:
        now = Counter(
            {
                "contact-flows-full": self._left_out,
                "resolved-address-shared": self._resolved.shared,
                "resolved-addresses-full": self._resolved.dropped,
            }
        )
        learned = self._learned
        if learned is not None:
            now["device-address-shared"] = learned.shared_addresses
            now["device-mac-shared"] = learned.shared_macs
            now["device-claim-refused"] = learned.refused
            now["devices-full"] = learned.evicted
            now["proof-device-lost"] = learned.evidence_dropped
        self._statistics.anomalies.update(now - self._counted)
        self._counted = now


def _survey(config: Config, coverage: Coverage, learned: LearnedBindings | None) -> Survey:
    def locate(
        ip: bytes, vlan: int | None, mac: bytes | None, time: int
    ) -> tuple[Network | None, str]:
        network = config.networks.find(ip, vlan)
        if network is None:
            return None, ""
        binding = learned.past_binding(ip, mac, vlan, time) if learned is not None else None
        return network, config.devices.identify(ip, mac, network, binding).id

    def known(ip: bytes) -> str | None:
        app = config.catalog.app_of_address(ip)
        return app.category if app and app.category in BYPASS_CATEGORIES else None

    def lasts(ip: bytes, vlan: int | None) -> bool:
        return learned is None or not learned.has_bindings(ip, vlan)

    return Survey(coverage, locate, known, lasts)
