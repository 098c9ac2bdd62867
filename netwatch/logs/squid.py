"""Access logs of Squid.

Squid writes the formats ``squid`` (native), ``common`` and ``combined``. The native one is
``%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt`` (``logformat`` in
squid.conf.documented); its time may be any other of Squid's. Fields that a site has added are
searched for the server name that Squid saw in a handshake (``%ssl::>sni``). The user name is not
read. Squid writes a request when it has ended, so it began earlier by its duration.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from netwatch.core.errors import RecordError
from netwatch.core.names import normalise_name, raw_name
from netwatch.core.verdict import Outcome
from netwatch.logs.fields import HOST_NAME, Target, packed_ip, target
from netwatch.logs.layout import (
    ROLE_CLIENT_IP,
    ROLE_DURATION,
    ROLE_IS_SERVER,
    ROLE_METHOD,
    ROLE_RESULT,
    ROLE_SERVER_IP,
    ROLE_SIZE,
    ROLE_TIME,
    ROLE_URL,
    Layout,
)
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    LogFlow,
    LogName,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import access_time

MAX_DURATION = 10**13
"""A longer request, in ms, is not a duration."""

_CODE = rb"(?:TCP|UDP|TAG|NONE)(?:_[A-Z]+)*"
_NATIVE = re.compile(
    rb"(?P<time>\S+(?: [+-]\d{4}\]?| \d\d:\d\d:\d\d\S*)?) +(?P<duration>-?\d{1,14}) "
    rb"(?P<client>\S+) (?P<code>" + _CODE + rb")/(?P<status>\d{3}) (?P<size>-?\d{1,18}) "
    rb"(?P<method>[!-~]{1,32}) (?P<url>\S+) \S+ "
    rb"(?:(?P<hierarchy>[A-Z_]+)/(?P<server>\S+)|-) ?(?P<rest>.*)"
)
_COMBINED = re.compile(
    rb"(?P<client>\S+) \S+ \S+ \[(?P<time>[^\]]{1,40})\] "
    rb'"(?P<method>[!-~]{1,32}) (?P<url>\S+)(?: [A-Za-z]+/\d[\d.]*)?" (?P<status>\d{3}) '
    rb'(?P<size>-|\d{1,18}) (?:"[^"]*" "[^"]*" )?(?P<code>' + _CODE + rb"):(?P<hierarchy>[A-Z_]+)"
    rb"(?P<rest>.*)"
)
_SPECIAL = (b"error:", b"cache_object:", b"internal:", b"/squid-internal")
_DIRECT = frozenset({b"HIER_DIRECT", b"DIRECT", b"ORIGINAL_DST", b"PINNED"})
_RESULT = re.compile(rb"(" + _CODE + rb")/(\d{3})")
_PATTERN = "{time}  {duration} {client} {result} {size} {method} {url} {} {hierarchy}/{server} {}"
"""A request in the native format without further fields."""
_FIELDS = {
    "time": ROLE_TIME,
    "duration": ROLE_DURATION,
    "client": ROLE_CLIENT_IP,
    "result": ROLE_RESULT,
    "size": ROLE_SIZE,
    "method": ROLE_METHOD,
    "url": ROLE_URL,
    "hierarchy": ROLE_IS_SERVER,
    "server": ROLE_SERVER_IP,
}
_HIERARCHIES = dict.fromkeys(map(bytes.decode, sorted(_DIRECT)), 1) | {"HIER_NONE": 0, "NONE": 0}
_NO_ANSWER = frozenset({b"000", b"502", b"503", b"504"})
_CHALLENGE = b"407"


class _Request(NamedTuple):
    """The fields of a line: `began` and `ended` in ns since the epoch."""

    began: int
    ended: int
    digits: int
    client: bytes
    code: bytes
    status: bytes
    size: int
    method: bytes
    server: Endpoint
    rest: bytes


def recognise(sample: Sample) -> int:
    """No other program writes its result codes (``TCP_MISS/200``, ``TCP_MISS:HIER_DIRECT``) in
    these places."""
    return sum(1 for line in sample.lines if _NATIVE.match(line) or _COMBINED.match(line))


def _plain_outcome(result: bytes, method: bytes, has_size: bool) -> tuple[str, str] | None:
    """The same for the result in a plain line; None for what is not read, or not plain."""
    found = _RESULT.fullmatch(result)
    if found is None or result.startswith(b"UDP_") or not (method.isalpha() and method.isupper()):
        return None
    return _outcome(found[1], found[2], method, has_size) if len(method) <= 32 else None


_LAYOUT = Layout(
    "text",
    _FIELDS,
    (),
    {ROLE_IS_SERVER: _HIERARCHIES},
    pattern=_PATTERN,
    outcome=_plain_outcome,
)


class SquidReader(RecordReader):
    """Reads one access log."""

    layout = _LAYOUT

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._tunnels = 0

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line (see `netwatch.logs.records.RecordReader`)."""
        if not record.strip() or record.startswith(b"#"):
            return ()
        found = _NATIVE.match(record) or _COMBINED.match(record)
        if found is None:
            raise RecordError("squid-line-invalid")
        values = found.groupdict()
        if values["code"].startswith(b"UDP_") or values["url"].startswith(_SPECIAL):
            return ()  # another cache asks, or it was not a request
        time, digits = access_time(values["time"], self._times)
        duration = min(max(int(values.get("duration") or 0), 0), MAX_DURATION) * 1_000_000
        asked = target(values["method"], values["url"])
        if asked is None:
            raise RecordError("host-missing")
        request = _Request(
            max(time - duration, 0),
            time,
            digits,
            values["client"],
            values["code"],
            values["status"],
            int(values["size"]) if values["size"].isdigit() else 0,
            values["method"],
            _server(values.get("hierarchy"), values.get("server"), asked.port),
            values["rest"],
        )
        return self._entries(request, asked)

    def _entries(self, request: _Request, asked: Target) -> Iterator[LogEntry]:
        outcome, blocked_by = _outcome(
            request.code, request.status, request.method, request.size > 0
        )
        packed = packed_ip(request.client.decode("ascii", "replace"))
        client = Endpoint(packed)
        # A site may write names of clients (%>A) instead of addresses.
        host = "" if packed or request.client == b"-" else normalise_name(request.client[:255])
        is_tunnel = request.method == b"CONNECT" and outcome == "reached"
        flow = ""
        if is_tunnel:
            self._tunnels += 1
            flow = f"squid-{request.ended}-{self._tunnels}"
        name = LogName(
            request.began,
            request.digits,
            "http-host",
            asked.name,
            client,
            request.server,
            "tcp",
            client_host=host,
            flow=flow,
            raw=asked.raw,
            outcome=outcome,
            blocked_by=blocked_by,
        )
        yield name
        sni = _server_name(request.rest, asked.name)
        if sni:
            shown = normalise_name(sni)
            yield replace(name, evidence="tls-sni", name=shown, raw=raw_name(sni, shown))
        if is_tunnel and packed is not None:
            yield LogFlow(
                request.began,
                request.ended,
                "tcp",
                client,
                request.server,
                0,  # not in the log
                request.size,
                flow,
                "named",
                "payload",
                "payload" if request.size else "headers",
            )


