"""Certificates: can they be read, does the key fit, and how long are they valid?"""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch.cli.doctor.finding import Finding, bad, ok, warn
from netwatch.core.errors import NetwatchError
from netwatch.core.user_files import read_user_file

EXPIRY_DAYS = 14
"""Days before the end of a certificate from which it is warned of."""

_PEM_BYTES = 1 << 20


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
    """How long the certificates of a text, which is from `place`, are valid. The first one is for
    `host`, unless that is empty."""
    from cryptography import x509

    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return bad(subject, f"{place}: expected a certificate in PEM")
    now = datetime.now(UTC)
    until = min(each.not_valid_after_utc for each in chain)
    day = f"{until:%Y-%m-%d}"
    if until <= now:
        return bad(subject, f"{place} expired on {day}", "replace it, and start the service again")
    begins = max(each.not_valid_before_utc for each in chain)
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
    """Whether one of the names is that of a host (RFC 6125, section 6.4: ``*`` is one label)."""
    parent = host.partition(".")[2]
    wanted = {host.lower(), f"*.{parent.lower()}" if parent else host.lower()}
    return any(name.lower() in wanted for name in names)
