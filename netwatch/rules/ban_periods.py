"""The periods in which a ban is in force, as a pack or a configuration gives them.

Either ``from`` and ``until`` give the only period, or ``periods`` lists several, in order: the
first decision, then each extension. Days between two periods are a gap, in which the ban is not in
force.
"""

import datetime
from collections.abc import Sequence
from itertools import pairwise

from netwatch.core.user_yaml import Fields, YamlSequence
from netwatch.core.verdict import BanPeriod


def read_periods(fields: Fields) -> tuple[BanPeriod, ...]:
    """The periods of a ban, at least one; without any key it is open at both ends. Mistakes are
    noted."""
    start, end = fields.date("from"), fields.date("until")
    check_days(fields, start, end)
    listed = fields.value("periods")
    if not fields.has("periods"):
        return (BanPeriod(start, end),)
    before = len(fields.problems.found)
    if fields.has("from") or fields.has("until"):
        fields.add_problem(
            "periods", "a ban: expected either 'periods' or 'from' and 'until', found both"
        )
    if listed in (None, []):
        fields.add_problem("periods", "'periods': expected at least one period, found none")
    periods = fields.build_each("periods", _read_period, "a period")
    if len(fields.problems.found) == before:
        assert isinstance(listed, YamlSequence)
        _check_order(fields, listed.lines, periods)
    return tuple(periods) or (BanPeriod(None, None),)


def check_days(fields: Fields, start: datetime.date | None, end: datetime.date | None) -> None:
    """Note where the keys ``from`` and ``until`` are in the wrong order."""
    if start and end and end < start:
        fields.add_problem(
            "until", f"'until': expected a day not before 'from' ({start}), found {end}"
        )


def _read_period(fields: Fields) -> BanPeriod:
    start, end = fields.date("from"), fields.date("until")
    advice = fields.choice("kind", ("ban", "advice"), "ban") == "advice"
    period = BanPeriod(start, end, fields.text("basis"), advice)
    check_days(fields, period.start, period.end)
    fields.reject_unknown()
    return period


def _check_order(fields: Fields, lines: Sequence[int], periods: list[BanPeriod]) -> None:
    """Note where periods, each with its line, are not in order, or overlap."""
    for line, (earlier, later) in zip(lines[1:], pairwise(periods), strict=True):
        if earlier.end is None:
            message = "expected only the last period without 'until', found another one behind it"
        elif later.start is None:
            message = "expected 'from' in every period but the first, found none"
        elif later.start <= earlier.end:
            message = (
                f"expected a period from a day after {earlier.end}, on which the one before it"
                f" ends, found {later.start}"
            )
        else:
            continue
        fields.problems.add(fields.file, line, f"'periods': {message}")
