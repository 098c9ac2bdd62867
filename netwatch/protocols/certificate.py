"""The host names in an X.509 certificate (RFC 5280, RFC 6125).

The `cryptography` package reads it; what it refuses has no names here. Servers send the
same certificate to every client, and reading one takes longer than a packet should, so
that the names of those seen last are kept under their SHA-256.
"""

import re
import warnings
from collections import OrderedDict
from hashlib import sha256

from cryptography import x509
from cryptography.x509.oid import NameOID

from netwatch.core.names import normalise_name

MAX_NAMES = 256
"""Names taken from one certificate."""
MAX_NAME = 255
"""The longest name that is taken, in bytes."""
MAX_KEPT = 1024
"""Certificates whose names are kept."""

_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_FAULTS = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

Names = tuple[tuple[str, ...], tuple[str, ...]]
"""Names, and anomalies."""

_kept: OrderedDict[bytes, Names] = OrderedDict()


def host_names(der: bytes) -> Names:
    """The host names in the certificate `der`, each once, and what was odd about it.

    They are the common names of its subject that look like one, and the dNSNames of its
    subjectAltName (RFC 5280 section 4.2.1.6). A wildcard stays as it is written:
    ``*.example.com``. Anomalies: ``tls-certificate`` (it cannot be read, or only its
    subject), ``tls-certificate-names`` (there are more than `MAX_NAMES`).
    """
    digest = sha256(der).digest()
    known = _kept.get(digest)
    if known is None:
        known = _kept[digest] = _read(der)
        if len(_kept) > MAX_KEPT:
            _kept.popitem(last=False)
    else:
        _kept.move_to_end(digest)
    return known


def _read(der: bytes) -> Names:
    names: dict[str, None] = {}
    anomalies: list[str] = []
    # It warns of serial numbers and dates that are not as they should be, which are no
    # business of a reader of names.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            certificate = x509.load_der_x509_certificate(der)
            for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
                name = normalise_name(str(attribute.value).encode())
                if _HOST.fullmatch(name):
                    names[name] = None
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            for text in extension.value.get_values_for_type(x509.DNSName):
                names[normalise_name(text.encode())] = None
        except x509.ExtensionNotFound:
            pass
        except _FAULTS:
            anomalies.append("tls-certificate")
    kept = [name for name in names if 0 < len(name) <= MAX_NAME]
    if len(kept) > MAX_NAMES:
        anomalies.append("tls-certificate-names")
    return tuple(kept[:MAX_NAMES]), tuple(anomalies)
