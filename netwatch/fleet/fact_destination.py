"""The spool of a sensor as the destination of its facts, beside a store if it has its own."""

import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from netwatch.config import Config
from netwatch.engine.live_facts import Destination, maintain
from netwatch.engine.writer_host import Start, run_description
from netwatch.fleet.fact_writer import FactWriter
from netwatch.store.options import StoreOptions
from netwatch.store.use_lock import UseLock
from netwatch.store.writer import RunDescription, Writer


def spool_destination(config: Config) -> Destination:
    """The destination of the facts of a sensor of a fleet."""
    assert config.fleet is not None
    folder, store = config.fleet.spool.folder, config.store
    run = run_description("live", config)
    return Destination(
        "the spool" if store is None else "the store",
        str(folder) if store is None else store.path,
        partial(_make_writer, folder, store, run, time.time_ns()),
        _nothing if store is None else partial(maintain, store),
        nullcontext if store is None else partial(UseLock, store),
    )


def _make_writer(
    folder: Path, store: StoreOptions | None, run: RunDescription, started: int, request: Start
) -> FactWriter:
    how = request.described
    writer = None
    if store is not None:
        writer = partial(Writer, store, run, how.locate, how.seal, how.hides, resumed=request.run)
    return FactWriter(folder, run, started, how.locate, how.seal, writer)


def _nothing() -> None:
    """A spool needs no maintenance: whatever the centre has committed is deleted."""
