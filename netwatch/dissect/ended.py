"""Flows that are over: the flow table's words as values."""

from collections.abc import Iterator, Sequence

from netwatch.dissect.flows import FIELDS
from netwatch.model import OUTCOMES, Flow

TOLD = 7
"""The word with the generation of a flow in its low byte, and above it the outcome."""

_IPV6, _CLIENT, _CLIENT_1, _STARTED = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_WAITING = 2


def ended(words: list[int], sources: Sequence[str]) -> Iterator[Flow]:
    """The flows in what `Flows.take` gave, in its order; `sources` by their number."""
    for slot in zip(*[iter(words)] * FIELDS, strict=True):
        last, states, outcome, first, ports, about = *slot[1:2], *slot[6:9], *slot[17:19]
        if 53 in (ports >> 16, ports & 0xFFFF):
            continue  # lookups over TCP, which are no flow as those over UDP are none
        words_of = 4 if about & _IPV6 else 1
        ends = (
            (_address(slot[9 : 9 + words_of]), ports >> 16, slot[4]),
            (_address(slot[13 : 13 + words_of]), ports & 0xFFFF, slot[5]),
        )
        macs = [word.to_bytes(7)[1:] if word else None for word in slot[20:22]]
        side = about & _CLIENT_1 if about & _CLIENT else ends[0][1] < ends[1][1]
        (client_ip, client_port, out), (server_ip, server_port, in_) = (
            (ends[1], ends[0]) if side else ends
        )
        yield Flow(
            first=first,
            last=last,
            transport="tcp" if about & 255 == 6 else "udp",
            client_ip=client_ip,
            client_port=client_port,
            server_ip=server_ip,
            server_port=server_port,
            vlan=(about >> 16) - 1 if about >> 16 else None,
            bytes_out=out,
            bytes_in=in_,
            outcome=OUTCOMES[outcome >> 8],
            opened=bool(about & _STARTED),
            waiting=_WAITING in (states & 7, (states >> 8) & 7),
            client_mac=macs[1] if side else macs[0],
            source=sources[slot[19] >> 40],
            packet=slot[19] & 0xFFFFFFFFFF,
        )


def _address(words: tuple[int, ...]) -> bytes:
    return b"".join([word.to_bytes(4) for word in words])
