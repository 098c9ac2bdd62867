"""A scan by several workers together: each judges its share of the clients in every capture."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from netwatch.capture.block import Block
from netwatch.capture.files import CaptureFile
from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.dissect.loop.division import Division
from netwatch.engine.capture_files import Progress
from netwatch.engine.engine import Engine, prepare
from netwatch.engine.sharing import ShareWorkers
from netwatch.incidents.scan import ScanIncidents
from netwatch.incidents.spill import SpillFolder

if TYPE_CHECKING:
    from netwatch.engine.facts_process import Recording


@dataclass(frozen=True, slots=True)
class ScanShare:
    """A worker's result for its share of all captures. The packets are counted by the process that
    reads the captures."""

    incidents: ScanIncidents
    statistics: RunStatistics
    coverage: Coverage | None


class ScanShareReader:
    """The `netwatch.engine.sharing.ShareReader` of a scan. Incidents that do not fit into memory go
    to `folder`; flows are counted `like` this coverage does, if it is given, and with `keep_frames`
    the packets that prove contacts are kept."""

    def __init__(
        self, config: Config, folder: SpillFolder, like: Coverage | None, keep_frames: bool
    ) -> None:
        self._config = config
        self._keep_frames = keep_frames
        self._statistics = RunStatistics()
        self._incidents = ScanIncidents(config.quiet_gap, folder)
        self._coverage = like and like.another()
        self._engine: Engine | None = None

    def begin(self, division: Division, worker: int, seed: int) -> None:
        """Begin another capture."""
        self._engine = Engine(
            self._config,
            self._statistics,
            self._incidents,
            self._coverage,
            seed=seed,
            keep_frames=self._keep_frames,
            division=division,
            worker=worker,
        )

    def process(self, block: Block, source: str) -> None:
        """Judge the clients of this worker in the next block."""
        assert self._engine is not None
        self._engine.process(block, source)

    def end(self) -> None:
        """Judge what is incomplete at the end of the capture."""
        assert self._engine is not None
        self._engine.finish()
        self._engine.free_tables()
        self._engine = None

    def result(self) -> ScanShare:
        """The results of all captures."""
        self._statistics.packets = self._statistics.wire_bytes = 0
        return ScanShare(self._incidents, self._statistics, self._coverage)


def scan_together(
    captures: Sequence[Sequence[CaptureFile]],
    config: Config,
    statistics: RunStatistics,
    incidents: ScanIncidents,
    *,
    workers: int,
    progress: Progress | None,
    coverage: Coverage | None,
    keep_frames: bool,
    recording: "Recording | None" = None,
) -> None:
    """Judge all captures one after the other, each by all workers. This process records their facts
    for `recording`, because only it sees all packets."""

    def take(number: int, found: ScanShare) -> None:
        shares[number] = found

    shares: dict[int, ScanShare] = {}
    ranges = [span for scope in config.networks.scopes for span in scope.ranges]
    like = coverage and coverage.another()
    make_reader = partial(ScanShareReader, config, incidents.folder, like, keep_frames)
    prepare(config)
    incidents.folder.share()
    with ShareWorkers(workers, make_reader, ranges, take) as group:
        for position, capture in enumerate(captures):
            recorder = recording.recorder(position, capture, statistics) if recording else None
            group.read(capture, statistics, progress, recorder.process if recorder else None)
            if recorder is not None:
                recorder.finish()
        group.finish()
    # In the order of their numbers, so that nothing depends on which worker was faster.
    for _, share in sorted(shares.items()):
        incidents.merge(share.incidents)
        statistics.merge(share.statistics)
        if coverage is not None and share.coverage is not None:
            coverage.merge(share.coverage)
