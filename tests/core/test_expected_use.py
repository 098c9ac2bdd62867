"""When a network is used, as people write it."""

from pathlib import Path

import pytest

from netwatch.config import load
from netwatch.core.errors import ConfigError
from netwatch.core.expected_use import parse_expected


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
