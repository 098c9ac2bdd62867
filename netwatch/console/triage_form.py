"""The form with which people decide of incidents: what it offers, what somebody typed, and what is
wrong with that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from netwatch.console.triage import (
    MAX_NOTE,
    MAX_REASON,
    NEW,
    NOBODY,
    STATES,
    Change,
    Triaged,
)
from netwatch.console.view import View
from netwatch.core.filter_words import EXCLUDES, TRIAGE
from netwatch.store.cases import incidents_of_cases
from netwatch.store.chosen_incidents import Chosen

TRIAGE_FILTERS = (*TRIAGE, "assignee", *(f"{EXCLUDES}{name}" for name in TRIAGE))
"""The values of the address of a list that filter by triage."""


_STATES = ("triage", f"{EXCLUDES}triage")


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a change: what is chosen and typed, the words to choose from, each with its text,
    and what is wrong."""

    chosen: Change
    states: tuple[tuple[str, str], ...]
    assignees: tuple[tuple[str, str], ...]
    problem: str = ""
    version: int = 0


def state_words(view: View) -> dict[str, str]:
    """What states are called."""
    say = view.say
    return {
        NEW: say("new"),
        "seen": say("seen"),
        "in-work": say("in work"),
        "justified": say("closed: justified"),
        "false": say("closed: false alarm"),
    }


def section(view: View, identity: str, problem: str = "") -> dict[str, Any]:
    """What the pages of an incident show of its triage. After a mistake the form has what was
    typed."""
    triage = view.console.triage
    now, history = triage.one(identity), triage.history(identity)
    accounts = {now.assignee, *(each.account for each in history)}
    accounts |= {each.assignee for each in history}
    suggested = Change("seen" if now.state == NEW else now.state, now.assignee or NOBODY)
    form = replace(
        form_of(view, change_of(view) if problem else suggested, problem), version=now.version
    )
    return {
        "now": now,
        "history": history,
        "called": view.console.names.shown(accounts),
        "state_words": state_words(view),
        "form": form,
        "most": (MAX_REASON, MAX_NOTE),
    }


def form_of(view: View, chosen: Change, problem: str) -> Form:
    """The form with what is chosen in it."""
    names = [view.who.account, *view.console.triage.assignees()]
    called = view.console.names.shown(names)
    assignees = [(NOBODY, view.say("nobody")), *((name, called[name]) for name in called)]
    return Form(chosen, tuple(state_words(view).items()), tuple(assignees), problem)


def change_of(view: View) -> Change:
    """The change that a sent form asks for. Raises `Refused` for a state that there is not."""
    return Change(
        view.form.word("state", STATES),
        view.form.text("assignee"),
        " ".join(view.written("reason").split()),
        view.written("note"),
    )


def problem_of(view: View, change: Change) -> str:
    """What is wrong with a change, as a sentence; empty if nothing is."""
    say, number = view.say, view.language.number
    known = ("", NOBODY, view.who.account)
    if change.assignee not in known and change.assignee not in view.console.triage.assignees():
        return say("There is no analyst “%(name)s”.", name=change.assignee[:40])
    return {
        "": "",
        "empty": say("Choose a state or an assignee, or write a note."),
        "reason": say("Give a reason: closing an incident requires one."),
        "reason-length": say(
            "The reason has %(count)s characters; at most %(most)s are allowed.",
            count=number(len(change.reason)), most=number(MAX_REASON),
        ),
        "note-length": say(
            "The note has %(count)s characters; at most %(most)s are allowed.",
            count=number(len(change.note)), most=number(MAX_NOTE),
        ),
        "new": say("A new incident has no assignee: choose another state."),
    }[change.problem()]  # fmt: skip


def chosen_by(view: View, *, of_cases: bool = False) -> Chosen | None:
    """The incidents, or cases, that the address wants by their triage; None if it wants all. Raises
    `Refused` for what cannot be."""
    wanted, excluded = (frozenset(filter(None, view.query.all(name))) for name in _STATES)
    for name, words in zip(_STATES, (wanted, excluded), strict=True):
        for word in sorted(words):
            view.query.check(name, word, STATES)
    return view.console.triage.chosen(
        view.console.catalogue, wanted, excluded, view.query.text("assignee"), of_cases=of_cases
    )


def triage_of_list(view: View, incidents: Sequence[str]) -> dict[str, Any]:
    """What a list shows of the triage of its incidents, and offers to filter by."""
    triage, names = view.console.triage, view.console.names
    triaged = triage.of(incidents)
    if view.role != "analyst":  # who works on what is not for auditors
        triaged = {name: replace(each, assignee="") for name, each in triaged.items()}
    assignees = triage.assignees() if view.role == "analyst" else []
    return {
        "back": urlencode(view.query.pairs),
        "triaged": triaged,
        "state_words": state_words(view),
        "assignees": names.shown(assignees),
        "called": names.shown({each.assignee for each in triaged.values()}),
    }


def triage_of_cases(view: View, cases: Sequence[str]) -> dict[str, Any]:
    """The same of cases, which have no triage of their own: each has the states of its incidents,
    in their order."""
    members = incidents_of_cases(view.console.catalogue, cases)
    triaged = view.console.triage.of({each for found in members.values() for each in found})
    states = {
        case: {triaged[each].state if each in triaged else NEW for each in found}
        for case, found in members.items()
    }
    assignees = view.console.triage.assignees() if view.role == "analyst" else []
    return {
        "states_of": {
            case: [state for state in STATES if state in found] for case, found in states.items()
        },
        "state_words": state_words(view),
        "assignees": view.console.names.shown(assignees),
    }


def told(before: Triaged, after: Triaged, change: Change) -> dict[str, str]:
    """What the audit has of a change."""
    said = {"before": before.state, "state": after.state, "assignee": after.assignee,
            "reason": change.reason, "note": change.note}  # fmt: skip
    return {name: text for name, text in said.items() if text}
