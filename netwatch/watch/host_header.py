"""Which Host headers the endpoint of a capture accepts.

A page in a browser on this machine may not read the endpoint of another origin, unless its own name
is made to resolve to this machine (DNS rebinding). Such a request has that name in its Host header,
so names are accepted only where they are known to be ours. An address cannot be rebound. A request
without the header does not come from a browser.
"""

import ipaddress
import socket
from collections.abc import Iterable


def own_names(listen: str, hosts: Iterable[str]) -> frozenset[str]:
    """The names under which the endpoint may be asked: the one it listens on, the host name of this
    machine, and the configured `hosts`."""
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
