"""Alerts as lines for people: what mail and notifications have in common."""

from collections import Counter
from collections.abc import Iterable

from netwatch.core.alert import AlertRecord, note
from netwatch.sinks.ranking import severity_rank, verdict_rank

_MAX_NAMES = 3


def digest_title(records: Iterable[AlertRecord]) -> str:
    """How many alerts of each verdict there are, and how many of them were blocked."""
    counts: Counter[str] = Counter()
    blocked: Counter[str] = Counter()
    for record in records:
        verdict = str(record.get("verdict", "silence"))
        counts[verdict] += 1
        blocked[verdict] += record.get("outcome") == "blocked"
    verdicts = sorted(counts, key=lambda word: -verdict_rank({"verdict": word}))
    return printable(
        ", ".join(
            f"{counts[verdict]} {verdict}"
            + (f" ({blocked[verdict]} blocked)" if blocked[verdict] else "")
            for verdict in verdicts
        )
    )


def digest_order(record: AlertRecord) -> tuple[int, int, str]:
    """The order of a digest: the most serious first."""
    return -verdict_rank(record), -severity_rank(record), str(record.get("first_seen"))


def digest_line(record: AlertRecord) -> str:
    """One alert as one line for people."""

    def part(key: str) -> AlertRecord:
        value = record.get(key)
        return value if isinstance(value, dict) else {}

    device, app, ban = part("device"), part("app"), part("ban")
    if not app and record.get("message"):
        # The silence of a sensor, which no contact of a device is.
        return printable(
            f"{record.get('first_seen')}  {record.get('severity')}, {record.get('status')}:"
            f" {record['message']}; {record.get('id')}"
        )
    who = " ".join(str(device[key]) for key in ("id", "ip", "owner") if device.get(key))
    names = [str(name) for name in record.get("names") or []]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    grades = [record.get("severity"), record.get("confidence")]
    if record.get("outcome"):
        grades += [part("kind").get("value"), record["outcome"]]
    meaning = f"; {note(record)}" if record.get("outcome") == "blocked" else ""
    return printable(
        f"{record.get('first_seen')}  {record.get('verdict')} ({', '.join(map(str, grades))},"
        f" {record.get('status')}): {app.get('name')} by {who or '?'},"
        f" ban {ban.get('id')}{meaning}; names: {', '.join(names[:_MAX_NAMES]) or 'none'}{more}"
        f"; alert {record.get('id')}"
    )


def printable(text: str) -> str:
    """Text in which characters that could break the line or hide others are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
