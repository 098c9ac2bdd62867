"""Addresses that a user writes in place of the path of a log: where a receiver listens.

``syslog+udp://ADDRESS:PORT``, ``syslog+tcp://ADDRESS:PORT``,
``syslog+tls://ADDRESS:PORT?cert=FILE&key=FILE`` and ``dnstap+unix:///PATH``. Without an address it
is that of loopback: to be reached from elsewhere is a decision.
"""

import grp
import ipaddress
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from netwatch.core.errors import NetwatchError

SYSLOG_PORT = 514
"""The port of syslog over UDP (RFC 5426) and, by convention, over TCP."""

SYSLOG_TLS_PORT = 6514
"""The port of syslog over TLS (RFC 5425)."""

SOCKET_MODE = 0o600
"""Permissions of a Unix socket: who may write to it decides what is reported of whom."""

Scheme = Literal["syslog+udp", "syslog+tcp", "syslog+tls", "dnstap+unix"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

_OPTIONS: dict[Scheme, tuple[str, ...]] = {
    "syslog+udp": ("from",),
    "syslog+tcp": ("from",),
    "syslog+tls": ("from", "cert", "key"),
    "dnstap+unix": ("mode", "group"),
}


@dataclass(frozen=True, slots=True)
class ReceiverAddress:
    """Where a receiver listens. `text` is what the user wrote. `host` and `port` are those of an IP
    socket, `path`, `mode` and `group` those of a Unix socket (`group` None for that of the
    process). Senders are accepted from `senders` only, from everywhere where there are none."""

    text: str
    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""
    mode: int = SOCKET_MODE
    group: int | None = None
    certificate: str = ""
    key: str = ""
    senders: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def accepts(self, sender: str) -> bool:
        """Whether records of a sender at this address are taken."""
        if not self.senders:
            return True
        address = ipaddress.ip_address(sender.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.senders)


def is_receiver(text: str) -> bool:
    """Whether this is the address of a receiver and not a path."""
    return "://" in text


def parse(text: str) -> ReceiverAddress:
    """The address that a user wrote. Raises `NetwatchError`, which says what is expected."""
    scheme, _, _ = text.partition("://")
    known = next((known for known in SCHEMES if known == scheme), None)
    if known is None:
        raise NetwatchError(f"{text}: expected a path, or {', '.join(SCHEMES)} and an address")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise NetwatchError(f"{text}: {error}") from None
    options = _options(text, known, url.query)
    if known == "dnstap+unix":
        return _unix(text, url.netloc + url.path, options)
    if url.path.strip("/") or url.username is not None:
        raise NetwatchError(f"{text}: expected {known}://ADDRESS:PORT")
    try:
        host = str(ipaddress.ip_address(host or "127.0.0.1"))
    except ValueError:
        raise NetwatchError(f"{text}: {host!r} is no IP address") from None
    if known == "syslog+tls" and not options.get("cert"):
        raise NetwatchError(f"{text}: expected ?cert=FILE&key=FILE behind the port")
    default = SYSLOG_TLS_PORT if known == "syslog+tls" else SYSLOG_PORT
    return ReceiverAddress(
        text,
        known,
        host,
        default if port is None else port,
        certificate=options.get("cert", ""),
        key=options.get("key", options.get("cert", "")),
        senders=_senders(text, options.get("from", "")),
    )


def _options(text: str, scheme: Scheme, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS[scheme]:
            expected = ", ".join(_OPTIONS[scheme])
            raise NetwatchError(f"{text}: there is no option {name!r}, expected {expected}")
    return options


def _unix(text: str, path: str, options: dict[str, str]) -> ReceiverAddress:
    if not path.startswith("/"):
        raise NetwatchError(f"{text}: expected dnstap+unix:///PATH")
    mode, group = SOCKET_MODE, None
    if "mode" in options:
        if options["mode"] not in ("600", "0600", "660", "0660"):
            raise NetwatchError(f"{text}: expected mode=600 or mode=660")
        mode = int(options["mode"], 8)
    if "group" in options:
        try:
            group = grp.getgrnam(options["group"]).gr_gid
        except KeyError:
            reason = f"there is no group {options['group']!r} on this machine"
            raise NetwatchError(f"{text}: {reason}") from None
    return ReceiverAddress(text, "dnstap+unix", path=path, mode=mode, group=group)


def _senders(text: str, given: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in given.split(",") if part)
    except ValueError as error:
        raise NetwatchError(f"{text}: {error}") from None
