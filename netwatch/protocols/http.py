"""HTTP/1.x requests: the host that a client requests.

Only the head of a request is read (RFC 9112). Deviations that servers accept in practice (bare line
feeds, folded fields, a space before the colon, a version like ``HTTP/1.0.8``) are accepted as
anomalies, so that every request that the server understands is understood here too.
"""

import re

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName
from netwatch.core.names import normalise_name, raw_name

MAX_HEAD = 65536
"""The longest head that is read, in bytes."""
MAX_METHOD = 32
"""The longest plausible method, in bytes."""
MAX_REQUESTS = 64
"""Maximum number of pipelined requests per call; the next call continues."""
MAX_HOSTS = 8
"""Maximum number of names in the fields of one head."""
MAX_NAME = 255
"""The longest host that is accepted, in bytes."""

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_FIELD = re.compile(rb"(?im)^(host|content-length|transfer-encoding)([ \t]*):([^\n]*)")
_BREAKS = re.compile(rb"(?:\r?\n){0,8}")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_VERSION = re.compile(rb"HTTP/1\.[0-9]")
_ODD_VERSION = re.compile(rb"(?i)HTTP/[0-9a-z.]{1,16}")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*://([^/?#]*)")
_IPV6 = re.compile(rb"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")


def parse(data: bytes, last: bool = False) -> Message:
    """Parse the HTTP/1.x requests at the start of `data`, up to the end of the last complete one.

    They show ``http-host`` for each Host, for the target of CONNECT (RFC 9110 section 9.3.6) and
    for the authority of a target in absolute form; each name once, without port, user information
    and the brackets of an IPv6 literal. Address literals are not changed. Pipelined requests are
    read too, if the body before them is within `data` by its Content-Length. `size` is the offset
    of the next request, the end of `data` if a body continues, and the end of the head of a
    CONNECT.

    Raises `Incomplete` until the first head is complete. With `last`, or beyond 64 KiB, its
    complete lines are read, with the anomaly ``http-head-cut`` or ``http-head-limit``; if there is
    not even a request line, that is a `ParseError`. Other errors: ``http-not-a-request``, as soon
    as the bytes cannot be a request, and ``http2-preface`` for HTTP/2 (RFC 9113 section 3.4).
    """
    names: dict[str, str] = {}
    anomalies: dict[str, None] = {}
    pos = 0
    for number in range(MAX_REQUESTS):
        try:
            head = _parse_head(data, pos, last)
        except (Incomplete, ParseError):
            if number:
                break
            raise
        names = names | {name: raw for name, raw in head.hosts.items() if name not in names}
        anomalies.update(dict.fromkeys(head.anomalies))
        pos = head.end
        if head.tunnel:
            break
        if head.body is None or pos + head.body >= len(data):
            pos = len(data)
            break
        pos += head.body
    shown = tuple([ShownName("http-host", name, False, raw) for name, raw in names.items()])
    return Message(shown, pos, anomalies=tuple(anomalies))


class _Head:
    """The head of one request: the offset of its end, its hosts, the number of bytes of its body
    (None if unknown), and whether a tunnel follows."""

    __slots__ = ("anomalies", "body", "end", "hosts", "tunnel")

    def __init__(self, end: int) -> None:
        self.end = end
        self.hosts: dict[str, str] = {}
        self.anomalies: list[str] = []
        self.body: int | None = 0
        self.tunnel = False

    def add_host(self, authority: bytes) -> None:
        """Add the host of an authority."""
        raw = host_of(authority)
        if len(raw) > MAX_NAME:
            self.anomalies.append("http-host-length")
            return
        name = normalise_name(raw)
        if name and name not in self.hosts:
            self.hosts[name] = raw_name(raw, name)


