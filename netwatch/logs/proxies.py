"""Access logs of NGINX and HAProxy where they are forward proxies.

NGINX and HAProxy mostly serve sites, and then a name in a log is not the request of one of our
clients; only the user can tell that one is a proxy for clients. The client is the address that
connected. ``X-Forwarded-For`` is not read, because any client can forge it. An NGINX line has the
``log_format combined`` (ngx_http_log_module), as Apache HTTP Server writes it too; in JSON the keys
are the names of the variables, or common words for them. Its stream module has the server name of
handshakes (``$ssl_preread_server_name``). The formats of HAProxy are ``httplog`` and ``httpslog``
("Log formats" in the Configuration Manual). The host is from the request line (CONNECT or a URL),
otherwise from the first captured request header that is a host name.
"""

import re
from collections.abc import Iterable, Mapping

from netwatch.core.errors import RecordError
from netwatch.core.message import Evidence
from netwatch.core.names import normalise_name, raw_name
from netwatch.core.verdict import Outcome
from netwatch.logs.fields import (
    HOST_NAME,
    Object,
    Target,
    authority,
    json_object,
    number_of,
    packed_ip,
    port_of,
    target,
    text_of,
)
from netwatch.logs.records import (
    Carried,
    Endpoint,
    LogEntry,
    LogName,
    RecordReader,
    Sample,
)
from netwatch.logs.times import access_time

_COMBINED = re.compile(
    rb'(?P<client>\S+) \S+ \S.{0,255}? ?\[(?P<time>[^\]]{1,40})\] "(?P<request>(?:[^"\\]|\\.)*)" '
    rb'(?P<status>\d{3}) (?P<size>\d{1,18}|-)(?P<rest>$| "[^"]*" "[^"]*"(?: .*)?$)'
)
_REQUEST = re.compile(rb"([!-~]{1,32}) (\S+)(?: HTTP/[\d.]+)?")
_SQUID = re.compile(rb".* (?:TCP|NONE|TAG)[A-Z_]*:[A-Z_]+")

_CLIENT = ("remote_addr", "remote_ip", "client_ip", "clientip", "client", "remoteAddr")
_TIME = ("time_iso8601", "@timestamp", "timestamp", "time", "time_local", "msec", "ts")
_METHOD = ("request_method", "method", "verb")
_URL = ("request_uri", "uri", "url", "path")
_HOST = ("host", "http_host", "hostname")
_STATUS = ("status", "status_code", "response", "response_status")
_SNI = ("ssl_preread_server_name", "ssl_server_name")

_HAPROXY = re.compile(
    rb"(?P<client>\S+):(?P<port>\d{1,5}) \[(?P<time>[^\]]{1,40})\] \S+ (?P<server>\S+) "
    rb"(?P<timers>[+-]?\d+(?:/[+-]?\d+){1,5}) (?P<rest>.*)"
)
_HTTP = re.compile(
    rb"(?P<status>-?\d{1,3}) \+?(?P<size>\d{1,18}) \S+ \S+ (?P<state>[A-Za-z-]{4}) "
    rb"\d+(?:/\+?\d+){4} \d+/\d+ (?P<captured>(?:\{[^}]*\} ){0,2})\"(?P<request>[^\"]*)\"?"
)


def recognise_nginx(sample: Sample) -> int:
    """The fields of the Common Log Format in a line, or their usual names in JSON."""
    return sum(
        1
        for line, found in zip(sample.lines, sample.objects, strict=True)
        if (
            _is_record(found)
            if found is not None
            else _COMBINED.match(line) and not _SQUID.match(line)
        )
    )


def _is_record(found: Mapping[str, object]) -> bool:
    has_request = "request" in found or any(key in found for key in _METHOD)
    return (
        any(key in found for key in _CLIENT)
        and any(key in found for key in _TIME)
        and any(key in found for key in _STATUS)
        and (has_request or any(key in found for key in _SNI))
    )


