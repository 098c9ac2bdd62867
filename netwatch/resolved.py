"""Addresses that devices resolved for names of interest, to know a flow by later.

A flow that shows no name may go to an address that its device had asked for under one.
That is the weakest evidence: the address may serve many names, and a name that the
device resolved to it as well takes the evidence away. Bounded by number and age; time is
packet time.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from netwatch.model import Flow, Message, Observation

GRACE = 300_000_000_000
"""How long after its TTL an answer may still be in use, ns: caches keep a floor."""

LIMIT = 65536
"""Addresses of devices that are remembered; the oldest go first."""

FRAME_BYTES = 16 << 20
"""Bytes of answers' packets that are kept as proof; answers beyond are remembered without."""

READABLE = frozenset({"named", "encrypted-dns", "vpn", "relay", "tor"})
"""Outcomes of flows that say themselves what they are."""


@dataclass(frozen=True, slots=True)
class _Answer:
    observation: Observation
    app: str | None
    until: int


class Resolved:
    """What the devices of one capture resolved.

    `shared` counts flows whose address another app or name had as well, `dropped` what
    was forgotten because there was too much.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._answers: OrderedDict[tuple[bytes, bytes], list[_Answer]] = OrderedDict()
        self._watched: set[bytes] = set()
        self._bytes = 0
        self.shared = 0
        self.dropped = 0

    def remember(self, observation: Observation, answered: tuple[str, str] | None) -> list[bytes]:
        """Take an answer for a name of an app: `answered` is the app's id and that name,
        None for an answer that is no app's but may have an address that one was answered
        with. Its addresses, packed."""
        taken: list[bytes] = []
        app, name = answered or (None, observation.name)
        seen = replace(observation, name=name)
        if self._bytes >= FRAME_BYTES:
            seen = replace(seen, frames=())
        for text, ttl in observation.dns.answers if observation.dns else ():
            address = ip_address(text).packed
            if app is None and address not in self._watched:
                continue
            key = observation.client_ip, address
            until = observation.time + ttl * 1_000_000_000 + GRACE
            answers = self._answers.setdefault(key, [])
            self._answers.move_to_end(key)
            for at, each in enumerate(answers):
                if each.app == app and observation.time <= each.until:
                    # Asked again while the answer was in use: one time, from the first on.
                    answers[at] = _Answer(each.observation, app, max(until, each.until))
                    break
            else:
                self._bytes += _size(seen) - sum(_size(old.observation) for old in answers[:-7])
                answers[:] = [*answers[-7:], _Answer(seen, app, until)]
            self._watched.add(address)
            taken.append(address)
        while len(self._answers) > self._limit:
            _, gone = self._answers.popitem(last=False)
            self._bytes -= sum(_size(old.observation) for old in gone)
            self.dropped += 1
        if len(self._watched) > 4 * self._limit:
            self._watched = {address for _, address in self._answers}
        return taken

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def watched(self) -> frozenset[bytes]:
        """The addresses that were resolved for an app, by whatever device, packed."""
        return frozenset(self._watched)

    def watches(self, address: bytes) -> bool:
        """Whether a packed address was resolved for an app."""
        return address in self._watched

    def concerns(self, message: Message) -> bool:
        """Whether an answer has an address that was resolved for an app."""
        answers = message.dns.answers if message.dns and self._watched else ()
        return any(ip_address(text).packed in self._watched for text, _ in answers)

    def known(
        self,
        flow: Flow,
        stayed: Callable[[Observation, Flow], bool] = lambda answer, flow: True,
    ) -> Observation | None:
        """What a flow without a readable name is known by, None where nothing is, or where
        another app or name had the address at that time. `stayed` says whether the client's
        address was still with the device that had got an answer."""
        if flow.outcome in READABLE:
            return None
        answers = self._answers.get((flow.client_ip, flow.server_ip), ())
        live = [
            one
            for one in answers
            if one.observation.time <= flow.first <= one.until and stayed(one.observation, flow)
        ]
        if len(live) != 1 or live[0].app is None:
            self.shared += len(live) > 1
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
