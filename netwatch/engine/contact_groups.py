# cython: language_level=3
"""Rows of the observation batch become contacts, equal ones as one.

A device that uses an app shows the same names again and again. Rows with the same client, MAC,
VLAN, name, aliased name, evidence, server, answer, JA4 and minute are counted on the contact of the
first of them. No rule, device or ban is evaluated again, and no object is made, unless the decision
may have changed meanwhile: on a day on which a ban begins or ends, or if another device has the
address. A group lasts no longer than a block of packets.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import replace

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Words, array
from netwatch.core.message import HANDSHAKES
from netwatch.core.verdict import (
    BEGINNING,
    CONFIDENCE_RANK,
    FOREVER,
    Binding,
    Candidates,
    Confidence,
    Contact,
    Decision,
    Match,
    Repeats,
)
from netwatch.engine.contact_flows import ContactCollector, ContactFlows, Place
from netwatch.engine.contradicted import EVIDENCE_DTLS_SNI
from netwatch.engine.judge import EVIDENCE_SOCKS_HOST, Judge
from netwatch.incidents.activity import MINUTE
from netwatch.incidents.alert_parts import candidate_limit
from netwatch.language.sentences import sentence

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.message import Observation
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.message import Observation
    from netwatch.core.observation_batch import ObservationBatch

KEY_WORDS = cython.declare(cython.Py_ssize_t, 19)
FLOW_LIMIT = cython.declare(cython.Py_ssize_t, 65_536)
"""Flows to remember with the name that their hello showed first; of more the oldest is evicted."""

DATAGRAM_WINDOW = cython.declare(cython.longlong, 10_000_000_000)
"""Within this time (ns) two hellos of one client in datagrams between two ports belong to one
connection; a client may reuse its port."""

MAX_ADDRESSES = cython.declare(cython.Py_ssize_t, 32)
"""Addresses of an answer that are compared with another's; longer ones are not grouped."""

POSSIBLE: Confidence = "possible"
"""The confidence of a contact with one of several names that are not all banned."""

NO_CLIENT = sentence("no-client")
"""Why a contact has no verdict if a log does not name the device."""

_MINUTE = cython.declare(cython.longlong, MINUTE)
_CHECKSUM = cython.declare(cython.int, 32)
_SOCKS_HOST = cython.declare(cython.longlong, EVIDENCE_SOCKS_HOST)
_DTLS_SNI = cython.declare(cython.longlong, EVIDENCE_DTLS_SNI)
_TCP = cython.declare(cython.longlong, 6)


@cython.final
@cython.cclass
class Group:
    """Equal rows, and the contact of the first of them.

    If no ban applies to them, `reason` says why; `contact` is None if the client is in no network.
    They are `count`, the last at `last` (ns); `ports` counts them by the client's port, `flows` are
    the flows of handshakes. The decision holds from `since` up to, but without, `until` (ns), for a
    client whose address has this `binding`, and several devices for this reason (`shared`), in a
    flow whose hello showed the name `earlier` before.
    """

    def __init__(
        self,
        contact: Contact | None,
        reason: str,
        binding: Binding | None,
        shared: str,
        *,
        earlier: str = "",
    ) -> None:
        self.contact = contact
        self.reason = reason
        self.binding = binding
        self.shared = shared
        self.earlier = earlier
        self.is_handshake = False
        self.count = 0
        self.first = self.last = self.packet = 0
        self.since, self.until = BEGINNING, FOREVER
        self.ports: dict[int, int] = {}
        self.flows: set[int] = set()
        if contact is not None:
            self.is_handshake = contact.observation.evidence in HANDSHAKES
            self.since, self.until = contact.decision.since, contact.decision.until

    def contacts(self) -> Contact:
        """The contact, with its repetitions."""
        contact = self.contact
        assert contact is not None
        if self.count == 1:
            return contact
        repeats = Repeats(self.count, self.last, self.ports, frozenset(self.flows))
        return replace(contact, repeats=repeats)


