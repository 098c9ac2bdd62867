"""How evidence was seen: whether the server took part, which directions, and the checksum; what
speaks against a contact; and what a log says beside what packets show.

A packet says this of itself alone only in part. Its mark (`netwatch.dissect.loop.seen_marks`) is
kept with the observation until it is known what its flow came to, and what of it the server
acknowledged.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, get_args

from netwatch.core.flow import CONTESTED, FlowProgress

Directions = Literal["both", "client", "server"]
"""Which sides of a conversation were seen."""

Checksum = Literal["right", "unknown", "wrong"]
"""What the checksum of the packet with the name is: ``unknown`` where bytes of it were cut off,
where it has none, where those of its whole direction are wrong, and in a log."""

CHECKSUMS: tuple[Checksum, ...] = ("unknown", "right", "wrong")
"""What a checksum is, by its number in a mark."""

IN_FLIGHT = 65_536
"""How much more a server may acknowledge than was seen of its client, bytes: what the capture may
have lost."""

CHECKSUM_PLACE = 32
PLACED = 1 << 34
PLACES = 0xFFFFFFFF
"""In a mark: where the number of the checksum is, the bit of those that have a place, and the bits
of that."""

ContradictionType = Literal[
    "mac-not-bound",
    "address-claimed-twice",
    "two-names",
    "overlap",
    "sensor-network",
    "sensor-device",
]
"""What speaks against a contact: the MAC in the frame is not that of the device, two MACs claim its
address, its connection showed another name as well, bytes that overlap differ, or a sensor speaks
of a network or a device that is not its own."""

CONTRADICTION_TYPES: tuple[ContradictionType, ...] = get_args(ContradictionType)
"""All of them, in the order in which alerts have them."""

PACKETS = "packets"
"""The origin of what was read from captures and interfaces."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How a piece of evidence was seen. `server` says whether the server took part: it answered, or
    acknowledged what the client had sent; in a log, whether its program served the client, or says
    that a server did."""

    server: bool
    directions: Directions
    checksum: Checksum

    @property
    def proves_contact(self) -> bool:
        """Whether both ends took part in what was seen, as far as one can tell."""
        return self.server and self.checksum != "wrong"

    @property
    def rank(self) -> int:
        """Smaller where more was seen."""
        return _RANKS[self]


RANKED: tuple[Seen, ...] = tuple(
    Seen(server, directions, checksum)
    for server, checksum, directions in product(
        (True, False), get_args(Checksum), get_args(Directions)
    )
)
"""All there are, the best first."""

_RANKS = {seen: rank for rank, seen in enumerate(RANKED)}

UNSEEN = Seen(False, "client", "unknown")
"""A packet of the client alone, of which nothing else is known."""


def mark(place: int, checksum: Checksum) -> int:
    """The mark of a packet at this place in what its side sends."""
    return place | CHECKSUMS.index(checksum) << CHECKSUM_PLACE | PLACED


def place_of(mark: int) -> int | None:
    """The place of a packet by its mark; None where it has none."""
    return mark & PLACES if mark & PLACED else None


def checksum_of(mark: int) -> Checksum:
    """What the checksum of a packet is, by its mark."""
    return CHECKSUMS[min(mark >> CHECKSUM_PLACE & 3, 2)]


def seen_in_flow(mark: int, transport: str, flow: FlowProgress) -> Seen:
    """How a packet with this mark was seen, which a client has sent in a flow.

    A server has acknowledged a segment with a number that is not before it, nor behind what the
    client has sent. A datagram is answered where the flow table says that this one was.
    """
    checksum = checksum_of(mark)
    if checksum == "wrong" and flow.checksums == "wrong":
        # So are those of the others: the card computes them after the capture.
        checksum = "unknown"
    place, acked = place_of(mark), flow.acknowledged
    if place is None:
        # A store of an older version has neither.
        server = flow.server_sent in ("payload", "headers")
    elif acked is None or acked == CONTESTED:
        server = False
    elif transport == "udp":
        server = acked == place
    else:
        server = (acked - place) & PLACES <= flow.bytes_out + IN_FLIGHT
    return Seen(server, "client" if flow.server_sent == "nothing" else "both", checksum)


@dataclass(frozen=True, slots=True, order=True)
class Contradiction:
    """Something that speaks against a contact, as a sentence.

    `sender` is the MAC in its frames where there is nothing to explain if that belongs to a router;
    a pseudonym of it where the device has one. Otherwise it is empty.
    """

    type: ContradictionType
    text: str
    sender: str = ""


class Sender(NamedTuple):
    """Whose packets a MAC sends: the MAC, or a pseudonym of it, and the client."""

    mac: str
    client: str


@dataclass(frozen=True, slots=True)
class LogInfo:
    """The log of an observation that comes from one.

    `lacks` are words of `netwatch.logs.records.Lack`, in the order of that table. `outcome` is what
    the log itself says came of the contact (a word of `netwatch.core.verdict.Outcome`), empty where
    it says nothing, and `blocked_by` its own word for what denied it.
    """

    format: str
    lacks: tuple[str, ...] = ()
    outcome: str = ""
    blocked_by: str = ""


def origin_of(log: "LogInfo | None") -> str:
    """Who has seen a contact: `PACKETS`, or the program whose log shows it, which is the name of
    the format up to the first hyphen (``zeek-tsv`` and ``zeek-json`` are both of ``zeek``). What
    two origins show may be the same contact twice."""
    return PACKETS if log is None else log.format.partition("-")[0]
