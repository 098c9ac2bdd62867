"""The processes that capture, as the one that keeps their findings sees them.

They are forked when all sources are open and no thread runs yet, so each has its source
from the start and no right is needed later. One that ends by itself ends the capture:
what it would have seen is missing, and a service manager that starts anew is told better
than one that sees half a network.
"""

import multiprocessing
import multiprocessing.connection
import multiprocessing.popen_fork
import selectors
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage, Share
from netwatch.live.channel import Channel, pair
from netwatch.live.messages import Ended, Manner, Standing, Stop
from netwatch.live.sources import Opener
from netwatch.live.worker import main


class Crew:
    """Workers, one for each of `openers`."""

    def __init__(self, openers: Sequence[Opener], config: Config, manner: Manner) -> None:
        context = multiprocessing.get_context("fork")
        self.standings: list[Standing | None] = [None] * len(openers)
        self.heard = [time.monotonic()] * len(openers)
        self._coverages: list[Coverage | None] = [None] * len(openers)
        self._channels: list[Channel] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._selector = selectors.DefaultSelector()
        self._over: set[int] = set()
        for number in range(len(openers)):
            ours, theirs = pair()
            self._channels.append(ours)
            process = context.Process(
                target=_live,
                args=(number, openers, config, theirs, manner, tuple(self._channels)),
                name=f"netwatch-{number}",
                daemon=True,
            )
            process.start()
            theirs.close()
            self._processes.append(process)
            self._selector.register(ours, selectors.EVENT_READ, number)
        for opener in openers:
            opener.release()

    def __len__(self) -> int:
        return len(self._channels)

    @property
    def over(self) -> bool:
        """Whether all have ended."""
        return len(self._over) == len(self)

    def take(self, timeout: float) -> list[tuple[int, Any]]:
        """What the workers say within `timeout` seconds, each with its number. How they
        stand is kept as well."""
        for channel in self._channels:
            channel.pump()
        found: list[tuple[int, Any]] = []
        for key, _ in self._selector.select(timeout):
            number: int = key.data
            messages, open_ = self._channels[number].take()
            found += [(number, message) for message in messages]
            self.heard[number] = time.monotonic()
            for message in messages:
                if isinstance(message, Standing):
                    self.standings[number] = message
                    self._coverages[number] = message.coverage or self._coverages[number]
                elif isinstance(message, Ended):
                    self._over.add(number)
            if not open_:
                self._selector.unregister(self._channels[number])
                if number not in self._over:
                    self._over.add(number)
                    self._processes[number].join(1)
                    status = self._processes[number].exitcode
                    found.append((number, Ended(f"worker {number} ended by itself ({status})")))
        return found

    def send(self, message: Any) -> None:
        """Tell all workers something."""
        for channel in self._channels:
            channel.put(message, needed=True)

    def pass_on(self, number: int, message: Any) -> None:
        """Tell all workers but one something that they may do without."""
        for other, channel in enumerate(self._channels):
            if other != number:
                channel.put(message)

    def stop(self) -> None:
        """Have all end; one that waits for bytes of a pipe is woken."""
        self.send(Stop())
        for number, process in enumerate(self._processes):
            if number not in self._over:
                process.terminate()

    def close(self) -> None:
        """End what has not ended yet, at once."""
        for process in self._processes:
            process.join(0.5)
            if process.is_alive():
                process.kill()
                process.join()
        for channel in self._channels:
            channel.close()
        self._selector.close()

    def statistics(self) -> RunStatistics:
        """What all of them counted."""
        total = RunStatistics()
        for standing in filter(None, self.standings):
            total.merge(standing.statistics)
        total.anomalies.update(+Counter({"capture-dropped": self.dropped}))
        return total

    def coverage(self) -> Coverage:
        """The flows that all of them counted, as far as they have told."""
        total = Coverage()
        for counted in filter(None, self._coverages):
            total.merge(counted)
        return total

    def flows(self) -> Share:
        """The same in all, by what is known of their names."""
        return Share.sum(counted.total() for counted in self._coverages if counted)

    @property
    def dropped(self) -> int:
        """Packets that the kernel dropped."""
        return sum(standing.dropped for standing in filter(None, self.standings))

    @property
    def freezes(self) -> int:
        """How often a ring was full."""
        return sum(standing.freezes for standing in filter(None, self.standings))

    @property
    def untold(self) -> int:
        """Findings that found no room on their way here."""
        return sum(standing.untold for standing in filter(None, self.standings))

    @property
    def silence(self) -> float:
        """How long ago the worker spoke that has been silent longest, in seconds."""
        now = time.monotonic()
        silent = [now - heard for n, heard in enumerate(self.heard) if n not in self._over]
        return max(silent, default=0.0)


def _live(
    number: int,
    openers: Sequence[Opener],
    config: Config,
    channel: Channel,
    manner: Manner,
    others: tuple[Channel, ...],
) -> None:
    """In the new process: nothing of the keeper's ends is held open, so that it is noticed
    when the keeper is gone, and nothing that other workers read."""
    for end in others:
        end.close()
    for other, opener in enumerate(openers):
        if other != number:
            opener.release()
    main(openers[number], config, channel, manner, len(openers) > 1)
