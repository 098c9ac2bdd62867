"""A row of the kernel as a packet: whose it is, with its bytes cut out of the block."""

from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.model import Frame, Packet

Row = tuple[int, ...]
"""The integers of `netwatch.dissect.kernel.COLUMNS`."""


def packet_of(row: Row, block: Block, source: str) -> Packet:
    """The packet that a row of `block` tells of; its bytes are copied."""
    (_, record, _, _, _, sport, dport, addr, size, src_mac, dst_mac, vlan, _, flow, _, proto) = row
    data = block.data
    at = record * FIELDS
    return Packet(
        source=source,
        number=block.first + record,
        time=block.records[at + TIME],
        digits=block.interfaces[block.records[at + 4]].digits,
        transport="tcp" if proto == 6 else "udp",
        src=bytes(data[addr : addr + size]),
        sport=sport,
        dst=bytes(data[addr + size : addr + 2 * size]),
        dport=dport,
        src_mac=bytes(data[src_mac : src_mac + 6]) if src_mac >= 0 else None,
        dst_mac=bytes(data[dst_mac : dst_mac + 6]) if dst_mac >= 0 else None,
        vlan=vlan if vlan >= 0 else None,
        flow=flow,
    )


def frame_of(record: int, block: Block, source: str) -> Frame:
    """A record of `block` as it was captured; its bytes are copied."""
    at = record * FIELDS
    time, offset, captured, wire, interface, tag = block.records[at : at + FIELDS]
    on = block.interfaces[interface]
    return Frame(
        source=source,
        number=block.first + record,
        time=time,
        digits=on.digits,
        link_type=on.link_type,
        interface=on.name or "",
        wire=wire,
        tag=tag,
        data=bytes(block.data[offset : offset + captured]),
    )
