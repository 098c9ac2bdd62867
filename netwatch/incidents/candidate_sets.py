"""Contacts that are for one of several names, without showing which: the names, and why these."""

from collections.abc import Iterator

from netwatch.core.alert import CandidateSet
from netwatch.core.verdict import Candidates, Contact
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


def candidate_limits(contact: Contact) -> Iterator[str]:
    """Why the confidence of a contact with candidates is no higher, as sentences; none for one that
    shows its name."""
    candidates = contact.candidates
    if candidates is not None:
        code = "ech-shared" if candidates.shared else "ech-banned"
        yield sentence(code, count=str(len(candidates.names)), grade=str(contact.confidence))


def _why(candidates: Candidates) -> str:
    code = "candidates-shared" if candidates.shared else "candidates-banned"
    return sentence(code, shown=candidates.shown)
