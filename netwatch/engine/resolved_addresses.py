"""Addresses that devices resolved for names of interest, to know a flow by later.

A flow that shows no name may go to an address that its device had asked for under one.
That is the weakest evidence: the address may serve many names, and a name that the
device resolved to it as well takes the evidence away, whichever was resolved first; those of
no interest are remembered in the packet loop. Bounded by number and age; time is packet time.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from netwatch.core.addresses import parse_ip
from netwatch.core.flow import DNS_TTL_GRACE, Flow
from netwatch.core.frame import Frame
from netwatch.core.message import Message
from netwatch.core.observation import Observation

LIMIT = 65536
"""Addresses of devices that are remembered; the oldest go first."""

FRAME_BYTES = 16 << 20
"""Bytes of answers' packets that are kept as proof; answers beyond are remembered without."""

LATER_FRAMES = 7
"""Packets of later answers that are kept beside the first one, while that is in use."""

READABLE = frozenset({"named", "encrypted-dns", "vpn", "relay", "tor"})
"""Outcomes of flows that say themselves what they are."""


@dataclass(frozen=True, slots=True)
class _Answer:
    observation: Observation
    app: str | None
    until: int


Idle = Callable[[bytes, bytes, int], bool]
"""Whether a client had an address for a name of no interest at a time, ns."""


Note = Callable[[bytes, bytes, int, int], None]
"""Is told of a client and an address that it has for such a name, from when until when."""


class Resolved:
    """What the devices of one capture resolved, beside what `idle` says and `note` is told:
    a client, an address that it has for a name of no interest, and from when until when.

    `shared` counts flows whose address another app or name had as well, `dropped` what
    was forgotten because there was too much.
    """

    def __init__(
        self,
        idle: Idle = lambda client, address, time: False,
        note: Note = lambda client, address, time, until: None,
        limit: int = LIMIT,
    ) -> None:
        self._idle = idle
        self._note = note
        self._limit = limit
        self._answers: OrderedDict[tuple[bytes, bytes], list[_Answer]] = OrderedDict()
        self._watched: set[bytes] = set()
        self._bytes = 0
        self.shared = 0
        self.dropped = 0

    def remember(self, observation: Observation, answered: tuple[str, str] | None) -> None:
        """Take an answer: `answered` is the app's id and the name that says so, None where it
        is no app's, but has an address that one was or may yet be answered with."""
        app, name = answered or (None, observation.name)
        seen = observation
        if name != seen.name:
            seen = replace(seen, name=name)
        if seen.frames and (app is None or self._bytes >= FRAME_BYTES):
            seen = replace(seen, frames=())
        for text, ttl in observation.dns.answers if observation.dns else ():
            address = parse_ip(text)
            assert address is not None
            key = observation.client_ip, address
            until = observation.time + ttl * 1_000_000_000 + DNS_TTL_GRACE
            if app is None and address not in self._watched:
                self._note(*key, observation.time, until)
                continue
            answers = self._answers.setdefault(key, [])
            self._answers.move_to_end(key)
            for at, each in enumerate(answers):
                if each.app == app and observation.time <= each.until:
                    # Asked again while the answer was in use: one time, from the first on.
                    first = self._proven(each.observation, seen.frames)
                    answers[at] = _Answer(first, app, max(until, each.until))
                    break
            else:
                self._bytes += _size(seen) - sum(_size(old.observation) for old in answers[:-7])
                answers[:] = [*answers[-7:], _Answer(seen, app, until)]
            self._watched.add(address)
        while len(self._answers) > self._limit:
            _, gone = self._answers.popitem(last=False)
            self._bytes -= sum(_size(old.observation) for old in gone)
            self.dropped += 1
        if len(self._watched) > 4 * self._limit:
            self._watched = {address for _, address in self._answers}

    def _proven(self, first: Observation, frames: tuple[Frame, ...]) -> Observation:
        """An answer with the packets of a later one, which it takes to prove that it was in
        use still; of many later ones the last."""
        known = first.frames
        if not known or not frames:
            return first
        proven = replace(first, frames=(*known[:1], *(*known[1:], *frames)[-LATER_FRAMES:]))
        self._bytes += _size(proven) - _size(first)
        return proven

    def watches(self, address: bytes) -> bool:
        """Whether a packed address was resolved for an app."""
        return address in self._watched

    def __len__(self) -> int:
        return len(self._answers)

    @staticmethod
    def concerns(message: Message) -> bool:
        """Whether a message is an answer with addresses."""
        return message.dns is not None and bool(message.dns.answers)

    def known(
        self,
        flow: Flow,
        stayed: Callable[[Observation, Flow], bool] = lambda answer, flow: True,
    ) -> Observation | None:
        """What a flow without a readable name is known by, None where nothing is, or where
        another app or name had the address at that time. `stayed` says whether the client's
        address was still with the device that had got an answer."""
        if flow.name_status in READABLE:
            return None
        answers = self._answers.get((flow.client_ip, flow.server_ip), ())
        live = [
            one
            for one in answers
            if one.observation.time <= flow.first <= one.until and stayed(one.observation, flow)
        ]
        if not live or live[0].app is None:
            return None
        if len(live) > 1 or self._idle(flow.client_ip, flow.server_ip, flow.first):
            self.shared += 1
            return None
        answer = live[0].observation
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
