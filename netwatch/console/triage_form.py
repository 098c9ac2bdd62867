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
from netwatch.store.chosen_incidents import Chosen

TRIAGE_FILTERS = ("triage", "assignee")
"""The values of the address of a list that filter by triage."""


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


def chosen_by(view: View) -> Chosen | None:
    """The incidents that the address wants by their triage; None if it wants all. Raises `Refused`
    for what cannot be."""
    state, assignee = view.query.word("triage", STATES), view.query.text("assignee")
    if not state and not assignee:
        return None
    return view.console.triage.chosen(view.console.catalogue, state, assignee)


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


def told(before: Triaged, after: Triaged, change: Change) -> dict[str, str]:
    """What the audit has of a change."""
    said = {"before": before.state, "state": after.state, "assignee": after.assignee,
            "reason": change.reason, "note": change.note}  # fmt: skip
    return {name: text for name, text in said.items() if text}
