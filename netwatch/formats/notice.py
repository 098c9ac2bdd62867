"""Notices: what outputs send besides alerts, in the form for each receiver. A sensor is silent
(`netwatch.formats.silence`), or a device hid its lookups (`netwatch.formats.bypass`).

A notice is no alert and says so in each format: it has no app and no ban, only a sentence, a time,
a sensor, and the device if it is about one. `netwatch.formats.registry` passes such records to
`render`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from netwatch import __version__
from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.alert import AlertRecord
from netwatch.core.tabular import csv_line
from netwatch.formats import bypass, cef, csv, eve, gelf, leef, ocsf, silence
from netwatch.formats.alert_summary import PRODUCT, without_empty
from netwatch.formats.registry import ECS, OCSF
from netwatch.formats.values import epoch_ns, escape_for, json_line, rfc3339, truncate


@dataclass(frozen=True, slots=True)
class _Device:
    """A device; it has an `ip` or a `mac` if its id is one."""

    id: str
    network: str
    device_class: str
    ip: str | None
    mac: str | None


@dataclass(frozen=True, slots=True)
class _Notice:
    """What all formats need of a record: what it is called, its sensor and device, and what goes
    under keys of netwatch's own, by their names in the record."""

    title: str
    about: str
    action: str
    dataset: str
    category: str
    sensor: str
    version: str
    own: Mapping[str, Any]
    device: _Device | None = None


def render(name: str, record: AlertRecord) -> str:
    """The record in the format of this name, one of `registry.RENDERERS`."""
    if name == "jsonl":
        return json_line(record)
    notice = _NOTICES[record["schema"]](record)
    return _RENDERERS[name](record, notice)


def _of_silence(record: AlertRecord) -> _Notice:
    sensor = record["sensor"]
    return _Notice(
        title="Sensor silent",
        about=sensor["name"],
        action="sensor-silent" if record["status"] == "open" else "sensor-silence-ended",
        dataset="silence",
        category="host",
        sensor=sensor["name"],
        version=sensor["version"],
        own={"duration": record["duration"], "ended_by": record["ended_by"]},
    )


def _of_bypass(record: AlertRecord) -> _Notice:
    device = record["device"]
    id_, network, sensor = device["id"], device["network"], device.get("sensor", "")
    own = {key: record[key] for key in ("day", "contacts", "untold", "share", "lookups", "named")}
    return _Notice(
        title="Lookups hidden",
        about=f"{id_} ({network})",
        action="lookups-hidden",
        dataset="bypass",
        category="network",
        sensor=sensor,
        version=__version__,
        own={**own, "reasons": " ".join(bypass.codes(record))},
        device=_Device(
            id_,
            network,
            device["class"],
            ip=id_ if parse_ip(id_) is not None else None,
            mac=id_ if parse_mac(id_) is not None else None,
        ),
    )


_NOTICES: Mapping[str, Callable[[AlertRecord], _Notice]] = {
    silence.SCHEMA: _of_silence,
    bypass.SCHEMA: _of_bypass,
}


def _ms(text: str) -> int:
    return epoch_ns(text) // 1_000_000


def _csv(record: AlertRecord, notice: _Notice) -> str:
    flat = {**record, "sensor_name": notice.sensor, "sensor_version": notice.version}
    if (device := notice.device) is not None:
        flat |= {"device_id": device.id, "device_ip": device.ip, "device_mac": device.mac,
                 "device_class": device.device_class, "network_name": device.network}  # fmt: skip
    return csv_line(map(flat.get, csv.ALERT_COLUMNS))


