"""What becomes of contacts: the bytes of their flows, and what their servers answered."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple, Protocol

from netwatch.core.flow import (
    CONTESTED,
    DENIALS,
    REFUSAL,
    Contradiction,
    Flow,
    FlowProgress,
    Frame,
    Seen,
    Sent,
    seen_in_flow,
)
from netwatch.core.message import Observation
from netwatch.core.verdict import RESET, Contact, Decision, Outcome
from netwatch.incidents.contacts import ContactProgress, Tally, first_tally, strip_frames, use_of
from netwatch.language.sentences import sentence

FLOW_LIMIT = 65536
"""Flows with contacts whose progress is followed at a time."""

RECENT_LIMIT = 256
"""Flows of a device that are reported at once when it had another contact, the latest; the others
follow when all are reported."""

SIGHTING_LIMIT = 64
"""Contacts of one flow of which it is followed how they were seen."""

UDP_WINDOW = 14_720
"""Payload that a QUIC client may send before its server acknowledges any of it, bytes (RFC 9002
section 7.2). If it sends more, the server has answered outside of the capture."""


_DENIALS = frozenset(DENIALS[1:])


class ContactCollector(Protocol):
    """Takes contacts, and what became of them."""

    def add(self, contact: Contact) -> object:
        """Take a contact."""
        ...

    def add_sender(self, contact: Contact) -> object:
        """Take whose packet a frame had, of a contact to which no ban applies."""
        ...

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> object:
        """Take what became of contacts that were added before; `contact` is one of them. It
        concerns the bans with these ids, None for all that apply to the contact."""
        ...


class FollowedFlows(Protocol):
    """The flows of a capture, some of which are followed to their end."""

    def report_end_of(self, flow: int) -> None:
        """Report this flow by itself when it has ended."""
        ...

    def progress_of(self, observation: Observation) -> FlowProgress | None:
        """The flow of an observation so far; None if nothing is known of it any more."""
        ...

    def answers_in(self, flow: int) -> tuple[Frame, ...]:
        """The packets that acknowledge what was sent in a flow, if frames are kept."""
        ...


@dataclass(slots=True)
class _Group:
    """Contacts of one flow that are in the same incident, because each is within the quiet gap of
    the one before: one like them, the `port` of the client, the times of the first and the last,
    and how many are counted as what. With `counts_bytes` the incident gets the payload of the flow,
    of which `bytes_out`, `bytes_in` and `use_in` were reported; `is_settled` if the address of the
    server has decided, else they were blocked by `by`, as far as reported."""

    contact: Contact
    port: int
    first: int
    last: int
    counts_bytes: bool
    is_settled: bool
    counts: dict[Tally, int] = field(default_factory=dict)
    bytes_out: int = 0
    bytes_in: int = 0
    use_in: int = 0
    by: str = ""


class Place(NamedTuple):
    """Where a contact is: the port of its client, its time (ns), its packet, and the mark of that
    packet (`netwatch.core.flow`)."""

    port: int
    time: int
    packet: int = 0
    mark: int = 0


_CONTESTED = Contradiction("overlap", sentence("contested"))


class _At(NamedTuple):
    """A contact in a flow: the port of its client, its time, and the quiet gap (ns)."""

    port: int
    time: int
    quiet_gap: int


@dataclass(slots=True)
class _Sighting:
    """A contact, the first like it in its flow or one of the first, and how it was `seen` as far as
    that was reported. `late` speaks against it, and was not reported yet."""

    contact: Contact
    place: Place
    seen: Seen
    late: tuple[Contradiction, ...] = ()

    def report(
        self, flow: FlowProgress, collector: ContactCollector, answers: tuple[Frame, ...]
    ) -> None:
        """Report what more was seen of the contact by now; `answers` are packets that acknowledge
        it."""
        log, place = self.contact.observation.log, self.place
        if log is None and flow.acknowledged == CONTESTED:
            self._contest()
        if self.late:
            self._report_late(self.late, collector)
        if log is None:
            seen = seen_in_flow(place.mark, self.contact.observation.transport, flow)
        else:
            answered = self.seen.server or flow.server_sent in ("payload", "headers")
            seen = Seen(answered, "both" if answered else "client", "unknown")
        if seen.rank >= self.seen.rank:
            return
        self.seen = seen
        shown = replace(
            self.contact.observation,
            time=place.time,
            packet=place.packet,
            client_port=place.port,
            mark=place.mark,
        )
        contact = replace(self.contact, observation=shown, repeats=None, seen=seen)
        frames = answers if seen.server or seen.directions == "both" else ()
        progress = ContactProgress(place.time, 0, 0, place.time, seen=seen, frames=frames)
        collector.add_progress(contact, progress)

    def contradict(self, name: str) -> None:
        """Another name came later in the same connection: that speaks against this contact too."""
        if self.contact.observation.name != name:
            self._contradict(Contradiction("two-names", sentence("another-name", name=name)))

    def _contest(self) -> None:
        """Nobody can tell whether the server took this; another name that came says more."""
        if all(contradiction.type != "two-names" for contradiction in self.contact.contradictions):
            self._contradict(_CONTESTED)

    def _contradict(self, found: Contradiction) -> None:
        """Note what speaks against the contact, unless something of its type does already."""
        known = self.contact.contradictions
        if all(other.type != found.type for other in known):
            self.late += (found,)
            self.contact = replace(self.contact, contradictions=(*known, found))

    def _report_late(self, late: tuple[Contradiction, ...], collector: ContactCollector) -> None:
        self.late, place = (), self.place
        shown = replace(self.contact.observation, time=place.time, packet=place.packet)
        told = replace(
            self.contact, observation=shown, repeats=None, contradictions=late, seen=self.seen
        )
        collector.add_progress(
            told, ContactProgress(place.time, 0, 0, place.time, contacts=1, seen=self.seen)
        )


@dataclass(slots=True)
class _Part:
    """The contacts of a flow under bans that have said the same of all of them: `bans` are their
    ids, None for all bans that apply. `groups` are by device, app and kind of verdict (empty if
    all bans have said the same of the flow)."""

    bans: frozenset[str] | None
    groups: dict[tuple[str, str, str], list[_Group]] = field(default_factory=dict)

    def add(self, contact: Contact, kind: str, at: _At) -> None:
        """Add a contact, of which the bans say `kind`."""
        time = at.time
        key = contact.device.id, contact.match.app.id, kind
        groups, tally = self.groups.setdefault(key, []), first_tally(contact)
        if not groups or time - groups[-1].last > at.quiet_gap:
            # A ban's first contact of the flow gets its bytes.
            is_first = not groups and len(self.groups) == 1
            settled = tally != "silent"
            groups.append(_Group(strip_frames(contact), at.port, time, time, is_first, settled))
        group = groups[-1]
        if time > group.last:
            group.last = time
        group.counts[tally] = group.counts.get(tally, 0) + 1

    def copy(self, bans: frozenset[str], kind: str = "") -> "_Part":
        """The same contacts under these bans only, which have said `kind` if this part does not
        say what they have said."""
        return _Part(
            bans,
            {
                (device, app, said or kind): [
                    replace(group, counts=dict(group.counts)) for group in groups
                ]
                for (device, app, said), groups in self.groups.items()
            },
        )


class _Followed:
    """The contacts of one flow; `device` is that of the first one. `sightings` are those of which
    it is not known that the server took part, and the last ones."""

    __slots__ = ("decision", "device", "parts", "sightings")

    def __init__(self, contact: Contact) -> None:
        # What all bans have said so far; None as soon as it differs between contacts.
        self.decision: Decision | None = contact.decision
        self.device = contact.device.id
        self.parts = [_Part(None)]
        self.sightings: list[_Sighting] = []

    def add(self, contact: Contact, at: _At) -> None:
        """Add a contact of the flow."""
        decision = self.decision
        if decision is not None and decision.key == contact.decision.key:
            self.parts[0].add(contact, "", at)
            return
        if decision is not None:
            self._split(decision)
        said = {ruling.ban.id: ruling.kind for ruling in contact.decision.rulings}
        parts: list[_Part] = []
        for part in self.parts:
            bans = part.bans or frozenset()
            for kind in dict.fromkeys(said.get(ban) for ban in sorted(bans)):
                alike = frozenset(ban for ban in bans if said.get(ban) == kind)
                here = part if alike == bans else part.copy(alike)
                if kind is not None:
                    here.add(contact, kind, at)
                parts.append(here)
        known = frozenset[str]().union(*(part.bans or () for part in self.parts))
        for kind in dict.fromkeys(said.values()):
            new = frozenset(ban for ban, its in said.items() if its == kind and ban not in known)
            if new:
                parts.append(_Part(new))
                parts[-1].add(contact, kind, at)
        self.parts = parts

    def _split(self, decision: Decision) -> None:
        """Follow the bans apart that say different things, now that they do not go together."""
        (whole,) = self.parts
        self.decision = None
        self.parts = []
        for kind in dict.fromkeys(ruling.kind for ruling in decision.rulings):
            bans = frozenset(ruling.ban.id for ruling in decision.rulings if ruling.kind == kind)
            self.parts.append(whole.copy(bans, kind))


class ContactFlows:
    """Reports the progress of flows with contacts, which are in `table`, to a collector, payload
    once for each ban.

    `quiet_gap` is that of incidents, in ns. Flows beyond `limit` are not followed; `rejected` is
    their number. `unsighted` counts contacts of which it is not followed how they were seen.
    """

    def __init__(
        self,
        table: FollowedFlows,
        collector: ContactCollector,
        quiet_gap: int,
        limit: int = FLOW_LIMIT,
    ) -> None:
        self._table = table
        self._collector = collector
        self._flows: dict[int, _Followed] = {}
        # The same by device: each block of a live capture asks for those of some devices.
        self._of_devices: dict[str, dict[int, None]] = {}
        self._recent: set[str] = set()
        self.quiet_gap = quiet_gap
        self.limit = limit
        self.rejected = 0
        self.unsighted = 0

    def __len__(self) -> int:
        return len(self._flows)

    def add(self, contact: Contact, flow: int, place: Place) -> None:
        """Follow a contact from now to the end of its flow. `contact` is this one or like it, and
        the number of the flow and the place are those of this one."""
        if not contact.decision.rulings:
            return
        if flow < 0 and contact.observation.log is not None:
            # The log does not say which flow it is, so that nothing tells its end.
            return
        followed = self._flows.get(flow)
        if followed is None:
            if len(self._flows) >= self.limit:
                self.rejected += 1
                return
            followed = self._flows[flow] = _Followed(contact)
            self._of_devices.setdefault(followed.device, {})[flow] = None
        followed.add(contact, _At(place.port, place.time, self.quiet_gap))
        if any(contradiction.type == "two-names" for contradiction in contact.contradictions):
            for sighting in followed.sightings:
                sighting.contradict(contact.observation.name)
        if len(followed.sightings) >= SIGHTING_LIMIT:
            self._report_sightings(flow, followed)
            followed.sightings = [
                sighting for sighting in followed.sightings if not sighting.seen.server
            ]
        if len(followed.sightings) < SIGHTING_LIMIT:
            followed.sightings.append(_Sighting(strip_frames(contact), place, contact.seen))
        else:
            self.unsighted += 1
        if contact.device.id not in self._recent:
            self._recent.add(contact.device.id)
        self._table.report_end_of(flow)

    def flow_ended(self, flow: Flow) -> bool:
        """Report what was not reported yet of a flow that has ended, if it is followed; whether it
        is."""
        followed = self._drop(flow.flow_id)
        if followed is None:
            return False
        for part in followed.parts:
            for groups in part.groups.values():
                client = groups[0].contact.observation.client_ip, groups[0].port
                if client == (flow.client_ip, flow.client_port):
                    progress = _of_client(flow)
                else:
                    progress = _of_server(flow)
                self._report(groups, progress, part.bans)
        for sighting in followed.sightings:
            client = sighting.contact.observation.client_ip, sighting.place.port
            is_client = client == (flow.client_ip, flow.client_port)
            progress = _of_client(flow) if is_client else _of_server(flow)
            sighting.report(progress, self._collector, self._table.answers_in(flow.flow_id))
        return True

    def report(self) -> None:
        """Report what was not reported yet of all flows; forget those that the flow table has
        evicted."""
        self._report_flows(list(self._flows))

    def _report_flows(self, flows: Iterable[int]) -> None:
        for flow in flows:
            followed = self._flows[flow]
            for part in followed.parts:
                for groups in part.groups.values():
                    seen = groups[0].contact.observation
                    if (seen.flow_id, seen.client_port) != (flow, groups[0].port):
                        seen = replace(seen, flow_id=flow, client_port=groups[0].port)
                    progress = self._table.progress_of(seen)
                    if progress is None:
                        self._drop(flow)
                    else:
                        self._report(groups, progress, part.bans)
            self._report_sightings(flow, followed)

    def _report_sightings(self, flow: int, followed: _Followed) -> None:
        """Report how contacts of a flow were seen by now."""
        for sighting in followed.sightings:
            shown = replace(
                sighting.contact.observation, flow_id=flow, client_port=sighting.place.port
            )
            progress = self._table.progress_of(shown)
            if progress is not None:
                sighting.report(progress, self._collector, self._table.answers_in(flow))

    def report_recent(self) -> None:
        """The same for the latest flows of devices that had a contact since the last call, so that
        what is reported of these now is current."""
        recent, self._recent = self._recent, set()
        for device in sorted(recent & self._of_devices.keys()):
            latest = list(islice(reversed(self._of_devices[device]), RECENT_LIMIT))
            self._report_flows(reversed(latest))

    def forget(self, before: int) -> None:
        """Forget the flows without a contact since `before` (ns): the log that has shown them may
        never say that they have ended."""
        for flow, followed in list(self._flows.items()):
            groups = [each for part in followed.parts for each in part.groups.values()]
            if all(group.last < before for each in groups for group in each):
                self._drop(flow)

    def _drop(self, flow: int) -> _Followed | None:
        """Follow a flow no more; None if it was not followed."""
        followed = self._flows.pop(flow, None)
        if followed is not None:
            flows = self._of_devices[followed.device]
            del flows[flow]
            if not flows:
                del self._of_devices[followed.device]
        return followed

    def _report(
        self, groups: list[_Group], flow: FlowProgress, bans: frozenset[str] | None
    ) -> None:
        """Report what there is more than was reported before to the incidents of one key."""
        transport = groups[0].contact.observation.transport
        now = tally_of(flow.server_sent, transport, flow.bytes_out)
        by = block_by(flow.server_sent) if now == "blocked" else ""
        for group in groups:
            more_out = more_in = more_use = 0
            if group.counts_bytes:
                use = use_of(flow.bytes_in, flow.last - group.first) if flow.bytes_in else 0
                more_out, more_in = flow.bytes_out - group.bytes_out, flow.bytes_in - group.bytes_in
                more_use = use - group.use_in
                group.bytes_out, group.bytes_in, group.use_in = flow.bytes_out, flow.bytes_in, use
            last = flow.last if group.counts_bytes else group.last
            for was, contacts in group.counts.items():
                to = was if group.is_settled else now
                to_by = group.by if group.is_settled else by
                if was != to or to_by != group.by or more_out or more_in or more_use:
                    said = group.first, more_out, more_in, last, was, to, contacts, more_use
                    progress = ContactProgress(*said, group.by, to_by)
                    self._collector.add_progress(group.contact, progress, bans)
                    more_out = more_in = more_use = 0
            if not group.is_settled:
                group.counts, group.by = {now: sum(group.counts.values())}, by


def block_by(server_sent: Sent) -> str:
    """By what a connection was blocked whose server was seen to send this; empty where it was
    not."""
    if server_sent == REFUSAL:
        return RESET
    return server_sent if server_sent in _DENIALS else ""


def _of_client(flow: Flow) -> FlowProgress:
    """A flow that has ended, as its client sees it."""
    return FlowProgress(
        flow.bytes_out,
        flow.bytes_in,
        flow.last,
        flow.server_sent,
        flow.client_acknowledged,
        flow.client_checksums,
    )


def _of_server(flow: Flow) -> FlowProgress:
    """The same, where what opened the flow, as far as was seen, is the server of its contacts."""
    return FlowProgress(
        flow.bytes_in,
        flow.bytes_out,
        flow.last,
        flow.client_sent,
        flow.server_acknowledged,
        flow.server_checksums,
    )


def tally_of(server_sent: Sent, transport: str, bytes_out: int) -> Tally:
    """What a contact counts as by what its server was seen to send.

    A client that has sent payload over TCP has received a SYN-ACK; where none was seen, the capture
    lacks one direction. A datagram needs no answer.
    """
    if server_sent == "payload":
        return "reached"
    if server_sent == REFUSAL or server_sent in _DENIALS:
        return "blocked"
    if server_sent == "headers":
        return "attempted"
    if transport == "tcp":
        return "unknown" if bytes_out else "silent"
    return "unknown" if bytes_out > UDP_WINDOW else "silent"


def outcome_of(flow: Flow) -> Outcome:
    """The outcome of a contact that is a flow without a name."""
    tally = tally_of(flow.server_sent, flow.transport, flow.bytes_out)
    return "attempted" if tally == "silent" else tally
