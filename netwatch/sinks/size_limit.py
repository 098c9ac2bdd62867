"""Make an alert fit for a receiver that limits the size of a message.

Lists that only add detail are shortened first, which is done by the formats; then long free text.
Only if it is too long even then, the text is cut off at a character boundary and marked. An alert
is never split over two messages, because the receiver would take the second half for a message of
its own.
"""

from typing import Any

from netwatch.sinks.base import OutgoingAlert

MARK = "…"
"""Replaces what was cut off."""

_TEXT_LIMITS = (120, 40, 12)
_FREE_TEXT = {
    *("name", "names", "hostname", "owner", "authority", "legal_basis", "vendor", "as_org"),
    *("basis", "reason", "approved_by", "source", "rule"),
    *("text", "file", "sources", "raw", "chain"),
}


def encode_within(alert: OutgoingAlert, limit: int) -> tuple[bytes, bool]:
    """The alert in the output's format as UTF-8 in at most `limit` bytes, and whether something
    had to be left out for that."""
    data = _encode(alert.text)
    if len(data) <= limit:
        return data, False
    for text_limit in (None, *_TEXT_LIMITS):
        record = alert.record if text_limit is None else _shorten_texts(alert.record, text_limit)
        data = _encode(alert.render_within(record, limit))
        if len(data) <= limit:
            return data, True
    mark = MARK.encode()
    return data[: max(0, limit - len(mark))].decode("utf-8", "ignore").encode() + mark, True


def _shorten_texts(value: Any, limit: int, free_text: bool = False) -> Any:
    """A copy with free text cut to `limit` characters. Fixed words, times and addresses are never
    cut."""
    if isinstance(value, str):
        return value[:limit] + MARK if free_text and len(value) > limit else value
    if isinstance(value, dict):
        return {
            key: _shorten_texts(inner, limit, key in _FREE_TEXT) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_shorten_texts(inner, limit, free_text) for inner in value]
    return value


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
