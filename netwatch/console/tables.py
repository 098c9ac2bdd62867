"""The tables of the console itself: accounts, sessions, purposes, tokens, wrong passwords, the
audit, saved filters and the triage of incidents; and what rows of the audit say of people, sealed.

Times are ns since the epoch. They are in `console.sqlite` beside the catalogue of a local store,
and in the database of the catalogue if that is PostgreSQL. The audit is append-only: triggers
refuse every change of a row and its removal, so that not even a defect of the console does either.

In a row of the audit there is a pseudonym in place of the subject, and subject, purpose, detail and
salt are encrypted (AES-256-GCM) by a key of the row. The pseudonym is a keyed hash, by a key of the
audit. Rows about the same subject have the same one, so who looked at somebody can be asked by name
also when the keys of the rows are gone: with the key of the audit the pseudonym of a name is found,
and the name of a pseudonym only by trying. The key is a secret of the console, as long as there is
one.

Texts of clients are changed so that every database takes them. The random keys of a console are in
its database, too.
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
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    select,
)

from netwatch.store.database import Database

SCHEMA_VERSION = 7
"""The version of these tables."""

metadata = MetaData()

account = Table(
    "console_account",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password", Text, nullable=False, comment="argon2id, in the PHC format"),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False, comment="of the password"),
)
"""Local accounts. Those of a provider or a proxy have no row."""

foreign_name = Table(
    "console_foreign_name",
    metadata,
    Column("account", Text, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("name", Text, nullable=False, index=True),
)
"""What accounts of a provider were called, and since when."""

session = Table(
    "console_session",
    metadata,
    Column("token", Text, primary_key=True, comment="SHA-256 of the token in the cookie"),
    Column("account", Text, nullable=False, index=True),
    Column("source", Text, nullable=False, comment="local, oidc or proxy"),
    Column("role", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
)

purpose = Table(
    "console_purpose",
    metadata,
    Column("session", Text, primary_key=True),
    Column("subject", Text, primary_key=True, comment="SHA-256 of the person the pages are about"),
    Column("purpose", Text, nullable=False, comment="why they are looked at"),
    Column("until", BigInteger, nullable=False, index=True),
)
"""Why a session looks at a person; rows of sessions that have ended go with their time."""

failure = Table(
    "console_failure",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", BigInteger, nullable=False, index=True),
    Column("account", Text, nullable=False, comment="a keyed hash; empty once it has signed in"),
    Column("address", Text, nullable=False, comment="a keyed hash"),
    Index("console_failure_account", "account", "time"),
    Index("console_failure_address", "address", "time"),
)
"""Wrong passwords, as long as a limit looks at them."""

pending = Table(
    "console_pending",
    metadata,
    Column("token", Text, primary_key=True, comment="SHA-256 of the token in the cookie"),
    Column("detail", Text, nullable=False, comment="JSON: state, nonce, verifier, next page"),
    Column("expires", BigInteger, nullable=False, index=True),
)
"""Sign-ins at a provider that are under way."""

audit = Table(
    "console_audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False, comment="from 1, no gaps"),
    Column("time", BigInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column(
        "subject", Text, nullable=False, comment="a pseudonym of the person or thing it is about"
    ),
    Column("purpose", Text, nullable=False, comment="sealed: subject, purpose and detail"),
    Column("detail", Text, nullable=False, comment="JSON, empty: it is sealed"),
    Column("address", Text, nullable=False, comment="of the client"),
    Column("previous", Text, nullable=False, comment="the hash of the row before"),
    Column("hash", Text, nullable=False),
    Index("console_audit_account", "account", "number"),
    Index("console_audit_subject", "subject", "number"),
)

audit_key = Table(
    "console_audit_key",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False, comment="of the row"),
    Column("key", LargeBinary, nullable=False),
)
"""What opens the rows of the audit. An erasure deletes keys, and no row."""

token = Table(
    "console_token",
    metadata,
    Column("name", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True, comment="SHA-256 of what programs send"),
    Column("role", Text, nullable=False),
    Column("networks", Text, nullable=False, comment="JSON: a list of names; empty: all"),
    Column("purpose", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("used", BigInteger),
)
"""Tokens of programs that ask the API."""

saved_filter = Table(
    "console_filter",
    metadata,
    Column("account", Text, primary_key=True),
    Column("page", Text, primary_key=True, comment="the path of the page"),
    Column("name", Text, primary_key=True),
    Column("query", Text, nullable=False),
)

triage = Table(
    "console_triage",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("state", Text, nullable=False, index=True),
    Column("assignee", Text, nullable=False, index=True, comment="an account; empty: nobody"),
    Column("changed", BigInteger, nullable=False),
    Column("app", Text, nullable=False),
    Column("rule", Text, nullable=False, comment="that of the strongest evidence"),
    Column("signatures", Text, nullable=False, comment="the version that judged, or empty"),
    Column("netwatch", Text, nullable=False, comment="the version that judged"),
)
"""What people decided of incidents; one without a row is new."""

triage_change = Table(
    "console_triage_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("account", Text, nullable=False, comment="who changed it"),
    Column("state", Text, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index("console_triage_change_incident", "incident", "id"),
)
"""The history of it."""

triage_untold = Table(
    "console_triage_untold",
    metadata,
    Column("change", Integer, primary_key=True, autoincrement=False, comment="number of a change"),
)
"""The changes of a state that the outputs have not been told of. A row is written together with
the change, so a console that is killed right after it forgets nothing."""

shared_filter = Table(
    "console_shared_filter",
    metadata,
    Column("role", Text, primary_key=True, comment="whose accounts see it"),
    Column("page", Text, primary_key=True, comment="the path of the page"),
    Column("name", Text, primary_key=True),
    Column("account", Text, nullable=False, index=True, comment="who shared it"),
    Column("query", Text, nullable=False),
)

secret = Table(
    "console_secret",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""Random keys of this console."""

