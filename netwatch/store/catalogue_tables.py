"""The tables of the catalogue, for SQLite and PostgreSQL alike.

Times are ns since the epoch, records are JSON as written. A file of facts exists for readers if,
and only if, it has a row in `file`: files are added and removed by one transaction, whatever else
is in the folder.
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

SCHEMA_VERSION = 14
"""The version of these tables; `netwatch.store.migrations` upgrades older ones to it."""

metadata = MetaData()

store = Table(
    "store",
    metadata,
    Column("id", Text, primary_key=True, comment="random, names this store"),
    Column("schema", Integer, nullable=False),
    Column("format", Integer, nullable=False, comment="version of the files of facts"),
    Column("created", BigInteger, nullable=False),
    Column("flow_key", LargeBinary, comment="names the flows of older files while that goes on"),
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
    Column(
        "named",
        Integer,
        nullable=False,
        server_default="0",
        comment="1 if ids of its incidents contain the name of the sensor",
    ),
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
    Column("sensor", Text, comment="that saw it; none if that may be several"),
    Column("ip", Text, comment="none for a pseudonym"),
    Column("mac", Text),
    Column("network", Text, comment="name of its network; none outside, or if it is not known"),
    Column("class", Text),
    Column("pseudonym", Text, index=True),
    Column("sealed", LargeBinary, comment="address and MAC, encrypted"),
    # Many sensors have the same private addresses.
    Index("client_address", "ip", "sensor"),
)
"""An address in frames of a MAC, in a network, as a sensor saw it. Facts refer to it only by
number."""

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
    Column("severity", Text, nullable=False),
    Column("contacts", BigInteger, nullable=False, comment="lookups and handshakes"),
    Column("record", Text, nullable=False, comment="the alert, as scan --format jsonl wrote it"),
    Column("shown", Integer, nullable=False, comment="1 in the newest run that has the id, or 0"),
    Index("incident_id", "id"),
    Index("incident_position", "run", "position"),
    # Lists are paged by time, and every list filter only needs this index.
    Index(
        "incident_shown", "shown", "first_seen", "id", "verdict", "confidence", "kind", "outcome",
        "status", "app", "ban", "network", "device", "severity", "contacts", "last_seen",
    ),
    Index("incident_contacts", "shown", "contacts", "first_seen", "id"),
    # The picture of a page of devices counts ranges of it.
    Index("incident_shown_device", "shown", "device", "network", "first_seen"),
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
    Column("severity", Text, primary_key=True),
    Column("incidents", Integer, nullable=False),
    Column("last_seen", BigInteger, nullable=False, comment="none of them was seen later"),
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

incident_device_word = Table(
    "incident_device_word",
    metadata,
    Column("word", BigInteger, primary_key=True, autoincrement=False, comment="hash of it"),
    Column("device", Text, primary_key=True),
    Column("network", Text, primary_key=True),
    Column("sensor", Text, primary_key=True),
    Column("ip", Text, primary_key=True, comment="empty: none"),
    Column("mac", Text, primary_key=True),
    Column("incidents", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""By which words the devices of incidents are known (id, address, MAC, host name, owner), and where
they were; kept by `netwatch.store.incident_words`, for incidents of all runs."""

