"""The options of the metrics endpoint, and which Host headers it accepts. They are separate from
the endpoint itself, so that reading a configuration does not import an HTTP server.

A page in a browser on this machine may not read an endpoint of another origin, unless its own name
is made to resolve to this machine (DNS rebinding). Such a request has that name in its Host header,
so only names known to be ours are accepted. An address cannot be rebound. A request without the
header does not come from a browser.
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from netwatch.core.file_keys import beside, key
from netwatch.core.value_kinds import HOST_NAMES, parsed
from netwatch.watch.health import Thresholds


def parse_listen_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:9477``, ``[::1]:9477`` or ``:9477`` (loopback) as host and port; raises
    `ValueError` with what is expected."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"expected an address and port like 127.0.0.1:9477, found {text!r}")
    if ":" in bare and not bracketed:
        raise ValueError(f"{text!r} needs brackets around its address, like [::1]:9477")
    return bare or "127.0.0.1", int(port)


LISTEN = parsed("text", parse_listen_address, empty=("", 0))
"""An address and a port to listen on."""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """The address and port to listen on, when the capture counts as unhealthy, and the host names
    that requests may use, besides those of this machine."""

    listen: tuple[str, int] = key(
        LISTEN,
        "address and port of the endpoint, such as `127.0.0.1:9477` or `[::1]:9477`. Without "
        "an address it is 127.0.0.1; port 0 is any free port",
        required="an address and port, like 127.0.0.1:9477",
    )
    thresholds: Thresholds = key(beside(Thresholds), "")
    hosts: tuple[str, ...] = key(
        HOST_NAMES,
        "host names under which the endpoint may be asked, besides `localhost`, addresses and "
        "the host name of this machine",
        shown="`[]`",
    )

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen[0]

    @property
    def port(self) -> int:
        """The port to listen on; 0 for any free one."""
        return self.listen[1]


def own_names(listen: str, hosts: Iterable[str]) -> frozenset[str]:
    """The host names that requests may use: the one it listens on, the host name of this machine,
    and the configured `hosts`."""
    return frozenset(
        name.lower().rstrip(".") for name in ("localhost", listen, socket.gethostname(), *hosts)
    )


def is_accepted(header: str | None, names: frozenset[str]) -> bool:
    """Whether a Host header (RFC 9110 section 7.2) has an address or one of `names`, with or
    without a port."""
    if header is None:
        return True
    if header.startswith("["):
        address, bracket, port = header[1:].partition("]")
        host, is_valid = address, bool(bracket) and port[:1] in ("", ":")
        port = port[1:]
    else:
        host, _, port = header.partition(":")
        is_valid = True
    if not is_valid or not ((port.isascii() and port.isdigit()) or not port):
        return False
    return _is_address(host) or host.lower().rstrip(".") in names


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
