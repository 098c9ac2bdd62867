"""An SMTP session: connect, secure the connection, authenticate, do something, quit.

smtplib speaks the protocol. The session is one `exchange`, and what its errors mean for delivery is
decided here by the first digit of the server's code (RFC 5321 section 4.2.1).
"""

import smtplib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import BoundedSocket, connect, exchange, in_background
from netwatch.core.tls_sockets import describe_error
from netwatch.sinks.base import BatchRefusedError, MisconfiguredError, UnavailableError
from netwatch.sinks.options import Credentials
from netwatch.sinks.tls import TlsOptions

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where to send mail. `security` is ``starttls``, ``tls`` or ``none``. `timeout` in s applies
    to a whole session. As text: ``host:port``."""

    host: str
    port: int
    security: str
    credentials: Credentials
    timeout: float
    tls: TlsOptions

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _Smtp(smtplib.SMTP):
    """A session whose socket ends with the exchange."""

    def _get_socket(self, host: str, port: int, timeout: float) -> BoundedSocket:
        return connect(host, port)


class _SmtpOverTls(smtplib.SMTP_SSL, _Smtp):
    """The same over TLS from the first byte: `smtplib.SMTP_SSL` wraps the socket of `_Smtp`."""


def in_session(server: MailServer, work: Callable[[smtplib.SMTP], _T]) -> _T:
    """Do something in a session. Raises `MisconfiguredError` if credentials or options have to be
    corrected, `UnavailableError` if a later attempt may succeed, and `BatchRefusedError` if the
    server will never accept this sender or message. `smtplib.SMTPRecipientsRefused` is passed
    on."""
    try:
        with exchange(server.timeout), _open(server) as smtp:
            return work(smtp)
    except smtplib.SMTPRecipientsRefused:
        raise
    except smtplib.SMTPAuthenticationError as error:
        raise MisconfiguredError(
            f"{server}: {reply_text(error.smtp_code, error.smtp_error)}"
        ) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise _error_for(server, error, BatchRefusedError) from None
    except smtplib.SMTPResponseException as error:
        raise _error_for(server, error, MisconfiguredError) from None
    except smtplib.SMTPNotSupportedError as error:
        raise MisconfiguredError(f"{server}: {error}") from None
    except UnicodeError:
        # The text of the error would tell a part of the password.
        raise MisconfiguredError(
            f"{server}: the user or the password has characters other than ASCII"
        ) from None
    except NetwatchError as error:
        raise MisconfiguredError(str(error)) from None
    except (smtplib.SMTPException, OSError) as error:
        raise UnavailableError(f"{server}: {_reason(server, error)}") from None


@contextmanager
def _open(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A session that is ready for mail. How it ends does not matter for what was accepted."""
    options: dict[str, Any] = {"local_hostname": in_background(socket.getfqdn)}
    if server.security == "tls":
        context = server.tls.context()
        smtp: smtplib.SMTP = _SmtpOverTls(server.host, server.port, context=context, **options)
    else:
        smtp = _Smtp(server.host, server.port, **options)
    try:
        if server.security == "starttls":
            smtp.starttls(context=server.tls.context())
        if server.credentials.password is not None:
            smtp.login(server.credentials.user, server.credentials.password.value())
        yield smtp
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
    finally:
        smtp.close()


def reply_text(code: int, text: bytes | str) -> str:
    """A reply of the server for people."""
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


def _error_for(
    server: MailServer, error: smtplib.SMTPResponseException, permanent: type[NetwatchError]
) -> NetwatchError:
    reply = f"{server}: {reply_text(error.smtp_code, error.smtp_error)}"
    return permanent(reply) if 500 <= error.smtp_code < 600 else UnavailableError(reply)


def _reason(server: MailServer, error: Exception) -> str:
    """Why a session failed. smtplib replaces the errors of its socket."""
    cause = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {server.timeout:g} s"
    return describe_error(cause if isinstance(cause, OSError) else error)
