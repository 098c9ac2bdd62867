"""Hosts in what logs of proxies and web traffic write: URLs, targets of CONNECT, Host fields."""

import re
from typing import NamedTuple

from netwatch.core.names import normalise_name, raw_name
from netwatch.protocols.http import MAX_NAME, host_of

_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?#\\]*)")
_PORT = re.compile(rb":([0-9]{1,5})$")
_PORTS = {b"http": 80, b"https": 443, b"ws": 80, b"wss": 443, b"ftp": 21}
HOST_NAME = re.compile(
    rb"(?i)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.){1,63}[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)
"""A host name of at least two labels, whose last one begins with a letter: no address."""


class Target(NamedTuple):
    """What a request asks for: the host in normal spelling, the host as it is written, empty where
    that is the same, and the port, 0 where it is not known."""

    name: str
    raw: str
    port: int


def target(method: bytes, url: bytes) -> Target | None:
    """The host of a request by its method and URL: the authority of an absolute URL, or the target
    of CONNECT; None where the URL has no host (a path alone), or one that is no host."""
    if method.upper() == b"CONNECT":
        # Some proxies write the target of CONNECT as a URL.
        absolute = _ABSOLUTE.match(url)
        return authority(absolute[2] if absolute else url.partition(b"/")[0], 443)
    absolute = _ABSOLUTE.match(url)
    if absolute is None:
        return None
    return authority(absolute[2], _PORTS.get(absolute[1].lower(), 0))


def authority(written: bytes, default_port: int = 0) -> Target | None:
    """The host and the port of an authority (RFC 3986 section 3.2); None where it has no host."""
    raw = host_of(written)
    if not raw or len(raw) > MAX_NAME:
        return None
    name = normalise_name(raw)
    if not name:
        return None
    found = _PORT.search(written)
    port = int(found[1]) if found and len(raw) < len(written) else default_port
    return Target(name, raw_name(raw, name), port if port < 65536 else default_port)
