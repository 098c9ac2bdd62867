"""One capture, several cores: this process reads it, and each worker walks its share of it.

The workers are forked before the first packet is read, so that they have the configuration
already. They get the blocks through shared memory (`netwatch.engine.shared_windows`), in order, and
say when they are done with some of them, which nobody waits for until the memory is needed again.
A worker that fails or dies ends the run with an error.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple, Protocol, Self

from netwatch.capture.block import Block
from netwatch.capture.files import CaptureFile
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.core.system.waiting import Readable
from netwatch.dissect.loop.division import MAX_WORKERS, Division, inside_table
from netwatch.engine.capture_files import Progress, capture_seed, read_blocks
from netwatch.engine.forking import forking, sendable
from netwatch.engine.shared_windows import SharedBlock, SharedWindows
from netwatch.engine.worker_process import Channel, WorkerProcess

PIPE_BYTES = 2048
"""Size of a message that `SLOTS` times fits into a pipe."""

BLOCKS_DONE = 4
"""Blocks after which a worker says that it is done with them, while there are more to read."""


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
        """What was found in all captures; the answer is sent."""
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


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a worker ended early."""

    error: Exception


class ShareWorkers:
    """`count` workers that read captures together, each with a `ShareReader` that `make_reader`
    makes in it.

    `ranges` are those of the networks whose clients are judged; packets are divided by flow
    where it is None. `answered` is called with the number of a worker and each answer of its
    reader that is not None.
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
            with forking():
                for number in range(self._count):
                    work = partial(self._run, number, make_reader)
                    before = [each.channel for each in self._processes]
                    self._processes.append(WorkerProcess(work, before))
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
        also given to `also`, in this process. Raises `NetwatchError` where a
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
        """Send a message, and wait until nothing is left to do for any worker."""
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
            # It may not fit into a pipe. A worker that is idle receives it, whatever its size.
            self._wait_for(self._sent)
        for number, process in enumerate(self._processes):
            try:
                process.channel.send_packed(packed)
            except OSError:
                while True:  # What it has said before it ended.
                    self._receive(number)

    def _wait_for(self, blocks: int) -> None:
        """Receive answers until all workers are done with so many messages."""
        for number in range(self._count):
            while self._done[number] < blocks:
                self._receive(number)

    def _receive(self, number: int) -> None:
        """Receive one answer of a worker."""
        try:
            answer = self._processes[number].channel.receive()
        except (EOFError, OSError):
            raise self._died(number) from None
        if isinstance(answer, _Failure):
            raise answer.error
        if isinstance(answer, _Done):
            self._done[number] += answer.blocks
            return
        self._done[number] += 1
        if answer is not None:
            self._answered(number, answer)

    def _died(self, number: int) -> NetwatchError:
        status = self._processes[number].join()
        return NetwatchError(
            f"worker process {number + 1} of {self._count} died unexpectedly"
            f" (exit status {status}); try a smaller --jobs"
        )

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
            process.channel.close()

    def _run(self, number: int, make_reader: Callable[[], ShareReader], channel: Channel) -> None:
        """The life of a worker. It ends with the process that reads the capture, which alone is
        interrupted from the keyboard."""
        try:
            self._serve(number, channel, make_reader())
        except (EOFError, BrokenPipeError):
            pass  # The other process has ended.
        except Exception as error:  # Whatever it is, the other process raises it.
            channel.send(_Failure(sendable(error)))

    def _serve(self, number: int, channel: Channel, reader: ShareReader) -> None:
        """Answer each message until the run ends."""
        done = 0
        more = Readable(channel.reads)
        while True:
            if done == BLOCKS_DONE or (done and not more.wait(0)):
                channel.send(_Done(done))
                done = 0
            message = channel.receive()
            if isinstance(message, SharedBlock):
                reader.process(self._windows.block(message), message.source)
                done += 1
            elif isinstance(message, _Begin):
                reader.begin(self._division(message.seed), number, message.seed)
            elif isinstance(message, _End):
                channel.send(reader.end())
            else:
                channel.send(reader.result())
                return
