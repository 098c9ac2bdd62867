"""Shorten the lists of an alert's record until its line fits into a message of limited size.

An alert that is too long for one message is never split over two, because the receiver would
take the second half for a message of its own. What makes an alert long are its lists: the longest
one is halved until the line fits. The strongest evidence and the name that it shows are always
retained. Where that is not enough, the reasons of kind and confidence are removed, and the
contradictions, which are reasons too: the confidence is what it is without them. The key
``shortened`` counts the entries removed from each list, the sightings that the removed evidence
stood for, and the reasons.
"""

from collections.abc import Mapping
from typing import Any

from netwatch.core.alert import AlertRecord
from netwatch.formats.alert_summary import summarize
from netwatch.formats.base import Renderer

_LISTS = ("evidence", "destinations", "names", "community_ids", "contradictions")


def render_within(render: Renderer, record: AlertRecord, limit: int) -> str:
    """Render a record in at most `limit` bytes of UTF-8 if shorter lists can achieve that,
    otherwise as the shortest line that they can."""
    line = render(record)
    while len(line.encode(errors="surrogatepass")) > limit:
        longest = max(_LISTS, key=lambda name: len(record.get(name) or ()))
        if len(record.get(longest) or ()) <= 1:
            return render(_without_reasons(record))
        record = _with_half_of(record, longest)
        line = render(record)
    return line


def _without_reasons(record: AlertRecord) -> AlertRecord:
    kind, of_confidence = record.get("kind") or {}, record.get("confidence_reasons") or ()
    against = record.get("contradictions") or ()
    removed = len(kind.get("reasons", ())) + len(of_confidence) + len(against)
    if not removed:
        return record
    return {
        **record,
        "kind": {**kind, "reasons": []},
        "confidence_reasons": [],
        "contradictions": [],
        "shortened": {**record.get("shortened", {}), "reasons": removed},
    }


def _with_half_of(record: AlertRecord, list_name: str) -> dict[str, Any]:
    entries, strongest = record[list_name], summarize(record).strongest_evidence
    retained = list(entries[: len(entries) // 2])
    if list_name == "evidence" and not any(item is strongest for item in retained):
        retained[-1] = strongest
    elif list_name == "names" and strongest is not None and strongest["name"] not in retained:
        retained[-1] = strongest["name"]
    removed: Mapping[str, int] = record.get("shortened", {})
    removed = dict(removed)
    removed[list_name] = removed.get(list_name, 0) + len(entries) - len(retained)
    if list_name == "evidence":
        sightings = sum(item["count"] for item in entries)
        sightings -= sum(item["count"] for item in retained)
        removed["sightings"] = removed.get("sightings", 0) + sightings
    return {**record, list_name: retained, "shortened": removed}
