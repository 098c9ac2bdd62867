"""The tables of the console itself: accounts, sessions, purposes, wrong passwords, the audit, and
saved filters.

Times are ns since the epoch. They are in `console.sqlite` beside the catalogue of a local store,
and in the database of the catalogue if that is PostgreSQL. The audit is append-only: triggers
refuse every change of a row and its removal, so that not even a defect of the console does either.

Texts of clients are changed so that every database takes them. The random keys of a console are in
its database, too.
"""

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

SCHEMA_VERSION = 3
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

saved_filter = Table(
    "console_filter",
    metadata,
    Column("account", Text, primary_key=True),
    Column("page", Text, primary_key=True, comment="the path of the page"),
    Column("name", Text, primary_key=True),
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


def storable(text: str) -> str:
    """A text without NUL and unpaired surrogates, which PostgreSQL refuses."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def read_secret(database: Database, name: str) -> bytes:
    """A key of the console."""
    with database.reading() as connection:
        found = connection.execute(select(secret.c.value).where(secret.c.name == name)).scalar_one()
    return bytes(found)
