"""DHCP for IPv6: the requests of clients, with their host names, and the leases of servers.

The format is RFC 8415 sections 8 and 9, with the client's name from RFC 4704. A client is
identified by its DUID. Its hardware address is taken from its frame if it is on the same link.
Behind a relay it is the one that the relay adds (RFC 6939), otherwise the one in the DUID (RFC 8415
sections 11.2 and 11.4), which may belong to another interface of the client.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, AddressClaimKind, Message
from netwatch.protocols.dhcp import from_labels
from netwatch.protocols.reader import Reader

MAX_RELAYS = 8
"""Maximum number of relays of a message: HOP_COUNT_LIMIT of RFC 8415 section 7.6."""

MAX_OPTIONS = 256
"""Maximum number of options per message on all levels; further ones are the anomaly
``dhcpv6-many-options``."""

_SOLICIT, _REQUEST, _CONFIRM, _RENEW, _REBIND, _REPLY, _RELEASE, _DECLINE = 1, 3, 4, 5, 6, 7, 8, 9
_RELAY_FORWARD, _RELAY_REPLY, _LAST_TYPE = 12, 13, 36
_REQUESTS = frozenset({_SOLICIT, _REQUEST, _CONFIRM, _RENEW, _REBIND})
_RENEWALS = frozenset({_CONFIRM, _RENEW, _REBIND})

_CLIENT_ID, _SERVER_ID, _IA_NA, _IA_TA, _IA_ADDRESS = 1, 2, 3, 4, 5
_RELAY_MESSAGE, _STATUS, _FQDN, _LINK_LAYER = 9, 13, 39, 79
_DUID_LLT, _DUID_LL, _ETHERNET = 1, 3, 1


@dataclass(slots=True)
class _Fields:
    """What was read so far; `addresses` with their valid lifetimes in seconds."""

    anomalies: list[str] = field(default_factory=list)
    count: int = 0
    duid: bytes = b""
    server: bytes = b""
    name: str = ""
    mac: bytes | None = None
    addresses: list[tuple[bytes, int]] = field(default_factory=list)


def parse(payload: bytes) -> Message:
    """Parse one DHCPv6 message, the payload of a UDP datagram. It shows no names, but makes claims:

    a ``request`` for SOLICIT, REQUEST, CONFIRM, RENEW and REBIND, a ``release`` for RELEASE and
    DECLINE, and for a REPLY a ``lease`` per lifetime of its addresses, or a ``release`` if the
    lifetime is 0. Other messages make no claim. Anomalies: ``dhcpv6-option`` (an invalid option,
    which is ignored), ``dhcpv6-name``, ``dhcpv6-many-options``, ``dhcpv6-cut`` (complete options
    are read). Raises `ParseError`: ``dhcpv6-cut``, ``dhcpv6-type``, ``dhcpv6-relays`` (more than 8,
    or a relay message without a message in it), ``dhcpv6-no-client``.
    """
    fields = _Fields()
    data, relayed = payload, False
    for _ in range(MAX_RELAYS + 1):
        if data[:1] not in (b"\x0c", b"\x0d"):
            break
        data, relayed = _relay(data, fields), True
    else:
        raise ParseError("dhcpv6-relays")
    reader = Reader(data, "dhcpv6-cut")
    kind, transaction = reader.uint(1), reader.read(3)
    if not 1 <= kind <= _LAST_TYPE:
        raise ParseError("dhcpv6-type")
    for code, value in _options(reader, fields):
        _read_option(code, value, fields)
    claims: tuple[AddressClaim, ...] = ()
    if kind in _REQUESTS or kind in (_REPLY, _RELEASE, _DECLINE):
        if not fields.duid:
            raise ParseError("dhcpv6-no-client")
        claims = tuple(_claims(kind, transaction, relayed, fields))
    anomalies = tuple(dict.fromkeys(fields.anomalies))
    return Message((), len(payload), anomalies=anomalies, claims=claims)


def _relay(data: bytes, fields: _Fields) -> bytes:
    """The message inside a relay message (RFC 8415 section 9). The innermost relay message has
    the link-layer address of the client."""
    reader = Reader(data, "dhcpv6-cut")
    reader.read(34)
    inside = b""
    for code, value in _options(reader, fields):
        if code == _RELAY_MESSAGE:
            inside = value
        elif code == _LINK_LAYER:
            if len(value) == 8 and value[:2] == b"\0\1":
                fields.mac = value[2:]
            else:
                fields.anomalies.append("dhcpv6-option")
    if not inside:
        raise ParseError("dhcpv6-relays")
    return inside


def _options(reader: Reader, fields: _Fields) -> Iterator[tuple[int, bytes]]:
    """Code and value of each complete option."""
    try:
        while reader.remaining:
            fields.count += 1
            if fields.count > MAX_OPTIONS:
                fields.anomalies.append("dhcpv6-many-options")
                return
            yield reader.uint(2), reader.vector(2)
    except ParseError as error:
        fields.anomalies.append(error.anomaly)


def _read_option(code: int, value: bytes, fields: _Fields) -> None:
    try:
        if code == _CLIENT_ID:
            # RFC 8415 section 11.1: a type of two bytes, then at most 128
            if not 3 <= len(value) <= 130:
                raise ParseError("dhcpv6-option")
            fields.duid = value
        elif code == _SERVER_ID:
            fields.server = value[:130]
        elif code == _FQDN:
            Reader(value, "dhcpv6-name").read(1)
            fields.name = from_labels(value[1:], "dhcpv6-name")
        elif code in (_IA_NA, _IA_TA):
            reader = Reader(value, "dhcpv6-option")
            reader.read(12 if code == _IA_NA else 4)
            for inner, content in _options(reader, fields):
                if inner == _IA_ADDRESS:
                    _read_address(content, fields)
    except ParseError as error:
        fields.anomalies.append(error.anomaly)


def _read_address(value: bytes, fields: _Fields) -> None:
    """Read an IA Address option (RFC 8415 section 21.6), unless its status is a failure."""
    reader = Reader(value, "dhcpv6-option")
    address = reader.read(16)
    reader.read(4)
    valid = reader.uint(4)
    for code, content in _options(reader, fields):
        if code == _STATUS and content[:2] != b"\0\0":
            return
    fields.addresses.append((address, valid))


def _claims(
    kind: int, transaction: bytes, relayed: bool, fields: _Fields
) -> Iterator[AddressClaim]:
    def claim(
        claim_kind: AddressClaimKind, ips: list[bytes], lifetime: int | None = None
    ) -> AddressClaim:
        return AddressClaim(
            claim_kind,
            tuple(ips),
            fields.mac or _hardware_address(fields.duid),
            on_link=not relayed,
            hostname=fields.name,
            lifetime=lifetime,
            transaction_id=fields.duid + transaction,
            client_id=fields.duid,
            server_id=fields.server if claim_kind == "lease" else b"",
            renewal=kind in _RENEWALS,
        )

    ips = [ip for ip, _ in fields.addresses]
    if kind in _REQUESTS:
        yield claim("request", ips)
    elif kind != _REPLY:
        yield claim("release", ips)
    else:
        for lifetime in dict.fromkeys(valid for _, valid in fields.addresses):
            leased = [ip for ip, valid in fields.addresses if valid == lifetime]
            yield claim("lease" if lifetime else "release", leased, lifetime)


def _hardware_address(duid: bytes) -> bytes | None:
    """The Ethernet address in a DUID-LLT or DUID-LL, None if there is none."""
    kind, link = int.from_bytes(duid[:2]), int.from_bytes(duid[2:4])
    start = {_DUID_LLT: 8, _DUID_LL: 4}.get(kind, 0)
    mac = duid[start:]
    return mac if start and link == _ETHERNET and len(mac) == 6 else None
