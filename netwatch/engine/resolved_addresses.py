"""Addresses that clients resolved names of interest to, to identify flows without a name.

A flow that shows no name may go to an address that its client got in a DNS answer. That is the
weakest evidence: many names may share the address. Another name that the client resolved to the
same address takes the evidence away, whichever was resolved first; answers for uninteresting
names are remembered by the packet loop. Tables are bounded by number and age, in packet time.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from netwatch.core.addresses import parse_ip
from netwatch.core.flow import DNS_TTL_GRACE, Flow
from netwatch.core.frame import Frame
from netwatch.core.message import Message
from netwatch.core.observation import Observation

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

        `matched` is the id of the app that it is for and the name that a rule matched. Where it
        is None, no rule matches; such an answer matters only where it has an address that was
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
            each.app is None and each.observation.time <= time <= each.until
            for each in self._answers.get((client, address), ())
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

        None where no answer was in use when the flow began, or where the client had the address
        for another app or name as well. `is_same_device` says whether the client of the flow
        is the device that got an answer.
        """
        if flow.name_status in SELF_EXPLAINING:
            return None
        answers = self._answers.get((flow.client_ip, flow.server_ip), ())
        in_use = [
            each
            for each in answers
            if each.observation.time <= flow.first <= each.until
            and is_same_device(each.observation, flow)
        ]
        if not in_use or in_use[0].app is None:
            return None
        if len(in_use) > 1 or self._uninteresting.answered(
            flow.client_ip, flow.server_ip, flow.first
        ):
            self.shared += 1
            return None
        answer = in_use[0].observation
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
            frames=(*answer.frames, *flow.frames) if answer.frames and flow.frames else (),
        )


def _size(observation: Observation) -> int:
    return sum(len(frame.data) for frame in observation.frames)


def _total_size(answers: list[_Answer]) -> int:
    return sum(_size(answer.observation) for answer in answers)
