"""What rows of the audit say of people, sealed: a pseudonym in place of the subject, and subject,
purpose, detail and salt encrypted (AES-256-GCM) by a key of the row.

The pseudonym is a keyed hash, by a key of the audit. Rows about the same subject have the same one,
so who looked at somebody can be asked by name also when the keys of the rows are gone: whoever has
the key of the audit finds the pseudonym of a name, and nobody finds the name of a pseudonym but by
trying. The key is a secret of the console, as long as there is one.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from netwatch.console.tables import AUDIT_KEY, read_secret
from netwatch.store.database import Database

EMPTY = "{}"
"""What the column ``detail`` has: the detail is sealed with the rest."""

_KEY, _NONCE = 32, 12


@dataclass(frozen=True, slots=True)
class Content:
    """What is sealed of a row; `detail` is JSON. `salt` is empty in rows of an older netwatch."""

    subject: str
    purpose: str
    detail: str
    salt: str


class AuditSealing:
    """Seals and opens the rows of the audit in `database`. Methods raise `NetwatchError` where the
    key of the audit cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def _audit_key(self) -> bytes:
        return read_secret(self._database, AUDIT_KEY)

    def pseudonym(self, subject: str) -> str:
        """What the table has as the subject; empty where there is none."""
        return subject and pseudonym(self._audit_key, subject)

    def seal(self, number: int, content: Content) -> tuple[bytes, Mapping[str, str]]:
        """The key of the row with this number, and the columns that hide its content."""
        return seal(self._audit_key, number, content)

    def open(self, number: int, key: bytes, sealed: str) -> Content | None:
        """The content of a row; None where that was changed."""
        try:
            octets = base64.b64decode(sealed, validate=True)
            text = AESGCM(key).decrypt(octets[:_NONCE], octets[_NONCE:], _what(number))
            return Content(*json.loads(text))
        except (InvalidTag, ValueError, TypeError, binascii.Error):
            return None


def pseudonym(audit_key: bytes, subject: str) -> str:
    """The pseudonym of a subject by the key of the audit."""
    digest = hmac.digest(audit_key, subject.encode(errors="surrogatepass"), "sha256")[:10]
    return f"a-{base64.b32encode(digest).decode().lower()}"


def seal(audit_key: bytes, number: int, content: Content) -> tuple[bytes, Mapping[str, str]]:
    """The key of a row, and its columns."""
    key, nonce = secrets.token_bytes(_KEY), secrets.token_bytes(_NONCE)
    text = json.dumps([content.subject, content.purpose, content.detail, content.salt]).encode()
    sealed = base64.b64encode(nonce + AESGCM(key).encrypt(nonce, text, _what(number))).decode()
    subject = content.subject and pseudonym(audit_key, content.subject)
    return key, {"subject": subject, "purpose": sealed, "detail": EMPTY}


def _what(number: int) -> bytes:
    return f"row {number} of the audit".encode()
