"""What clients had been told in DNS answers, to identify flows that show no name, or none that is
the real one.

A flow that shows no name may go to an address that its client got in a DNS answer. That is the
weakest evidence: many names may share the address. Another name that the client resolved to the
same address takes the evidence away, whichever was resolved first; answers for uninteresting names
are remembered by the packet loop.

A client that encrypts the name shows the public name and the config_id of a configuration that it
was given in a DNS answer for the real name, and goes to an address of that name. So the real name
is one of those for which it was given such a configuration, and that have the address of the
server. Of names that a rule matches all addresses are known; of others, that the client had any,
and which addresses it had for any of them: a name counts as one that fits then, so that there are
rather too many than too few. Tables are bounded by number and age, in packet time.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.flow import DNS_TTL_GRACE, Flow, Frame, LogInfo
from netwatch.core.message import DnsInfo, Message, Observation
from netwatch.core.protocol_numbers import ECH_PUBLIC_NAMES, EchConfig

LIMIT = 65536
"""Pairs of a client and an address that are remembered; the least recent is evicted first."""

MAX_FRAME_BYTES = 16 << 20
"""Bytes of captured frames that are kept with answers; further answers are kept without."""

MAX_ANSWERS = 8
"""Answers of different apps or times that are remembered of one client and address."""

MAX_RENEWAL_FRAMES = 7
"""Frames of later answers that are kept beside those of the first, while it is in use."""

SELF_EXPLAINING = frozenset({"named", "encrypted-dns", "vpn", "relay", "tor"})
"""Name statuses of flows that need no resolved address."""

ECH_LIMIT = 65536
"""Configurations of clients, and names of clients with their addresses, that are remembered; the
least recent is evicted first."""

MAX_NAMES = 64
"""Names that are remembered of one client and configuration. If there are more, none is a
candidate."""

ECH_ANSWERS = 16
"""Answers whose addresses are remembered of one client and name, the latest."""

_SECOND = 1_000_000_000


class UninterestingAddresses(Protocol):
    """Remembers addresses that clients resolved uninteresting names to."""

    def answered(self, client: bytes, address: bytes, time: int) -> bool:
        """Whether a client had an address for such a name at a time, in ns since the epoch."""
        ...

    def remember(self, client: bytes, address: bytes, time: int, until: int) -> None:
        """Remember that a client had an address for such a name from one time to another."""
        ...

    def asked(self, client: bytes, name: str, time: int) -> bool:
        """Whether a client had an address for such a name at a time, in ns since the epoch."""
        ...

    def remember_name(self, client: bytes, name: str, time: int, until: int) -> None:
        """Remember that a client had an address for such a name from one time to another."""
        ...


class KnownPairs(Protocol):
    """Says of which clients and servers flows are needed one by one."""

    def add(self, client: bytes, server: bytes) -> None:
        """Need the flows of a client to a server, by packed addresses."""
        ...

    def discard(self, client: bytes, server: bytes) -> None:
        """Need them no more: once for each call of `add`."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer for a name of `app`; None is a name that no rule matches. `until` is when it
    is no longer in use, in ns since the epoch."""

    observation: Observation
    app: str | None
    until: int


class ResolvedAddresses:
    """The addresses that the clients of one capture resolved. Their pairs are kept in `pairs`.

    `shared` counts flows whose address the client had for another app or name as well,
    `evicted` the pairs of client and address that did not fit into the table.
    """

    def __init__(
        self, uninteresting: UninterestingAddresses, pairs: KnownPairs, limit: int = LIMIT
    ) -> None:
        self._uninteresting = uninteresting
        self._pairs = pairs
        self._limit = limit
        self._answers: OrderedDict[tuple[bytes, bytes], list[_Answer]] = OrderedDict()
        self._addresses: set[bytes] = set()
        self._frame_bytes = 0
        self.shared = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, answer: Observation, matched: tuple[str, str] | None) -> None:
        """Remember the addresses of a DNS answer.

        `matched` is the id of the app that it is for and the name that a rule matched. If it
        is None, no rule matches; such an answer matters only if it has an address that was
        resolved for an app before.
        """
        app, name = matched or (None, answer.name)
        observation = answer
        if name != observation.name:
            observation = replace(observation, name=name, asked=answer.name, raw="")
        if observation.frames and (app is None or self._frame_bytes >= MAX_FRAME_BYTES):
            observation = replace(observation, frames=())
        if app is None and answer.dns is not None and answer.dns.answers:
            longest = max(ttl for _, ttl in answer.dns.answers)
            until = answer.time + longest * 1_000_000_000 + DNS_TTL_GRACE
            self._uninteresting.remember_name(answer.client_ip, answer.name, answer.time, until)
        for text, ttl in answer.dns.answers if answer.dns else ():
            address = parse_ip(text)
            assert address is not None
            until = answer.time + ttl * 1_000_000_000 + DNS_TTL_GRACE
            if app is None and address not in self._addresses:
                self._uninteresting.remember(answer.client_ip, address, answer.time, until)
            else:
                self._remember((answer.client_ip, address), _Answer(observation, app, until))
        self._evict()

    def _remember(self, key: tuple[bytes, bytes], new: _Answer) -> None:
        """Add an answer for a client and an address, or prolong an answer that is in use."""
        answers = self._answers.get(key)
        if answers is None:
            answers = self._answers[key] = []
            self._pairs.add(*key)
        self._answers.move_to_end(key)
        self._addresses.add(key[1])
        for index, old in enumerate(answers):
            if old.app == new.app and new.observation.time <= old.until:
                # The client asked again while the answer was in use: this counts as one answer.
                first = self._with_renewal(old.observation, new.observation.frames)
                answers[index] = _Answer(first, old.app, max(new.until, old.until))
                return
        evicted = answers[: -(MAX_ANSWERS - 1)]
        self._frame_bytes += _size(new.observation) - _total_size(evicted)
        answers[:] = [*answers[-(MAX_ANSWERS - 1) :], new]

    def _with_renewal(self, first: Observation, frames: tuple[Frame, ...]) -> Observation:
        """The first answer with the frames of a later one, which prove that it was still in
        use. Of many later frames the last are kept."""
        known = first.frames
        if not known or not frames:
            return first
        later = (*known[1:], *frames)[-MAX_RENEWAL_FRAMES:]
        renewed = replace(first, frames=(*known[:1], *later))
        self._frame_bytes += _size(renewed) - _size(first)
        return renewed

    def _evict(self) -> None:
        while len(self._answers) > self._limit:
            key, evicted = self._answers.popitem(last=False)
            self._pairs.discard(*key)
            self._frame_bytes -= _total_size(evicted)
            self.evicted += 1
        if len(self._addresses) > 4 * self._limit:
            self._addresses = {address for _, address in self._answers}

    def is_of_interest(self, address: bytes) -> bool:
        """Whether a packed address was resolved for an app."""
        return address in self._addresses

    def had_other(self, client: bytes, address: bytes, time: int) -> bool:
        """Whether a client had this address for any name that no rule matches, at a time (ns)."""
        return self._uninteresting.answered(client, address, time) or any(
            answer.app is None and answer.observation.time <= time <= answer.until
            for answer in self._answers.get((client, address), ())
        )

    def had_name(self, client: bytes, name: str, time: int) -> bool:
        """Whether a client had an address for a name that no rule matches, at a time (ns)."""
        return self._uninteresting.asked(client, name, time)

    @staticmethod
    def has_addresses(message: Message) -> bool:
        """Whether a message is a DNS answer with addresses."""
        return message.dns is not None and bool(message.dns.answers)

    def identify(
        self,
        flow: Flow,
        is_same_device: Callable[[Observation, Flow], bool] = lambda answer, flow: True,
    ) -> Observation | None:
        """The name that a flow without one goes to, by its server's address.

        None if no answer was in use when the flow began, or where the client had the address
        for another app or name as well. `is_same_device` says whether the client of the flow
        is the device that got an answer.
        """
        if flow.name_status in SELF_EXPLAINING:
            return None
        answers = self._answers.get((flow.client_ip, flow.server_ip), ())
        in_use = [
            answer
            for answer in answers
            if answer.observation.time <= flow.first <= answer.until
            and is_same_device(answer.observation, flow)
        ]
        if not in_use or in_use[0].app is None:
            return None
        if len(in_use) > 1 or self._uninteresting.answered(
            flow.client_ip, flow.server_ip, flow.first
        ):
            self.shared += 1
            return None
        return observed(in_use[0].observation, flow)

    def frames_of(self, client: bytes, address: bytes, app: str, time: int) -> tuple[Frame, ...]:
        """The frames of an answer for an app that gave a client an address and was in use at a time
        (ns), if there are any."""
        for answer in self._answers.get((client, address), ()):
            if answer.app == app and answer.observation.time <= time <= answer.until:
                return answer.observation.frames
        return ()


def observed(answer: Observation, flow: Flow) -> Observation:
    """A flow to an address that an answer has named, as an observation of its name."""
    return replace(
        answer,
        time=flow.first,
        evidence="ip-from-dns",
        client_port=flow.client_port,
        server_ip=flow.server_ip,
        server_port=flow.server_port,
        transport=flow.transport,
        vlan=flow.vlan,
        source=flow.source,
        packet=flow.packet,
        log=_log_of(flow, answer),
        frames=(*answer.frames, *flow.frames) if answer.frames and flow.frames else (),
    )


def _log_of(flow: Flow, answer: Observation) -> LogInfo | None:
    """The log of a flow to an address that an answer has named: where these are two logs, what the
    one of the answer lacks is known of the flow."""
    if answer.log is None or flow.log == answer.log.format:
        return answer.log
    return LogInfo(flow.log, sampling=flow.sampling)


def _size(observation: Observation) -> int:
    return sum(len(frame.data) for frame in observation.frames)


def _total_size(answers: list[_Answer]) -> int:
    return sum(_size(answer.observation) for answer in answers)


_Addresses = tuple[int, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class GivenName:
    """A name with the answer that gave a configuration for it. `until` is when this is no longer in
    use, in ns since the epoch. It may lead to the addresses of `hosts`, and of `others`, which no
    rule matches."""

    answer: Observation
    until: int
    hosts: frozenset[str]
    others: frozenset[str]


@dataclass(slots=True)
class _Given:
    """The names that a client was given a configuration for. Up to the time `full_until` (ns) there
    were more. `shown` is the last hello that showed its public name and config_id, as its time (ns)
    and the port of the client."""

    names: dict[str, GivenName]
    full_until: int = -1
    shown: tuple[int, int | None] | None = None


class EchCandidates:
    """The configurations and addresses that the clients of one capture were given.

    `resolved` knows the names that no rule matches. `evicted` counts entries that did not fit into
    the tables, `crowded` hellos of which there were too many names, and `visited` those that may
    be GREASE.
    """

    def __init__(self, resolved: ResolvedAddresses, limit: int = ECH_LIMIT) -> None:
        self._resolved = resolved
        self._limit = limit
        self._given: OrderedDict[tuple[bytes, str, int], _Given] = OrderedDict()
        # The times of answers (ns), and their addresses as texts with their TTL (s).
        self._addresses: OrderedDict[tuple[bytes, str], list[_Addresses]] = OrderedDict()
        self.evicted = 0
        self.crowded = 0
        self.visited = 0

    def __len__(self) -> int:
        return len(self._given)

    @staticmethod
    def is_concerned(message: Message) -> bool:
        """Whether a message gives configurations, or is a hello with ECH."""
        if message.dns is not None:
            return bool(message.dns.ech_configs)
        return message.tls is not None and message.tls.ech_config_id is not None

    def add(
        self, answer: Observation, is_matched: bool, is_of_interest: Callable[[str], bool]
    ) -> None:
        """Remember what a DNS answer gave to its client. `is_of_interest` says of a name whether
        a rule matches it, `is_matched` whether one does the name asked for or an alias of it."""
        dns = answer.dns
        if dns is not None and dns.answers and (is_matched or dns.ech_configs):
            self._add_addresses((answer.client_ip, answer.name), (answer.time, dns.answers))
        if dns is not None and dns.ech_configs:
            self._add_configs(answer, dns, is_of_interest)

    def _add_configs(
        self, answer: Observation, dns: DnsInfo, is_of_interest: Callable[[str], bool]
    ) -> None:
        names = (answer.name, *dns.chain)
        # A name leads to its addresses by its aliases and the hosts of its service.
        hosts = frozenset((*names, *dns.service_targets))
        others = frozenset(host for host in hosts if not is_of_interest(host))
        for config in map(EchConfig.of, dns.ech_configs):
            until = answer.time + config.ttl * _SECOND + DNS_TTL_GRACE
            key = answer.client_ip, config.public_name, config.config_id
            given = self._given.setdefault(key, _Given({}))
            self._given.move_to_end(key)
            given.names = {
                name: host for name, host in given.names.items() if host.until >= answer.time
            }
            old = given.names.get(answer.name)
            if old is not None:
                given.names[answer.name] = GivenName(
                    old.answer, max(until, old.until), old.hosts | hosts, old.others | others
                )
            elif len(given.names) >= MAX_NAMES:
                given.full_until = max(given.full_until, until)
            else:
                given.names[answer.name] = GivenName(answer, until, hosts, others)
        while len(self._given) > self._limit:
            self._given.popitem(last=False)
            self.evicted += 1

    def names_of(
        self, hello: Observation, is_same_device: Callable[[Observation, int], bool]
    ) -> dict[str, Observation | None]:
        """The names that an outer hello can have, in order, each with the answer that led to it;
        none if nothing is known of its key. The name that it shows is among them, without an
        answer, where the hello may be GREASE: the client looked that name up (`is_visited`), or
        may have done so unseen, and its config_id matches for the first time. GREASE draws another
        one for each connection, of which one in 256 matches.
        `is_same_device` says whether the client of an answer still has its address at a time."""
        tls, time = hello.tls, hello.time
        if tls is None or tls.ech != "outer" or tls.ech_config_id is None:
            return {}
        given = self._given.get((hello.client_ip, hello.name, tls.ech_config_id))
        if given is None:
            return {}
        found: dict[str, Observation | None] = {
            name: host.answer
            for name, host in given.names.items()
            if host.answer.time <= time <= host.until
            and is_same_device(host.answer, time)
            and self._fits(host, hello)
        }
        if not found:
            return {}
        if time <= given.full_until:
            self.crowded += 1
            return {}
        before, given.shown = given.shown, (time, hello.client_port)
        if hello.name in ECH_PUBLIC_NAMES:
            return dict(sorted(found.items()))
        since = min(given.names[name].answer.time for name in found)
        is_proven = before is not None and before[0] >= since and before[1] != hello.client_port
        if not is_proven or self.is_visited(hello):
            found.setdefault(hello.name, None)
        return dict(sorted(found.items()))

    def _fits(self, given: GivenName, hello: Observation) -> bool:
        """Whether the server of a hello has an address that its client was given for a name."""
        client, time = hello.client_ip, hello.time
        if any(self._has(hello, host) for host in given.hosts):
            return True
        return self._resolved.had_other(client, hello.server_ip, time) and any(
            self._resolved.had_name(client, other, time) for other in given.others
        )

    def is_visited(self, hello: Observation) -> bool:
        """Whether the client has looked up the very name that a hello shows."""
        client, time = hello.client_ip, hello.time
        return self._has(hello, hello.name) or self._resolved.had_name(client, hello.name, time)

    def _has(self, hello: Observation, name: str) -> bool:
        server = ip_text(hello.server_ip)
        return any(
            text == server and hello.time <= time + ttl * _SECOND + DNS_TTL_GRACE
            for time, answers in self._addresses.get((hello.client_ip, name), ())
            for text, ttl in answers
        )

    def _add_addresses(self, key: tuple[bytes, str], addresses: _Addresses) -> None:
        known = self._addresses.pop(key, [])
        self._addresses[key] = [*known[1 - ECH_ANSWERS :], addresses]
        if len(self._addresses) > self._limit:
            self._addresses.popitem(last=False)
            self.evicted += 1
