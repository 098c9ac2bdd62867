"""Lines of a batch are what the records of its rows are, by the formats that write records."""

import csv
import io
import json
import socket
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.interpreted import all_interpreted
from support.made_batches import ADDRESSES, BATCHES
from support.made_records import BARE, FULL
from support.observing import batch_of

from netwatch.core.observation_batch import ObservationBatch
from netwatch.formats import csv as ours
from netwatch.formats import observation_lines
from netwatch.formats.line_writer import observation_record
from netwatch.formats.observation_lines import ObservationLines
from netwatch.formats.quoted_texts import CSV, JSON
from netwatch.formats.values import json_line

NAMES = (
    "netwatch.formats.quoted_texts",
    "netwatch.formats.observation_lines",
    "netwatch.core.observation_batch",
)


@cache
def interpreted() -> dict[str, ModuleType]:
    return all_interpreted(*NAMES)


def records(batch: ObservationBatch) -> list[dict[str, Any]]:
    return [
        observation_record(batch, row) for start, stop in batch.spans for row in range(start, stop)
    ]


def flat(record: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in record.items():
        found |= flat(value, f"{path}{key}_") if isinstance(value, dict) else {path + key: value}
    return found


def as_json(batch: ObservationBatch) -> str:
    return "".join(json_line(record) + "\n" for record in records(batch))


def as_csv(batch: ObservationBatch) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for record in records(batch):
        cells = flat(record)
        writer.writerow([ours.cell(cells.get(name)) for name in ours.OBSERVATION_COLUMNS])
    return out.getvalue()


def lines(batch: ObservationBatch, style: Any, form: ModuleType = observation_lines) -> str:
    out: list[str] = []
    form.ObservationLines(style).write(batch, out.append)
    return "".join(out)


@given(BATCHES)
@example(batch_of(BARE, FULL))
@settings(deadline=None)
def test_lines_are_those_of_the_records(batch: ObservationBatch) -> None:
    assert lines(batch, JSON) == as_json(batch)
    assert lines(batch, CSV) == as_csv(batch)


@given(BATCHES)
@examples(25, deadline=None)
def test_the_interpreted_form_writes_the_same(batch: ObservationBatch) -> None:
    modules = interpreted()
    build, state = batch.__reduce__()
    again = modules["netwatch.core.observation_batch"].restored(*state)
    form = modules["netwatch.formats.observation_lines"]
    assert build(*state).spans == again.spans
    assert lines(again, modules["netwatch.formats.quoted_texts"].JSON, form) == as_json(batch)
    assert lines(again, modules["netwatch.formats.quoted_texts"].CSV, form) == as_csv(batch)


@given(st.lists(BATCHES, max_size=4))
@examples(25, deadline=None)
def test_batches_one_after_the_other_share_nothing(batches: list[ObservationBatch]) -> None:
    for style, expected in ((JSON, as_json), (CSV, as_csv)):
        out: list[str] = []
        writer = ObservationLines(style)
        for batch in batches:
            writer.write(batch, out.append)
        assert "".join(out) == "".join(map(expected, batches))


def test_many_rows_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(*[FULL] * 3000)
    pieces: list[str] = []
    ObservationLines(JSON).write(batch, pieces.append)
    assert len(pieces) > 1
    assert all(piece.endswith("}\n") for piece in pieces)
    assert "".join(pieces) == as_json(batch)


def test_rows_are_written_in_the_order_of_their_spans() -> None:
    batch = batch_of(*[BARE, FULL] * 2)
    batch.spans[:] = [(2, 4), (0, 1)]
    found = [json.loads(line)["evidence"] for line in lines(batch, JSON).splitlines()]
    assert found == ["dns-query", "dns-answer", "dns-query"]


@given(ADDRESSES)
@example(bytes(16))
@example(bytes(15) + b"\1")
@example(bytes(10) + b"\xff\xff\1\2\3\4")
@example(bytes(12) + b"\1\2\3\4")
@example(bytes(10) + b"\0\1\0\0\0\0")
@example(b"\1" * 14 + bytes(2))
def test_addresses_are_written_as_the_system_does(packed: bytes) -> None:
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    batch = batch_of(BARE.__class__(**{**vars_of(BARE), "client_ip": packed}))
    found = json.loads(lines(batch, JSON))["client"]["ip"]
    assert found == socket.inet_ntop(family, packed)


def vars_of(shown: Any) -> dict[str, Any]:
    return {name: getattr(shown, name) for name in shown.__dataclass_fields__}


@given(st.integers(-(1 << 62), (1 << 63) - 1), st.integers(0, 6))
@example(951_782_400 * 10**9, 0)  # 29 February 2000
@example(-1, 6)
@example(4_107_542_399 * 10**9 + 999_999_999, 6)  # the last second of February 2100
def test_times_agree_with_the_standard_library(time: int, digits: int) -> None:
    batch = batch_of(BARE.__class__(**{**vars_of(BARE), "time": time, "time_digits": digits}))
    found = json.loads(lines(batch, JSON))["time"]
    seconds, fraction = divmod(time, 10**9)
    whole = datetime.fromtimestamp(0, UTC).timestamp() + seconds
    peer = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert found == (f"{peer}.{fraction:09d}"[: 20 + digits] if digits else peer) + "Z"
