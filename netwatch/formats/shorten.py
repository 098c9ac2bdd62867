"""A record that fits into the largest message that a transport takes.

What is too long to be told in one message is told shorter, and never in two: a receiver
would take the second half for a message of its own. An alert grows by its lists, so these
give: the longest is halved until the line fits. The strongest evidence and its name stay,
and ``shortened`` says how many entries of which list were left off, and how many
sightings with them.
"""

from collections.abc import Mapping
from typing import Any

from netwatch.formats.facts import Record, facts
from netwatch.formats.lines import Render

_LISTS = ("evidence", "destinations", "names", "community_ids")


def fit(render: Render, record: Record, limit: int) -> str:
    """The line of a record, in at most `limit` bytes of UTF-8 where that can be reached by
    shorter lists; else the shortest there is."""
    line = render(record)
    while len(line.encode(errors="surrogatepass")) > limit:
        longest = max(_LISTS, key=lambda name: len(record[name]))
        if len(record[longest]) <= 1:
            break
        record = _halved(record, longest)
        line = render(record)
    return line


def _halved(record: Record, name: str) -> dict[str, Any]:
    entries, lead = record[name], facts(record).lead
    kept = list(entries[: len(entries) // 2])
    if name == "evidence" and not any(item is lead for item in kept):
        kept[-1] = lead
    elif name == "names" and lead is not None and lead["name"] not in kept:
        kept[-1] = lead["name"]
    left_off: Mapping[str, int] = record.get("shortened", {})
    counts = dict(left_off)
    counts[name] = counts.get(name, 0) + len(entries) - len(kept)
    if name == "evidence":
        lost = sum(item["count"] for item in entries) - sum(item["count"] for item in kept)
        counts["sightings"] = counts.get("sightings", 0) + lost
    return {**record, name: kept, "shortened": counts}
