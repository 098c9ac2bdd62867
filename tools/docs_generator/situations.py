"""The situations with known answers, and what netwatch says of each."""

import sys
from typing import get_args

from docs_generator.markdown import code, table
from docs_generator.pages import ROOT

for folder in ("tests", "pcaps"):
    if str(ROOT / folder) not in sys.path:
        sys.path.append(str(ROOT / folder))

from support.judged_situations import all_situations  # noqa: E402
from support.situations.situation import Situation, Topic  # noqa: E402

HEADINGS: dict[Topic, str] = {
    "kind": "What an incident looks like",
    "outcome": "What came of a contact",
    "evidence": "How evidence was seen",
    "forgery": "What somebody forged",
    "evasion": "What was meant to hide a name",
    "ech": "Names that are encrypted",
}
"""The headings of the topics, in the order of the page."""

COLUMNS = ("situation", "confidence", "kind", "outcome", "also")


def block(_: str) -> str:
    """A table for each topic."""
    found = all_situations()
    parts = []
    for topic in get_args(Topic):
        rows = [_row(each) for each in found if each.topic == topic]
        if rows:
            parts.append(f"### {HEADINGS[topic]}\n\n{table(COLUMNS, rows)}")
    return "\n\n".join(parts)


def _row(situation: Situation) -> tuple[str, ...]:
    expected = situation.expected
    if expected.confidence is None:
        judged = ("nothing is reported", "", "")
    else:
        values = (expected.confidence, expected.kind, expected.outcome)
        judged = tuple(code(value) if value else "" for value in values)
    also = [f"contradiction {code(each)}" for each in expected.contradictions]
    if expected.blind:
        also.append(f"blind spot {code(expected.blind)}")
    return situation.title, *judged, ", ".join(also)
