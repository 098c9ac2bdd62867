"""TLS as all outputs use it: how the receiver is verified, and our own certificate.

TLS 1.2 is the minimum. The receiver's certificate is always verified, against the configured CA or
else the system's.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import key as declare
from netwatch.core.file_keys import nested
from netwatch.core.tls_sockets import client_context, reason_of
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import TEXT
from netwatch.sinks.options import FILE


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """`ca` is a PEM file of trusted certificates, None for the system's. `certificate` and
    `key` are our own, for client authentication. `server_name` is the name that the receiver's
    certificate must be valid for; if empty, the host that we connect to."""

    ca: Path | None = declare(FILE, "PEM file of the trusted certificates", shown="the system's")
    certificate: Path | None = declare(
        FILE, "PEM file of our client certificate with its chain", name="cert"
    )
    key: Path | None = declare(FILE, "PEM file of the private key of `cert`, not encrypted")
    server_name: str = declare(
        TEXT, "the name that the certificate must be valid for", shown="the host"
    )

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


def _check(found: TlsOptions, part: Fields, _: Path) -> TlsOptions:
    if found.key and not found.certificate:
        part.add_problem("key", "'key' needs 'cert', the certificate that it belongs to")
    return found


TLS = nested(TlsOptions, check=_check)
"""The mapping ``tls``: None if it is absent."""

TLS_MEANING = "how the receiver is verified, and our own certificate, see [`tls`](outputs.md#tls)"
"""What the key with this mapping means."""
