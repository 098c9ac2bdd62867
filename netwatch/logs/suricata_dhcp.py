"""DHCP in EVE logs, as claims of addresses. The meaning is that of `netwatch.protocols.dhcp`; the
identifier of the server is not logged."""

from collections.abc import Iterator

from netwatch.core.message import AddressClaim, AddressClaimKind
from netwatch.core.names import normalise_name
from netwatch.logs.json_values import Object, number, text
from netwatch.logs.packed import packed_ip, packed_mac
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogClaim
from netwatch.logs.suricata_event import Event

_UNSPECIFIED = bytes(4)
_KINDS: dict[str, AddressClaimKind] = {
    "discover": "request",
    "request": "request",
    "ack": "lease",
    "nak": "nak",
    "release": "release",
    "decline": "release",
    "inform": "announcement",
}


def claims(event: Event, dhcp: Object) -> Iterator[LogClaim]:
    """The claim of one message; none of an OFFER, and of an ACK for an INFORM."""
    message = text(dhcp, "dhcp_type")
    kind = _KINDS.get(message)
    if kind is None:
        return
    mac = packed_mac(text(dhcp, "client_mac"))
    if mac is None:
        raise RecordError("mac-invalid")
    own = packed_ip(text(dhcp, "client_ip")) or _UNSPECIFIED
    requested = packed_ip(text(dhcp, "requested_ip")) or own
    if kind == "lease":
        address = packed_ip(text(dhcp, "assigned_ip")) or _UNSPECIFIED
        if address == _UNSPECIFIED:
            return
    elif kind == "nak":
        address = _UNSPECIFIED
    else:
        address = own if message in ("release", "inform") else requested
    lifetime = number(dhcp, "lease_time")
    host = text(dhcp, "hostname").encode()[:255]
    yield LogClaim(
        event.time,
        event.digits,
        AddressClaim(
            kind,
            (address,) if address != _UNSPECIFIED else (),
            mac,
            hostname=normalise_name(host),
            lifetime=lifetime if kind == "lease" and lifetime else None,
            transaction_id=mac + (number(dhcp, "id") & 0xFFFFFFFF).to_bytes(4),
            client_id=mac,
            renewal=message == "request" and own != _UNSPECIFIED,
        ),
        event.source.ip,
    )
