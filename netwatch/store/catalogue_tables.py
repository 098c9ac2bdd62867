"""The tables of the catalogue, for SQLite and PostgreSQL alike.

Times are ns since the epoch, records are JSON as they were written. A file of facts exists for
readers if, and only if, it has a row in `file`: files come and go by one transaction, whatever else
lies in the folder.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA_VERSION = 2
"""The version of these tables; `netwatch.store.migrations` brings older ones here."""

metadata = MetaData()

store = Table(
    "store",
    metadata,
    Column("id", Text, primary_key=True, comment="random, names this store"),
    Column("schema", Integer, nullable=False),
    Column("format", Integer, nullable=False, comment="version of the files of facts"),
    Column("created", BigInteger, nullable=False),
)

version = Table(
    "version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("netwatch", Text, nullable=False),
    Column("signatures", Text, nullable=False),
    Column("bans", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("first_used", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # a number is never used again
)
"""What decided: content hashes, as alerts name them."""

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("command", Text, nullable=False, comment="scan, names or live"),
    Column("sensor", Text, nullable=False),
    Column("version", ForeignKey("version.id"), comment="none for names"),
    sqlite_autoincrement=True,  # a number is never used again
)
"""One call of a command. Its captures are judged together: incidents run across them."""

capture = Table(
    "capture",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", ForeignKey("run.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False, comment="place among the captures of the run"),
    Column("sources", Text, nullable=False, comment="JSON: path, size and sha256 of each file"),
    Column("content", Text, nullable=False, comment="hash of all sources; empty if unknown"),
    Column("state", Text, nullable=False, comment="open, complete or partial"),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("lost_rows", BigInteger, nullable=False, server_default="0"),
    sqlite_autoincrement=True,  # a number is never used again
)

client = Table(
    "client",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False, comment="random"),
    Column("ip", Text, comment="none for a pseudonym"),
    Column("mac", Text),
    Column("network", Text, comment="name of its network when it was first seen; none outside"),
    Column("class", Text),
    Column("pseudonym", Text, index=True),
    Column("sealed", LargeBinary, comment="address and MAC, encrypted"),
    Index("client_address", "ip", "mac"),
)
"""An address in frames of a MAC. Facts name it by number alone."""

file = Table(
    "file",
    metadata,
    Column("path", Text, primary_key=True, comment="below the folder of the store"),
    Column("table", Text, nullable=False),
    Column("day", Text, nullable=False, comment="YYYY-MM-DD, UTC"),
    Column("bucket", Integer, comment="none for a landing file"),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Index("file_day", "table", "day"),
)

incident = Table(
    "incident",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False, comment="place in the output of the run"),
    Column("status", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("app", Text, nullable=False),
    Column("ban", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("record", Text, nullable=False, comment="the alert, as scan --format jsonl wrote it"),
    Column("shown", Integer, nullable=False, comment="1 in the newest run that has the id, else 0"),
    Index("incident_id", "id"),
    # Lists are paged by time, and every filter of a list is answered from this index alone.
    Index(
        "incident_shown", "shown", "first_seen", "id", "verdict", "confidence", "kind", "outcome",
        "status", "app", "ban", "network", "device",
    ),
    Index("incident_shown_device", "shown", "device", "first_seen"),
)  # fmt: skip

incident_day = Table(
    "incident_day",
    metadata,
    Column("day", Integer, primary_key=True, comment="UTC days since the epoch"),
    Column("verdict", Text, primary_key=True),
    Column("confidence", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("app", Text, primary_key=True),
    Column("ban", Text, primary_key=True),
    Column("network", Text, primary_key=True),
    Column("incidents", Integer, nullable=False),
)
"""How many shown incidents of each sort began on a day; kept by `netwatch.store.incident_rows`."""

incident_device = Table(
    "incident_device",
    metadata,
    Column("device", Text, primary_key=True),
    Column("network", Text, primary_key=True),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("violation", Integer, nullable=False),
    Column("advisory", Integer, nullable=False),
    Column("exempt", Integer, nullable=False),
    Index("incident_device_last", "last_seen", "device", "network"),
)
"""How many shown incidents of each verdict a device has in a network."""

coverage = Table(
    "coverage",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True),
    Column("part", Integer, primary_key=True, comment="0, or the number of the hour of a live run"),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("record", Text, nullable=False, comment="as scan --coverage --format jsonl wrote it"),
)

coverage_network = Table(
    "coverage_network",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("network", Text, primary_key=True),
    Column("reason", Text, primary_key=True, comment="why flows had no name; empty: they had one"),
    Column("class", Text, nullable=False),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("flows", BigInteger, nullable=False),
    Index("coverage_network_time", "last", "first", "network", "reason", "class", "flows"),
)
"""The flows of a record of coverage by network and reason, so that sums need no JSON."""

sensor = Table(
    "sensor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("time", BigInteger, nullable=False, comment="when its status was written"),
    Column("status", Text, nullable=False, comment="JSON"),
)
"""The last status of each live sensor that writes to this store."""

evidence = Table(
    "evidence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", ForeignKey("run.id"), nullable=False, index=True),
    Column("incident", Text, index=True, comment="none for a whole capture"),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("stored", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # a number is never used again
)
"""Where the packets are: the captures that were read, and evidence captures of incidents."""

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("user", Text, nullable=False, comment="who asked"),
    Column("action", Text, nullable=False, comment="erase, prune or identify"),
    Column("detail", Text, nullable=False, comment="JSON without the person"),
    sqlite_autoincrement=True,  # a number is never used again
)
"""Erasures, deletions by age, and re-identifications."""