SQLITE_TRIGGERS = tuple(
    f"CREATE TRIGGER console_audit_{verb.lower()} BEFORE {verb} ON console_audit"
    " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)
"""What makes the audit append-only in SQLite."""

POSTGRES_TRIGGERS = (
    "CREATE OR REPLACE FUNCTION console_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$",
    "CREATE TRIGGER console_audit_rows BEFORE UPDATE OR DELETE ON console_audit"
    " FOR EACH ROW EXECUTE FUNCTION console_audit_refuse()",
    "CREATE TRIGGER console_audit_table BEFORE TRUNCATE ON console_audit"
    " FOR EACH STATEMENT EXECUTE FUNCTION console_audit_refuse()",
)
"""What makes the audit append-only in PostgreSQL."""

SQLITE_REMOVAL = ("DROP TRIGGER console_audit_update", "DROP TRIGGER console_audit_delete")
POSTGRES_REMOVAL = (
    "DROP TRIGGER console_audit_rows ON console_audit",
    "DROP TRIGGER console_audit_table ON console_audit",
)
"""What takes these triggers away while rows of an older netwatch are sealed."""

PSEUDONYM_KEY = "pseudonym"
"""The name of the key by which devices are called before auditors."""

AUDIT_KEY = "audit"
"""The name of the key by which subjects are called in the table of the audit."""

KEYS = (PSEUDONYM_KEY, AUDIT_KEY)
"""The names of all keys."""

KEY_BYTES = 32
"""Bytes of a key."""

EMPTY = "{}"
"""What the column ``detail`` has: the detail is sealed with the rest."""


def read_secret(database: Database, name: str) -> bytes:
    """A key of the console."""
    with database.reading() as connection:
        found = connection.execute(select(secret.c.value).where(secret.c.name == name)).scalar_one()
    return bytes(found)


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