def _outcome(code: bytes, status: bytes, method: bytes, has_size: bool) -> tuple[Outcome, str]:
    """The outcome of a request, and what blocked it. A request denied for missing credentials was
    only postponed: browsers ask again with them."""
    if b"DENIED" in code:
        if status == _CHALLENGE:
            return "attempted", ""
        # It does not matter how the client received it.
        return "blocked", code.removesuffix(b"_ABORTED").decode("ascii")
    answered = status not in _NO_ANSWER and not (
        code.startswith((b"NONE", b"TAG_NONE")) and method != b"CONNECT"
    )
    if method == b"CONNECT":
        answered = status == b"200" and has_size
    if b"ABORTED" in code and not has_size:
        answered = False
    return ("reached" if answered else "attempted"), ""


def _server(hierarchy: bytes | None, written: bytes | None, port: int) -> Endpoint:
    """The server that Squid itself connected to, unless that was another proxy."""
    if written is None or hierarchy not in _DIRECT:
        return NOWHERE
    packed = packed_ip(written.decode("ascii", "replace"))
    return Endpoint(packed, port) if packed else NOWHERE


def _server_name(rest: bytes, asked: str) -> bytes | None:
    """The server name of a handshake among the fields that a site has added at the end, if it is
    not the name asked for."""
    for field in rest.split()[1:16]:
        found = field.strip(b'"')
        if HOST_NAME.fullmatch(found) and normalise_name(found) != asked:
            return found
    return None
