"""The street: bytes become packets, packets names, names verdicts, verdicts incidents.

The only module that knows all rooms. `Wire` goes from captures to observations and stops
where the wire ends; `Judge` goes on from a name to the contacts it makes; `scan` walks
the whole street for a list of captures.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from netwatch.capture.block import TIME, Source
from netwatch.capture.files import STDIN, Found, NotACapture, open_source
from netwatch.config import Config
from netwatch.coverage.counts import Coverage
from netwatch.coverage.readings import outcome
from netwatch.coverage.survey import Survey
from netwatch.dissect.dissector import Dissector
from netwatch.errors import CaptureError
from netwatch.incidents import Incidents
from netwatch.model import (
    BYPASS,
    HANDSHAKES,
    Contact,
    Flow,
    Match,
    Message,
    Network,
    Observation,
    Outcome,
    Packet,
)
from netwatch.protocols import PROTOCOLS, looks_like
from netwatch.protocols.ech import PUBLIC_NAMES
from netwatch.tally import Tally

Progress = Callable[[Tally, Source, int], None]
"""Told after each block: the counts so far, the source, and how many bytes of it are read."""

CAPTURE_ENDINGS = frozenset({"pcap", "pcapng", "cap", "dmp", "ntar"})
"""How files in a folder end that are meant to be captures."""

NAME_CACHE = 65536
"""Names whose rule is remembered; when there are more, all are forgotten at once."""

FLOW_LIMIT = 65536
"""Conversations of contacts whose bytes are added up when a capture ends."""


class Wire:
    """What a capture shows: its observations, file by file.

    A capture may be cut in several files: flows and unfinished messages go on from one
    `read` to the next until `close`. Observations of messages for which `wanted` is false
    are left out; None wants all. With `outcome`, the number in `model.OUTCOMES` of what a
    message tells of its flow's name, each flow is handed to `ended` when it is over.
    """

    def __init__(
        self,
        tally: Tally,
        progress: Progress | None = None,
        wanted: Callable[[Message], bool] | None = None,
        outcome: Callable[[Message], int] | None = None,
        ended: Callable[[Flow], None] = lambda flow: None,
    ) -> None:
        self.tally = tally
        self._progress = progress
        self._wanted = wanted
        self._outcome = outcome
        self._ended = ended
        self._dissector: Dissector | None = None

    def read(self, found: Found) -> Iterator[Observation]:
        """The observations of one capture. One that cannot be read is noted in the tally,
        and so is the end of one that is cut short, after what could be read."""
        if found.error:
            self.tally.unread.append(found.error)
            return
        try:
            source = open_source(found.path)
            yield from self._blocks(source)
            self.tally.files += 1
            self.tally.notes += [f"{source.name}: {note}" for note in source.notes]
        except NotACapture as error:
            if found.named or meant_as_capture(found.path):
                self.tally.unread.append(str(error))
            else:
                self.tally.skipped.append(found.path)
        except CaptureError as error:
            self.tally.unread.append(str(error))

    def flush(self) -> Iterator[Observation]:
        """The capture is over: what messages cut short show."""
        if self._dissector is not None:
            yield from self._observations(self._dissector.flush())

    def bytes_of(self, observation: Observation) -> tuple[int, int]:
        """Transport payload of an observation's flow so far, out of and into its client."""
        return self._dissector.bytes_of(observation) if self._dissector else (0, 0)

    def close(self) -> None:
        """Forget the capture's flows and take its last counts into the tally."""
        if self._dissector is not None:
            for flow in self._dissector.finish():
                self._ended(flow)
            self.tally.observations.update(self._dissector.shown())
            self.tally.oddities.update(self._dissector.oddities())
            self._dissector = None

    def _blocks(self, source: Source) -> Iterator[Observation]:
        if self._dissector is None:
            self._dissector = Dissector(PROTOCOLS, looks_like, self._wanted, self._outcome)
        dissector, kernel = self._dissector, self._dissector.kernel
        for block in source.blocks():
            packets, octets, candidates = kernel.packets, kernel.octets, kernel.candidates
            yield from self._observations(dissector.messages(block, source.name))
            for flow in dissector.flows():
                self._ended(flow)
            self.tally.packets += kernel.packets - packets
            self.tally.octets += kernel.octets - octets
            self.tally.candidates += kernel.candidates - candidates
            if self._progress is not None:
                self._progress(self.tally, source, block.position)

    def _observations(self, found: Iterable[tuple[Packet, Message]]) -> Iterator[Observation]:
        for packet, message in found:
            yield from observe(packet, message)


