"""SOCKS: the host that a client requests from its proxy.

Version 4 is read, with the host names of 4A ("SOCKS: A protocol for TCP proxy across firewalls",
Ying-Da Lee, and "SOCKS 4A: A simple extension"), and version 5 (RFC 1928) with username and
password (RFC 1929). Only what the client sends is read. A greeting and an authentication may
precede the request, or may be missing if the capture started later.
"""

from ipaddress import ip_address

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName
from netwatch.core.names import normalise_name, raw_name

MAX_TEXT = 255
"""The longest user id or host of version 4 that is accepted, in bytes."""

_USER_PASSWORD = 2
_IPV4, _DOMAIN, _IPV6 = 1, 3, 4


def parse(data: bytes, last: bool = False) -> Message:
    """Parse the request of a SOCKS client at the start of `data`: CONNECT, BIND or UDP ASSOCIATE.

    It shows ``socks-host`` for the requested host. An address is shown in text form, like a name;
    the unspecified address, as in most UDP ASSOCIATE requests, is not shown. `size` is the offset
    of the end of the request, where the proxied stream starts. Raises `Incomplete` while bytes are
    missing, `ParseError` ``socks-request`` if they are not a request of either version, and
    ``socks-cut`` if they are incomplete with `last`.
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


def _require(data: bytes, size: int) -> None:
    if len(data) < size:
        raise Incomplete(size)


def _message(host: bytes, size: int) -> Message:
    name = normalise_name(host)
    shown = ShownName("socks-host", name, False, raw_name(host, name))
    return Message((shown,) if name else (), size)


def _address(raw: bytes, size: int) -> Message:
    address = ip_address(raw)
    return _message(b"" if address.is_unspecified else str(address).encode(), size)


def _version_4(data: bytes) -> Message:
    if data[1:2] not in (b"", b"\x01", b"\x02"):
        raise ParseError("socks-request")
    _require(data, 9)
    _, end = _text(data, 8)
    address = data[4:8]
    # 4A: an invalid address means that a host name follows.
    if address[:3] == b"\0\0\0" and address[3]:
        host, end = _text(data, end)
        return _message(host, end)
    return _address(address, end)


def _text(data: bytes, start: int) -> tuple[bytes, int]:
    """The NUL-terminated text at `start`, and the offset after it."""
    end = data.find(b"\0", start, start + MAX_TEXT + 1)
    if end < 0:
        if len(data) > start + MAX_TEXT:
            raise ParseError("socks-request")
        raise Incomplete(len(data) + 1)
    return data[start:end], end + 1


def _version_5(data: bytes) -> Message:
    """A greeting, an authentication if one was offered, and the request; or only the request.

    A greeting has its number of methods at the position of a request's command, so the following
    bytes decide: the methods of a greeting are followed by a version number, a command by a
    reserved zero and an address type.
    """
    _require(data, 4)
    count = data[1]
    end = 2 + count
    only_request = 1 <= count <= 3 and data[2] == 0 and data[3] in (_IPV4, _DOMAIN, _IPV6)
    if not count:
        raise ParseError("socks-request")
    _require(data, end + 1)
    try:
        if data[end] == 5:
            return _request(data, end)
        if data[end] == 1 and _USER_PASSWORD in data[2:end]:
            return _request(data, _skip_authentication(data, end))
    except ParseError:
        if not only_request:
            raise
    if only_request:
        return _request(data, 0)
    raise ParseError("socks-request")


def _skip_authentication(data: bytes, pos: int) -> int:
    """The offset of the end of username and password (RFC 1929 section 2)."""
    _require(data, pos + 2)
    password = pos + 2 + data[pos + 1]
    _require(data, password + 1)
    return password + 1 + data[password]


def _request(data: bytes, start: int) -> Message:
    """The request at `start` (RFC 1928 section 4)."""
    _require(data, start + 5)
    version, command, reserved, kind, size = data[start : start + 5]
    if version != 5 or not 1 <= command <= 3 or reserved or kind not in (_IPV4, _DOMAIN, _IPV6):
        raise ParseError("socks-request")
    at = start + 4
    if kind == _DOMAIN:
        at, end = at + 1, at + 1 + size
    else:
        end = at + (4 if kind == _IPV4 else 16)
    _require(data, end + 2)
    if kind == _DOMAIN:
        return _message(data[at:end], end + 2)
    return _address(data[at:end], end + 2)
