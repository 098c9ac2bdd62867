"""One capture, several cores: this process reads it, and each worker walks its share of it.

The workers are forked before the first packet is read, so that they already have the configuration.
They get the blocks through shared memory, in order, and report when they are done with some of
them, which is only waited for when the memory is needed again. A worker that fails or dies ends the
run with an error.

The shared memory is a ring of windows. The process that reads the capture takes a window for each
piece of it, and a slot for the records of each block. Both may be reused when every worker has
reported that it is done with their blocks. The memory is mapped before the workers are forked; the
system provides only the pages that are written.

The names in one capture are read on two cores: another process reads it, this one writes the
records. Observations must come in the order of packets, and those of a message that times out come
with the next message of any flow. So the packets are not divided among workers as for a scan; the
work is. The batches come through a pipe, which bounds how far the reader is ahead.
"""

import mmap
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.files import CaptureFile
from netwatch.capture.pcap import RECORDS
from netwatch.capture.stream import MAX_BUFFER_SIZE
from netwatch.core.buffers import Words, array
from netwatch.core.errors import NetwatchError
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.core.system.kernel import Readable
from netwatch.core.system.workers import DiedError, WorkerProcess, failures_sent
from netwatch.dissect.loop.division import MAX_WORKERS, Division, inside_table
from netwatch.dissect.loop.loop import outermost_layers
from netwatch.engine import pipeline
from netwatch.engine.capture_files import Progress, capture_seed, read_blocks

if TYPE_CHECKING:
    from netwatch.engine.facts_process import Recording

WINDOWS = 8
"""Windows of the ring: pieces of the capture by which workers may lag behind its reader."""

WINDOW_BYTES = 1 << 21
"""Bytes read into a window at a time. Each block is a message to every worker, so a window is
larger than in a single process, where it should fit into the cache."""

SLOTS = 16
"""Slots of the ring: blocks by which workers may lag."""

_RECORD_BYTES = 8 * FIELDS * RECORDS
_SLOT_BYTES = _RECORD_BYTES + 2 * RECORDS

PIPE_BYTES = 2048
"""Size of a message, `SLOTS` of which fit into a pipe."""

BLOCKS_DONE = 4
"""Blocks after which a worker reports that it is done with them, while there are more to read."""


class SharedBlock(NamedTuple):
    """Where a block is in shared memory: `size` bytes of a window, and a slot. The other fields are
    the block's, and the name of its source. The interfaces, of which there may be thousands, are
    left out if they are the same as in the previous block. It is a tuple because it is pickled for
    each block."""

    window: int
    size: int
    slot: int
    packets: int
    interfaces: tuple[Interface, ...] | None
    first: int
    position: int
    source: str


