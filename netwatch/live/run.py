"""Starts a live capture in the only order that is safe, and ends it.

1. Read the configuration, since its mistakes cost nothing yet, and import all modules.
2. Open the interfaces, while the process has the privileges to do so.
3. Drop the privileges.
4. Fork the workers, while no thread runs.
5. Open what has threads, files and locks (`netwatch.live.resources`).

After step 3, the user may not be able to read the installation of Python: it may be in root's home
folder, for example. So step 1 imports every module that is otherwise imported on first use, and
every codec. This also keeps the first packet from waiting for an import.
"""

import codecs
import contextlib
import importlib
import io
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.table import Table

from netwatch.capture import interfaces
from netwatch.capture.compression import COMPRESSIONS
from netwatch.config import Config, load
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.private_files import below
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import CoverageReport
from netwatch.delivery.output import Output
from netwatch.fleet import is_sensor, outputs_of
from netwatch.fleet import require_extra as require_fleet
from netwatch.formats.registry import FORMATS
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.live.config_update import prepare
from netwatch.live.display import MessageStream
from netwatch.live.events import Listener
from netwatch.live.messages import WorkerOptions
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.resources import Resources, ShowView
from netwatch.live.service import hang_ups_noted, signal_handlers
from netwatch.live.source_openers import (
    LiveOptions,
    LogOpener,
    SourceOpener,
    log_opener,
    source_openers,
)
from netwatch.live.worker_pool import WorkerPool
from netwatch.store.fact_files import FactFiles
from netwatch.store.options import StoreOptions, require_extra

MODULES = (
    "difflib",
    "hpack",
    "idna",
    "multiprocessing.popen_fork",
    "netwatch.config.data_sections",
    "netwatch.core.yaml_reader",
    "netwatch.delivery.configuration",
    "netwatch.flow_export.known_exporters",
    "netwatch.formats.jsonl",
    "netwatch.inventory.inventory_file",
    "netwatch.inventory.lease_files",
    "netwatch.privacy",
    "netwatch.protocols.certificate",
    "netwatch.rules.shared_zones",
    "netwatch.updates.options",
    "netwatch.watch.endpoint_options",
    "orjson",
    "queue",
    "rich.pretty",
)
"""Modules that parsers, the view or a configuration import on first use."""

OPTIONAL_MODULES = ("geoip2.database", "geoip2.errors")
"""Modules of extras that may be missing."""

OUTPUT_MODULES = ("concurrent.futures.thread", "netwatch.core.tls_sockets")
"""Modules that outputs need for sending, besides those that they import when they are opened."""

OPTIONAL_OUTPUT_MODULES = ("nkeys",)
"""Such modules of extras that may be missing."""

