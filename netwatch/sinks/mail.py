"""Mail for people: a digest of the alerts of a period, sent with the standard library.

The first alert starts the period. When it is over, all queued alerts go into one message: one line
per alert, the most serious first. The server answers for each recipient (RFC 5321 section 3.3), so
each has an outcome of its own. The subject says how many contacts were blocked, since these are not
use.

smtplib speaks the protocol. A session connects, secures the connection, authenticates, does
something and quits. It is one `exchange`; the first digit of the server's code decides what its
errors mean for delivery (RFC 5321 section 4.2.1).
"""

import email.policy
import hashlib
import re
import smtplib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import Any, Self, TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import BoundedSocket, connect, exchange, in_background
from netwatch.core.file_keys import Key, beside, key
from netwatch.core.tls_sockets import describe_error
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import DURATION, choice, parsed, texts
from netwatch.sinks.base import (
    BatchRefusedError,
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    PerRecipient,
    Refused,
    Retry,
    UnavailableError,
)
from netwatch.sinks.options import (
    TLS,
    TLS_MEANING,
    Credentials,
    TlsOptions,
    check_credentials,
    host_port,
    only_secrets,
)
from netwatch.sinks.secrets import Secret
from netwatch.sinks.templates import digest_line, digest_order, digest_title

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
    """Do something in a session. Raises `MisconfiguredError` if credentials or options must be
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
        # The text of the error would reveal a part of the password.
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


PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""The default port for each way to secure the connection (RFC 8314, RFC 5321)."""

MAX_RECIPIENTS = 100
"""Recipients of a digest, at most. Servers need not accept more (RFC 5321 section 4.5.3.1.8)."""

DIGEST_INTERVAL = 900.0
"""Default length of the period of a digest, in s."""

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+", re.ASCII)


def _parse_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"expected an address like soc@example.org, found '{text}'")
    return text


def _recipient(entry: Fields, declared: Key, line: int, text: str) -> str | None:
    try:
        return _parse_address(text)
    except ValueError as error:
        entry.problems.add(entry.file, line, f"'{declared.name}': {error}")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOptions:
    """`security` is a key of `PORTS`. `timeout` in s applies to a whole session."""

    server: tuple[str, int] = key(
        host_port(PORTS["starttls"]),
        "the mail server; the default port depends on `security`: "
        + ", ".join(f"{port} for `{word}`" for word, port in PORTS.items()),
        name="host",
        required="the mail server",
    )
    security: str = key(choice(PORTS), f"one of {', '.join(PORTS)}", "starttls")
    sender: str = key(
        parsed("address", _parse_address, empty=""),
        "the address of the sender",
        name="from",
        required="the address of the sender",
    )
    recipients: tuple[str, ...] = key(
        texts("list of addresses", _recipient),
        f"up to {MAX_RECIPIENTS} recipients",
        name="to",
        required="a list of addresses",
    )
    credentials: Credentials = key(beside(Credentials, check_credentials), "")
    timeout: float = key(DURATION, "limit for a session, from connecting to the last reply", "60s")
    tls: TlsOptions | None = key(TLS, TLS_MEANING)

    @property
    def host(self) -> str:
        """The name or address of the server."""
        return self.server[0]

    @property
    def port(self) -> int:
        """Its port."""
        return self.server[1] or PORTS[self.security]

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        if len(self.recipients) > MAX_RECIPIENTS:
            fields.add_problem("to", f"'to' has more than {MAX_RECIPIENTS} addresses")
        if self.credentials.user and self.security == "none":
            fields.add_problem(
                "user",
                "'user' needs 'security: starttls' or 'tls': a password is not sent in the clear",
            )
        if self.tls and self.security == "none":
            fields.add_problem("tls", "'tls' needs 'security: starttls' or 'tls'")
        return self

    def secrets(self) -> tuple[Secret, ...]:
        """The password."""
        return only_secrets(self.credentials.password)

    def warning(self) -> str:
        """A password is never sent in clear text."""
        return ""

    def open(self) -> "MailSink":
        """Create the sink."""
        return MailSink(self)


class MailSink:
    """Sends digests through one server. It keeps no connection between digests."""

    max_batch = 500

    def __init__(self, options: MailOptions) -> None:
        self._options = options
        self._server = MailServer(
            options.host,
            options.port,
            options.security,
            options.credentials,
            options.timeout,
            options.tls or TlsOptions(),
        )

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send one message to the recipients of the alerts. Raises as `in_session` does."""
        configured = self._options.recipients
        wanted = alerts[0].recipients or configured
        refused = {name: "is no longer configured" for name in wanted if name not in configured}
        deferred: dict[str, str] = {}
        recipients = [name for name in wanted if name in configured]
        for recipient, (code, text) in self._send_to(alerts, recipients).items():
            reasons = refused if _is_permanent(code) else deferred
            reasons[recipient] = reply_text(code, text)
        return [self._outcome(wanted, deferred, refused)] * len(alerts)

    def _send_to(
        self, alerts: Sequence[OutgoingAlert], recipients: list[str]
    ) -> dict[str, tuple[int, bytes]]:
        """Send one message. Returns the server's replies for recipients that it does not accept."""
        if not recipients:
            return {}
        message = digest(alerts, self._options.sender, self._options.recipients)

        def work(smtp: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
            return smtp.send_message(message, to_addrs=recipients)

        try:
            return in_session(self._server, work)
        except smtplib.SMTPRecipientsRefused as error:
            # Nobody gets the message. With 421 the server leaves, so it was not asked for all.
            last_reply = list(error.recipients.values())[-1]
            return {
                recipient: error.recipients.get(recipient, last_reply) for recipient in recipients
            }

    def _outcome(
        self, wanted: Sequence[str], deferred: Mapping[str, str], refused: Mapping[str, str]
    ) -> Outcome:
        accepted = frozenset(wanted) - deferred.keys() - refused.keys()
        if not deferred and not refused:
            return Delivered(f"accepted by {self._server}")
        if not accepted and not refused:
            return Retry(f"{self._server}: {_listed(deferred)}")
        if not accepted and not deferred:
            return Refused(f"{self._server}: {_listed(refused)}")
        others = ", ".join(sorted({*deferred, *refused}))
        answer = f"accepted by {self._server}, but not for {others}"
        return PerRecipient(answer, accepted, deferred, refused)

    def check_connection(self) -> str:
        """Connect and authenticate."""
        in_session(self._server, lambda smtp: smtp.noop())
        accepted = " and accepts our credentials" if self._options.credentials.user else ""
        return f"{self._server} answers{accepted}"

    def on_idle(self) -> None:
        """Nothing is open between digests."""

    def close(self) -> None:
        """Nothing is open between digests."""


def _is_permanent(code: int) -> bool:
    """Whether a reply to RCPT is final. 552 is not: it says that there are too many recipients
    (RFC 5321 section 4.5.3.1.10)."""
    return 500 <= code < 600 and code != 552


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{recipient}: {reason}" for recipient, reason in reasons.items())


def digest(alerts: Sequence[OutgoingAlert], sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The message for these alerts. Its Message-ID is the same for the same alerts."""
    records = sorted((alert.record for alert in alerts), key=digest_order)
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = f"netwatch: {digest_title(records)}"
    message["Date"] = format_datetime(localtime())
    keys = hashlib.sha256("\n".join(alert.key for alert in alerts).encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{keys}@{socket.gethostname()}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(map(digest_line, records)) + "\n", cte="base64")
    return message
