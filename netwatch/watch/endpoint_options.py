"""The options of the metrics endpoint. They are apart from the endpoint itself, so that
reading a configuration does not import an HTTP server."""

from dataclasses import dataclass, field

from netwatch.watch.health import Thresholds


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """The address and port to listen on, when the capture counts as unhealthy, and the host names
    under which the endpoint may be asked, besides those of this machine."""

    host: str
    port: int
    thresholds: Thresholds = field(default_factory=Thresholds)
    hosts: tuple[str, ...] = ()


def parse_listen_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:9477``, ``[::1]:9477`` or ``:9477`` (loopback) as host and port; raises
    `ValueError` that says what is expected."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not an address and port, like 127.0.0.1:9477")
    if ":" in bare and not bracketed:
        raise ValueError(f"{text!r} needs brackets around its address, like [::1]:9477")
    return bare or "127.0.0.1", int(port)
