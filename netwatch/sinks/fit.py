"""An alert for a receiver that takes no message above a size.

Lists that only add detail are shortened first, which is the formats' business, long text
next, so that the record stays one. Only what is too long even then is cut, at a letter
and with a mark. A message is never split: the second half would be one of its own.
"""

from typing import Any

from netwatch.sinks.base import Item

MARK = "…"
"""Stands where text was cut."""

_TEXTS = (120, 40, 12)
_FREE = {
    *("name", "names", "hostname", "owner", "authority", "legal_basis", "vendor", "as_org"),
    *("reason", "approved_by", "source", "rule"),
}


def fit(item: Item, limit: int) -> tuple[bytes, bool]:
    """The alert in the output's format, in at most `limit` bytes, and whether something had
    to be left out."""
    data = _encoded(item.text)
    if len(data) <= limit:
        return data, False
    for most in (None, *_TEXTS):
        data = _encoded(item.fit(item.record if most is None else _texts(item.record, most), limit))
        if len(data) <= limit:
            return data, True
    mark = MARK.encode()
    return data[: max(0, limit - len(mark))].decode("utf-8", "ignore").encode() + mark, True


def _texts(value: Any, most: int, free: bool = False) -> Any:
    """The same with no free text longer than `most`; words, times and addresses stay."""
    if isinstance(value, str):
        return value[:most] + MARK if free and len(value) > most else value
    if isinstance(value, dict):
        return {key: _texts(each, most, key in _FREE) for key, each in value.items()}
    if isinstance(value, list):
        return [_texts(each, most, free) for each in value]
    return value


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
