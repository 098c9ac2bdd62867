"""Leases in the log ``dhcp`` of Zeek, as claims of addresses.

Since Zeek 2.6 a record is a whole conversation, with its messages in order (``msg_types``); before,
it is one acknowledged lease.
"""

from collections.abc import Iterator

from netwatch.core.message import AddressClaim, AddressClaimKind
from netwatch.core.names import normalise_name
from netwatch.logs.packed import packed_ip
from netwatch.logs.records import LogClaim
from netwatch.logs.times import SECOND
from netwatch.logs.zeek_row import Row

_UNSPECIFIED = bytes(4)
_KINDS: dict[str, AddressClaimKind] = {
    "ACK": "lease",
    "NAK": "nak",
    "RELEASE": "release",
    "DECLINE": "release",
    "INFORM": "announcement",
}


def dhcp(row: Row) -> Iterator[LogClaim]:
    """The claim that a conversation ends with, and a lease that was granted before that. Records
    without a MAC address claim nothing."""
    mac = row.mac("mac")
    if mac is None:
        return
    time, digits = row.time()
    granted = packed_ip(row.text("assigned_addr") or row.text("assigned_ip")) or _UNSPECIFIED
    own = packed_ip(row.text("client_addr")) or _UNSPECIFIED
    messages = row.texts("msg_types") if "msg_types" in row.values else ["ACK"]
    # An ACK without an address answers an INFORM.
    relevant = [
        _KINDS[each]
        for each in messages
        if each in _KINDS and (each != "ACK" or granted != _UNSPECIFIED)
    ]
    last = relevant[-1] if relevant else None
    server = packed_ip(row.text("server_addr"))
    host = row.text("client_fqdn") or row.text("host_name")
    name = normalise_name(host.encode("utf-8", "surrogateescape")[:255])
    if "lease" in relevant:
        lifetime = row.seconds("lease_time") // SECOND
        yield LogClaim(
            time, digits,
            AddressClaim("lease", (granted,), mac, False, name, lifetime or None, mac, mac,
                         server or b""),
            server,
        )  # fmt: skip
    if last in ("release", "announcement", "nak"):
        address = own if own != _UNSPECIFIED or last != "release" else granted
        known = address != _UNSPECIFIED and last != "nak"
        if known or last == "nak":
            yield LogClaim(
                time + row.seconds("duration"), digits,
                AddressClaim(last, (address,) if known else (), mac, False, name, None, mac, mac,
                             server or b""),
                own if own != _UNSPECIFIED else None,
            )  # fmt: skip
