"""When a network is used, as people write it. Moments of a period as a user writes them."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.config import load
from netwatch.core.errors import ConfigError
from netwatch.core.period import parse_expected, parse_moment

NOW = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "week"),
    [
        ("never", {}),
        ("always", {day: [(0, 1440)] for day in range(7)}),
        ("Mon-Fri 07:00-19:00", {day: [(420, 1140)] for day in range(5)}),
        ("Sat 08:30-24:00", {5: [(510, 1440)]}),
        ("Sat-Mon 00:00-06:00", {day: [(0, 360)] for day in (5, 6, 0)}),
        ("Mon 07:00-09:00, Mon-Tue 10:00-11:00", {0: [(420, 540), (600, 660)], 1: [(600, 660)]}),
    ],
)
def test_times_of_a_week(text: str, week: dict[int, list[tuple[int, int]]]) -> None:
    found = parse_expected(text)
    assert found is not None
    assert {day: found.on(day) for day in range(7) if found.on(day)} == week


@pytest.mark.parametrize(
    "text",
    [
        "", "sometimes", "Mon-Fri", "07:00-19:00", "Mon-Fri 7:00-19:00", "Mon-Fri 07:00-25:00",
        "Mon-Fri 19:00-07:00", "Mon-Fri 07:60-08:00", "Mon 07:00-09:00,", "mon 07:00-09:00",
        "Mon-Fri 07:00-24:01", "Mon 07:00-07:00", "Mon 07:00-09:00; Tue 07:00-09:00",
    ],
)  # fmt: skip
def test_what_says_no_time_is_an_error_with_file_and_line(tmp_path: Path, text: str) -> None:
    assert parse_expected(text) is None
    path = tmp_path / "netwatch.yaml"
    path.write_text(
        "version: 1\nnetworks:\n  - name: hq\n    cidrs: [10.0.0.0/8]\n    class: service\n"
        f'    expected: "{text}"\n'
    )
    with pytest.raises(ConfigError) as raised:
        load(str(path))
    (problem,) = raised.value.problems
    assert (problem.file, problem.line) == (str(path), 6)
    assert "'expected': expected always, never, or days and times like" in problem.message


@pytest.mark.parametrize(
    ("text", "is_end", "expected"),
    [
        ("2023-03-20", False, "2023-03-20T00:00:00+00:00"),
        ("2023-03-20", True, "2023-03-21T00:00:00+00:00"),
        ("2023-03-20T09:00:00Z", False, "2023-03-20T09:00:00+00:00"),
        ("2023-03-20T09:00:00Z", True, "2023-03-20T09:00:00+00:00"),
        ("2023-03-20T09:00+01:00", False, "2023-03-20T08:00:00+00:00"),
        ("2023-03-20 09:00", False, "2023-03-20T09:00:00+00:00"),
        ("2023-12-31", True, "2024-01-01T00:00:00+00:00"),
    ],
)
def test_times_and_days(text: str, is_end: bool, expected: str) -> None:
    wanted = int(datetime.fromisoformat(expected).timestamp()) * 1_000_000_000
    assert parse_moment(text, NOW, is_end=is_end) == wanted


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_ages(text: str, seconds: int) -> None:
    assert parse_moment(text, NOW) == NOW - seconds * 1_000_000_000


def test_an_age_before_the_epoch_is_the_epoch() -> None:
    assert parse_moment("999999y", NOW) == parse_moment("60y", NOW) == 0


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-7d", "7 d", "2023-02-30", "2023-3-1", "x", "99999999d"]
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time like"):
        parse_moment(text, NOW)


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31", "2262-01-01", "9999-12-30"])
def test_years_that_have_no_time_in_ns(text: str) -> None:
    with pytest.raises(ValueError, match="year from 1970 to 2261"):
        parse_moment(text, NOW)


@given(st.text())
def test_any_text_is_a_moment_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_moment(text, NOW) < 1 << 63


@given(st.datetimes(datetime(1970, 1, 1), datetime(2261, 1, 1)))
def test_every_time_is_read_exactly(moment: datetime) -> None:
    found = parse_moment(moment.isoformat(), NOW)
    assert (
        found
        == (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC))
        // (datetime.resolution)
        * 1000
    )