class NginxReader(RecordReader):
    """Reads one log."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line (see `netwatch.logs.records.RecordReader`)."""
        if record.startswith(b"{"):
            return self._json(record)
        if not record.strip():
            return ()
        found = _COMBINED.match(record)
        if found is None:
            raise RecordError("access-line-invalid")
        request = _REQUEST.match(found["request"])
        if request is None:
            return ()  # what was sent is not a request
        asked = target(request[1], request[2])
        if asked is None:
            raise RecordError("host-missing")
        return self._entry(
            found["time"], found["client"], 0, asked, int(found["status"]), request[1]
        )

    def _json(self, record: bytes) -> Iterable[LogEntry]:
        found = json_object(record)
        client = _first(found, _CLIENT).encode()
        if not client:
            return ()  # a message of another kind
        time = _first(found, _TIME).encode()
        status = next((number_of(found, key) for key in _STATUS if key in found), 0)
        client_port = port_of(found, "remote_port")
        sni = _first(found, _SNI).encode()
        if sni and sni != b"-":
            return self._handshake(time, client, client_port, sni, status)
        method, url = _first(found, _METHOD).encode(), _first(found, _URL).encode()
        request = _REQUEST.match(text_of(found, "request").encode())
        if request is not None:
            method, url = request[1], request[2]
        # The URL of the request line may be logged without its host, which is a field of its own.
        asked = target(method, url) or authority(_first(found, _HOST).encode())
        if asked is None:
            raise RecordError("host-missing")
        return self._entry(time, client, client_port, asked, status, method)

    def _entry(
        self, time: bytes, client: bytes, port_: int, asked: Target, status: int, method: bytes
    ) -> Iterable[LogEntry]:
        when = access_time(time, self._times)
        return _shown(when, asked, client, port_, _nginx_outcome(status, method))

    def _handshake(
        self, time: bytes, client: bytes, port_: int, sni: bytes, status: int
    ) -> Iterable[LogEntry]:
        """A connection that the stream module has forwarded by its server name."""
        name = normalise_name(sni)
        when = access_time(time, self._times)
        outcome: Outcome = "reached" if status == 200 else "attempted"
        denied: tuple[Outcome, str] = ("blocked", "status 403")
        found = Target(name, raw_name(sni, name), 0)
        return _shown(
            when, found, client, port_, denied if status == 403 else (outcome, ""), "tls-sni"
        )


def _first(found: Object, keys: Iterable[str]) -> str:
    """The first text, or number as text, under one of the keys."""
    for key in keys:
        value = found.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return repr(value)
    return ""


def _nginx_outcome(status: int, method: bytes) -> tuple[Outcome, str]:
    """The outcome of a request. For CONNECT an answer other than 2xx comes from the proxy itself.
    For others, the proxy's own answers are gateway errors; a 403 may come from either."""
    if method.upper() == b"CONNECT":
        if status == 403:
            return "blocked", "HTTP 403"
        return ("reached" if 200 <= status < 300 else "attempted"), ""
    own = status in (403, 407, 502, 504)
    return ("reached" if 100 <= status < 600 and not own else "attempted"), ""


def recognise_haproxy(sample: Sample) -> int:
    """Client and port, the accept date in brackets, frontend, backend and server, and the
    timers."""
    found = filter(None, map(_HAPROXY.match, sample.lines))
    return sum(b"/" in each["server"] for each in found)


class HaproxyReader(RecordReader):
    """Reads one log."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line (see `netwatch.logs.records.RecordReader`)."""
        found = _HAPROXY.match(record)
        if found is None:
            return ()  # starts and stops of servers, errors
        http = _HTTP.match(found["rest"])
        if http is None:
            raise RecordError("host-missing")  # ``tcplog`` has no name
        request = _REQUEST.match(http["request"])
        if request is None:
            return ()  # ``<BADREQ>``
        asked = _host(request[1], request[2], http["captured"])
        if asked is None:
            raise RecordError("host-missing")
        when = access_time(found["time"], self._times)
        outcome = _haproxy_outcome(int(http["status"]), http["state"], found["server"])
        return _shown(when, asked, found["client"], int(found["port"]), outcome)


def _host(method: bytes, url: bytes, captured: bytes) -> Target | None:
    asked = target(method, url)
    if asked is not None:
        return asked
    first = captured.partition(b"}")[0].lstrip(b"{")
    for value in first.split(b"|")[:16]:
        if HOST_NAME.fullmatch(value.partition(b":")[0]):
            return authority(value)
    return None


def _haproxy_outcome(status: int, state: bytes, server: bytes) -> tuple[Outcome, str]:
    """The outcome of a request: a rule of the proxy has denied it (its session state begins with P
    and it went to no server), or a server has answered."""
    if server.endswith(b"/<NOSRV>"):
        if state.startswith(b"P") and status in (401, 403, 429):
            return "blocked", f"{state.decode('ascii')} {status}"
        return "attempted", ""
    return ("reached" if status > 0 and not state.startswith(b"S") else "attempted"), ""


def _shown(
    when: tuple[int, int],
    asked: Target,
    client: bytes,
    client_port: int,
    outcome: tuple[Outcome, str],
    evidence: Evidence = "http-host",
) -> Iterable[LogEntry]:
    """The request of a client."""
    packed = packed_ip(client.decode("ascii", "replace"))
    side = Endpoint(packed, client_port if client_port < 65536 else 0)
    return (
        LogName(
            *(*when, evidence, asked.name, side),
            transport="tcp",
            raw=asked.raw,
            outcome=outcome[0],
            blocked_by=outcome[1],
        ),
    )
