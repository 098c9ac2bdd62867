"""Is the capture doing its work: a snapshot against a few thresholds.

A capture that sees nothing reports nothing, and that reads like a network on which no ban
was broken. So whoever watches over it has to be told when packets stop, when the kernel
drops them, and when alerts pile up in front of an output. Pure: the snapshot brings its
own time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from netwatch.watch.snapshot import Snapshot

TROUBLES = ("silent", "dropping", "stuck", "down")
"""What can be wrong, in the order in which it is told."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a capture is not well, in seconds: no packet for `silence`; packets dropped less
    than `dropping` ago; an alert that waits for its output longer than `stuck`."""

    silence: float = 60.0
    dropping: float = 60.0
    stuck: float = 300.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong: one word of `TROUBLES`, of what (an interface, an output, or empty),
    and a sentence for people."""

    kind: str
    where: str
    told: str


def troubles(seen: Snapshot, limits: Thresholds) -> list[Trouble]:
    """Everything that is wrong; nothing where the capture is well.

    A capture that has just started is given the time of `silence` for its first packet.
    """
    return list(_troubles(seen, limits))


def _troubles(seen: Snapshot, limits: Thresholds) -> Iterator[Trouble]:
    quiet = seen.now - max(seen.started, seen.last_packet or seen.started)
    if quiet > limits.silence:
        yield Trouble("silent", "", f"no packet for {_span(quiet)}")
    if seen.last_drop is not None and seen.now - seen.last_drop < limits.dropping:
        ago = _span(seen.now - seen.last_drop)
        yield Trouble("dropping", "", f"packets dropped {ago} ago, {seen.dropped} in all")
    for name, queue in sorted(seen.outputs.items()):
        waits = 0.0 if queue.oldest is None else seen.now - queue.oldest
        if waits > limits.stuck:
            told = f"{queue.waiting} waiting, the oldest for {_span(waits)}"
            yield Trouble("stuck", name, f"output {name}: {told}")
    for name in seen.down:
        yield Trouble("down", name, f"interface {name} is down")


def _span(seconds: float) -> str:
    return f"{max(0, round(seconds))} s"
