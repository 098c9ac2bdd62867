"""The form in which the outbox stores an alert: its record as JSON, and a key.

The key has a hash of the record, so a record that a disk has changed is noticed.
"""

import hashlib
import json

from netwatch.core.alert import AlertRecord


def encode(record: AlertRecord) -> str:
    """A record as JSON."""
    return json.dumps(record, separators=(",", ":"))


def decode(text: str, key: str) -> AlertRecord:
    """The record that `encode` has made this text of. Raises `ValueError`, which gives the reason,
    for any other text, and for a record that has another key."""
    try:
        record = json.loads(text)
        actual_key = deduplication_key(record) if isinstance(record, dict) else ""
    except RecursionError:
        raise ValueError("its record is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"its record is not valid JSON ({error})") from None
    if not isinstance(record, dict):
        raise ValueError("its record is not a JSON object")
    if actual_key != key:
        raise ValueError("its record was changed after it was stored: it does not match its key")
    return record


def deduplication_key(record: AlertRecord) -> str:
    """The key by which receivers recognise a duplicate: the id of the incident and a hash of the
    rest of the record except the sensor and the versions, so only a record that says the same is a
    duplicate."""
    content = {name: value for name, value in record.items() if name not in ("sensor", "versions")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{record.get('id', '')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