incident_name = Table(
    "incident_name",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, comment="hash of it"),
    Column("incidents", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""The names in the records of incidents, and in how many records each is."""

incident_named = Table(
    "incident_named",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seen", BigInteger, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    sqlite_with_rowid=False,
)
"""The incidents with a name, in the order of time: of which run, and where in its output."""

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

version_ban = Table(
    "version_ban",
    metadata,
    Column("version", ForeignKey("version.id"), primary_key=True),
    Column("ban", Text, primary_key=True),
    Column("content", Text, nullable=False, comment="hash of it and the signatures of its apps"),
)
"""What each ban said in a version, with the signatures of its apps; not known for versions that an
older netwatch stored."""

hour_captured = Table(
    "hour_captured",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True),
    Column("part", Integer, primary_key=True, comment="the capture; 0: all of a live run"),
    Column("block", Integer, primary_key=True, comment="of 1024 hours since the epoch"),
    Column("quarters", LargeBinary, nullable=False, comment="bits, one for 15 minutes; by zlib"),
    Column("traffic", LargeBinary, comment="the same of traffic itself; none: never"),
)
"""When there were packets or records of logs; and when traffic itself was seen, by packets or logs
of all flows (`netwatch.coverage.flow_visibility.TRAFFIC_LOGS`)."""

hour_network = Table(
    "hour_network",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("network", Text, primary_key=True),
    Column("class", Text, primary_key=True),
    Column("block", Integer, primary_key=True),
    Column("hours", LargeBinary, nullable=False, comment="bits: hours in which it was seen"),
    Column("flows", LargeBinary, nullable=False, comment="by hour and visibility; by zlib"),
    Column("traffic", LargeBinary, comment="hours in which its traffic was seen; none: never"),
)
"""How many flows each network had in each hour, and how many of them had a readable name."""

hour_judged = Table(
    "hour_judged",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", ForeignKey("run.id"), nullable=False, index=True),
    Column("part", Integer, comment="none: all of the run"),
    Column("version", ForeignKey("version.id"), nullable=False),
    Column("since", BigInteger, comment="none: from the beginning"),
    Column("until", BigInteger, comment="none: to the end"),
    Column("judged", BigInteger, nullable=False, comment="when it was"),
    sqlite_autoincrement=True,
)
"""The versions by which what a run saw was judged: when it was seen, or later."""

loss = Table(
    "loss",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True),
    Column("position", Integer, primary_key=True, comment="of the capture; -1: of all the run"),
    Column("kind", Text, primary_key=True, comment="skipped, rows, records, killed or late"),
    Column("quarter", Integer, primary_key=True, comment="15 minutes since the epoch"),
    Column("count", BigInteger, nullable=False, comment="0: how much is not known"),
)
"""What is missing in the store from a run, and when that was seen (`netwatch.store.hour_rows`)."""

run_writing = Table(
    "run_writing",
    metadata,
    Column("run", ForeignKey("run.id"), primary_key=True),
    Column("at", BigInteger, nullable=False, comment="when facts were last written"),
    Column("first", BigInteger, comment="the packets whose facts are written"),
    Column("last", BigInteger),
)
"""The runs that a process here writes, so that it is known what is missing if it is killed."""

fleet_sensor = Table(
    "fleet_sensor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("enrolled", BigInteger, comment="none for one that writes to this store itself"),
    Column("heard", BigInteger, comment="when it last said anything; none: never"),
    Column("silent_since", BigInteger, comment="none while it is heard"),
    Column("clock_offset", BigInteger, comment="ns that its clock is ahead of the centre's"),
    Column("refused", Integer, nullable=False, server_default="0", comment="messages"),
    Column("refused_reason", Text, nullable=False, server_default="", comment="of the last one"),
    Column("status", Text, nullable=False, server_default="", comment="JSON; empty: none yet"),
)
"""The known sensors: enrolled ones, and live captures that write to this store. Times are by the
clock here."""

fleet_applied = Table(
    "fleet_applied",
    metadata,
    Column("sensor", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="set or configuration"),
    Column("state", Text, primary_key=True, comment="applied or rejected"),
    Column("version", Text, nullable=False),
    Column("reason", Text, nullable=False, comment="why it was rejected; otherwise empty"),
    Column("time", BigInteger, nullable=False),
)
"""What each sensor last applied of the published versions, and what it last rejected."""

fleet_silence = Table(
    "fleet_silence",
    metadata,
    Column("sensor", Text, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("until", BigInteger, comment="none while it goes on"),
)
"""The times in which a sensor was not heard."""

fleet_case = Table(
    "fleet_case",
    metadata,
    Column("id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("app", Text, nullable=False),
    Column("ban", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("joined_by", Text, nullable=False, comment="community_id, time; empty: one sensor"),
    Column("sensors", Integer, nullable=False),
    Column("incidents", Integer, nullable=False),
    Column("first_seen", BigInteger, nullable=False, comment="by the clock of the centre"),
    Column("last_seen", BigInteger, nullable=False),
    Column("gap", BigInteger, nullable=False, comment="the quiet gap that it was joined with, ns"),
    Column("severity", Text, nullable=False),
    Column("contacts", BigInteger, nullable=False, comment="lookups and handshakes"),
    Column("record", Text, nullable=False, comment="JSON, netwatch.case/1"),
    # As for incidents: filters only need the index.
    Index(
        "fleet_case_time", "first_seen", "id", "verdict", "confidence", "kind", "outcome",
        "status", "app", "ban", "network", "device", "joined_by", "sensors", "severity", "contacts",
        "last_seen",
    ),
    Index("fleet_case_status", "status", "verdict"),
    Index("fleet_case_ban", "ban", "verdict"),
)  # fmt: skip
"""Incidents that several sensors saw, each once; `netwatch.store.case_rows` keeps them."""

fleet_case_incident = Table(
    "fleet_case_incident",
    metadata,
    Column("sensor", Text, primary_key=True),
    Column("incident", Text, primary_key=True),
    Column("run", ForeignKey("run.id"), nullable=False, comment="whose row of it is the newest"),
    Column("case", Text, nullable=False, index=True),
    Column("begins", Text, nullable=False, index=True, comment="id of a case that it is first of"),
    Column("clock_offset", BigInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False, comment="by the clock of the sensor"),
    Column("last_seen", BigInteger, nullable=False),
    Index("fleet_case_incident_id", "incident", "run", "case"),
)
"""The incidents of cases, and the case of each."""

fleet_case_word = Table(
    "fleet_case_word",
    metadata,
    Column("word", Text, primary_key=True, comment="hash of app, ban and a name of the device"),
    Column("sensor", Text, primary_key=True),
    Column("incident", Text, primary_key=True),
    Column("first_seen", BigInteger, nullable=False, comment="by the clock of the centre"),
    Column("last_seen", BigInteger, nullable=False),
    Index("fleet_case_word_time", "word", "last_seen"),
    Index("fleet_case_word_incident", "sensor", "incident"),
)
"""Words by which incidents of one case are found without reading others."""

fleet_batch = Table(
    "fleet_batch",
    metadata,
    Column("sensor", Text, primary_key=True),
    Column("epoch", Text, primary_key=True, comment="a life of the writer of its spool"),
    Column("sequence", BigInteger, nullable=False, comment="of the last batch that is stored"),
    Column("time", BigInteger, nullable=False),
)
"""Up to which batch the facts of each sensor are stored; written with their files, so that a batch
that is sent again is recognised."""

bypass_day = Table(
    "bypass_day",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False, comment="UTC days since epoch"),
    Column("rows", BigInteger, nullable=False, comment="facts of the day that there were"),
    Column("devices", Integer, nullable=False, comment="devices that could be judged"),
    Column("personal", Integer, nullable=False, comment="of them in personal and guest networks"),
)
"""The days on which it was judged which devices hid their lookups."""

bypass = Table(
    "bypass",
    metadata,
    Column("id", Text, primary_key=True, comment="hash of day, network, sensor and device"),
    Column("day", Integer, nullable=False),
    Column("network", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("sensor", Text, nullable=False, comment="empty: that may be several"),
    Column("device", Text, nullable=False),
    Column("record", Text, nullable=False, comment="JSON, netwatch.bypass/1"),
    Column("claimed", BigInteger, comment="when a process began to tell the outputs"),
    Column("told", BigInteger, comment="when it had told them; none: it has not"),
    Index("bypass_day_device", "day", "network", "device"),
    Index("bypass_device", "device", "day"),
)
"""The devices that hid their lookups on these days (`netwatch.store.bypass_rows`)."""

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
    Column("action", Text, nullable=False, comment="erase, prune, identify or revoke"),
    Column("detail", Text, nullable=False, comment="JSON without the person"),
    sqlite_autoincrement=True,  # a number is never used again
)
"""Erasures, deletions by age, and re-identifications."""
