"""An alert for a receiver that takes no message above a size.

What is cut goes in the order in which it is missed least, and the record stays one: the
lists that only add detail are shortened first, long text next. What was left out is
counted under ``left_out``. A message is never split.
"""

from typing import Any

from netwatch.sinks.base import Item, Record

MARK = "…"
"""Stands where text was cut."""

_STEPS: tuple[dict[str, int], ...] = (
    {"community_ids": 4, "destinations": 8, "evidence": 8, "names": 32},
    {"community_ids": 1, "destinations": 2, "evidence": 2, "names": 8},
    {"community_ids": 0, "destinations": 1, "evidence": 0, "names": 2},
)
_TEXTS = (120, 40, 12)


def fit(item: Item, limit: int) -> tuple[bytes, bool]:
    """The alert in the output's format, in at most `limit` bytes, and whether something had
    to be left out."""
    data = item.text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data, False
    record = item.record
    for keep in _STEPS:
        record = shortened(item.record, keep)
        data = _rendered(item, record)
        if len(data) <= limit:
            return data, True
    for length in _TEXTS:
        data = _rendered(item, _texts(record, length))
        if len(data) <= limit:
            return data, True
    mark = MARK.encode()
    return data[: limit - len(mark)].decode("utf-8", "ignore").encode() + mark, True


def shortened(record: Record, keep: dict[str, int]) -> dict[str, Any]:
    """A record with at most so many members in its lists, and what was left out counted."""
    left = dict(record.get("left_out") or {})
    short = dict(record)
    for key, most in keep.items():
        members = record.get(key)
        if isinstance(members, list) and len(members) > most:
            short[key] = members[:most]
            left[key] = left.get(key, 0) + len(members) - most
    if left:
        short["left_out"] = left
    return short


def _texts(value: Any, most: int) -> Any:
    """The same with no text longer than `most`; ids and times, which are shorter, stay."""
    if isinstance(value, str):
        return value if len(value) <= max(most, 40) else value[:most] + MARK
    if isinstance(value, dict):
        return {key: _texts(each, most) for key, each in value.items()}
    if isinstance(value, list):
        return [_texts(each, most) for each in value]
    return value


def _rendered(item: Item, record: Record) -> bytes:
    return item.render(record).encode("utf-8", "backslashreplace")