class SharedWindows:
    """The ring, as used by the process that reads the capture. It is the
    `netwatch.capture.stream.Windows` of that capture.

    `wait_for` blocks until all workers are done with so many blocks, counted from the first one on.
    Workers only use `block`.
    """

    def __init__(self, wait_for: Callable[[int], None]) -> None:
        self._wait_for = wait_for
        memory = mmap.mmap(-1, WINDOWS * MAX_BUFFER_SIZE + SLOTS * _SLOT_BYTES)
        self._memory = memoryview(memory)
        self._window = 0
        self._published = 0
        # How many blocks were published when the last one of each window was.
        self._used_until = [0] * WINDOWS
        self._interfaces: tuple[Interface, ...] | None = None
        self._layers: Words = array("i")

    def take(self, size: int) -> memoryview:
        """The next window of the ring, at least `size` bytes of it."""
        size = max(size, WINDOW_BYTES)
        self._window = (self._window + 1) % WINDOWS
        self._wait_for(self._used_until[self._window])
        at = self._window * MAX_BUFFER_SIZE
        return self._memory[at : at + size]

    def publish(self, block: Block, source: str, division: Division) -> tuple[SharedBlock, int]:
        """Copy the records of a block, whose bytes are in the window taken last, to a slot, and
        decide whose its packets are. Also returns the bytes of its packets on the wire."""
        slot = self._published % SLOTS
        self._wait_for(self._published - SLOTS + 1)
        is_same = block.interfaces is self._interfaces
        if not is_same:
            self._interfaces = block.interfaces
            self._layers = outermost_layers(block.interfaces)
        records, owners = self._slot(slot)
        octets = division.divide(
            block.data, block.records, block.count, self._layers, records, owners
        )
        self._published += 1
        self._used_until[self._window] = self._published
        shared = SharedBlock(
            window=self._window,
            size=len(block.data),
            slot=slot,
            packets=block.count,
            interfaces=None if is_same else block.interfaces,
            first=block.first,
            position=block.position,
            source=source,
        )
        return shared, octets

    def free_all(self) -> None:
        """All workers are done with all blocks; they are counted from 0 again."""
        self._published = 0
        self._used_until = [0] * WINDOWS

    def block(self, shared: SharedBlock) -> Block:
        """A published block, in a worker."""
        records, owners = self._slot(shared.slot)
        at = shared.window * MAX_BUFFER_SIZE
        if shared.interfaces is not None:
            self._interfaces = shared.interfaces
        assert self._interfaces is not None
        return Block(
            self._memory[at : at + shared.size],
            records,
            shared.packets,
            self._interfaces,
            shared.first,
            shared.position,
            owners[: 2 * shared.packets],
        )

    def _slot(self, slot: int) -> tuple[memoryview, memoryview]:
        """The records and the owners in a slot."""
        at = WINDOWS * MAX_BUFFER_SIZE + slot * _SLOT_BYTES
        middle = at + _RECORD_BYTES
        return self._memory[at:middle].cast("q"), self._memory[middle : at + _SLOT_BYTES]


class ShareReader(Protocol):
    """What one worker does with its share of the packets."""

    def begin(self, division: Division, worker: int, seed: int) -> None:
        """Begin another capture with this seed, as the worker with this number."""
        ...

    def process(self, block: Block, source: str) -> None:
        """Read the next block of `source`."""
        ...

    def end(self) -> object:
        """The capture has ended; the answer is sent."""
        ...

    def result(self) -> object:
        """The result for all captures; the answer is sent."""
        ...


