"""An explanation as a record: the values of a page, for programs."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from netwatch.explain import wording
from netwatch.explain.doubts import Statement, not_proved, refutations
from netwatch.explain.steps import Explanation


def as_record(incident: Explanation, origin: str, notes: Iterable[str] = ()) -> dict[str, Any]:
    """The values of an explanation, with what is not proved and what would refute it: each with its
    code and in words. `alert` is the alert itself."""
    values = asdict(incident)
    alert = values.pop("record")
    return {
        **values,
        "not_proved": [_statement(each, wording.NOT_PROVED) for each in not_proved(incident)],
        "refutations": [_statement(each, wording.REFUTATIONS) for each in refutations(incident)],
        "origin": origin,
        "notes": list(notes),
        "alert": alert,
    }


def _statement(statement: Statement, words: Mapping[str, str]) -> dict[str, Any]:
    return {
        "code": statement.code,
        "values": dict(statement.values),
        "text": wording.sentence(statement, words),
    }
