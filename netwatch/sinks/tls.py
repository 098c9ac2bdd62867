"""TLS as all outputs use it: how the receiver is verified, and our own certificate.

TLS 1.2 is the minimum. The receiver's certificate is always verified, against the configured CA or
else the system's.

Without TLS, anybody on the path can read credentials that cross a network. An output that sends a
password or a token without TLS to another host is refused, unless its configuration says
``insecure: true``; then `netwatch policy check` and `netwatch doctor` warn of it. What only proves
that a secret is known, such as a signature or SCRAM, is not sent.
"""

import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import key, nested
from netwatch.core.file_keys import key as declare
from netwatch.core.tls_sockets import client_context, reason_of
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import BOOLEAN, TEXT
from netwatch.sinks.options import FILE

Files = TypeVar("Files", bound="TlsFiles")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """`ca` is a PEM file of trusted certificates, None for the system's. `certificate` and
    `key` are our own, for client authentication."""

    ca: Path | None = declare(FILE, "PEM file of the trusted certificates", shown="the system's")
    certificate: Path | None = declare(
        FILE, "PEM file of our client certificate with its chain", name="cert"
    )
    key: Path | None = declare(FILE, "PEM file of the private key of `cert`, not encrypted")

    def context(self) -> ssl.SSLContext:
        """A context for client connections, whose sockets end with the exchange that they belong
        to. Raises `NetwatchError` if a file is not usable."""
        context = client_context(self.ca)
        if self.certificate is not None:
            try:
                # With an empty password, an encrypted key is an error instead of a prompt.
                context.load_cert_chain(self.certificate, self.key, password="")
            except (OSError, ssl.SSLError) as error:
                raise NetwatchError(
                    f"the client certificate in {self.certificate}: {reason_of(error)}"
                ) from None
        return context


@dataclass(frozen=True, slots=True)
class TlsOptions(TlsFiles):
    """`server_name` is the name that the receiver's certificate must be valid for; if empty, the
    host that we connect to."""

    server_name: str = declare(
        TEXT, "the name that the certificate must be valid for", shown="the host"
    )


def _check(found: Files, part: Fields, _: Path) -> Files:
    if found.key and not found.certificate:
        part.add_problem("key", "'key' needs 'cert', the certificate that it belongs to")
    return found


TLS = nested(TlsOptions, check=_check)
"""The mapping ``tls``: None if it is absent."""

TLS_FILES = nested(TlsFiles, check=_check)
"""The same of a receiver whose library decides what name the certificate must be valid for."""

TLS_MEANING = "how the receiver is verified, and our own certificate, see [`tls`](outputs.md#tls)"
"""What the key with this mapping means."""


def insecure_key() -> Any:
    """The key ``insecure``."""
    return key(
        BOOLEAN,
        "whether a password or token may be sent without TLS to a host that is not this one",
        False,
    )


def cleartext_warning(
    fields: Fields, accepted: bool, credential: str, hosts: Iterable[str], remedy: str
) -> str:
    """The warning that follows from the key ``insecure``, which is `accepted`; empty if there is
    none.

    `credential` is the key of what the output sends without TLS (empty: nothing), and `hosts` are
    those that receive or forward it. If one of these is another host and ``insecure`` is not set,
    that is a problem; `remedy` says how to use TLS."""
    others = [host for host in hosts if not is_loopback(host)]
    if not credential or not others:
        return ""
    text = f"'{credential}' is sent in the clear to {others[0]}"
    if accepted:
        return f"{text}; {remedy}"
    fields.add_problem(credential, f"{text}: {remedy}, or accept that with 'insecure: true'")
    return ""


def is_loopback(host: str) -> bool:
    """Whether a name or an address is certainly that of this host (RFC 6761 section 6.3, RFC 6890):
    what is sent there crosses no network."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
