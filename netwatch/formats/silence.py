"""The record of a sensor that is silent, and its form for each receiver.

It is sent by the same outputs as alerts: receivers of violations must know when these can no longer
be seen. It is not an alert, though, and says so in each format: no app, no ban, no device, only a
sensor and a time. `netwatch.formats.registry` passes records of this schema to `render`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zlib import crc32

from netwatch.core.alert import AlertRecord
from netwatch.core.tabular import csv_line
from netwatch.core.text import quantity
from netwatch.formats import cef, csv, eve, gelf, leef, ocsf
from netwatch.formats.alert_summary import PRODUCT, without_empty
from netwatch.formats.registry import ECS, OCSF
from netwatch.formats.values import epoch_ns, escape_for, json_line, rfc3339, truncate

SCHEMA = "netwatch.silence/1"
"""The value of ``schema``. A record with another number after the slash has other fields."""

SEVERITY = "high"
"""The severity of a silence: while it lasts, violations at the sensor are not seen."""

_TITLE = "Sensor silent"


def silence_record(
    sensor: str, version: str, since: int, at: int, *, ended: str = ""
) -> AlertRecord:
    """The record of a silence that began at `since` and was noticed, or has `ended`, at `at` (both
    ns by the centre's clock); `ended` tells how: ``present`` or ``stopped``. `version` is the
    version of the sensor's netwatch, empty if it is not known."""
    id_ = hashlib.sha256(f"silence\0{sensor}\0{since}".encode()).hexdigest()[:16]
    seconds = max(0, at - since) / 1e9
    for_ = _duration(seconds)
    message = f"sensor {sensor} has given no sign of life for {for_}"
    if ended == "stopped":
        message = f"sensor {sensor} was stopped; it had given no sign of life for {for_}"
    elif ended:
        message = f"sensor {sensor} gives signs of life again, after {for_}"
    return {
        "schema": SCHEMA,
        "id": id_,
        "status": "closed" if ended else "open",
        "severity": SEVERITY,
        "first_seen": rfc3339(since, 3),
        "last_seen": rfc3339(at, 3),
        "duration": round(seconds, 3),
        "ended_by": ended or None,
        "message": message,
        "sensor": {"name": sensor, "version": version},
    }


def _duration(seconds: float) -> str:
    """A time for people, in the largest unit with at least two."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return quantity(int(seconds // size), unit)
    return quantity(int(seconds), "second")


def render(name: str, record: AlertRecord) -> str:
    """The record in the format of this name, one of `registry.RENDERERS`."""
    return _RENDERERS[name](record)


def _action(record: AlertRecord) -> str:
    return "sensor-silent" if record["status"] == "open" else "sensor-silence-ended"


def _ms(text: str) -> int:
    return epoch_ns(text) // 1_000_000


def _csv(record: AlertRecord) -> str:
    flat = {**record, **{f"sensor_{key}": value for key, value in record["sensor"].items()}}
    return csv_line(map(flat.get, csv.ALERT_COLUMNS))


def _ecs(record: AlertRecord) -> str:
    return json_line(
        without_empty(
            {
                "@timestamp": record["last_seen"],
                "ecs": {"version": ECS},
                "message": record["message"],
                "tags": [PRODUCT],
                "event": {
                    "id": f"{record['id']}-{record['status']}",
                    "kind": "alert" if record["status"] == "open" else "event",
                    "category": ["host"],
                    "type": ["info"],
                    "action": _action(record),
                    "module": PRODUCT,
                    "dataset": f"{PRODUCT}.silence",
                    "start": record["first_seen"],
                    "end": record["last_seen"],
                    "duration": round(record["duration"] * 1e9),
                },
                "observer": {
                    "name": record["sensor"]["name"],
                    "type": "sensor",
                    "vendor": PRODUCT,
                    "product": PRODUCT,
                    "version": record["sensor"]["version"],
                },
                PRODUCT: {
                    key: record[key]
                    for key in ("schema", "id", "status", "severity", "duration", "ended_by")
                },
            }
        )
    )


def _ocsf(record: AlertRecord) -> str:
    activity = ocsf.ACTIVITIES[record["status"]]
    severity = ocsf.SEVERITIES[record["severity"]]
    return json_line(
        without_empty(
            {
                "category_uid": ocsf.CATEGORY[0],
                "category_name": ocsf.CATEGORY[1],
                "class_uid": ocsf.CLASS[0],
                "class_name": ocsf.CLASS[1],
                "activity_id": activity[0],
                "activity_name": activity[1],
                "type_uid": ocsf.CLASS[0] * 100 + activity[0],
                "type_name": f"{ocsf.CLASS[1]}: {activity[1]}",
                "time": _ms(record["last_seen"]),
                "start_time": _ms(record["first_seen"]),
                "end_time": _ms(record["last_seen"]),
                "duration": _ms(record["last_seen"]) - _ms(record["first_seen"]),
                "message": record["message"],
                "severity_id": severity[0],
                "severity": severity[1],
                "status_detail": record["status"],
                "metadata": {
                    "version": OCSF,
                    "product": {
                        "name": PRODUCT,
                        "vendor_name": PRODUCT,
                        "version": record["sensor"]["version"],
                    },
                    "reporter": {"name": record["sensor"]["name"]},
                    "log_name": f"{PRODUCT}.silence",
                    "uid": f"{record['id']}-{record['status']}",
                    "correlation_uid": record["id"],
                },
                "finding_info": {
                    "uid": record["id"],
                    "title": f"{_TITLE}: {record['sensor']['name']}",
                    "desc": record["message"],
                    "types": [_action(record)],
                    "first_seen_time": _ms(record["first_seen"]),
                    "last_seen_time": _ms(record["last_seen"]),
                },
                "unmapped": {"schema": record["schema"], "ended_by": record["ended_by"]},
            }
        )
    )


def _eve(record: AlertRecord) -> str:
    name = record["sensor"]["name"]
    metadata = {
        "message": [record["message"]],
        "id": [record["id"]],
        "status": [record["status"]],
        "first_seen": [record["first_seen"]],
        "signature_severity": [record["severity"]],
        **({"ended_by": [record["ended_by"]]} if record["ended_by"] else {}),
    }
    return json_line(
        {
            "timestamp": f"{rfc3339(epoch_ns(record['last_seen']), 6)[:-1]}+0000",
            "event_type": "alert",
            "host": name,
            "alert": {
                "action": "allowed",
                "gid": eve.GENERATOR,
                "signature_id": 1_000_000 + crc32(SCHEMA.encode()) % 1_000_000,
                "rev": 1,
                "signature": f"{PRODUCT}: {_TITLE}: {name}",
                "category": "Misc activity",
                "severity": eve.SEVERITIES[record["severity"]],
                "metadata": metadata,
            },
        }
    )


def _cef(record: AlertRecord) -> str:
    header = (
        "CEF:0",
        PRODUCT,
        PRODUCT,
        truncate(record["sensor"]["version"], 31),
        _action(record),
        _TITLE,
        str(cef.SEVERITIES[record["severity"]]),
    )
    extension = {
        "rt": str(_ms(record["last_seen"])),
        "start": str(_ms(record["first_seen"])),
        "end": str(_ms(record["last_seen"])),
        "externalId": record["id"],
        "msg": record["message"],
        "dvchost": record["sensor"]["name"],
        "netwatchStatus": record["status"],
        "netwatchSeverity": record["severity"],
        "netwatchEndedBy": record["ended_by"] or "",
    }

    def escaped(text: str, special: str, mark: str) -> str:
        return escape_for(text, special).replace("\\", "\\\\").replace(mark, f"\\{mark}")

    head = "|".join(escaped(field, "", "|") for field in header)
    special = '|";'
    tail = " ".join(
        f"{key}={escaped(text, special, '=')}" for key, text in extension.items() if text
    )
    return f"{head}|{tail}"


def _leef(record: AlertRecord) -> str:
    special = f"|{leef.DELIMITER}\"'"
    header = ("LEEF:2.0", PRODUCT, PRODUCT, record["sensor"]["version"], _action(record))
    attributes = {
        "devTime": str(_ms(record["last_seen"])),
        "cat": _action(record),
        "sev": str(leef.SEVERITIES[record["severity"]]),
        "nwMessage": record["message"],
        "nwAlertId": record["id"],
        "nwStatus": record["status"],
        "nwSeverity": record["severity"],
        "nwFirstSeen": record["first_seen"],
        "nwLastSeen": record["last_seen"],
        "nwEndedBy": record["ended_by"] or "",
        "nwSensor": record["sensor"]["name"],
    }
    head = "|".join(escape_for(field, special) for field in header)
    tail = leef.DELIMITER.join(
        f"{key}={escape_for(text, special)}" for key, text in attributes.items() if text
    )
    return f"{head}|{leef.DELIMITER}|{tail}"


def _gelf(record: AlertRecord) -> str:
    return json_line(
        {
            "version": "1.1",
            "host": record["sensor"]["name"],
            "short_message": record["message"],
            "timestamp": _ms(record["last_seen"]) / 1000,
            "level": gelf.LEVELS[record["severity"]],
            "_alert_signature": _TITLE,
            "_alert_severity": record["severity"],
            "_event_source_product": PRODUCT,
            "_vendor_event_action": _action(record),
            **{f"_{PRODUCT}_{key}": value for key, value in _flat(record) if value is not None},
        }
    )


def _flat(record: AlertRecord) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{key}_{below}", inner) for below, inner in value.items())
        else:
            yield key, value


_RENDERERS: Mapping[str, Callable[[AlertRecord], str]] = {
    "jsonl": json_line,
    "csv": _csv,
    "ecs": _ecs,
    "ocsf": _ocsf,
    "eve": _eve,
    "cef": _cef,
    "leef": _leef,
    "gelf": _gelf,
}
