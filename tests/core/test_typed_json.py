"""Values of typed classes as JSON, and back with a check of every type."""

from collections import Counter
from datetime import date
from typing import Any, Literal

import pytest

from netwatch.core.statistics import RunStatistics
from netwatch.core.typed_json import MISMATCHES, dumps, loads, read
from netwatch.core.verdict import Ban, BanPeriod, Device

BAN = Ban(
    id="be",
    authority="BE",
    apps=frozenset({"tiktok", "capcut"}),
    forbids=frozenset(),
    advises=frozenset({"personal"}),
    periods=(BanPeriod(date(2023, 3, 10), None, "art. 1"),),
    review=None,
    timezone="Europe/Brussels",
    legal_basis="art. 1",
    min_confidence="probable",
    severity="high",
)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Ban, BAN),
        (Device, Device("a", "10.0.0.1", None, "é", None, "service")),
        (RunStatistics, RunStatistics(3, observations=Counter(a=1), damaged={"x": 2})),
        (tuple[int, ...], (1, 2)),
        (tuple[str, bytes, bool], ("a", b"\0\xff", True)),
        (str, "caf\udce9"),
        (dict[str, int], {"a": 1 << 63}),
    ],
)
def test_what_was_written_is_read(kind: Any, value: object) -> None:
    assert read(kind, loads(dumps(value))) == value


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (int, True),
        (int, 1.0),
        (str, 1),
        (Literal["a", "b"], "c"),
        (Literal["a", "b"], []),
        (tuple[int, str], [1]),
        (tuple[int, str], ["1", "a"]),
        (tuple[int, ...], {"a": 1}),
        (tuple[bytes, int], ["zz", 1]),
        (date, "2023-02-30"),
        (Device, {"id": "a"}),
        (Device, {"ident": "a"}),
        (dict[str, int], [["a", 1]]),
        (Counter[str], {"a": "b"}),
        (list[int], "12"),
        (frozenset[str], [1]),
    ],
)
def test_what_is_of_another_type_is_refused(kind: Any, found: object) -> None:
    with pytest.raises(MISMATCHES):
        read(kind, found)