def _parse_head(data: bytes, pos: int, last: bool) -> _Head:
    """Parse the head at `pos`, which empty lines may precede (RFC 9112 section 2.2)."""
    breaks = _BREAKS.match(data, pos)
    start = breaks.end() if breaks else pos
    limit = start + MAX_HEAD
    stop = "http-head-limit" if len(data) > limit else "http-head-cut" if last else None
    line_end = data.find(b"\n", start, limit)
    if line_end < 0:
        _reject_other_protocols(data, start)
        if stop:
            raise ParseError(stop)
        raise Incomplete(len(data) + 1)
    method, target, is_odd = _request_line(data[start:line_end])
    blank = data.find(b"\n\r\n", line_end, limit)
    bare = data.find(b"\n\n", line_end, limit if blank < 0 else blank + 1)
    if bare >= 0:
        fields, head = data[line_end + 1 : bare + 1], _Head(bare + 2)
    elif blank >= 0:
        fields, head = data[line_end + 1 : blank + 1], _Head(blank + 3)
    elif stop:
        end = data.rfind(b"\n", line_end, limit) + 1
        fields, head = data[line_end + 1 : end], _Head(len(data))
        head.body = None
        head.anomalies.append(stop)
    else:
        raise Incomplete(len(data) + 1)
    if is_odd:
        head.anomalies.append("http-version")
    if bare >= 0 or fields.count(b"\n") != fields.count(b"\r\n"):
        head.anomalies.append("http-bare-lf")
    _read_fields(fields, head)
    if method == b"CONNECT":
        head.tunnel = True
        head.add_host(target)
    elif absolute := _ABSOLUTE.match(target):
        head.add_host(absolute[1])
    return head


def _reject_other_protocols(data: bytes, start: int) -> None:
    """Raise if the incomplete line at `start` cannot become a request line."""
    method = _METHOD.match(data, start, start + MAX_METHOD + 1)
    end = method.end() if method else start
    if end - start > MAX_METHOD or (end < len(data) and (end == start or data[end] != 0x20)):
        raise ParseError("http-not-a-request")


def _request_line(line: bytes) -> tuple[bytes, bytes, bool]:
    """Method and target in a request line without its line feed (RFC 9112 section 3), and whether
    its version is another one than those of HTTP/1 (RFC 9112 section 2.3)."""
    method, _, rest = line.partition(b" ")
    target, _, version = rest.strip(b" \t\r").rpartition(b" ")
    target = target.strip(b" ")
    is_method = _METHOD.fullmatch(method) and 0 < len(method) <= MAX_METHOD
    is_preface = method == b"PRI" and version == b"HTTP/2.0"
    if is_method and target and not is_preface and _ODD_VERSION.fullmatch(version):
        return method, target, not _VERSION.fullmatch(version)
    raise ParseError("http2-preface" if is_preface else "http-not-a-request")


def _read_fields(fields: bytes, head: _Head) -> None:
    if b"\n " in fields or b"\n\t" in fields or fields[:1] in (b" ", b"\t"):
        head.anomalies.append("http-obs-fold")
        fields = _FOLD.sub(b" ", fields).lstrip(b" \t")
    hosts = 0
    for field in _FIELD.finditer(fields):
        name, space, value = field.groups()
        value = value.strip(b" \t\r")
        if space:
            head.anomalies.append("http-space-before-colon")
        if name[0] in b"Hh":
            hosts += 1
            if len(head.hosts) < MAX_HOSTS:
                head.add_host(value)
        elif name[0] in b"Tt":
            head.body = None
        elif head.body is not None:
            head.body = int(value) if value.isdigit() and len(value) < 16 else None
    if hosts > 1:
        head.anomalies.append("http-many-hosts")


def host_of(authority: bytes) -> bytes:
    """The host in an authority (RFC 3986 section 3.2), without user information, port and the
    brackets of an IPv6 literal."""
    host = authority.rpartition(b"@")[2]
    if host.startswith(b"["):
        inside, bracket, _ = host[1:].partition(b"]")
        return inside if bracket else host
    # An IPv6 literal without brackets is invalid, but some clients send it.
    return host if _IPV6.fullmatch(host) else host.partition(b":")[0]
