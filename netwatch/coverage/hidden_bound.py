"""How many contacts the flows without a readable name could hide: an upper bound.

The assumption is that a device hides the names of its contacts with the apps of a ban as often as
those of its other flows: the share ``s`` of its flows that had no readable name. Whether it hides
them flow by flow, or an app as a whole, is left open. Then a device that has contacts shows none of
them with a probability of at most ``s``: P(all are hidden) <= P(the first one is hidden) = s.

Of devices that have contacts, the number that show one is therefore at least a sum of independent
trials with the probabilities 1 - s (a Poisson binomial). The bound inverts the exact test of that
number, as Clopper and Pearson (Biometrika 26, 1934, 404-413) do for equal probabilities; for the
distribution with unequal ones see Wang (Statistica Sinica 3, 1993, 295-312). It gives the greatest
number ``k`` of further devices that can have contacts without one being seen. Which devices these
are is not known, so those that are easiest to hide count for ``k``, and those with most unread
flows for the contacts.

What shows a contact may hide more of the same, and the assumption does not bound that: of such
devices every unread flow counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95
"""The probability with which the bound holds where the assumption does."""

MIN_FLOWS = 20
"""Unread flows from which a device that shows no name at all is one that hides everything; of a
device with fewer, such as a printer, all of them count."""

MAX_SHOWING = 2_000
"""Devices that show a contact, up to which there is a bound: the time grows with their square."""


@dataclass(frozen=True, slots=True)
class DeviceFlows:
    """The flows with content of a device: with a readable name, `contacts` of them with the apps of
    the ban; without one (`unread`); and those of the unread ones that are tunnels."""

    named: int
    unread: int
    contacts: int = 0
    tunnels: int = 0


@dataclass(frozen=True, slots=True)
class HiddenBound:
    """With the probability `LEVEL` at most `contacts` of the `unread` flows are contacts; `named`
    flows had a readable name."""

    contacts: int
    named: int
    unread: int


@dataclass(frozen=True, slots=True)
class NoBound:
    """Why there is no bound: a code, and its numbers."""

    code: str
    values: Mapping[str, int]


def hidden_bound(devices: Iterable[DeviceFlows]) -> HiddenBound | NoBound:
    """How many contacts the unread flows of devices can be, or why nothing can be said of that."""
    found = list(devices)
    named, unread = sum(each.named for each in found), sum(each.unread for each in found)
    if not named:
        return NoBound("no-names", {"flows": unread})
    for code, failing in (
        ("tunnels", [each for each in found if each.tunnels]),
        ("hides-all", [each for each in found if not each.named and each.unread >= MIN_FLOWS]),
    ):
        if failing:
            flows = sum(each.tunnels if code == "tunnels" else each.unread for each in failing)
            return NoBound(code, {"devices": len(failing), "flows": flows})
    showing = [each for each in found if each.contacts]
    if len(showing) > MAX_SHOWING:
        return NoBound("many-contacts", {"devices": len(showing)})
    # Of a device that shows no name nothing is known: all that it hides counts.
    counted = sum(each.unread for each in found if each.contacts or not each.named)
    others = [each for each in found if each.unread and each.named and not each.contacts]
    further = hidden_devices([_share(each) for each in showing], [_share(each) for each in others])
    largest = sorted((each.unread for each in others), reverse=True)[:further]
    return HiddenBound(counted + sum(largest), named, unread)


def hidden_devices(showing: Sequence[float], others: Iterable[float]) -> int:
    """How many of `others` can have contacts without showing one, where all of `showing` did; both
    are shares of unread flows. It is the greatest number for which so few devices would show one
    with a probability of more than 1 - `LEVEL`."""
    likely = [1.0] + [0.0] * len(showing)
    for share in showing:
        likely = _with_trial(likely, 1 - share)
    found = 0
    for share in sorted(others, reverse=True):
        likely = _with_trial(likely, 1 - share)
        if sum(likely) <= 1 - LEVEL:
            break
        found += 1
    return found


def _with_trial(likely: Sequence[float], success: float) -> list[float]:
    """The probabilities of 0, 1, … successes after one more trial, as many as there were."""
    fewer = 1 - success
    return [
        here * fewer + before * success
        for here, before in zip(likely, (0.0, *likely), strict=False)
    ]


def _share(device: DeviceFlows) -> float:
    return device.unread / (device.named + device.unread)
