"""DHCP for IPv4: the requests of clients, with their host names, and the leases of servers.

The format is RFC 2131 section 2, the options are from RFC 2132 and RFC 4702. Options may continue
in the file and sname fields (option 52), and the values of a repeated option are concatenated (RFC
3396). The client is identified by its hardware address, which relays do not change; nothing in the
IP header is used.

Host names, also those of DHCPv6, are text, or labels in the wire format of DNS. A client's name for
itself is untrusted text. It is normalised by `netwatch.core.names`, so that it can neither break a
line of output nor imitate another name.
"""

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, AddressClaimKind, Message
from netwatch.core.names import normalise_name
from netwatch.dissect.loop.dns_names import join_labels
from netwatch.protocols.reader import Reader

MAX_NAME = 255
"""The longest host name that is accepted, in bytes (RFC 1035 section 2.3.4)."""


def from_text(raw: bytes, anomaly: str) -> str:
    """A name in text form, without the trailing NUL that some clients send (RFC 2132 section 2).
    Raises `ParseError` with `anomaly` if it is too long."""
    raw = raw.rstrip(b"\0").strip()
    if len(raw) > MAX_NAME:
        raise ParseError(anomaly)
    return normalise_name(raw)


def from_labels(raw: bytes, anomaly: str) -> str:
    """A name in the wire format of RFC 1035 section 3.1, without compression. A partial name has
    no root label (RFC 4702 section 2.3.1, RFC 4704 section 4.2). Raises `ParseError` with
    `anomaly`."""
    reader = Reader(raw, anomaly)
    labels: list[bytes] = []
    while reader.remaining:
        label = reader.vector(1)
        if not label:
            break
        if len(label) > 63 or reader.pos > MAX_NAME:
            raise ParseError(anomaly)
        labels.append(label)
    return join_labels(labels)


MAX_OPTIONS = 256
"""Maximum number of options per message; further ones are the anomaly ``dhcp-many-options``."""

_COOKIE = b"\x63\x82\x53\x63"
_HARDWARE_TYPES = frozenset({1, 6})  # Ethernet and IEEE 802, with the same address format
_UNSPECIFIED = bytes(4)

_PAD, _HOST_NAME, _REQUESTED, _LEASE, _OVERLOAD, _TYPE, _SERVER = 0, 12, 50, 51, 52, 53, 54
_CLIENT_ID, _FQDN, _END = 61, 81, 255
_SIZES = {_REQUESTED: 4, _LEASE: 4, _OVERLOAD: 1, _TYPE: 1, _SERVER: 4}

_DISCOVER, _REQUEST, _DECLINE, _ACK, _NAK, _RELEASE, _INFORM = 1, 3, 4, 5, 6, 7, 8
_FROM_SERVER = frozenset({2, _ACK, _NAK})
_LAST_TYPE = 18  # RFC 7724, the highest number in the registry
_MESSAGES = frozenset(range(1, _INFORM + 1))


def parse(payload: bytes) -> Message:
    """Parse one DHCP message, the payload of a UDP datagram. It shows no names, but makes claims:

    a ``request`` for DISCOVER and REQUEST, a ``lease`` for ACK, a ``nak`` for NAK, a ``release``
    for RELEASE and DECLINE, and an ``announcement`` for INFORM (the address of the client does not
    come from DHCP). OFFER and newer types make no claim. Anomalies: ``dhcp-option`` (an option
    with an invalid length, which is ignored), ``dhcp-name``, ``dhcp-many-options``, ``dhcp-cut``
    (the options are truncated; complete ones are read). Raises `ParseError`: ``dhcp-cut``,
    ``dhcp-cookie`` (plain BOOTP), ``dhcp-hardware`` (not an Ethernet address), ``dhcp-type``
    (missing, or not valid for the direction).
    """
    reader = Reader(payload, "dhcp-cut")
    op, hardware, size = reader.uint(1), reader.uint(1), reader.uint(1)
    reader.read(1)
    xid = reader.read(4)
    reader.read(4)
    client_ip, your_ip = reader.read(4), reader.read(4)
    reader.read(8)
    mac = reader.read(16)[:6]
    name_field, file_field = reader.read(64), reader.read(128)
    if reader.read(4) != _COOKIE:
        raise ParseError("dhcp-cookie")
    anomalies: list[str] = []
    options: dict[int, bytes] = {}
    _options(reader.read(reader.remaining), options, anomalies)
    overload = (options.get(_OVERLOAD) or b"\0")[0]
    if overload & 1:
        _options(file_field, options, anomalies)
    if overload & 2:
        _options(name_field, options, anomalies)
    for code, length in _SIZES.items():
        if code in options and len(options[code]) != length:
            anomalies.append("dhcp-option")
            del options[code]
    kind = options.get(_TYPE, b"\0")[0]
    if not 1 <= kind <= _LAST_TYPE:
        raise ParseError("dhcp-type")
    if kind in _MESSAGES and (op == 2) != (kind in _FROM_SERVER):
        raise ParseError("dhcp-type")
    if hardware not in _HARDWARE_TYPES or size != 6:
        raise ParseError("dhcp-hardware")
    claim = _claim(kind, mac, xid, client_ip, your_ip, options, _name(options, anomalies))
    claims = (claim,) if claim else ()
    return Message((), len(payload), anomalies=tuple(dict.fromkeys(anomalies)), claims=claims)


def _options(data: bytes, options: dict[int, bytes], anomalies: list[str]) -> None:
    """Read the complete options of one field into `options`."""
    reader = Reader(data, "dhcp-cut")
    count = 0
    try:
        while reader.remaining:
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
    """The host name: the client FQDN (RFC 4702) if there is a valid one, otherwise option 12."""
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
    """The claim in a message of the type `kind` (RFC 2131 sections 4.3 and 4.4)."""
    server = options.get(_SERVER, b"")
    requested = options.get(_REQUESTED, client_ip)
    claim_kind: AddressClaimKind
    ip, lifetime, renewal = requested, None, False
    if kind in (_DISCOVER, _REQUEST):
        claim_kind = "request"
        # A client that renews its lease fills in its address; after a reboot it requests the
        # address without a server identifier (RFC 2131 table 4).
        renewal = kind == _REQUEST and (client_ip != _UNSPECIFIED or not server)
        server = b""
    elif kind == _ACK:
        claim_kind, ip = "lease", your_ip
        if _LEASE in options:
            lifetime = int.from_bytes(options[_LEASE])
        if ip == _UNSPECIFIED:
            return None  # the answer to an INFORM
    elif kind == _NAK:
        claim_kind, ip = "nak", _UNSPECIFIED
    elif kind == _RELEASE:
        claim_kind, ip = "release", client_ip
    elif kind == _DECLINE:
        claim_kind = "release"
    elif kind == _INFORM:
        claim_kind, ip = "announcement", client_ip
    else:
        return None
    return AddressClaim(
        claim_kind,
        (ip,) if ip != _UNSPECIFIED else (),
        mac,
        hostname=name,
        lifetime=lifetime,
        transaction_id=mac + xid,
        client_id=options.get(_CLIENT_ID, mac),
        server_id=server,
        renewal=renewal,
    )
