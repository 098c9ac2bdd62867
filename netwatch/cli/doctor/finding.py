"""The findings of ``netwatch doctor``'s checks, and how long a check may wait.

A check is a function of the arguments that yields findings. It changes nothing, prints no secret
and ends in a bounded time: everything that waits for a server, including a lookup of its name, goes
through `within`.

Several checks ask who can write to the folders and files of services, how much room there is, and
whether certificates are valid. Root may write everything, so for root the question is whether the
service can: netwatch gives what root writes into another user's folder to that user, and the
service is the owner of its folder.
"""

import argparse
import os
import queue
import shutil
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.user_yaml import read_user_file

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""Seconds that a server has to answer a check."""

Level = Literal["ok", "warn", "bad"]
"""``warn`` is a possible or future problem; the exit status is the same as for ``ok``."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: its `subject`, its `level`, and a text; `todo` are lines on how to
    solve the problem."""

    subject: str
    level: Level
    text: str
    todo: tuple[str, ...] = ()


def ok(subject: str, text: str) -> Finding:
    """A finding that needs no action."""
    return Finding(subject, "ok", text)


def warn(subject: str, text: str, *todo: str) -> Finding:
    """A finding that needs attention."""
    return Finding(subject, "warn", text, todo)


def bad(subject: str, text: str, *todo: str) -> Finding:
    """A finding of a problem."""
    return Finding(subject, "bad", text, todo)


def configured(load: Callable[[str | None], T], args: argparse.Namespace) -> T | None:
    """What `load` finds in the configuration; None if there is nothing, or a mistake: the check of
    the configuration reports it."""
    try:
        return load(args.config)
    except ConfigError:
        return None


def reason(error: NetwatchError) -> str:
    """The text of an error, on one line. Of the problems of a `ConfigError` only a missing extra or
    a place is shown; those of netwatch.yaml have already been listed."""
    if isinstance(error, ConfigError):
        return "; ".join(problem.message for problem in error.problems)
    return " ".join(str(error).split())


def within(seconds: float, ask: Callable[[], T]) -> T:
    """The result of `ask`, or its exception. Raises `NetwatchError` if it takes longer than
    `seconds`; its thread then waits on until the command ends."""
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, name="doctor", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise NetwatchError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None only if T is


SERVICE_USER = "netwatch"
"""The user of the systemd unit."""

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"))

EXPIRY_DAYS = 14
"""Days before the end of a certificate from which to warn."""

_PEM_BYTES = 1 << 20


def amount(octets: float) -> str:
    """A number of bytes for people, in decimal units."""
    for size, unit in _UNITS:
        if octets >= size:
            shown = octets / size
            return f"{shown:,.0f} {unit}" if shown >= 100 else f"{shown:.1f} {unit}"
    return f"{octets / 1000:,.1f} KB"


def nearest(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def writable(subject: str, folder: Path, files: Sequence[str] = ()) -> Finding:
    """Whether this user, and for root the service's user, can write to `folder`, and to those of
    its `files` that exist."""
    existing = nearest(folder.absolute())
    if not existing.is_dir():
        return bad(subject, f"{existing} is no folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        return bad(
            subject,
            f"{folder}: no permission to write to {existing}",
            "run this as the user of the service, or give that user the folder with chown",
        )
    if existing != folder.absolute():
        return ok(subject, f"{folder} does not exist yet, and can be created")
    owner = folder.stat().st_uid
    for name in files:
        path = folder / name
        if not path.exists():
            continue
        if os.geteuid() == 0 and path.stat().st_uid != owner:
            text = f"{path} belongs to user {path.stat().st_uid}, and its folder to user {owner}"
            todo = f"chown --reference={folder} {path}"
            return bad(subject, f"{text}: the service cannot write it", todo)
        if not os.access(path, os.R_OK | os.W_OK):
            return bad(subject, f"{path}: no permission to write it")
    service = _service_user()
    if os.geteuid() == 0 and owner == 0 and service:
        text = f"{folder} belongs to root: a service that runs as {SERVICE_USER} cannot write it"
        return warn(subject, text, f"chown -R {SERVICE_USER}: {folder}")
    return ok(subject, f"{folder} can be written")


def _service_user() -> int | None:
    """The user id of the service; None if there is no such user, or the system has no users."""
    try:
        import pwd

        return pwd.getpwnam(SERVICE_USER).pw_uid
    except (ImportError, KeyError):
        return None


def free(folder: Path) -> int:
    """Free bytes for this user where `folder` is, or will be."""
    return shutil.disk_usage(nearest(folder.absolute())).free


def pair(subject: str, certificate: Path, key: Path, host: str = "") -> Finding:
    """Whether a certificate and its key, PEM, can be used, for how long, and for `host` unless that
    is empty."""
    for path in (certificate, key):
        try:
            read_user_file(path, _PEM_BYTES)
        except NetwatchError as error:
            return bad(subject, f"{path} {error}", "it has to be readable for the service's user")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # With an empty password, an encrypted key is an error instead of a question.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error
        return bad(
            subject,
            f"{certificate} and {key} cannot be used: {str(why).replace('_', ' ').lower()}",
            "expected PEM files: the certificate with its chain, and its key without a password",
        )
    if key.stat().st_mode & 0o007:
        return warn(subject, f"{key}: every user can access this key", f"chmod o= {key}")
    return validity(subject, read_user_file(certificate, _PEM_BYTES), str(certificate), host)


def validity(subject: str, pem: bytes, place: str, host: str = "") -> Finding:
    """How long the certificates in a text, from `place`, are valid. The first one is for `host`,
    unless that is empty."""
    from cryptography import x509

    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return bad(subject, f"{place}: expected a certificate in PEM")
    now = datetime.now(UTC)
    until = min(certificate_in.not_valid_after_utc for certificate_in in chain)
    day = f"{until:%Y-%m-%d}"
    if until <= now:
        return bad(subject, f"{place} expired on {day}", "replace it, and start the service again")
    begins = max(certificate_in.not_valid_before_utc for certificate_in in chain)
    if begins > now:
        text = f"{place} is valid from {begins:%Y-%m-%d} only"
        return bad(subject, text, "is the clock of this machine right?")
    if host and not _is_for(host, _names(chain[0])):
        return warn(subject, f"{place} is not for {host}, under which clients know it")
    if until - now < timedelta(days=EXPIRY_DAYS):
        return warn(subject, f"{place} expires on {day}", "renew it")
    return ok(subject, f"{place} is valid until {day}")


def _names(certificate: object) -> Sequence[str]:
    """The names and addresses in a certificate."""
    from cryptography import x509

    assert isinstance(certificate, x509.Certificate)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def _is_for(host: str, names: Sequence[str]) -> bool:
    """Whether one of the names matches a host (RFC 6125, section 6.4: ``*`` is one label)."""
    parent = host.partition(".")[2]
    wanted = {host.lower(), f"*.{parent.lower()}" if parent else host.lower()}
    return any(name.lower() in wanted for name in names)
