"""TLS as all outputs use it: how the receiver is verified, and our own certificate.

TLS 1.2 is the minimum. The receiver's certificate is always verified, against the configured CA or
else the system's.
"""

import os
import socket
import ssl
from pathlib import Path
from typing import Any

from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks.exchange import Bounded, time_left
from netwatch.sinks.options import Option, read_file_path


class TlsSocket(ssl.SSLSocket):
    """A TLS socket that closes itself when the peer resets the connection. Before Python 3.13, a
    reset between connect and handshake left a socket that nothing referred to and whose descriptor
    stayed open until garbage collection."""

    def recv(self, *args: Any) -> bytes:
        """Receive as `ssl.SSLSocket.recv` does."""
        try:
            return super().recv(*args)
        except ConnectionError:
            self.close()
            raise


class BoundedTlsSocket(Bounded, TlsSocket):
    """A TLS socket whose operations end with the exchange that they belong to."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands as `ssl.SSLSocket.do_handshake` does."""
        self.settimeout(time_left())
        super().do_handshake(block)

    def unwrap(self) -> socket.socket:
        """End TLS as `ssl.SSLSocket.unwrap` does."""
        self.settimeout(time_left())
        return super().unwrap()


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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslsocket_class = BoundedTlsSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.ca is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self.ca)
        except (OSError, ssl.SSLError) as error:
            raise NetwatchError(f"the CA in {self.ca}: {_reason(error)}") from None
        if self.certificate is not None:
            try:
                # With an empty password, an encrypted key is an error instead of a prompt.
                context.load_cert_chain(self.certificate, self.key, password="")
            except (OSError, ssl.SSLError) as error:
                raise NetwatchError(
                    f"the client certificate in {self.certificate}: {_reason(error)}"
                ) from None
        return context


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def describe_error(error: Exception) -> str:
    """Why a connection could not be established, in words for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate rejected: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        # OpenSSL reads a plain-text answer as a TLS record of an unknown version.
        reason = getattr(error, "reason", None)
        plain_text = reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
        return "the server does not speak TLS" if plain_text else f"TLS: {reason or error}"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and text.startswith("Connect call failed"):
        return os.strerror(error.errno or 0)  # asyncio replaces the system's message
    return str(text)


SERVER_NAME_OPTION = Option(
    "tls.server_name", "text", "The name that the certificate must be valid for.", "the host"
)
TLS_OPTIONS = (
    Option("tls.ca", "path", "PEM file of the trusted certificates.", "those of the system"),
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
