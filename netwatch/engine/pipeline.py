"""The pipeline: packets become messages, names, verdicts, contacts and incidents.

Each walk through the code follows one path:

- **A DNS query.** `capture_files.read_blocks` yields blocks of packets, `Engine.process` takes them
  one by one. `observe.Observer` hands a block to `dissect.dissector.Dissector`. Its packet loop
  finds the query; if its name is in a domain of interest, it writes a row of the observation batch
  for each name. A query without the usual layout is read as a `Message` by a parser of
  `netwatch.protocols`; `Engine.wanted` tells whether a rule matches, and the observer appends its
  rows. `judging.Judging` takes them: `contact_groups.ContactGroups` counts equal rows as one
  `Contact`; `judge.Judge` finds its device and the bans that apply. The contact ends in
  `netwatch.incidents`.
- **A TLS hello.** The same path; in the dissector, `dissect.reassembly` reassembles the hello if it
  spans several segments. Because a hello shows that its flow goes to the host of that name,
  `contact_flows.ContactFlows` reports the flow's bytes and what its server answered. When the flow
  has ended, `Engine.flow_ended` reports the rest, and `Engine.flows_counted` counts it in the
  coverage.
- **An alert.** A `ContactCollector` takes the contacts. For `netwatch scan` it is
  `netwatch.incidents`, asked for its alerts at the end; in a live capture it sends them to the
  process that aggregates incidents (`netwatch.live`), whose alerts go through `netwatch.delivery`
  to a module of `netwatch.sinks`.

- **A log.** `netwatch.logs` reads its records, `log_events` makes events of them, and `replay`
  judges these as it judges stored ones: the same `Judging`, without packets.

Captures that end and live captures take the same path. This module is for those that end. The
packet readers are imported with the first block, because importing them takes as long as skipping
many files.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netwatch.config import Config
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine.capture_files import LogUnit, Progress, Unit, capture_seed, read_blocks

if TYPE_CHECKING:
    from netwatch.engine.contact_flows import ContactCollector
    from netwatch.engine.facts_process import Recording
    from netwatch.engine.observe import Observer


def names(
    unit: Unit,
    statistics: RunStatistics,
    *,
    progress: Progress | None = None,
    recording: "Recording | None" = None,
    position: int = 0,
) -> Iterator[ObservationBatch]:
    """Every observation of one capture or log, whether a rule matches it or not. A batch is valid
    until the next one is requested. The facts of the unit, which is at `position` of the run, go to
    the store of `recording`."""
    if isinstance(unit, LogUnit):
        from netwatch.engine.log_scan import names_of_log

        events = recording.event_recorder(position, unit.files, statistics) if recording else None
        yield from names_of_log(unit, statistics, progress, events)
        return
    recorder = recording.recorder(position, unit, statistics) if recording else None
    observer = None
    for block, source in read_blocks(unit, statistics, progress):
        observer = observer or _observer(statistics, capture_seed(block))
        yield from observer.batches(block, source)
        if recorder is not None:
            recorder.process(block, source)
    if observer is not None:
        yield from observer.flush()
        observer.close()
    if recorder is not None:
        recorder.finish()


def scan(
    unit: Unit,
    config: Config,
    statistics: RunStatistics,
    collector: "ContactCollector",
    *,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_frames: bool = False,
    recording: "Recording | None" = None,
    position: int = 0,
) -> None:
    """Judge one capture or log. Its contacts go to `collector`, its flows are counted in
    `coverage`, if given; with `keep_frames` the contacts come with the captured frames, or the
    records, that prove them. The facts of the unit, which is at `position` of the run, go to the
    store of `recording`."""
    if isinstance(unit, LogUnit):
        from netwatch.engine.log_scan import scan_log

        scan_log(
            unit,
            config,
            statistics,
            collector,
            progress=progress,
            coverage=coverage,
            keep_records=keep_frames,
            recorder=recording.event_recorder(position, unit.files, statistics)
            if recording
            else None,
        )
        return
    recorder = recording.recorder(position, unit, statistics) if recording else None
    # Without a block there is no engine: making its tables takes longer than skipping a file.
    engine = None
    for block, source in read_blocks(unit, statistics, progress):
        if engine is None:
            from netwatch.engine.engine import Engine

            engine = Engine(
                config,
                statistics,
                collector,
                coverage,
                seed=capture_seed(block),
                keep_frames=keep_frames,
            )
        engine.process(block, source)
        if recorder is not None:
            recorder.process(block, source)
    if engine is not None:
        engine.finish()
        engine.free_tables()
    if recorder is not None:
        recorder.finish()


def _observer(statistics: RunStatistics, seed: int) -> "Observer":
    from netwatch.dissect.consumer import DissectorOptions, WantsEverything
    from netwatch.engine.observe import Observer

    return Observer(WantsEverything(), statistics, DissectorOptions(fingerprints=True), seed=seed)
