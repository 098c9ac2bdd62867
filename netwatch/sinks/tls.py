"""TLS as all outputs speak it: who the receiver has to prove to be, and who we are.

TLS 1.2 at least; the receiver's certificate is always checked, against the CA that is
named, else those of the system.
"""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields


class Connection(ssl.SSLSocket):
    """Closes itself when the peer resets it. Before Python 3.13 a reset between connect and
    handshake left a socket that nobody could close: it held its descriptor until the garbage
    collector came by."""

    def recv(self, *args: Any) -> bytes:
        """As that of a socket."""
        try:
            return super().recv(*args)
        except ConnectionError:
            self.close()
            raise


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca` is a file of certificates in PEM, None for those of the system; `certificate` and
    `key` are the client's; `server_name` is what the receiver's certificate has to be
    for, empty for the host that is connected to."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def context(self) -> ssl.SSLContext:
        """A context for clients. Raises `NetwatchError` where a file cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslsocket_class = Connection
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.ca is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self.ca)
        except (OSError, ssl.SSLError) as error:
            raise NetwatchError(f"the CA in {self.ca}: {_why(error)}") from None
        if self.certificate is not None:
            try:
                # An empty password, so that an encrypted key is an error and no question.
                context.load_cert_chain(self.certificate, self.key, password="")
            except (OSError, ssl.SSLError) as error:
                told = f"the client certificate in {self.certificate}: {_why(error)}"
                raise NetwatchError(told) from None
        return context


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def plainly(error: Exception) -> str:
    """What kept a connection from being made, in words for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        # What answers in clear is read as a record of a strange version.
        reason = getattr(error, "reason", None)
        bare = reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
        return "speaks no TLS there" if bare else f"TLS: {reason or error}"
    told = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and told.startswith("Connect call failed"):
        return os.strerror(error.errno or 0)  # asyncio has words of its own
    return str(told)


def read(fields: Fields, base: Path) -> Tls | None:
    """The mapping ``tls`` with ``ca``, ``cert``, ``key`` and ``server_name``; None where it
    is absent. Files that are named have to be there."""
    part = fields.nested("tls", "tls")
    if part is None:
        return None

    def file(key: str) -> Path | None:
        text = part.text(key)
        if text and not (base / text).is_file():
            part.add_problem(key, f"'{key}': there is no file {base / text}")
        return base / text if text else None

    ca, certificate, key = file("ca"), file("cert"), file("key")
    if key and not certificate:
        part.add_problem("key", "'key' needs 'cert', the certificate that it belongs to")
    server_name = part.text("server_name")
    part.reject_unknown()
    return Tls(ca, certificate, key, server_name)
