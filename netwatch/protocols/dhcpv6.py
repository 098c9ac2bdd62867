"""DHCP for IPv6: who asks for addresses under which name, and what a server gives.

The format is that of RFC 8415 sections 8 and 9, the client's name that of RFC 4704. A
client is told by its DUID. Its hardware address is that of its frame where it is heard
itself; behind a relay it is what the relay says (RFC 6939), else what the DUID holds
(RFC 8415 sections 11.2 and 11.4), which may be that of another interface.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, AddressClaimKind, Message
from netwatch.protocols.host_name import from_labels
from netwatch.protocols.reader import Reader

MAX_RELAYS = 8
"""Relays that a message may have come through: HOP_COUNT_LIMIT of RFC 8415 section 7.6."""

MAX_OPTIONS = 256
"""Options read of one message, all levels together; of further ones
``dhcpv6-many-options`` tells."""

_SOLICIT, _REQUEST, _CONFIRM, _RENEW, _REBIND, _REPLY, _RELEASE, _DECLINE = 1, 3, 4, 5, 6, 7, 8, 9
_RELAY_FORWARD, _RELAY_REPLY, _LAST_TYPE = 12, 13, 36
_ASKS = frozenset({_SOLICIT, _REQUEST, _CONFIRM, _RENEW, _REBIND})
_KEPT = frozenset({_CONFIRM, _RENEW, _REBIND})

_CLIENT_ID, _SERVER_ID, _IA_NA, _IA_TA, _IA_ADDRESS = 1, 2, 3, 4, 5
_RELAY_MESSAGE, _STATUS, _FQDN, _LINK_LAYER = 9, 13, 39, 79
_DUID_LLT, _DUID_LL, _ETHERNET = 1, 3, 1


@dataclass(slots=True)
class _Read:
    """What was read so far; addresses with their valid lifetimes in seconds."""

    anomalies: list[str] = field(default_factory=list)
    count: int = 0
    duid: bytes = b""
    server: bytes = b""
    name: str = ""
    mac: bytes | None = None
    addresses: list[tuple[bytes, int]] = field(default_factory=list)


def parse(payload: bytes) -> Message:
    """One DHCPv6 message, the payload of one UDP datagram; it shows no name, it claims.

    SOLICIT, REQUEST, CONFIRM, RENEW and REBIND claim ``request``, RELEASE and DECLINE
    ``release``, a REPLY ``lease`` for each lifetime of its addresses and ``release``
    for those whose lifetime is 0; other messages claim nothing. Anomalies:
    ``dhcpv6-option`` (one that does not fit together; it is left out), ``dhcpv6-name``,
    ``dhcpv6-many-options``, ``dhcpv6-cut`` (what was whole is taken). Raises `ParseError`:
    ``dhcpv6-cut``, ``dhcpv6-type``, ``dhcpv6-relays`` (more than 8, or a relay's message
    with none inside), ``dhcpv6-no-client``.
    """
    read = _Read()
    data, relayed = payload, False
    for _ in range(MAX_RELAYS + 1):
        if data[:1] not in (b"\x0c", b"\x0d"):
            break
        data, relayed = _relay(data, read), True
    else:
        raise ParseError("dhcpv6-relays")
    reader = Reader(data, "dhcpv6-cut")
    kind, transaction = reader.uint(1), reader.take(3)
    if not 1 <= kind <= _LAST_TYPE:
        raise ParseError("dhcpv6-type")
    for code, value in _options(reader, read):
        _take(code, value, read)
    claims: tuple[AddressClaim, ...] = ()
    if kind in _ASKS or kind in (_REPLY, _RELEASE, _DECLINE):
        if not read.duid:
            raise ParseError("dhcpv6-no-client")
        claims = tuple(_claims(kind, transaction, relayed, read))
    anomalies = tuple(dict.fromkeys(read.anomalies))
    return Message((), len(payload), anomalies=anomalies, claims=claims)


def _relay(data: bytes, read: _Read) -> bytes:
    """The message that a relay passes on (RFC 8415 section 9); the link-layer address of
    the client is told by the relay next to it, the innermost."""
    reader = Reader(data, "dhcpv6-cut")
    reader.take(34)
    inside = b""
    for code, value in _options(reader, read):
        if code == _RELAY_MESSAGE:
            inside = value
        elif code == _LINK_LAYER:
            if len(value) == 8 and value[:2] == b"\0\1":
                read.mac = value[2:]
            else:
                read.anomalies.append("dhcpv6-option")
    if not inside:
        raise ParseError("dhcpv6-relays")
    return inside


def _options(reader: Reader, read: _Read) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option, as far as they are whole."""
    try:
        while reader.left:
            read.count += 1
            if read.count > MAX_OPTIONS:
                read.anomalies.append("dhcpv6-many-options")
                return
            yield reader.uint(2), reader.vector(2)
    except ParseError as error:
        read.anomalies.append(error.anomaly)


def _take(code: int, value: bytes, read: _Read) -> None:
    try:
        if code == _CLIENT_ID:
            # RFC 8415 section 11.1: a type of two bytes, then at most 128
            if not 3 <= len(value) <= 130:
                raise ParseError("dhcpv6-option")
            read.duid = value
        elif code == _SERVER_ID:
            read.server = value[:130]
        elif code == _FQDN:
            Reader(value, "dhcpv6-name").take(1)
            read.name = from_labels(value[1:], "dhcpv6-name")
        elif code in (_IA_NA, _IA_TA):
            reader = Reader(value, "dhcpv6-option")
            reader.take(12 if code == _IA_NA else 4)
            for inner, content in _options(reader, read):
                if inner == _IA_ADDRESS:
                    _address(content, read)
    except ParseError as error:
        read.anomalies.append(error.anomaly)


def _address(value: bytes, read: _Read) -> None:
    """An IA Address option (RFC 8415 section 21.6); one whose status is no success is
    not given."""
    reader = Reader(value, "dhcpv6-option")
    address = reader.take(16)
    reader.take(4)
    valid = reader.uint(4)
    for code, content in _options(reader, read):
        if code == _STATUS and content[:2] != b"\0\0":
            return
    read.addresses.append((address, valid))


def _claims(kind: int, transaction: bytes, relayed: bool, read: _Read) -> Iterator[AddressClaim]:
    def claim(
        told: AddressClaimKind, ips: list[bytes], lifetime: int | None = None
    ) -> AddressClaim:
        return AddressClaim(
            told,
            tuple(ips),
            read.mac or _hardware(read.duid),
            on_link=not relayed,
            hostname=read.name,
            lifetime=lifetime,
            transaction_id=read.duid + transaction,
            client_id=read.duid,
            server_id=read.server if told == "lease" else b"",
            renewal=kind in _KEPT,
        )

    ips = [ip for ip, _ in read.addresses]
    if kind in _ASKS:
        yield claim("request", ips)
    elif kind != _REPLY:
        yield claim("release", ips)
    else:
        for lifetime in dict.fromkeys(valid for _, valid in read.addresses):
            given = [ip for ip, valid in read.addresses if valid == lifetime]
            yield claim("lease" if lifetime else "release", given, lifetime)


def _hardware(duid: bytes) -> bytes | None:
    """The Ethernet address in a DUID-LLT or DUID-LL, None where there is none."""
    kind, link = int.from_bytes(duid[:2]), int.from_bytes(duid[2:4])
    start = {_DUID_LLT: 8, _DUID_LL: 4}.get(kind, 0)
    mac = duid[start:]
    return mac if start and link == _ETHERNET and len(mac) == 6 else None