def _ecs(record: AlertRecord, notice: _Notice) -> str:
    device = notice.device
    is_open = record["status"] == "open" or device is not None
    about = {
        "source": {"ip": device.ip, "mac": device.mac and device.mac.upper().replace(":", "-")},
        "device": {"id": device.id},
        "network": {"name": device.network},
        "related": {"ip": [device.ip] if device.ip else None},
    } if device is not None else {}  # fmt: skip
    return json_line(
        without_empty(
            {
                "@timestamp": record["last_seen"],
                "ecs": {"version": ECS},
                "message": record["message"],
                "tags": [PRODUCT],
                "event": {
                    "id": f"{record['id']}-{record['status']}",
                    "kind": "alert" if is_open else "event",
                    "category": [notice.category],
                    "type": ["info"],
                    "action": notice.action,
                    "module": PRODUCT,
                    "dataset": f"{PRODUCT}.{notice.dataset}",
                    "start": record["first_seen"],
                    "end": record["last_seen"],
                    "duration": _duration(record),
                },
                **about,
                "observer": {
                    "name": notice.sensor,
                    "type": "sensor",
                    "vendor": PRODUCT,
                    "product": PRODUCT,
                    "version": notice.version,
                },
                PRODUCT: {
                    **{key: record[key] for key in ("schema", "id", "status", "severity")},
                    **notice.own,
                },
            }
        )
    )


def _duration(record: AlertRecord) -> int:
    """In ns."""
    if "duration" in record:
        return round(float(record["duration"]) * 1e9)
    return epoch_ns(record["last_seen"]) - epoch_ns(record["first_seen"])


def _ocsf(record: AlertRecord, notice: _Notice) -> str:
    activity = ocsf.ACTIVITIES[record["status"]]
    severity = ocsf.SEVERITIES[record["severity"]]
    device = notice.device
    about = {
        "device": {
            "type_id": ocsf.UNKNOWN_DEVICE[0], "type": ocsf.UNKNOWN_DEVICE[1],
            "uid": device.id, "ip": device.ip, "mac": device.mac,
            "is_personal": device.device_class == "personal", "zone": device.network,
        }
    } if device is not None else {}  # fmt: skip
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
                        "version": notice.version,
                    },
                    "reporter": {"name": notice.sensor},
                    "log_name": f"{PRODUCT}.{notice.dataset}",
                    "uid": f"{record['id']}-{record['status']}",
                    "correlation_uid": record["id"],
                },
                **about,
                "finding_info": {
                    "uid": record["id"],
                    "title": f"{notice.title}: {notice.about}",
                    "desc": record["message"],
                    "types": [notice.action],
                    "first_seen_time": _ms(record["first_seen"]),
                    "last_seen_time": _ms(record["last_seen"]),
                },
                "unmapped": {
                    "schema": record["schema"],
                    **{key: value for key, value in notice.own.items() if key != "duration"},
                },
            }
        )
    )


def _eve(record: AlertRecord, notice: _Notice) -> str:
    device = notice.device
    own = {key: value for key, value in notice.own.items() if key != "duration" and value}
    about: dict[str, Any] = {}
    if device is not None:
        own |= {"device": device.id, "network": device.network}
        about = without_empty({"src_ip": device.ip, "ether": {"src_mac": device.mac}})
    metadata = {
        "message": [record["message"]],
        "id": [record["id"]],
        "status": [record["status"]],
        "first_seen": [record["first_seen"]],
        "signature_severity": [record["severity"]],
        **{key: [str(value)] for key, value in own.items()},
    }
    return json_line(
        {
            "timestamp": f"{rfc3339(epoch_ns(record['last_seen']), 6)[:-1]}+0000",
            "event_type": "alert",
            "host": notice.sensor,
            **about,
            "alert": {
                "action": "allowed",
                "gid": eve.GENERATOR,
                "signature_id": 1_000_000 + crc32(record["schema"].encode()) % 1_000_000,
                "rev": 1,
                "signature": f"{PRODUCT}: {notice.title}: {notice.about}",
                "category": "Misc activity",
                "severity": eve.SEVERITIES[record["severity"]],
                "metadata": metadata,
            },
        }
    )