@cython.final
@cython.cclass
class ContactGroups:
    """Passes contacts on to `collector`, equal ones as one, and handshakes at once to
    `contact_flows`.

    `judge` judges them; those to which no ban applies are counted in `without_verdict`, by reason.
    `shared_names` counts hellos for one of several names that are not all banned, `names_evicted`
    flows whose first name was forgotten.
    """

    def __init__(
        self,
        judge: Judge,
        collector: ContactCollector,
        without_verdict: Counter[str],
        contact_flows: ContactFlows,
    ) -> None:
        self._judge = judge
        self._collector = collector
        self._without_verdict = without_verdict
        self._contact_flows = contact_flows
        self._groups: dict[bytes, Group] = {}
        self._names: OrderedDict[int, tuple[str, int, int]] = OrderedDict()
        self.names_evicted = 0
        self._made: list[Group] = []
        self._matches: dict[int, Match | None] = {}
        self._batch_number = -1
        self.shared_names = 0
        words = array("q", bytes(8 * (KEY_WORDS + MAX_ADDRESSES)))
        self._key: Words = words
        self._key_octets = memoryview(words).cast("B")

    def add_rows(
        self, batch: ObservationBatch, start: cython.Py_ssize_t, stop: cython.Py_ssize_t
    ) -> None:
        """Take rows of the observation batch, in the order of packets."""
        row: cython.Py_ssize_t
        if batch.cleared != self._batch_number:
            # The numbers now belong to other texts.
            self.flush()
            self._matches.clear()
            self._batch_number = batch.cleared
        for row in range(start, stop):
            name = batch.words[row * columns.WORDS + columns.WORD_NAME]
            if name not in self._matches:
                self._matches[name] = self._judge.contacted(batch.text(name))
            match = self._matches[name]
            if match is not None:
                self._add(batch, row, match)

    def add_late(self, observation: Observation) -> Contact | None:
        """The contact of an observation that comes before others already taken; None if no ban
        applies."""
        group: Group | None = self._late_group(observation)
        if group is None:
            return None
        if group.shared:
            self._judge.count_shared(group.contact, group.shared)
        if group.reason:
            self._without_verdict[group.reason] += 1
            self._note_sender(group)
            return None
        return group.contact

    def _late_group(self, observation: Observation) -> Group | None:
        """The group of a single such observation; None if no rule matches its name."""
        match = self._judge.contacted(observation.name)
        if match is None:
            return None
        binding = self._judge.binding_of(observation, late=True)
        shared = self._judge.shared_at(observation.client_ip, observation.vlan, observation.time)
        return self._judged(observation, match, binding, shared)

    def add_candidates(self, shown: Sequence[Observation], candidates: Candidates) -> None:
        """Take a hello that is for one of `candidates`, as an observation of each of them that a
        rule matches. It is a contact with the app of most of them. Under bans that treat all of
        them alike it is as certain as the weakest; under others it is `possible` at most, and
        nothing in its flow counts as the app's."""
        group: Group | None
        found: list[Contact] = []
        for observation in shown:
            group = self._late_group(observation)
            if group is not None and group.contact is not None:
                found.append(group.contact)
        apps = Counter(contact.match.app.id for contact in found)
        contacts = sorted(
            (contact for contact in found if contact.decision.rulings),
            key=lambda each: (
                -apps[each.match.app.id],
                each.match.app.id,
                CONFIDENCE_RANK[each.confidence or "possible"],
                each.match.app_only,
                each.observation.name,
            ),
        )
        if not contacts:
            for contact in found[:1]:
                self._without_verdict[contact.decision.clause] += 1
            return
        chosen, decision = contacts[0], contacts[0].decision
        alike = [
            ruling
            for ruling in decision.rulings
            if len(found) == len(candidates.names)
            and all(each.decision.kind_of(ruling.ban.id) == ruling.kind for each in found)
        ]
        weakest = min(
            (contact.confidence or "possible" for contact in found),
            key=CONFIDENCE_RANK.__getitem__,
        )
        others = [ruling for ruling in decision.rulings if ruling not in alike]
        for rulings, confidence, shared in ((alike, weakest, False), (others, POSSIBLE, True)):
            if rulings:
                self.shared_names += shared
                told = candidates._replace(shared=shared)
                contact = replace(
                    chosen,
                    decision=Decision.of(rulings, "", decision.since, decision.until),
                    confidence=confidence,
                    candidates=told,
                    limits=(candidate_limit(told, confidence),),
                )
                at = contact.observation
                self._judge.mark_reported(contact, at.time)
                self._collector.add(contact)
                if not shared:
                    place = Place(at.client_port, at.time, at.packet, at.mark)
                    self._contact_flows.add(contact, at.flow_id, place)

    def flush(self) -> None:
        """Pass on the contacts so far. The next ones begin other groups."""
        group: Group
        if not self._made:
            return
        made, self._made = self._made, []
        self._groups.clear()
        for group in made:
            if group.reason:
                self._without_verdict[group.reason] += group.count
                self._note_sender(group)
            else:
                self._collector.add(group.contacts())

    def _note_sender(self, group: Group) -> cython.void:
        """Pass on which client the MAC in the frame of a contact that no ban forbids sends packets
        for."""
        if group.contact is not None and group.contact.sender is not None:
            self._collector.add_sender(group.contact)

    def _add(self, batch: ObservationBatch, row: cython.Py_ssize_t, match: Match) -> cython.void:
        """Take a row whose name a rule matches."""
        group: Group | None
        at: cython.Py_ssize_t = row * columns.WORDS
        time: cython.longlong = batch.words[at + columns.WORD_TIME]
        if batch.words[at + columns.WORD_CLIENT_IP] == 0:
            self._without_verdict[NO_CLIENT] += 1
            return
        # One of the two numbers is 0.
        packet: cython.longlong = (
            batch.words[at + columns.WORD_PACKET] + batch.words[at + columns.WORD_LOG_LINE]
        )
        size: cython.Py_ssize_t = self._fill_key(batch, row)
        observation = binding = None
        key = bytes(self._key_octets[: 8 * size]) if size else b""
        group = self._groups.get(key)
        if group is not None and not (
            group.since <= time < group.until
            and group.last <= time <= group.last + self._contact_flows.quiet_gap
            and (time > group.first or packet >= group.packet)
        ):
            group = None
        shared = self._shared(batch, at, time)
        earlier = self._earlier(batch, at)
        if group is not None and (shared != group.shared or earlier != group.earlier):
            group = None
        if self._judge.knows_bindings:
            observation = batch.observation(row)
            binding = self._judge.binding_of(observation)
            if group is not None and binding != group.binding:
                group = None
        if group is None:
            if observation is None:
                observation = batch.observation(row)
            group = self._judged(observation, match, binding, shared, earlier)
            group.first, group.packet = time, packet
            self._made.append(group)
            if size:
                self._groups[key] = group
        group.count += 1
        group.last = time
        if shared:
            self._judge.count_shared(group.contact, shared)
        if group.reason:
            return
        self._count(batch, at, group)

    def _count(self, batch: ObservationBatch, at: cython.Py_ssize_t, group: Group) -> cython.void:
        """Count a row in a group to which a ban applies."""
        contact = group.contact
        assert contact is not None
        time = batch.words[at + columns.WORD_TIME]
        # A port that is not in the log is -1 in rows, and 0 in contacts.
        port = max(0, batch.words[at + columns.WORD_CLIENT_PORT])
        group.ports[port] = group.ports.get(port, 0) + 1
        self._judge.mark_reported(contact, time)
        if group.is_handshake:
            flow = batch.words[at + columns.WORD_FLOW]
            group.flows.add(flow)
            # One of the two numbers is 0.
            number = batch.words[at + columns.WORD_PACKET] + batch.words[at + columns.WORD_LOG_LINE]
            place = Place(port, time, number, batch.words[at + columns.WORD_MARK])
            self._contact_flows.add(contact, flow, place)

    def _shared(self, batch: ObservationBatch, at: cython.Py_ssize_t, time: cython.longlong) -> str:
        """Why the client of the row at `at` is not one device; empty if there is no such reason.
        What the row reveals about it is noted."""
        judge = self._judge
        ja4: cython.longlong = batch.words[at + columns.WORD_TLS_JA4]
        evidence: cython.longlong = batch.words[at + columns.WORD_EVIDENCE]
        asks_host: cython.bint = evidence == columns.EVIDENCE_HTTP_HOST or evidence == _SOCKS_HOST
        if not (ja4 or asks_host or judge.knows_shared):
            return ""
        vlan = batch.words[at + columns.WORD_VLAN]
        client = batch.packed(batch.words[at + columns.WORD_CLIENT_IP])
        if asks_host and batch.words[at + columns.WORD_SERVER_IP]:
            server = batch.packed(batch.words[at + columns.WORD_SERVER_IP])
            judge.note_request(server, None if vlan < 0 else vlan, time)
        found: str = judge.shared_at(
            client, None if vlan < 0 else vlan, time, batch.text(ja4) if ja4 else ""
        )
        return found

    def _earlier(self, batch: ObservationBatch, at: cython.Py_ssize_t) -> str:
        """The other name that a hello showed before in the flow of the row at `at`; empty if there
        was none, and in a log."""
        evidence: cython.longlong = batch.words[at + columns.WORD_EVIDENCE]
        if batch.words[at + columns.WORD_LOG_FORMAT] or evidence not in (
            columns.EVIDENCE_TLS_SNI,
            columns.EVIDENCE_QUIC_SNI,
            _DTLS_SNI,
        ):
            return ""
        name: str = batch.text(batch.words[at + columns.WORD_NAME])
        # The name that a flow has shown first, when, and the client's port.
        flow: cython.longlong = batch.words[at + columns.WORD_FLOW]
        time: cython.longlong = batch.words[at + columns.WORD_TIME]
        port: cython.longlong = batch.words[at + columns.WORD_CLIENT_PORT]
        known = self._names.get(flow)
        if known is not None and known[2] == port:
            since: cython.longlong = known[1]
            is_stream: cython.bint = batch.words[at + columns.WORD_TRANSPORT] == _TCP
            if is_stream or time <= since + DATAGRAM_WINDOW:
                first: str = known[0]
                return "" if first == name else first
        if known is None and len(self._names) >= FLOW_LIMIT:
            self._names.popitem(last=False)
            self.names_evicted += 1
        self._names[flow] = name, time, port
        return ""

    def _judged(
        self,
        observation: Observation,
        match: Match,
        binding: Binding | None,
        shared: str,
        earlier: str = "",
    ) -> Group:
        """The group that begins with an observation."""
        judge = self._judge
        client = judge.client_of(observation, binding, shared)
        if client.network is None:
            reason = judge.why_outside(observation)
            return Group(None, reason, binding, shared, earlier=earlier)
        contact = judge.contact(observation, match, client, earlier)
        reason = "" if contact.decision.rulings else contact.decision.clause
        if reason and contact.device.device_class == "unknown" and contact.device.reason:
            reason = f"{reason}: {contact.device.reason}"
        group = Group(contact, reason, binding, shared, earlier=earlier)
        group.since, group.until = max(group.since, client.since), min(group.until, client.until)
        return group

    def _fill_key(self, batch: ObservationBatch, row: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Write the words of a row that affect the decision into the key. Returns their number, 0
        if the row equals no other."""
        key = self._key
        words = batch.words
        at: cython.Py_ssize_t = row * columns.WORDS
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t
        addresses: cython.longlong = words[at + columns.WORD_DNS_ANSWERS]
        count: cython.Py_ssize_t = addresses & columns.LIST_MASK
        if count > MAX_ADDRESSES or batch.frames:
            return 0
        key[0] = words[at + columns.WORD_TIME] // _MINUTE
        key[1] = words[at + columns.WORD_TIME_DIGITS]
        key[2] = words[at + columns.WORD_EVIDENCE]
        key[3] = words[at + columns.WORD_NAME]
        key[4] = words[at + columns.WORD_CLIENT_IP]
        key[5] = words[at + columns.WORD_CLIENT_MAC]
        key[6] = words[at + columns.WORD_SERVER_IP]
        key[7] = words[at + columns.WORD_SERVER_PORT]
        key[8] = words[at + columns.WORD_TRANSPORT]
        key[9] = words[at + columns.WORD_VLAN]
        key[10] = words[at + columns.WORD_SOURCE]
        key[11] = words[at + columns.WORD_DNS_RCODE]
        key[12] = words[at + columns.WORD_LOG_FORMAT]
        key[13] = words[at + columns.WORD_LOG_LACKS]
        key[14] = words[at + columns.WORD_LOG_OUTCOME]
        key[15] = words[at + columns.WORD_LOG_BLOCKED_BY]
        key[16] = words[at + columns.WORD_DNS_ASKED]
        key[17] = words[at + columns.WORD_MARK] >> _CHECKSUM & 3
        key[18] = words[at + columns.WORD_TLS_JA4]
        start = addresses >> columns.LIST_SHIFT
        for i in range(count):
            key[KEY_WORDS + i] = batch.lists[start + 2 * i]
        return KEY_WORDS + count
