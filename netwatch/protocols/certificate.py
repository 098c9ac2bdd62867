"""The host names in an X.509 certificate (RFC 5280, RFC 6125).

The `cryptography` package parses the certificate; one that it rejects has no names here. Servers
send the same certificate to every client, and parsing is slow, so the names of recent certificates
are cached by their SHA-256.
"""

import re
import warnings
from hashlib import sha256

from cryptography import x509
from cryptography.x509.oid import NameOID

from netwatch.core.limited_dict import LimitedDict
from netwatch.core.names import normalise_name, raw_name

MAX_NAMES = 256
"""Maximum number of names read from one certificate."""
MAX_NAME = 255
"""The longest name that is accepted, in bytes."""
MAX_CACHED = 1024
"""Maximum number of certificates whose names are cached."""

_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_ERRORS = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""The names in a certificate, its anomalies, and the names as spelled in the certificate, empty if
the spelling is the same."""

_cache: LimitedDict[bytes, Names] = LimitedDict(MAX_CACHED)


def host_names(der: bytes) -> Names:
    """The host names in the DER-encoded certificate, each once, its anomalies, and the names as
    spelled in the certificate.

    The names are the common names of the subject that have the form of a host name, and the
    dNSNames of the subjectAltName (RFC 5280 section 4.2.1.6). Wildcards are not changed:
    ``*.example.com``. Anomalies: ``tls-certificate`` (nothing, or only the subject, can be read),
    ``tls-certificate-names`` (there are more than `MAX_NAMES`).
    """
    digest = sha256(der).digest()
    cached = _cache.get(digest)
    if cached is None:
        cached = _cache[digest] = _parse(der)
    else:
        _cache.move_to_end(digest)
    return cached


def _parse(der: bytes) -> Names:
    names: dict[str, str] = {}
    anomalies: list[str] = []
    # The warnings are about invalid serial numbers and dates, which do not matter here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            certificate = x509.load_der_x509_certificate(der)
            for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
                raw = str(attribute.value).encode()
                name = normalise_name(raw)
                if _HOST.fullmatch(name):
                    names[name] = raw_name(raw, name)
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            for text in extension.value.get_values_for_type(x509.DNSName):
                name = normalise_name(text.encode())
                names.setdefault(name, raw_name(text.encode(), name))
        except x509.ExtensionNotFound:
            pass
        except _ERRORS:
            anomalies.append("tls-certificate")
    accepted = [name for name in names if 0 < len(name) <= MAX_NAME]
    if len(accepted) > MAX_NAMES:
        anomalies.append("tls-certificate-names")
    del accepted[MAX_NAMES:]
    return tuple(accepted), tuple(anomalies), tuple([names[name] for name in accepted])