def _cef(record: AlertRecord, notice: _Notice) -> str:
    header = (
        "CEF:0",
        PRODUCT,
        PRODUCT,
        truncate(notice.version, 31),
        notice.action,
        notice.title,
        str(cef.SEVERITIES[record["severity"]]),
    )
    extension = {
        "rt": str(_ms(record["last_seen"])),
        "start": str(_ms(record["first_seen"])),
        "end": str(_ms(record["last_seen"])),
        "externalId": record["id"],
        "msg": record["message"],
        "dvchost": notice.sensor,
        "netwatchStatus": record["status"],
        "netwatchSeverity": record["severity"],
        **{key: value for key, value in _named(notice, PRODUCT) if key != "netwatchDuration"},
    }
    if (device := notice.device) is not None:
        extension |= {
            "src": device.ip if device.ip and ":" not in device.ip else "",
            "smac": device.mac or "",
            "flexString2Label": "Network",
            "flexString2": device.network,
        }

    def escaped(text: str, special: str, mark: str) -> str:
        return escape_for(text, special).replace("\\", "\\\\").replace(mark, f"\\{mark}")

    head = "|".join(escaped(text, "", "|") for text in header)
    special = '|";'
    tail = " ".join(
        f"{key}={escaped(text, special, '=')}" for key, text in extension.items() if text
    )
    return f"{head}|{tail}"


def _named(notice: _Notice, prefix: str) -> Iterator[tuple[str, str]]:
    """What is netwatch's own, under keys like ``nwEndedBy``."""
    own = dict(notice.own)
    if notice.device is not None:
        own |= {"device": notice.device.id, "device_class": notice.device.device_class}
    for key, value in own.items():
        name = "".join(word.capitalize() for word in key.split("_"))
        yield f"{prefix}{name}", "" if value is None else str(value)


def _leef(record: AlertRecord, notice: _Notice) -> str:
    special = f"|{leef.DELIMITER}\"'"
    header = ("LEEF:2.0", PRODUCT, PRODUCT, notice.version, notice.action)
    attributes = {
        "devTime": str(_ms(record["last_seen"])),
        "cat": notice.action,
        "sev": str(leef.SEVERITIES[record["severity"]]),
        "nwMessage": record["message"],
        "nwAlertId": record["id"],
        "nwStatus": record["status"],
        "nwSeverity": record["severity"],
        "nwFirstSeen": record["first_seen"],
        "nwLastSeen": record["last_seen"],
        **{key: value for key, value in _named(notice, "nw") if key != "nwDuration"},
        "nwSensor": notice.sensor,
    }
    if (device := notice.device) is not None:
        attributes |= {"src": device.ip or "", "srcMAC": device.mac or "",
                       "nwNetwork": device.network}  # fmt: skip
    head = "|".join(escape_for(text, special) for text in header)
    tail = leef.DELIMITER.join(
        f"{key}={escape_for(text, special)}" for key, text in attributes.items() if text
    )
    return f"{head}|{leef.DELIMITER}|{tail}"


def _gelf(record: AlertRecord, notice: _Notice) -> str:
    device = notice.device
    about = {"_source_ip": device.ip, "_source_mac": device.mac} if device is not None else {}
    return json_line(
        {
            "version": "1.1",
            "host": notice.sensor or PRODUCT,
            "short_message": record["message"],
            "timestamp": _ms(record["last_seen"]) / 1000,
            "level": gelf.LEVELS[record["severity"]],
            "_alert_signature": notice.title,
            "_alert_severity": record["severity"],
            "_event_source_product": PRODUCT,
            "_vendor_event_action": notice.action,
            **{key: value for key, value in about.items() if value},
            **{f"_{PRODUCT}_{key}": value for key, value in _flat(record) if value is not None},
            **({f"_{PRODUCT}_reasons": notice.own["reasons"]} if device is not None else {}),
        }
    )


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Texts and numbers; lists are left out."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}_")
        elif not isinstance(value, list):
            yield f"{prefix}{key}", value


_RENDERERS: Mapping[str, Callable[[AlertRecord, _Notice], str]] = {
    "csv": _csv,
    "ecs": _ecs,
    "ocsf": _ocsf,
    "eve": _eve,
    "cef": _cef,
    "leef": _leef,
    "gelf": _gelf,
}