STORE_MODULES = (
    "netwatch.formats.notice",
    "netwatch.live.live_store",
    "netwatch.store.fact_tables",
    "netwatch.store.observation_rows",
    "netwatch.store.untold",
    "pyarrow",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
"""Modules that a store needs, imported on first use."""

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
"""Codecs for sockets, addresses, texts, and users' files; ``idna`` is for `socket.getaddrinfo`."""


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
        # The delivery reports a library that is not installed.
        with contextlib.suppress(NetwatchError):
            output.options.open().close()
    for module in OUTPUT_MODULES:
        importlib.import_module(module)
    _import_optional(OPTIONAL_OUTPUT_MODULES)


def preload_store(options: StoreOptions) -> None:
    """Import what a store needs, too. Its extra must be installed."""
    for module in STORE_MODULES:
        importlib.import_module(module)
    import pyarrow

    # It looks for pandas with the first array made from objects.
    pyarrow.array([0])
    if options.catalogue:
        _import_optional(SERVER_MODULES)
    if "://" in options.path:
        # The library for this kind of URL is imported by opening one; no server is contacted.
        with contextlib.suppress(ConfigError):
            FactFiles(options.path)


def preload_logs() -> None:
    """Import what the formats of logs need, too: it is only known when they are read which ones
    they are."""
    for module in LOG_MODULES:
        importlib.import_module(module)
    from netwatch.logs.recognise import recognise_head
    from netwatch.logs.records import ReaderContext
    from netwatch.logs.registry import LOG_FORMATS
    from netwatch.logs.times import LocalTimes

    for log_format in LOG_FORMATS.values():
        log_format.reader(ReaderContext(LocalTimes()))
    recognise_head(b"Nov 27 00:00:00 resolver dnsmasq[1]: started\n{}\n")


def preload_fleet() -> None:
    """Import what a sensor of a fleet needs, too. Its extra must be installed."""
    for module in FLEET_MODULES:
        importlib.import_module(module)
    import pyarrow

    pyarrow.array([0])


def _import_optional(modules: Sequence[str]) -> None:
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses of a capture: packets that the kernel dropped, how often a ring was full, and findings
    and records that were discarded because their queues were full. `unwritten` are bytes of further
    records, and `alerts` are alerts for outputs, that could not be written by the end. `unrecorded`
    are packets that were judged but not recorded for the store, None without one, and `unstored`
    are rows and records missing in it."""

    packets: int
    ring_freezes: int
    findings: int
    records: int
    unwritten: int
    alerts: int
    unrecorded: int | None = None
    unstored: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a capture. `config` is the last configuration in use. `reader_gone` means that
    the reader of the records went away; `error` is the reason why a worker failed."""

    config: Config
    statistics: RunStatistics
    incidents: OpenIncidents
    coverage: CoverageReport
    evidence: EvidenceFolder | None
    losses: Losses
    seconds: float
    reader_gone: bool
    error: str | None


def run(
    options: LiveOptions,
    listener: Listener,
    messages: MessageStream,
    show_view: ShowView | None = None,
) -> RunResult:
    """Capture until a signal or the end of the file; `listener` gets every event, and what does
    not fit into `messages` is counted. Raises `ConfigError`, `CaptureError`, and `NetwatchError`
    if something cannot be opened."""
    started = time.monotonic()
    with ExitStack() as stack:
        was_hung_up = stack.enter_context(hang_ups_noted())
        config = load(options.config)
        stack.enter_context(below(config.store.path if config.store else None))
        sources = _open_sources(options, config)
        resources = Resources(options, config, listener, messages, stack)
        store = resources.start_store()
        worker_options = WorkerOptions(
            live=options.live,
            keep_frames=options.evidence is not None,
            recording=store.recording if store is not None else None,
        )
        pool = WorkerPool(sources, config, worker_options)
        if store is not None:
            store.begin()
            told = partial(resources.stopping.progress, "writing to the store")
            stack.callback(store.end, pool, told)
        # A worker that hangs would keep the writer of the store from ending.
        stack.callback(pool.close)
        evidence = resources.open_evidence()
        aggregator = resources.aggregator(pool, evidence, show_view)
        with signal_handlers(aggregator):
            if was_hung_up():
                signal.raise_signal(signal.SIGHUP)
            aggregator.run()
    statistics = pool.statistics()
    if not options.reads_logs:
        statistics.files = len(options.interfaces)
    aggregator.updates.config.geo.note_damaged(statistics.anomalies)
    statistics.anomalies.update(aggregator.incidents.anomalies)
    return RunResult(
        config=aggregator.updates.config,
        statistics=statistics,
        incidents=aggregator.incidents,
        coverage=pool.coverage().report(
            statistics.packets, statistics.anomalies, statistics.without_verdict
        ),
        evidence=evidence,
        losses=Losses(
            packets=pool.dropped,
            ring_freezes=pool.ring_freezes,
            findings=pool.findings_lost,
            records=aggregator.alerts.output.discarded,
            unwritten=aggregator.alerts.output.unwritten,
            alerts=resources.alerts_lost,
            unrecorded=statistics.unrecorded_packets if store is not None else None,
            unstored=store.missing if store is not None else 0,
        ),
        seconds=time.monotonic() - started,
        reader_gone=aggregator.alerts.reader_gone,
        error=aggregator.receiver.worker_error or aggregator.stop_problem or None,
    )


def _open_sources(options: LiveOptions, config: Config) -> list[SourceOpener] | list[LogOpener]:
    """Steps 1 to 3: import all modules, open the interfaces and drop the privileges."""
    prepare(config)
    if is_sensor(config):
        require_fleet(config.path or "netwatch.yaml")
        preload_fleet()
    preload(options.format, outputs_of(config), from_file=not options.live)
    if options.reads_logs:
        preload_logs()
    if config.store is not None:
        require_extra(config.path or "netwatch.yaml")
        preload_store(config.store)
    sources: list[SourceOpener] | list[LogOpener]
    if options.reads_logs:
        sources = [log_opener(options.interfaces, options.logs, config.exporters)]
    else:
        source_options = dict(options.source_options)
        if options.source == "sflow":
            source_options["agents"] = config.exporters
        sources = source_openers(options.source, options.interfaces, options.fanout, source_options)
        if options.live:
            interfaces.raise_priority()
    if options.user:
        # Logs belong to groups such as adm, of which the user must be a member.
        interfaces.drop_privileges(options.user, keep_groups=options.reads_logs)
    if options.output is None and sys.stdout is None:
        raise NetwatchError("standard output is closed; -o writes the records to a file")
    # Each worker would write the present content of the buffers once more.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    return sources
