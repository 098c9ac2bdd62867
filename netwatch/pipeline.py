"""The street: bytes become packets, packets names, names verdicts, verdicts incidents.

`netwatch.wire` goes from captures to observations, `netwatch.judge` from a name to the
contacts it makes; here they are walked one after the other for a whole capture, with
what is only known at its end: flows without a readable name, and how much was said.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from netwatch.capture.files import Found
from netwatch.config import Config
from netwatch.coverage.counts import Coverage
from netwatch.coverage.survey import Survey
from netwatch.incident import bare
from netwatch.incidents import Incidents
from netwatch.inventory.learned import Learned
from netwatch.judge import Judge
from netwatch.model import (
    BYPASS,
    HANDSHAKES,
    Contact,
    Flow,
    Message,
    Network,
    Observation,
    Packet,
)
from netwatch.resolved import Resolved
from netwatch.tally import Tally
from netwatch.wire import Progress, Wire

FLOW_LIMIT = 65536
"""Conversations of contacts whose bytes are added up when a capture ends."""


def names(
    files: Sequence[Found], tally: Tally, progress: Progress | None = None
) -> Iterator[Observation]:
    """Every observation of one capture, before any rule."""
    wire = Wire(tally, progress)
    for found in files:
        yield from wire.read(found)
    yield from wire.flush()
    wire.close()


def scan(
    files: Sequence[Found],
    config: Config,
    tally: Tally,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    proving: bool = False,
) -> Incidents:
    """The incidents of one capture; its flows are counted in `coverage`. With `proving` the
    packets that prove them are kept."""
    walk = _Scan(config, tally, progress, Coverage() if coverage is None else coverage, proving)
    for observation in chain(chain.from_iterable(map(walk.wire.read, files)), walk.wire.flush()):
        walk.observed(observation)
    walk.end()
    return walk.incidents


class _Scan:
    """One capture on its way down the street."""

    def __init__(
        self,
        config: Config,
        tally: Tally,
        progress: Progress | None,
        coverage: Coverage,
        proving: bool,
    ) -> None:
        self.incidents = Incidents(config.quiet_gap)
        self._tally = tally
        self._learned = _learned(config)
        self._judge = Judge(config, tally.silent, self._learned)
        self._survey = _survey(config, coverage, self._learned)
        self.wire = Wire(
            tally,
            progress,
            self._wanted,
            self._judge.zones(),
            self._judge.outcome,
            self._ended,
            self._survey.add_named,
            self._concerned if proving else None,
            config.learn,
            self._claimed,
        )
        self._resolved = Resolved(self.wire.answered)
        self._flows: dict[tuple[int, str], Contact] = {}

    def _concerned(self, address: bytes) -> bool:
        return self._resolved.watches(address)

    def _wanted(self, message: Message) -> bool:
        return self._judge.wanted(message) or self._resolved.concerns(message)

    def _claimed(self, packet: Packet, message: Message) -> None:
        if self._learned is not None:
            self._learned.take(packet, message)

    def observed(self, observation: Observation) -> None:
        """Judge an observation, and keep in mind what it resolved."""
        for contact in self._judge.contacts(observation):
            self.incidents.add(contact)
            ban = contact.verdict.ban
            if observation.evidence in HANDSHAKES and ban and len(self._flows) < FLOW_LIMIT:
                self._flows.setdefault((observation.flow, ban.id), bare(contact))
        if observation.evidence == "dns-answer":
            answered = self._judge.answered(observation)
            self._resolved.remember(observation, answered)

    def _ended(self, flow: Flow) -> None:
        """Count a flow that is over, and judge it by its address where it has no name."""
        self._survey.add(flow)
        answer = self._resolved.known(flow, self._stayed)
        if answer is None:
            return
        for contact in self._judge.contacts(answer, late=True):
            self.incidents.add(contact)
            self.incidents.add_bytes(contact, flow.bytes_out, flow.bytes_in)

    def _stayed(self, answer: Observation, flow: Flow) -> bool:
        """Whether a flow is of the device that had got the answer."""
        if self._learned is None:
            return True
        ip, mac, vlan = answer.client_ip, answer.client_mac, answer.vlan
        return self._learned.same(ip, mac, vlan, answer.time, flow.first)

    def end(self) -> None:
        """The capture is over: bytes of the flows that showed a name, and all counts."""
        for contact in self._flows.values():
            self.incidents.add_bytes(contact, *self.wire.bytes_of(contact.observation))
        self.wire.close()
        self._tally.oddities.update(
            +Counter(
                {
                    "resolved-address-shared": self._resolved.shared,
                    "resolved-addresses-full": self._resolved.dropped,
                }
            )
        )
        learned = self._learned
        if learned is not None:
            self._tally.oddities.update(
                +Counter(
                    {
                        "device-address-shared": learned.shared_addresses,
                        "device-mac-shared": learned.shared_macs,
                        "device-claim-refused": learned.refused,
                        "devices-full": learned.dropped,
                        "proof-device-lost": learned.unproven,
                    }
                )
            )


def _learned(config: Config) -> Learned | None:
    def place(ip: bytes, vlan: int | None) -> str | None:
        network = config.networks.find(ip, vlan)
        return network.name if network is not None else None

    return Learned(place, config.quiet_gap) if config.learn else None


def _survey(config: Config, coverage: Coverage, learned: Learned | None) -> Survey:
    def locate(
        ip: bytes, vlan: int | None, mac: bytes | None, time: int
    ) -> tuple[Network | None, str]:
        network = config.networks.find(ip, vlan)
        if network is None:
            return None, ""
        tenant = learned.owner(ip, mac, vlan, time) if learned is not None else None
        return network, config.devices.identify(ip, mac, network, tenant).id

    def known(ip: bytes) -> str | None:
        app = config.catalog.app_of_address(ip)
        return app.category if app and app.category in BYPASS else None

    return Survey(coverage, locate, known, lasting=learned is None)
