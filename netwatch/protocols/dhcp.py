"""DHCP for IPv4: who asks for an address under which name, and what a server gives.

The format is that of RFC 2131 section 2, options are those of RFC 2132 and RFC 4702.
Options may go on in the file and sname fields (option 52), and one that comes several
times is one value (RFC 3396). The client is told by its hardware address, which stays
the same through relays; nothing of the IP header is used.
"""

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, AddressClaimKind, Message
from netwatch.protocols.host_name import from_labels, from_text
from netwatch.protocols.reader import Reader

MAX_OPTIONS = 256
"""Options read of one message; what stands behind is named ``dhcp-many-options``."""

_COOKIE = b"\x63\x82\x53\x63"
_HARDWARE = frozenset({1, 6})  # Ethernet and IEEE 802 have the same addresses
_NOBODY = bytes(4)

_PAD, _HOST_NAME, _REQUESTED, _LEASE, _OVERLOAD, _TYPE, _SERVER = 0, 12, 50, 51, 52, 53, 54
_CLIENT_ID, _FQDN, _END = 61, 81, 255
_SIZES = {_REQUESTED: 4, _LEASE: 4, _OVERLOAD: 1, _TYPE: 1, _SERVER: 4}

_DISCOVER, _REQUEST, _DECLINE, _ACK, _NAK, _RELEASE, _INFORM = 1, 3, 4, 5, 6, 7, 8
_FROM_SERVER = frozenset({2, _ACK, _NAK})
_LAST_TYPE = 18  # RFC 7724, the highest of the registry
_MESSAGES = frozenset(range(1, _INFORM + 1))


def parse(payload: bytes) -> Message:
    """One DHCP message, the payload of one UDP datagram; it shows no name, it claims.

    DISCOVER and REQUEST claim ``request``, ACK ``lease``, NAK ``nak``, RELEASE and
    DECLINE ``release``, INFORM ``announcement`` (the client has its address from elsewhere);
    OFFER and what is newer claim nothing. Anomalies: ``dhcp-option`` (one whose size
    cannot be; it is left out), ``dhcp-name``, ``dhcp-many-options``, ``dhcp-cut`` (options
    that run out of the message; what was whole is taken). Raises `ParseError`:
    ``dhcp-cut``, ``dhcp-cookie`` (plain BOOTP), ``dhcp-hardware`` (no Ethernet address),
    ``dhcp-type`` (none, or one that does not go with the direction).
    """
    reader = Reader(payload, "dhcp-cut")
    op, hardware, size = reader.uint(1), reader.uint(1), reader.uint(1)
    reader.take(1)
    xid = reader.take(4)
    reader.take(4)
    client_ip, your_ip = reader.take(4), reader.take(4)
    reader.take(8)
    mac = reader.take(16)[:6]
    name_field, file_field = reader.take(64), reader.take(128)
    if reader.take(4) != _COOKIE:
        raise ParseError("dhcp-cookie")
    anomalies: list[str] = []
    options: dict[int, bytes] = {}
    _options(reader.take(reader.left), options, anomalies)
    overload = (options.get(_OVERLOAD) or b"\0")[0]
    if overload & 1:
        _options(file_field, options, anomalies)
    if overload & 2:
        _options(name_field, options, anomalies)
    for code, wanted in _SIZES.items():
        if code in options and len(options[code]) != wanted:
            anomalies.append("dhcp-option")
            del options[code]
    kind = options.get(_TYPE, b"\0")[0]
    if not 1 <= kind <= _LAST_TYPE:
        raise ParseError("dhcp-type")
    if kind in _MESSAGES and (op == 2) != (kind in _FROM_SERVER):
        raise ParseError("dhcp-type")
    if hardware not in _HARDWARE or size != 6:
        raise ParseError("dhcp-hardware")
    claim = _claim(kind, mac, xid, client_ip, your_ip, options, _name(options, anomalies))
    claims = (claim,) if claim else ()
    return Message((), len(payload), anomalies=tuple(dict.fromkeys(anomalies)), claims=claims)


def _options(data: bytes, options: dict[int, bytes], anomalies: list[str]) -> None:
    """Read the options of one field into `options`, as far as they are whole."""
    reader = Reader(data, "dhcp-cut")
    count = 0
    try:
        while reader.left:
            code = reader.uint(1)
            if code == _PAD:
                continue
            if code == _END:
                return
            count += 1
            if count > MAX_OPTIONS:
                anomalies.append("dhcp-many-options")
                return
            options[code] = options.get(code, b"") + reader.vector(1)
    except ParseError as error:
        anomalies.append(error.anomaly)


def _name(options: dict[int, bytes], anomalies: list[str]) -> str:
    """The host name: the FQDN (RFC 4702) where there is one that can be read, else that of
    option 12."""
    fqdn = options.get(_FQDN, b"")
    in_labels = bool(fqdn[:1] > b"" and fqdn[0] & 4)
    for read, raw in (
        (from_labels if in_labels else from_text, fqdn[3:]),
        (from_text, options.get(_HOST_NAME, b"")),
    ):
        try:
            name = read(raw, "dhcp-name")
        except ParseError as error:
            anomalies.append(error.anomaly)
        else:
            if name:
                return name
    return ""


def _claim(
    kind: int,
    mac: bytes,
    xid: bytes,
    client_ip: bytes,
    your_ip: bytes,
    options: dict[int, bytes],
    name: str,
) -> AddressClaim | None:
    """What a message of the type `kind` says (RFC 2131 sections 4.3 and 4.4)."""
    server = options.get(_SERVER, b"")
    wanted = options.get(_REQUESTED, client_ip)
    told: AddressClaimKind
    ip, lifetime, kept = wanted, None, False
    if kind in (_DISCOVER, _REQUEST):
        told = "request"
        # A client that renews fills in its address; one that reboots asks for it again
        # without naming a server (RFC 2131 table 4).
        kept = kind == _REQUEST and (client_ip != _NOBODY or not server)
        server = b""
    elif kind == _ACK:
        told, ip = "lease", your_ip
        if _LEASE in options:
            lifetime = int.from_bytes(options[_LEASE])
        if ip == _NOBODY:
            return None  # answers an INFORM
    elif kind == _NAK:
        told, ip = "nak", _NOBODY
    elif kind == _RELEASE:
        told, ip = "release", client_ip
    elif kind == _DECLINE:
        told = "release"
    elif kind == _INFORM:
        told, ip = "announcement", client_ip
    else:
        return None
    return AddressClaim(
        told,
        (ip,) if ip != _NOBODY else (),
        mac,
        hostname=name,
        lifetime=lifetime,
        transaction_id=mac + xid,
        client_id=options.get(_CLIENT_ID, mac),
        server_id=server,
        renewal=kept,
    )
