"""The random keys of a console, which are in its database."""

from sqlalchemy import select

from netwatch.console import tables
from netwatch.store.database import Database

PSEUDONYM_KEY = "pseudonym"
"""The name of the key by which devices are called before auditors."""

AUDIT_KEY = "audit"
"""The name of the key by which subjects are called in the table of the audit."""

KEYS = (PSEUDONYM_KEY, AUDIT_KEY)
"""The names of all keys."""

KEY_BYTES = 32
"""Bytes of a key."""


def read_secret(database: Database, name: str) -> bytes:
    """A key of the console."""
    with database.reading() as connection:
        found = connection.execute(
            select(tables.secret.c.value).where(tables.secret.c.name == name)
        ).scalar_one()
    return bytes(found)
