"""What an alert's kind and outcome are called: titles for machines, phrases and notes for people.

The record has kind (what the incident looks like) and outcome (what came of it) as two words.
Tables, sentences and the formats for SIEMs describe the pair in the same way, which is defined
here. Records that were stored before there were kinds have neither; they read as before.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from netwatch.core.alert import AlertRecord

Situation = Literal["contacted", "attempted", "looked-up", "embedded", "blocked"]
"""What an alert is about: the first of blocked, embedded, looked up and attempted that fits, else
a contact."""

SITUATIONS: tuple[Situation, ...] = get_args(Situation)

TITLES: Mapping[str, Mapping[Situation, str]] = {
    "violation": {
        "contacted": "Banned app contacted",
        "attempted": "Contact with a banned app attempted",
        "looked-up": "Banned app looked up",
        "embedded": "Banned app contacted, possibly by a page that embeds it",
        "blocked": "Contact with a banned app blocked",
    },
    "advisory": {
        "contacted": "App contacted that is advised against",
        "attempted": "Contact attempted with an app that is advised against",
        "looked-up": "App looked up that is advised against",
        "embedded": "App contacted that is advised against, possibly by a page that embeds it",
        "blocked": "Contact blocked with an app that is advised against",
    },
    "exempt": {
        "contacted": "Banned app contacted under an exemption",
        "attempted": "Contact with a banned app attempted under an exemption",
        "looked-up": "Banned app looked up under an exemption",
        "embedded": "Banned app contacted under an exemption, possibly by a page that embeds it",
        "blocked": "Contact with a banned app blocked despite an exemption",
    },
}
"""Fixed titles by verdict and situation. Rules of SIEMs match them: they never change."""

_NOTES = {
    "session": "this looks like use of the app",
    "background": "this looks like an installed app that keeps in touch",
    "embed": "a page may have embedded it",
}


def situation(record: AlertRecord) -> Situation:
    """The situation of an alert's record."""
    if record.get("outcome") == "blocked":
        return "blocked"
    kind = kind_of(record)
    if kind in ("embed", "lookup"):
        return "embedded" if kind == "embed" else "looked-up"
    return "attempted" if record.get("outcome") == "attempted" else "contacted"


def kind_of(record: AlertRecord) -> str | None:
    """The kind of an alert's record, None where it has none."""
    kind: str | None = (record.get("kind") or {}).get("value")
    return kind


def verb(record: AlertRecord) -> str:
    """What the device did with the app, as a verb in the past tense."""
    outcome = record.get("outcome")
    tried = outcome in ("attempted", "blocked")
    if kind_of(record) == "lookup" or (tried and not record["counts"]["handshakes"]):
        return "looked up"
    return "tried to contact" if tried else "contacted"


def note(record: AlertRecord) -> str:
    """What kind and outcome of an alert's record mean, as part of a sentence; empty where the verb
    says it already."""
    if record.get("outcome") == "blocked":
        app_only = any(item.get("app_only") for item in record["evidence"])
        return blocked_note(record.get("blocked_by") or (), app_only=app_only)
    if record.get("outcome") == "attempted" and kind_of(record) != "lookup":
        return "no answer was seen"
    return _NOTES.get(kind_of(record) or "", "")


def table_note(record: AlertRecord) -> str:
    """What a reader of the table has to know of an alert's record beside the words of its kind and
    its outcome; empty where they say everything."""
    if record["outcome"] == "blocked":
        text = note(record)
    else:
        text = _NOTES["embed"] if kind_of(record) == "embed" else ""
    return "; ".join(filter(None, (text, _sensors_note(record))))


def _sensors_note(record: AlertRecord) -> str:
    """Which sensors saw a case, and what speaks for it that it is one; empty for an alert."""
    sensors = sorted({each["sensor"] for each in record.get("seen_by", ())})
    if not sensors:
        return ""
    proof = {
        "community_id": ", proven by flows that they share",
        "time": ", for which device and time alone speak",
    }
    return f"seen by {', '.join(sensors)}{proof.get(record['joined_by'], '')}"


def blocked_note(blocked_by: Iterable[str], *, app_only: bool) -> str:
    """How a contact was blocked. A name that only the app asks for (`app_only`) shows that the app
    is there."""
    reasons = ", ".join(blocked_by)
    text = f"blocked ({reasons})" if reasons else "blocked"
    return f"{text}, the app is probably still installed" if app_only else text


def sentences(reasons: Iterable[str]) -> str:
    """Reasons as one text, for formats that have no lists: each is a sentence."""
    return " ".join(text if text.endswith(".") else f"{text}." for text in reasons)
