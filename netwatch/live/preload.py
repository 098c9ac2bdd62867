"""Loads what a live capture needs later from the installation of Python.

After the privileges were dropped, the user may not be able to read that installation: it may be in
the home folder of root, for example. So every module that is otherwise imported when it is first
needed is imported before, and with it every codec. This also keeps the first packet from waiting
for an import.
"""

import codecs
import contextlib
import importlib
import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from netwatch.capture.compression import COMPRESSIONS
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.delivery.output import Output
from netwatch.formats.registry import FORMATS
from netwatch.store.fact_files import FactFiles
from netwatch.store.options import StoreOptions

MODULES = (
    "difflib",
    "hpack",
    "idna",
    "multiprocessing.popen_fork",
    "netwatch.config.data_protection",
    "netwatch.config.privacy_section",
    "netwatch.config.store_section",
    "netwatch.core.yaml_reader",
    "netwatch.delivery.configuration",
    "netwatch.formats.jsonl",
    "netwatch.inventory.inventory_file",
    "netwatch.inventory.lease_files",
    "netwatch.privacy",
    "netwatch.protocols.certificate",
    "netwatch.protocols.quic_keys",
    "netwatch.rules.shared_zones",
    "netwatch.updates.options",
    "netwatch.watch.endpoint_options",
    "orjson",
    "queue",
    "rich.pretty",
)
"""Modules that are imported when a parser, the view or a configuration first needs them."""

OPTIONAL_MODULES = ("geoip2.database", "geoip2.errors")
"""Modules of extras that may be missing."""

OUTPUT_MODULES = ("concurrent.futures.thread", "netwatch.core.http_pool")
"""Modules that outputs need when they send, besides those that they import when they are opened."""

OPTIONAL_OUTPUT_MODULES = ("nkeys",)
"""Such modules of extras that may be missing."""

STORE_MODULES = (
    "netwatch.live.live_store",
    "netwatch.store.fact_tables",
    "netwatch.store.observation_rows",
    "pyarrow",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
"""Modules that a store needs, which are imported when it is first used."""

FLEET_MODULES = (
    "asyncio",
    "nats.js.client",
    "netwatch.fleet.alert_sink",
    "netwatch.fleet.fact_writer",
    "netwatch.fleet.link",
    "netwatch.fleet.published_feed",
    "netwatch.rules.lint",
    "publicsuffixlist",
    "netwatch.live.live_store",
    "netwatch.store.observation_rows",
    "nkeys",
    "pyarrow.compute",
    "pyarrow.parquet",
)
"""Modules that a sensor of a fleet needs."""

SERVER_MODULES = ("psycopg", "sqlalchemy.dialects.postgresql.psycopg")
"""Those of a catalogue in PostgreSQL, whose extra may be missing."""

LOG_MODULES = ("glob", "netwatch.live.log_worker", "netwatch.logs.live.feed")
"""Modules that logs need."""

CODECS = (
    *("ascii", "idna", "latin-1", "punycode", "unicode_escape", "utf-8", "utf-8-sig", "utf-16"),
    *("utf-16-be", "utf-16-le"),
)
"""Codecs that sockets, addresses, texts, and files that users wrote need; ``idna`` is that of
`socket.getaddrinfo`."""


def preload(format_: str, outputs: Sequence[Output], *, from_file: bool) -> None:
    """Import all modules and codecs that a capture with this format of records and these outputs
    may need. `from_file`: packets are read from a file, not from interfaces."""
    for codec in CODECS:
        codecs.lookup(codec)
    for module in MODULES:
        importlib.import_module(module)
    if from_file:
        for compression in COMPRESSIONS.values():
            compression.load()
    _import_optional(OPTIONAL_MODULES)
    for name in {format_, *(output.format for output in outputs)} - {""}:
        importlib.import_module(f"netwatch.formats.{name}")
    FORMATS[format_].writer(io.StringIO()).begin("alerts")
    # rich imports its tables of emoji and of the widths of characters with the first text that
    # needs them, and more with the first table.
    Console(file=io.StringIO()).print(Table(":x: \u65e5"))
    if not outputs:
        return
    for output in outputs:
        # A library that is not installed is reported by the delivery.
        with contextlib.suppress(NetwatchError):
            output.options.open().close()
    for module in OUTPUT_MODULES:
        importlib.import_module(module)
    _import_optional(OPTIONAL_OUTPUT_MODULES)


def preload_store(options: StoreOptions) -> None:
    """Import what a store needs, too. Its extra has to be installed."""
    for module in STORE_MODULES:
        importlib.import_module(module)
    import pyarrow

    # It looks for pandas with the first array that is made of objects.
    pyarrow.array([0])
    if options.catalogue:
        _import_optional(SERVER_MODULES)
    if "://" in options.path:
        # The library of this kind of URL is imported by opening one; nothing is asked of a server.
        with contextlib.suppress(ConfigError):
            FactFiles(options.path)


def preload_logs() -> None:
    """Import what the formats of logs need, too: which ones are read is seen when they are."""
    for module in LOG_MODULES:
        importlib.import_module(module)
    from netwatch.logs.reading import ReaderContext
    from netwatch.logs.recognise import recognise_head
    from netwatch.logs.registry import LOG_FORMATS
    from netwatch.logs.times import LocalTimes

    for log_format in LOG_FORMATS.values():
        log_format.reader(ReaderContext(LocalTimes()))
    recognise_head(b"Nov 27 00:00:00 resolver dnsmasq[1]: started\n{}\n")


def preload_fleet() -> None:
    """Import what a sensor of a fleet needs, too. Its extra has to be installed."""
    for module in FLEET_MODULES:
        importlib.import_module(module)
    import pyarrow

    pyarrow.array([0])


def _import_optional(modules: Sequence[str]) -> None:
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
