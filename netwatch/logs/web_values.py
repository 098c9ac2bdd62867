"""What logs of proxies and web traffic say: URLs, targets of CONNECT, Host fields, versions of TLS
by the names of tools, and host names in certificates.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from netwatch.core.message import TlsInfo
from netwatch.core.names import normalise_name, raw_name
from netwatch.protocols.http import MAX_NAME, host_of

_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?#\\]*)")
_PORT = re.compile(rb":([0-9]{1,5})$")
_PORTS = {b"http": 80, b"https": 443, b"ws": 80, b"wss": 443, b"ftp": 21}
HOST_NAME = re.compile(
    rb"(?i)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.){1,63}[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)
"""A host name of at least two labels, whose last one begins with a letter: no address."""

VERSIONS = {
    "TLS 1.3": "1.3",
    "TLS 1.2": "1.2",
    "TLS 1.1": "1.1",
    "TLSv1": "1.0",
    "SSLv3": "ssl3",
    "TLSv13": "1.3",
    "TLSv12": "1.2",
    "TLSv11": "1.1",
    "TLSv10": "1.0",
    "SSLv30": "ssl3",
    "DTLSv13": "dtls1.3",
    "DTLSv12": "dtls1.2",
    "DTLSv10": "dtls1.0",
}
"""The names of versions that Suricata and Zeek write, and ours."""

MAX_NAMES = 256
"""Maximum number of names that are read from one certificate, as in packets."""

_COMMON_NAME = re.compile(r"(?:^|,\s*|/)CN\s*=\s*([^,/\\]+)")
_JA4 = re.compile(r"[tqd][0-9a-z]{9}_[0-9a-f]{12}_[0-9a-f]{12}")
_HOST = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", 0
)


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


def tls_info(version: str, alpn: Iterable[str], ja4: str) -> TlsInfo | None:
    """What a log says of a handshake beside the name, None where that is nothing. The version is
    the one that was agreed on, because logs do not have those that the client offers."""
    known = VERSIONS.get(version, "")
    protocols = tuple(alpn)
    fingerprint = ja4 if ja4 and _JA4.fullmatch(ja4) else ""
    if not known and not protocols and not fingerprint:
        return None
    # The text's own method gives it back, and can be sent to another process.
    return TlsInfo(known, protocols, None, fingerprint.__str__ if fingerprint else None)


def certificate_names(subject: str, alternative: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The host names of a certificate, by its subject as text and its dNSNames, each once in normal
    spelling with the name as it is written (empty where that is the same)."""
    names: dict[str, str] = {}
    for found in _COMMON_NAME.finditer(subject[:4096]):
        raw = found[1].strip().encode()
        name = normalise_name(raw)
        if _HOST.fullmatch(name):
            names[name] = raw_name(raw, name)
    for written in alternative:
        raw = written.encode()
        name = normalise_name(raw)
        if 0 < len(name) <= 255 and len(names) < MAX_NAMES:
            names.setdefault(name, raw_name(raw, name))
    yield from names.items()
