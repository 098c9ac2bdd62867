"""Reads and checks the alerts that sensors sent, which may be of another version of netwatch, or
forged.

What the catalogue, cases and pages need of a record has to be there, so that a wrong record is
refused by itself and never fails the transaction of others. Fields that are not known are kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from netwatch.core.alert import UNHEARD, number_of
from netwatch.core.errors import NetwatchError
from netwatch.core.flow import CONTRADICTION_TYPES
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.formats.alert_record import Incident
from netwatch.formats.typed_records import MAX_NUMBER, RecordError, check
from netwatch.formats.values import epoch_ns, line_of
from netwatch.store.case_members import DEVICES, NETWORKS
from netwatch.store.cases import SensorAlert

MAX_VALUES = 4096
"""Values in one list of a record."""

MAX_WORD = 512
"""Characters of an id or a name."""

_WORDS = {
    "status": ("open", "update", "closed"),
    "verdict": ("violation", "advisory", "exempt"),
    "severity": ("low", "medium", "high", "critical"),
    "confidence": tuple(CONFIDENCE_RANK),
    "outcome": ("reached", "attempted", "blocked", "unknown"),
}
_KINDS = ("session", "background", "embed", "lookup")
_COUNTS = ("lookups", "handshakes", "flows", "bytes_out", "bytes_in")
_OUTCOMES = _WORDS["outcome"]
_NEEDED = {
    "device": ("id", "ip", "mac", "hostname", "owner", "class"),
    "network": ("name", "class", "authority"),
    "app": ("id", "name", "vendor"),
    "ban": ("id", "authority", "legal_basis", "from", "until", "review"),
}
_EVIDENCE = ("time", "type", "name", "role", "source", "raw")
_EXEMPTION = ("ban", "device", "from", "until", "reason", "approved_by")
_YEAR = 366 * 86_400 * 10**9
_LATEST = 240 * _YEAR  # ns since the epoch that fit into 64 bits, with any offset of a clock

MAX_LINE = 1 << 20
"""Bytes of the record of one alert."""


class BadAlertError(NetwatchError, ValueError):
    """The record of an alert is not one; the message says what is wrong."""


def check_alert(record: Any) -> None:
    """Check the record of an alert. Raises `BadAlertError`."""
    try:
        _check(record)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadAlertError(f"an alert without what it needs: {_named(error)}") from None
    except (ValueError, OverflowError, RecordError) as error:
        raise BadAlertError(f"an alert with a wrong value: {error}") from None


def _named(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


def _check(record: Any) -> None:
    if record["schema"] != "netwatch.alert/1":
        raise ValueError(f"schema {str(record['schema'])[:40]!r}; expected netwatch.alert/1")
    _words(record, ("id",))
    if not record["id"]:
        raise ValueError("id is empty")
    for name, words in _WORDS.items():
        if record[name] not in words:
            raise ValueError(f"{name} {str(record[name])[:40]!r}; expected {', '.join(words)}")
    if record["kind"]["value"] not in _KINDS:
        raise ValueError(f"kind {str(record['kind']['value'])[:40]!r}")
    first, last = epoch_ns(record["first_seen"]), epoch_ns(record["last_seen"])
    if not 0 <= first <= last <= _LATEST:
        raise ValueError("first_seen is after last_seen, or a time is out of range")
    if not 0 <= record["duration"] <= _LATEST / 1e9:
        raise ValueError("duration is out of range")
    check(Incident, record, MAX_VALUES)
    for name, fields in _NEEDED.items():
        _words(record[name], fields)
    if not (record["app"]["id"] and record["ban"]["id"]):
        raise ValueError("the id of the app or of the ban is empty")
    for name in ("names", "community_ids"):
        for value in record[name]:
            if not isinstance(value, str) or len(value) > MAX_WORD:
                raise ValueError(f"{name} has something that is no name")
    _check_parts(record)
    _numbers(record["counts"], _COUNTS)
    _numbers(record["counts"]["outcomes"], _OUTCOMES)
    versions = record["versions"]
    _words(versions, [name for name, _ in versions.items() if name != "set"])
    binding = record.get("binding")
    if binding is not None:
        _words(binding, ("source",))


def _check_parts(record: Mapping[str, Any]) -> None:
    for server in record["destinations"]:
        _words(server, ("ip",))
        if server["ip"] is None:
            raise ValueError("a destination without an address")
        if type(server["port"]) is not int or not 0 <= server["port"] < 1 << 16:
            raise ValueError("a port that is no number of 16 bits")
    if not record["evidence"]:
        raise ValueError("no evidence")
    for item in record["evidence"]:
        _words(item, _EVIDENCE)
        _words(item["rule"], ("text",))
        epoch_ns(item["time"])
        _numbers({"place": number_of(item)}, ("place",))
        _numbers(item, ("count",))
        if log := item.get("log"):
            _words(log, ("format",))
    if record["exemption"] is not None:
        _words(record["exemption"], _EXEMPTION)
    for each in record.get("contradictions", ()):
        if each["type"] not in CONTRADICTION_TYPES:
            raise ValueError(f"contradiction {str(each['type'])[:40]!r}")
        _words(each, ("text",))
        if not each["text"]:
            raise ValueError("a contradiction without a text")
        _numbers(each, ("count",))
        for item in each["evidence"]:
            _words(item, ("type", "name", "source"))
            epoch_ns(item["time"])
            _numbers(item, ("packet",))


def _words(values: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse a value that is no text that a database can keep."""
    texts = [text for name in names if (text := values[name]) is not None]
    try:
        # Of many texts one call says that they are texts, and with another one whether all are
        # short: nearly every record is right.
        whole = "".join(texts)
        if len(whole) <= MAX_WORD and "\0" not in whole:
            return
    except TypeError:
        pass
    for name in names:
        value = values[name]
        if value is not None and (
            not isinstance(value, str) or len(value) > MAX_WORD or "\0" in value
        ):
            raise ValueError(f"{name} is no text of at most {MAX_WORD} characters")


def _numbers(counts: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse counts that are none, or do not fit into a database as a sum."""
    for name in names:
        value = counts[name]
        if type(value) is not int or not 0 <= value <= MAX_NUMBER:
            raise ValueError("a count is no number from 0 on")


def read_record(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The alert that a sensor sent, read from JSON; `clock_offset` is how far its clock is ahead
    (ns). Raises `BadAlertError`."""
    if isinstance(record, dict):
        # These are for the centre to say.
        record.pop(UNHEARD, None)
        if isinstance(record.get("sensor"), dict):
            for limit in (NETWORKS, DEVICES):
                record["sensor"].pop(limit, None)
    check_alert(record)
    return stored_alert(sensor, record, clock_offset)


def stored_alert(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The same of a record that was read, and may have been marked here."""
    try:
        raw = orjson.dumps(record)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise BadAlertError(f"an alert that cannot be stored: {error}") from None
    if len(raw) > MAX_LINE:
        raise BadAlertError(f"an alert of {len(raw)} bytes; expected at most {MAX_LINE}")
    return SensorAlert(sensor, record, line_of(raw), clock_offset)
