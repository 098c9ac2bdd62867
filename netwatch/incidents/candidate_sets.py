"""Contacts that are for one of several names, without showing which: the names, and why these."""

from netwatch.core.alert import CandidateSet
from netwatch.core.verdict import Candidates, Confidence
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.language.sentences import sentence

SET_LIMIT = 16
"""Sets of candidates stored of one incident."""

SetKey = tuple[tuple[str, ...], str, bool]
"""The fields of `Candidates`."""


def candidate_sets(table: BoundedTable) -> tuple[CandidateSet, ...]:
    """The sets of an incident, in order; `table` has contacts by `SetKey`."""
    return tuple(
        CandidateSet(names, count, _why(Candidates(names, shown, shared)))
        for (names, shown, shared), (count, _) in sorted(table.items.items())
    )


def candidate_limit(candidates: Candidates, confidence: Confidence) -> str:
    """Why the confidence of a contact with candidates is no higher, as a sentence."""
    code = "ech-shared" if candidates.shared else "ech-banned"
    return sentence(code, count=str(len(candidates.names)), grade=confidence)


def _why(candidates: Candidates) -> str:
    code = "candidates-shared" if candidates.shared else "candidates-banned"
    return sentence(code, shown=candidates.shown)
