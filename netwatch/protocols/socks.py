"""SOCKS: the host that a client asks its proxy for.

Version 4, with the host names of 4A ("SOCKS: A protocol for TCP proxy across firewalls",
Ying-Da Lee, with "SOCKS 4A: A simple extension"), and version 5
(RFC 1928) with user and password (RFC 1929). Only what the client sends is read: a
greeting and a login may stand before the request, or have passed before the capture.
"""

from ipaddress import ip_address

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName
from netwatch.core.names import normalise_name

MAX_TEXT = 255
"""The longest user id or host of version 4 that is waited for, in bytes."""

_USER_PASSWORD = 2
_IPV4, _DOMAIN, _IPV6 = 1, 3, 4


def parse(data: bytes, last: bool = False) -> Message:
    """The request of a SOCKS client at the start of `data`, of CONNECT, BIND or UDP
    ASSOCIATE.

    Shows ``socks-host`` for the host that is asked for. An address is shown as it is
    written, as a name that was asked for; the unspecified address, as in most UDP
    ASSOCIATE, shows nothing. `size` runs to the end of the request, behind which the
    proxied stream starts. Raises `Incomplete` while bytes are missing, `ParseError`
    ``socks-request`` where they are no request of either version or, with `last`,
    ``socks-cut`` where they end before it does.
    """
    if data[:1] not in (b"", b"\x04", b"\x05"):
        raise ParseError("socks-request")
    try:
        if data[:1] == b"\x04":
            return _version_4(data)
        return _version_5(data)
    except Incomplete:
        if last:
            raise ParseError("socks-cut") from None
        raise


def _need(data: bytes, size: int) -> None:
    if len(data) < size:
        raise Incomplete(size)


def _message(host: bytes, size: int) -> Message:
    name = normalise_name(host)
    return Message((ShownName("socks-host", name),) if name else (), size)


def _address(raw: bytes, size: int) -> Message:
    address = ip_address(raw)
    return _message(b"" if address.is_unspecified else str(address).encode(), size)


def _version_4(data: bytes) -> Message:
    if data[1:2] not in (b"", b"\x01", b"\x02"):
        raise ParseError("socks-request")
    _need(data, 9)
    _, behind = _text(data, 8)
    address = data[4:8]
    # 4A: an address that cannot be says that a host name follows.
    if address[:3] == b"\0\0\0" and address[3]:
        host, behind = _text(data, behind)
        return _message(host, behind)
    return _address(address, behind)


def _text(data: bytes, start: int) -> tuple[bytes, int]:
    """The text at `start`, which a zero byte ends, and where the bytes behind it start."""
    end = data.find(b"\0", start, start + MAX_TEXT + 1)
    if end < 0:
        if len(data) > start + MAX_TEXT:
            raise ParseError("socks-request")
        raise Incomplete(len(data) + 1)
    return data[start:end], end + 1


def _version_5(data: bytes) -> Message:
    """A greeting, a login if one was offered, and the request; or the request alone.

    The greeting has its count of methods where the request has its command, so that what
    follows decides: only a version number can stand behind a greeting's methods, only a
    reserved zero and an address type behind a command.
    """
    _need(data, 4)
    count = data[1]
    behind = 2 + count
    alone = 1 <= count <= 3 and data[2] == 0 and data[3] in (_IPV4, _DOMAIN, _IPV6)
    if not count:
        raise ParseError("socks-request")
    _need(data, behind + 1)
    try:
        if data[behind] == 5:
            return _request(data, behind)
        if data[behind] == 1 and _USER_PASSWORD in data[2:behind]:
            return _request(data, _behind_login(data, behind))
    except ParseError:
        if not alone:
            raise
    if alone:
        return _request(data, 0)
    raise ParseError("socks-request")


def _behind_login(data: bytes, pos: int) -> int:
    """Where the bytes behind user and password (RFC 1929 section 2) start."""
    _need(data, pos + 2)
    password = pos + 2 + data[pos + 1]
    _need(data, password + 1)
    return password + 1 + data[password]


def _request(data: bytes, start: int) -> Message:
    """The request at `start` (RFC 1928 section 4)."""
    _need(data, start + 5)
    version, command, reserved, kind, size = data[start : start + 5]
    if version != 5 or not 1 <= command <= 3 or reserved or kind not in (_IPV4, _DOMAIN, _IPV6):
        raise ParseError("socks-request")
    at = start + 4
    if kind == _DOMAIN:
        at, end = at + 1, at + 1 + size
    else:
        end = at + (4 if kind == _IPV4 else 16)
    _need(data, end + 2)
    if kind == _DOMAIN:
        return _message(data[at:end], end + 2)
    return _address(data[at:end], end + 2)