@dataclass(frozen=True, slots=True)
class _Begin:
    seed: int


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a capture."""


@dataclass(frozen=True, slots=True)
class _Finish:
    """The end of the run."""


class _Done(NamedTuple):
    """So many blocks more were read."""

    blocks: int


class ShareWorkers:
    """`count` workers that read captures together, each with a `ShareReader` that `make_reader`
    creates in it.

    `ranges` are the ranges of the networks whose clients are judged; packets are divided by flow if
    it is None. `answered` is called with the number of a worker and each answer of its reader that
    is not None.
    """

    def __init__(
        self,
        count: int,
        make_reader: Callable[[], ShareReader],
        ranges: Sequence[IPv4Network | IPv6Network] | None,
        answered: Callable[[int, Any], None],
    ) -> None:
        self._count = min(count, MAX_WORKERS)
        self._by_flow = ranges is None
        self._inside = inside_table(ranges or ())
        self._answered = answered
        self._windows = SharedWindows(self._wait_for)
        self._sent = 0
        self._done = [0] * self._count
        self._processes: list[WorkerProcess] = []
        try:
            for number in range(self._count):
                self._processes.append(WorkerProcess(partial(self._run, number, make_reader)))
        except BaseException:
            self._kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Kill the workers that have not ended."""
        self._kill()

    def read(
        self,
        files: Sequence[CaptureFile],
        statistics: RunStatistics,
        progress: Progress | None = None,
        also: Callable[[Block, str], None] | None = None,
    ) -> None:
        """Read one capture, and count its packets in `statistics`. Each block with its source is
        also given to `also`, in this process. Raises `NetwatchError` if a
        worker has died, and the exception of a worker that failed."""
        division = None
        for block, source in read_blocks(files, statistics, progress, self._windows):
            if division is None:
                seed = capture_seed(block)
                division = self._division(seed)
                self._send(_Begin(seed))
            shared, octets = self._windows.publish(block, source, division)
            self._send(shared)
            self._sent += 1
            statistics.packets += block.count
            statistics.wire_bytes += octets
            if also is not None:
                also(block, source)
        if division is not None:
            self._conclude(_End())

    def finish(self) -> None:
        """Ask all workers for their results, which `answered` gets."""
        self._conclude(_Finish())
        for process in self._processes:
            process.join()

    def _conclude(self, message: object) -> None:
        """Send a message, and wait until no worker has anything left to do."""
        self._send(message)
        self._wait_for(self._sent + 1)
        self._sent = 0
        self._done = [0] * self._count
        self._windows.free_all()

    def _division(self, seed: int) -> Division:
        return Division(self._count, self._inside, salt=seed, by_flow=self._by_flow)

    def _send(self, message: object) -> None:
        packed = pickle.dumps(message)
        if len(packed) > PIPE_BYTES:
            # It may not fit into a pipe. An idle worker receives it, whatever its size.
            self._wait_for(self._sent)
        for number, process in enumerate(self._processes):
            try:
                process.connection.send_bytes(packed)
            except OSError:
                while True:  # What it sent before it ended.
                    self._receive(number)

    def _wait_for(self, blocks: int) -> None:
        """Receive answers until all workers are done with so many messages."""
        for number in range(self._count):
            while self._done[number] < blocks:
                self._receive(number)

    def _receive(self, number: int) -> None:
        """Receive one answer of a worker."""
        try:
            answer = self._processes[number].receive()
        except DiedError as error:
            raise NetwatchError(
                f"worker process {number + 1} of {self._count} died unexpectedly"
                f" (exit status {error.status}); try a smaller --jobs"
            ) from None
        if isinstance(answer, _Done):
            self._done[number] += answer.blocks
            return
        self._done[number] += 1
        if answer is not None:
            self._answered(number, answer)

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.end()

    def _run(
        self, number: int, make_reader: Callable[[], ShareReader], connection: Connection
    ) -> None:
        """The life of a worker, which ends with the process that reads the capture."""
        with failures_sent(connection):
            self._serve(number, connection, make_reader())

    def _serve(self, number: int, connection: Connection, reader: ShareReader) -> None:
        """Answer each message until the run ends."""
        done = 0
        more = Readable(connection.fileno())
        while True:
            if done == BLOCKS_DONE or (done and not more.wait(0)):
                connection.send(_Done(done))
                done = 0
            message = connection.recv()
            if isinstance(message, SharedBlock):
                reader.process(self._windows.block(message), message.source)
                done += 1
            elif isinstance(message, _Begin):
                reader.begin(self._division(message.seed), number, message.seed)
            elif isinstance(message, _End):
                connection.send(reader.end())
            else:
                connection.send(reader.result())
                return


def names_of(
    files: Sequence[CaptureFile],
    statistics: RunStatistics,
    recording: "Recording | None" = None,
) -> Iterator[ObservationBatch]:
    """Every observation of one capture, which another process reads, and whose facts it sends to
    the store of `recording`. Raises `NetwatchError` if that process dies, and its exception if it
    fails."""
    worker = WorkerProcess(
        partial(_read, files, recording), name=f"the process that reads {files[0].path}"
    )
    try:
        while True:
            received = worker.receive()
            if isinstance(received, RunStatistics):
                statistics.merge(received)
                return
            yield received
    finally:
        worker.end()


def _read(files: Sequence[CaptureFile], recording: "Recording | None", to: Connection) -> None:
    """Send the batches of a capture, and then the counts."""
    statistics = RunStatistics()
    with failures_sent(to):
        for batch in pipeline.names(files, statistics, recording=recording):
            to.send(batch)
        to.send(statistics)
