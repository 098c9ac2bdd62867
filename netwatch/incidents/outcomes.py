"""The outcomes of the contacts of an incident, and that of the incident as a whole."""

from collections import Counter
from collections.abc import Iterable, Mapping

from netwatch.core.verdict import Outcome
from netwatch.incidents.progress import Tally

ORDER: tuple[Outcome, ...] = ("reached", "attempted", "blocked", "unknown")
"""Outcomes, the strongest first. An incident has the strongest one of its contacts."""


def settled(flows: Mapping[Tally, int], lookups: Iterable[tuple[Tally, int]]) -> dict[Outcome, int]:
    """How many contacts have which outcome, by what flows and lookups were counted as.

    Contacts of whose servers nothing was seen were attempts without an answer, unless only one
    direction was captured: there are connections of whose server nothing was seen although they
    were established, and nobody answered in the whole incident.
    """
    counts: Counter[Tally] = Counter(flows)
    for tally, contacts in lookups:
        counts[tally] += contacts
    silent = counts.pop("silent", 0)
    one_direction = counts["unknown"] > 0 and not any(
        counts[each] for each in ("reached", "attempted", "blocked")
    )
    counts["unknown" if one_direction else "attempted"] += silent
    # In a live capture the progress of a contact may come after its incident has ended.
    return {outcome: max(0, counts[outcome]) for outcome in ORDER}


def overall(flows: Mapping[Tally, int], lookups: Iterable[tuple[Tally, int]]) -> Outcome:
    """The outcome of an incident, by what flows and lookups were counted as.

    A usable answer to a lookup says only that the device could go on. Where it did, what its
    connections came to decides: if all of them were reset, the block worked.
    """
    if not flows:
        return strongest(settled(flows, lookups))
    of_flows = strongest(settled(flows, ()))
    return strongest(settled(flows, lookups)) if of_flows == "unknown" else of_flows


def strongest(counts: Mapping[Outcome, int]) -> Outcome:
    """The outcome of an incident whose contacts have these."""
    return next((outcome for outcome in ORDER if counts[outcome]), "unknown")
