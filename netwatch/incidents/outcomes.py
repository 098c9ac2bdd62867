"""The outcomes of the contacts of an incident, and that of the incident as a whole."""

from collections.abc import Iterable, Mapping

from netwatch.core.verdict import OUTCOMES, Outcome
from netwatch.incidents.progress import Tally

ORDER = OUTCOMES
"""Outcomes, the strongest first. An incident has the strongest one of its contacts."""


def settled(flows: Mapping[Tally, int], lookups: Iterable[tuple[Tally, int]]) -> dict[Outcome, int]:
    """How many contacts have which outcome, by what flows and lookups were counted as.

    Contacts of whose servers nothing was seen were attempts without an answer, unless only one
    direction was captured: there are connections of whose server nothing was seen although they
    were established, and nobody answered in the whole incident.
    """
    counts: dict[Tally, int] = {"reached": 0, "attempted": 0, "blocked": 0, "unknown": 0}
    counts["silent"] = 0
    for tally, contacts in flows.items():
        counts[tally] += contacts
    for tally, contacts in lookups:
        counts[tally] += contacts
    silent = counts.pop("silent")
    one_direction = counts["unknown"] > 0 and not (
        counts["reached"] or counts["attempted"] or counts["blocked"]
    )
    counts["unknown" if one_direction else "attempted"] += silent
    # In a live capture the progress of a contact may come after its incident has ended.
    return {outcome: max(0, counts[outcome]) for outcome in ORDER}


def overall(flows: Mapping[Tally, int], counts: Mapping[Outcome, int]) -> Outcome:
    """The outcome of an incident, by what flows were counted as, and by the outcomes of all its
    contacts (as `settled` gives them).

    A usable answer to a lookup says only that the device could go on. Where it did, what its
    connections came to decides: if all of them were reset, the block worked.
    """
    of_flows = strongest(settled(flows, ())) if flows else "unknown"
    return strongest(counts) if of_flows == "unknown" else of_flows


def strongest(counts: Mapping[Outcome, int]) -> Outcome:
    """The outcome of an incident whose contacts have these."""
    return next((outcome for outcome in ORDER if counts[outcome]), "unknown")
