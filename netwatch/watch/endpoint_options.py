"""The options of the metrics endpoint. They are apart from the endpoint itself, so that
reading a configuration does not import an HTTP server."""

from dataclasses import dataclass

from netwatch.core.file_keys import beside, key
from netwatch.core.value_kinds import HOST_NAMES, parsed
from netwatch.watch.health import Thresholds


def parse_listen_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:9477``, ``[::1]:9477`` or ``:9477`` (loopback) as host and port; raises
    `ValueError` that says what is expected."""
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
    under which the endpoint may be asked, besides those of this machine."""

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
        """The port to listen on; 0 is any that is free."""
        return self.listen[1]