def observe(packet: Packet, message: Message) -> Iterator[Observation]:
    """One observation for each name that a message shows."""
    for shown in message.shown:
        there = shown.by_destination
        yield Observation(
            time=packet.time,
            digits=packet.digits,
            evidence=shown.evidence,
            name=shown.name,
            client_ip=packet.dst if there else packet.src,
            client_port=packet.dport if there else packet.sport,
            client_mac=packet.dst_mac if there else packet.src_mac,
            server_ip=packet.src if there else packet.dst,
            server_port=packet.sport if there else packet.dport,
            transport=packet.transport,
            vlan=packet.vlan,
            source=packet.source,
            packet=packet.number,
            flow=packet.flow,
            dns=message.dns,
            tls=message.tls,
            quic=message.quic,
        )


class Judge:
    """From a name to the contacts it makes, by the configuration of one run.

    The rule of a name is looked up once; names repeat. Contacts that no ban says anything
    of are counted in `silent`, by the reason.
    """

    def __init__(self, config: Config, silent: Counter[str]) -> None:
        self._config = config
        self._silent = silent
        self._known: dict[str, Match | None] = {}
        self._covered = frozenset().union(*(ban.apps | ban.bypass for ban in config.policy.bans))

    def match(self, name: str) -> Match | None:
        """The rule that takes a name, also behind a search suffix of the site."""
        try:
            return self._known[name]
        except KeyError:
            pass
        match = self._config.catalog.match(self._config.bare(name))
        if len(self._known) >= NAME_CACHE:
            self._known.clear()
        self._known[name] = match
        return match

    def wanted(self, message: Message) -> bool:
        """Whether a message shows a name that a rule takes, or one that stands for others:
        hellos with it have to be looked at each by itself."""
        names = [shown.name for shown in message.shown]
        return any(self.match(name) is not None or name in PUBLIC_NAMES for name in names)

    def outcome(self, message: Message) -> int:
        """What a message tells of its flow's name, as its number in `model.OUTCOMES`."""
        return outcome(message, self._hides)

    def _hides(self, name: str) -> Outcome | None:
        match = self.match(name)
        if match is None or match.role not in ("exclusive", "vendor"):
            return None
        return next((each for each in BYPASS if each == match.app.category), None)

    def contacts(self, observation: Observation) -> Iterator[Contact]:
        """What the bans say of an observation: a contact for each that says something.
        None where no rule takes the name, nor where it is a bypass that no ban speaks of:
        that is a blind spot, and counted as one."""
        match = self.match(observation.name)
        if match is None:
            return
        if match.app.category in BYPASS and match.app.id not in self._covered:
            return
        config = self._config
        network = config.networks.find(observation.client_ip, observation.vlan)
        device = config.devices.identify(observation.client_ip, observation.client_mac, network)
        for verdict in config.policy.judge(observation, match, device, network):
            if verdict.kind is None or network is None:
                self._silent[verdict.clause] += 1
            else:
                yield Contact(observation, match, device, network, verdict)


def meant_as_capture(path: str) -> bool:
    """Whether a file's name says that it is a capture, compressed or not."""
    return any(ending in CAPTURE_ENDINGS for ending in path.lower().split(".")[-2:])


def captures(found: Iterable[Found], continuous: bool) -> Iterator[Sequence[Found]]:
    """The files of each capture: one each, or all of them where they are one capture cut
    in pieces (`continuous`), in the order of their first packet."""
    if continuous:
        yield sorted(found, key=_begins)
    else:
        for each in found:
            yield (each,)


def _begins(found: Found) -> int:
    """The time of the first packet in ns; 0 where there is none."""
    if found.error is None and found.path != STDIN:
        with contextlib.suppress(CaptureError):
            for block in open_source(found.path).blocks():
                return block.records[TIME] if block.count else 0
    return 0


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
) -> Incidents:
    """The incidents of one capture; its flows are counted in `coverage`, where one is given."""
    judge = Judge(config, tally.silent)
    incidents = Incidents(config.quiet_gap)
    if coverage is None:
        wire = Wire(tally, progress, judge.wanted)
    else:
        ended = _survey(config, coverage).add
        wire = Wire(tally, progress, judge.wanted, judge.outcome, ended)
    flows: dict[tuple[int, str], Contact] = {}
    for observation in chain(chain.from_iterable(map(wire.read, files)), wire.flush()):
        for contact in judge.contacts(observation):
            incidents.add(contact)
            ban = contact.verdict.ban
            if observation.evidence in HANDSHAKES and ban and len(flows) < FLOW_LIMIT:
                flows.setdefault((observation.flow, ban.id), contact)
    for contact in flows.values():
        incidents.add_bytes(contact, *wire.bytes_of(contact.observation))
    wire.close()
    return incidents


def _survey(config: Config, coverage: Coverage) -> Survey:
    def locate(ip: bytes, vlan: int | None) -> tuple[Network | None, str]:
        network = config.networks.find(ip, vlan)
        return network, config.devices.identify(ip, None, network).id

    def known(ip: bytes) -> str | None:
        app = config.catalog.app_of_address(ip)
        return app.category if app and app.category in BYPASS else None

    return Survey(coverage, locate, known)
