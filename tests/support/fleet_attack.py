"""Messages of a sensor that was taken over: made like real ones, with something wrong anywhere.

`attack` gives the kind and the bytes of one, by a source of chance, so that each can be made again.
"""

import io
import json
import random
import zlib
from functools import cache
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from support.fleet_alerts import fleet_alert
from support.fleet_messages import CLIENT, RUN, coverage_record, rows

from netwatch import __version__
from netwatch.fleet.fact_batch import FactBatch, pack

KINDS = ("alerts", "facts", "coverage", "applied", "health", "clock")

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**9, (1 << 31), (1 << 53) + 1, (1 << 62), (1 << 63) - 1, 1 << 63,
    10**30, -(10**30), 1.5, 1e308, float("nan"), float("inf"), "", "\0", "\ud800", "a\udfffb",
    "x" * 5000, "../../etc", "'; --", "{}", "9" * 500, [], {}, [[]], {"": None}, ["x"] * 300,
    "netwatch.v1.other.alerts", "2260-01-01T00:00:00Z", "1970-01-01T00:00:00Z",
    9_170_000_000 * 10**9,
)  # fmt: skip

SIGN = {"state": "running", "rate": 1.5, "reasons": ["x"], "clock_offset_ns": 5,
        "spool": {"bytes": 1}}  # fmt: skip
"""A sign of life."""


def attack(chance: random.Random, sensor: str, number: int) -> tuple[str, bytes]:
    """The kind and the bytes of a message; those with different numbers are different ones."""
    kind = chance.choice(KINDS)
    if kind in ("health", "clock"):
        return kind, _json(_spoiled(chance, SIGN))
    content, fields = _content(chance, kind, sensor, number)
    header = {
        "schema": "netwatch.fleet/1", "sensor": sensor, "kind": kind, "sequence": 1, "sent": 1,
        "version": __version__, "id": f"{kind}{number}", "part": 1, "parts": 1,
        "content": "bytes" if kind == "facts" else "json",
        "epoch": f"e{number}", "after": 0, **fields,
    }  # fmt: skip
    match chance.randrange(8):
        case 0:
            header = _spoiled(chance, header)
        case 1:
            header |= {"parts": chance.choice((2, 64, 65, 0)), "part": chance.choice((1, 2, 64))}
        case 2:
            content = _flipped(chance, content)
        case 3:
            content = content[: chance.randrange(len(content) + 1)]
    data = _json(header) + b"\n" + content
    return kind, _flipped(chance, data) if not chance.randrange(16) else data


def _content(
    chance: random.Random, kind: str, sensor: str, number: int
) -> tuple[bytes, dict[str, Any]]:
    if kind == "alerts":
        alert = fleet_alert(sensor, number * 10**9, device=f"dev-{number % 50}")
        record = {**alert.record, "sensor": {**alert.record["sensor"], "name": sensor}}
        entries = [{"key": f"k{number}", "record": _spoiled(chance, record)}]
        return _json(_maybe(chance, {"alerts": entries})), {}
    if kind == "applied":
        body = {"kind": "set", "version": 3, "state": "rejected", "reason": "x", "hash": ""}
        return _json(_spoiled(chance, body)), {}
    if kind == "facts":
        table = chance.choice(("observation", "flow", "claim"))
        return _batch(chance, table), {"table": table, "rows": 3}
    table = chance.choice(("coverage", "capture"))
    record: dict[str, Any] = {"run": dict(RUN.record()), "first": 1, "last": 2}
    if table == "coverage":
        record |= {"part": 0, "record": coverage_record()}
    else:
        record |= {"whole": True, "lost_rows": 0}
    return _json(_spoiled(chance, record)), {"table": table}


def _batch(chance: random.Random, table: str) -> bytes:
    """A batch of facts: with hostile rows, a hostile description, or hostile columns."""
    way = chance.randrange(4)
    if way == 0:
        values = {name: chance.choice((-1, 1, (1 << 63) - 1, 9_170_000_000 * 10**9))
                  for name in ("time", "first", "last", "bytes_in", "packet", "sequence")
                  if chance.randrange(3) == 0}  # fmt: skip
        return pack(FactBatch(table, RUN, [CLIENT], rows(table, {}, values)))
    about = {
        "run": dict(RUN.record()),
        "clients": [["10.1.0.1", None, "hq", "service", None, None]],
    }
    if way == 3:
        return _with_head(about, _repeated(table, chance.choice((1, 5000, 300_000))))
    found = rows(table, {}, {}, {})
    if way == 1:
        about = _spoiled(chance, about)
    else:
        at = chance.randrange(found.num_columns)
        column = chance.choice((
            pa.array([None] * 3), pa.array(["x" * 10_000] * 3), pa.array([[1, 2]] * 3),
            pa.array([1.5] * 3), pa.array([{"a": 1}] * 3), pa.array([1 << 62] * 3),
        ))  # fmt: skip
        found = found.set_column(at, found.schema.names[at], column)
    return _with_head(about, _parquet(found))


@cache
def _repeated(table: str, count: int) -> bytes:
    """The same row many times. Made once: an attack is to keep the centre busy, not itself."""
    return _parquet(rows(table, {}).take(pa.array([0] * count)))


def _parquet(found: pa.Table) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(found, stream, compression="zstd")
    return stream.getvalue()


def _with_head(about: Any, facts: bytes) -> bytes:
    head = zlib.compress(_json(about))
    return len(head).to_bytes(4, "big") + head + facts


def _maybe(chance: random.Random, value: Any) -> Any:
    return _spoiled(chance, value) if chance.randrange(4) == 0 else value


def _spoiled(chance: random.Random, value: Any) -> Any:
    """A JSON value with something hostile in place of a part of it."""
    if chance.randrange(5) == 0 or not isinstance(value, dict | list) or not value:
        return chance.choice(HOSTILE)
    if isinstance(value, list):
        at = chance.randrange(len(value))
        return [*value[:at], _spoiled(chance, value[at]), *value[at + 1 :]]
    name = chance.choice(sorted(value))
    if chance.randrange(8) == 0:
        return {key: each for key, each in value.items() if key != name}
    return {**value, name: _spoiled(chance, value[name])}


def _flipped(chance: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        if found:
            found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
