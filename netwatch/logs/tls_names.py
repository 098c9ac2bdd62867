"""What logs say of TLS: versions by the names of tools, and host names in certificates."""

import re
from collections.abc import Iterable, Iterator

from netwatch.core.message import TlsInfo
from netwatch.core.names import normalise_name, raw_name

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
"""The names of versions that Suricata and Zeek write, and those of `netwatch.core.tls_numbers`."""

MAX_NAMES = 256
"""Maximum number of names that are read from one certificate, as in packets."""

_COMMON_NAME = re.compile(r"(?:^|,\s*|/)CN\s*=\s*([^,/\\]+)")
_JA4 = re.compile(r"[tqd][0-9a-z]{9}_[0-9a-f]{12}_[0-9a-f]{12}")
_HOST = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", 0
)


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
