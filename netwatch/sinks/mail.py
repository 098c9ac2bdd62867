"""Mail for people: a digest of what came in a while, by the standard library.

The first alert starts the while; when it is over all that waits goes into one message,
a line an alert, the worst first.
"""

import email.policy
import hashlib
import re
import smtplib
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks.base import (
    SEVERITIES,
    VERDICTS,
    Delivered,
    DeniedError,
    Item,
    Outcome,
    Record,
    RejectedError,
    UnavailableError,
    rank,
)
from netwatch.sinks.secrets import Secret
from netwatch.sinks.settings import Credentials, credentials, duration, given, host_port
from netwatch.sinks.tls import Tls, plainly
from netwatch.sinks.tls import read as read_tls

PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""By how the connection is secured (RFC 8314, RFC 5321)."""

MAX_RECIPIENTS = 100
"""Addresses that a digest goes to; servers need not take more (RFC 5321 section 4.5.3.1.8)."""

EVERY = 900.0
"""Seconds that alerts are gathered where nothing is said."""

_T = TypeVar("_T")
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+", re.ASCII)
_NAMES = 3


@dataclass(frozen=True, slots=True)
class MailSettings:
    """`security` is a key of `PORTS`; `timeout` in s for each step."""

    host: str
    port: int
    security: str
    sender: str
    to: tuple[str, ...]
    credentials: Credentials
    timeout: float
    tls: Tls

    def secrets(self) -> tuple[Secret, ...]:
        """The password."""
        return given(self.credentials.password)

    def open(self) -> "MailSink":
        """The sink."""
        return MailSink(self)


def read(fields: Fields, base: Path) -> MailSettings:
    """The keys ``host``, ``security``, ``from``, ``to``, ``user``, ``password``,
    ``timeout`` and ``tls``."""
    security = fields.choice("security", PORTS, "starttls")
    host, port = host_port(fields, "host", PORTS[security], "the mail server")
    sender = fields.text("from", required="the address that sends")
    to = fields.texts("to", required="a list of addresses")
    for key, line, text in [
        ("from", fields.line_of("from"), sender),
        *(("to", *each) for each in to),
    ]:
        if text and not _ADDRESS.fullmatch(text):
            told = f"'{key}' is '{text}', expected an address like soc@example.org"
            fields.problems.add(fields.file, line, told)
    if len(to) > MAX_RECIPIENTS:
        fields.add_problem("to", f"'to' has more than {MAX_RECIPIENTS} addresses")
    user = credentials(fields, base)
    if user.user and security == "none":
        fields.add_problem(
            "user", "'user' needs 'security: starttls' or 'tls': a password is not sent bare"
        )
    timeout, tls = duration(fields, "timeout", 10), read_tls(fields, base)
    if tls and security == "none":
        fields.add_problem("tls", "'tls' needs 'security: starttls' or 'tls'")
    recipients = tuple(text for _, text in to)
    return MailSettings(host, port, security, sender, recipients, user, timeout, tls or Tls())


class MailSink:
    """Sends digests by one server."""

    batch = 500

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Send one message. Raises by the first digit of the server's code (RFC 5321 section
        4.2.1): 4 is `UnavailableError`, 5 is `RejectedError`; `DeniedError` for credentials."""
        message = digest(items, self._settings.sender, self._settings.to)
        refused = self._tried(lambda server: server.send_message(message))
        some = f", but not for {', '.join(sorted(refused))}" if refused else ""
        return [Delivered(f"taken by {self._where}{some}")] * len(items)

    def reach(self) -> str:
        """Connect and sign in."""
        self._tried(lambda server: server.noop())
        signed = " and takes our credentials" if self._settings.credentials.user else ""
        return f"{self._where} answers{signed}"

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _tried(self, work: Callable[[smtplib.SMTP], _T]) -> _T:
        where = self._where
        try:
            with self._session() as server:
                return work(server)
        except smtplib.SMTPAuthenticationError as error:
            raise DeniedError(f"{where}: {_said(error.smtp_code, error.smtp_error)}") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise self._error(*max(error.recipients.values())) from None
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            raise self._error(error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPResponseException as error:
            raise self._error(error.smtp_code, error.smtp_error, DeniedError) from None
        except NetwatchError as error:
            raise DeniedError(str(error)) from None
        except smtplib.SMTPNotSupportedError as error:
            raise DeniedError(f"{where}: {error}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise UnavailableError(f"{where}: {plainly(error)}") from None

    def _session(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host,
                settings.port,
                timeout=settings.timeout,
                context=settings.tls.context(),
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout)
        try:
            if settings.security == "starttls":
                server.starttls(context=settings.tls.context())
            if settings.credentials.password is not None:
                server.login(settings.credentials.user, settings.credentials.password.value())
        except BaseException:
            server.close()
            raise
        return server

    def _error(
        self, code: int, text: bytes | str, permanent: type[NetwatchError] = RejectedError
    ) -> NetwatchError:
        told = f"{self._where}: {_said(code, text)}"
        return permanent(told) if 500 <= code < 600 else UnavailableError(told)

    def rest(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


def _said(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


def digest(items: Sequence[Item], sender: str, to: Sequence[str]) -> EmailMessage:
    """The message; its id is the same for the same alerts."""
    counts = Counter(str(item.record.get("verdict")) for item in items)
    order = sorted(counts, key=lambda word: -rank(VERDICTS, word))
    told = ", ".join(f"{counts[word]} {word}" for word in order)
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = f"netwatch: {_plain(told)}"
    message["Date"] = format_datetime(localtime())
    keys = hashlib.sha256("\n".join(item.key for item in items).encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{keys}@{socket.gethostname()}>"
    message["Auto-Submitted"] = "auto-generated"
    worst = sorted(items, key=lambda item: _weight(item.record))
    message.set_content("\n".join(line(item.record) for item in worst) + "\n", cte="base64")
    return message


def _weight(record: Record) -> tuple[int, int, str]:
    verdict = rank(VERDICTS, record.get("verdict"))
    severity = rank(SEVERITIES, record.get("severity"))
    return -verdict, -severity, str(record.get("first_seen"))


def line(record: Record) -> str:
    """An alert in a line for people."""

    def part(name: str) -> Record:
        value = record.get(name)
        return value if isinstance(value, dict) else {}

    device, app, ban = part("device"), part("app"), part("ban")
    who = " ".join(str(device[key]) for key in ("id", "ip", "owner") if device.get(key))
    names = [str(name) for name in record.get("names") or []]
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    told = (
        f"{record.get('first_seen')}  {record.get('verdict')} ({record.get('severity')},"
        f" {record.get('confidence')}, {record.get('status')}): {app.get('name')} by {who or '?'},"
        f" ban {ban.get('id')}; names: {', '.join(names[:_NAMES]) or 'none'}{more}"
        f"; alert {record.get('id')}"
    )
    return _plain(told)


def _plain(text: str) -> str:
    """Text with nothing in it that breaks a line or hides others."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
