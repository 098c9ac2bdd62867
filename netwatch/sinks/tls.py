"""TLS as all outputs use it: how the receiver is verified, and our own certificate.

TLS 1.2 is the minimum. The receiver's certificate is always verified, against the configured CA or
else the system's.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.tls_sockets import client_context, reason_of
from netwatch.core.user_yaml import Fields
from netwatch.sinks.options import Option, read_file_path


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """`ca` is a PEM file of trusted certificates, None for those of the system. `certificate` and
    `key` are our own, for client authentication. `server_name` is the name that the receiver's
    certificate must be valid for; if empty, the host that we connect to."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""

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


SERVER_NAME_OPTION = Option(
    "tls.server_name", "text", "The name that the certificate must be valid for.", "the host"
)
TLS_OPTIONS = (
    Option("tls.ca", "path", "PEM file of the trusted certificates.", "the system's"),
    Option("tls.cert", "path", "PEM file of our client certificate with its chain."),
    Option("tls.key", "path", "PEM file of the private key of `tls.cert`, not encrypted."),
    SERVER_NAME_OPTION,
)


def read_tls_options(fields: Fields, base: Path) -> TlsOptions | None:
    """The mapping ``tls``, or None if it is absent. Files that it names must exist. Relative paths
    count from the folder `base`."""
    part = fields.nested("tls", "tls")
    if part is None:
        return None
    ca, certificate, key = (read_file_path(part, name, base) for name in ("ca", "cert", "key"))
    if key and not certificate:
        part.add_problem("key", "'key' needs 'cert', the certificate that it belongs to")
    server_name = part.text("server_name")
    part.reject_unknown()
    return TlsOptions(ca, certificate, key, server_name)
