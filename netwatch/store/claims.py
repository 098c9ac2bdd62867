"""A claim about an address as JSON, the content of the column ``claim``, and the claims of a store
as they were read from packets, those that are sealed as far as a key reads them.

A record has what `netwatch.inventory.learned` uses of the packet and of the claim, so that devices
can be learned again from stored claims. Its keys are from `netwatch.core.message.AddressClaim`,
with addresses as text (a packet that is not IP has none) and other bytes in hexadecimal, and from
`netwatch.core.message.Packet`; `address` is the first address of the claim. Default values are left
out, and so is the number of the flow, which could reveal its ends.
"""

import json
from typing import TYPE_CHECKING, Any

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.message import AddressClaim, Packet
from netwatch.privacy import is_sealed

if TYPE_CHECKING:
    import pyarrow as pa
from collections.abc import Iterator
from dataclasses import dataclass

from netwatch.privacy import SealedError, Sealing
from netwatch.store.fact_tables import FactRemoval


def encode_claim(packet: Packet, claim: AddressClaim) -> bytes:
    """A claim of the message in a packet."""
    addresses = claim.addresses or (packet.src,)
    record: dict[str, Any] = {
        "address": _text(addresses[0]),
        "mac": mac_text(claim.mac) if claim.mac is not None else None,
        "hostname": claim.hostname,
        "addresses": [_text(address) for address in claim.addresses],
        "on_link": claim.on_link,
        "lifetime": claim.lifetime,
        "transaction_id": claim.transaction_id.hex(),
        "client_id": claim.client_id.hex(),
        "server_id": claim.server_id.hex(),
        "renewal": claim.renewal,
        "is_router": claim.is_router,
        "transport": packet.transport,
        "src": _text(packet.src),
        "sport": packet.sport,
        "dst": _text(packet.dst),
        "dport": packet.dport,
        "src_mac": mac_text(packet.src_mac) if packet.src_mac is not None else None,
        "dst_mac": mac_text(packet.dst_mac) if packet.dst_mac is not None else None,
        "time_digits": packet.time_digits,
    }
    found = {key: value for key, value in record.items() if value not in (None, "", [], False)}
    return json.dumps(found, separators=(",", ":")).encode()


def decode_claim(
    text: bytes, *, kind: Any, time: int, vlan: int | None, source: str, packet: int
) -> tuple[Packet, AddressClaim]:
    """The packet and the claim given to `encode_claim`, from its text and the other columns of the
    row. Raises `ValueError` and `KeyError` if the text is not a claim."""
    record = json.loads(text)
    found = Packet(
        source=source,
        number=packet,
        time=time,
        time_digits=record["time_digits"],
        transport=record["transport"],
        src=_address(record.get("src", "")),
        sport=record.get("sport", 0),
        dst=_address(record.get("dst", "")),
        dport=record.get("dport", 0),
        src_mac=_mac(record.get("src_mac")),
        dst_mac=_mac(record.get("dst_mac")),
        vlan=vlan,
        flow_id=0,
    )
    claim = AddressClaim(
        kind,
        tuple(_address(address) for address in record.get("addresses", ())),
        _mac(record.get("mac")),
        record.get("on_link", False),
        record.get("hostname", ""),
        record.get("lifetime"),
        bytes.fromhex(record.get("transaction_id", "")),
        bytes.fromhex(record.get("client_id", "")),
        bytes.fromhex(record.get("server_id", "")),
        record.get("renewal", False),
        record.get("is_router", False),
    )
    return found, claim


def without_flows(rows: "pa.Table") -> "pa.Table":
    """Claims of an older netwatch, without their flow numbers. Sealed ones are unchanged, since
    their numbers cannot be seen."""
    import pyarrow as pa

    at = rows.schema.get_field_index("claim")
    found = rows.column(at).to_pylist()
    kept = list(map(_without_flow, found))
    if kept == found:
        return rows
    return rows.set_column(at, rows.schema.field(at), pa.array(kept, pa.binary()))


def _without_flow(claim: bytes) -> bytes:
    if b'"flow_id"' not in claim or is_sealed(claim):
        return claim
    try:
        record = json.loads(claim)
    except ValueError:
        return claim  # Not a claim that this netwatch can read.
    if not isinstance(record, dict) or "flow_id" not in record:
        return claim
    del record["flow_id"]
    return json.dumps(record, separators=(",", ":")).encode()


def _text(address: bytes) -> str:
    return ip_text(address) if address else ""


def _address(text: str) -> bytes:
    if not text:
        return b""
    packed = parse_ip(text)
    if packed is None:
        raise ValueError(f"{text!r} is not an address")
    return packed


def _mac(text: str | None) -> bytes | None:
    return None if text is None else parse_mac(text)


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """The user of `addresses` at a time (ns), according to a claim. `mac` and `hostname` are empty
    if the claim has none."""

    time: int
    mac: str
    hostname: str
    addresses: tuple[str, ...]


def claim_record(claim: bytes, sealing: Sealing | None) -> dict[str, Any]:
    """The JSON of the column ``claim``; empty if no key reads it, and if it is none."""
    try:
        if is_sealed(claim):
            if sealing is None:
                return {}
            claim = sealing.unseal_claim(claim)
        record = json.loads(claim)
    except (SealedError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def stored_claims(facts: FactRemoval, sealing: Sealing | None) -> Iterator[StoredClaim]:
    """All readable claims. Raises `NetwatchError`."""
    for file in facts.catalogue.files("claim"):
        table = facts.read(file, ["time", "claim"])
        for time, claim in zip(*(column.to_pylist() for column in table.columns), strict=True):
            record = claim_record(claim, sealing)
            addresses = record.get("addresses") or [record.get("address")]
            yield StoredClaim(
                time,
                record.get("mac") or "",
                record.get("hostname") or "",
                tuple(address for address in addresses if address),
            )
