"""HTTP/1.x requests: the host that a client requests.

Only the head of a request is read (RFC 9112), by `netwatch.dissect.loop.http_requests`. Deviations
that servers accept in practice (bare line feeds, folded fields, a space before the colon, a version
like ``HTTP/1.0.8``) are accepted as anomalies, so that every request that the server understands is
understood here too.
"""

import re

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName
from netwatch.core.names import normalise_name, raw_name
from netwatch.dissect.loop.http_requests import RequestHead

MAX_NAME = 255
"""The longest host that is accepted, in bytes."""
MAX_REQUESTS = 64
"""Maximum number of pipelined requests per call; the next call continues."""
MAX_HOSTS = 8
"""Maximum number of names in the fields of one head."""

_FOLD = re.compile(rb"\r?\n[ \t]+")
FOUND = ("", "", "", "", "http-not-a-request", "http2-preface")
"""Results of `RequestHead.read`: more bytes are needed; a head; the complete lines of a head that
is cut or too long; of such a head not even the request line; something else, with its anomaly."""
_MORE, _CUT, _NO_LINE = 0, 2, 3
DEVIATIONS = (
    "http-version",
    "http-bare-lf",
    "http-obs-fold",
    "http-space-before-colon",
    "http-many-hosts",
)
"""The anomalies of a head, as bits of `RequestHead.deviations`."""
_FOLDED, _OF_FIELDS = 4, 8


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
    head = RequestHead()
    head.set_data(data)
    pos = 0
    for number in range(MAX_REQUESTS):
        found = head.read(pos, len(data), last)
        cut = "http-head-limit" if head.too_long else "http-head-cut"
        if found == _MORE or found >= _NO_LINE:
            if number:
                break
            if found == _MORE:
                raise Incomplete(len(data) + 1)
            raise ParseError(FOUND[found] or cut)
        if found == _CUT:
            anomalies[cut] = None
        body = _read_fields(data, head, names, anomalies)
        pos = head.end
        if head.connect:
            break
        if found == _CUT or body is None or pos + body >= len(data):
            pos = len(data)
            break
        pos += body
    shown = tuple([ShownName("http-host", name, False, raw) for name, raw in names.items()])
    return Message(shown, pos, anomalies=tuple(anomalies))


def _read_fields(
    data: bytes, head: RequestHead, names: dict[str, str], anomalies: dict[str, None]
) -> int | None:
    """Add the names in the fields of a head and in its target, with their spelling in the packet if
    it differs, and the deviations from the RFC. Returns the size of its body, None if unknown."""
    fields, source, at, end = head, data, head.fields, head.fields_end
    if head.deviations & _FOLDED:
        source = _FOLD.sub(b" ", data[at:end]).lstrip(b" \t")
        fields, at, end = RequestHead(), 0, len(source)
        fields.set_data(source)
        fields.read_fields(at, end)
    hosts: dict[str, str] = {}
    body: int | None = 0
    while at < end:
        kind = fields.field(at, end)
        at = fields.next
        value = source[fields.value : fields.value_end] if kind else b""
        if kind == 1 and len(hosts) < MAX_HOSTS:
            _add_host(value, hosts, anomalies)
        elif kind == 2 and body is not None:
            body = int(value) if value.isdigit() and len(value) < 16 else None
        elif kind == 3:
            body = None
    _add_host(data[head.authority : head.authority_end], hosts, anomalies)
    for name, raw in hosts.items():
        names.setdefault(name, raw)
    for number, anomaly in enumerate(DEVIATIONS):
        if (fields if 1 << number >= _OF_FIELDS else head).deviations & 1 << number:
            anomalies[anomaly] = None
    return body


def _add_host(authority: bytes, hosts: dict[str, str], anomalies: dict[str, None]) -> None:
    raw = host_of(authority)
    if len(raw) > MAX_NAME:
        anomalies["http-host-length"] = None
        return
    name = normalise_name(raw)
    if name and name not in hosts:
        hosts[name] = raw_name(raw, name)


def host_of(authority: bytes) -> bytes:
    """The host in an authority (RFC 3986 section 3.2), without user information, port and the
    brackets of an IPv6 literal."""
    head = RequestHead()
    head.set_data(authority)
    head.find_name(0, len(authority))
    return authority[head.name : head.name_end]
