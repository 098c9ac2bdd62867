"""The page of blind spots: only what was captured on its days, in the time zone of the bans."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import func, select
from support.consoles import Visitor

from netwatch.console.console import Console
from netwatch.store import catalogue_tables as tables

Visit = Callable[[str], Visitor]


def covered(console: Console) -> tuple[datetime, datetime]:
    """The time that the record of coverage of the run reaches over."""
    columns = tables.coverage.c
    with console.catalogue.database.reading() as connection:
        first, last = connection.execute(
            select(func.min(columns.first), func.max(columns.last))
        ).one()
    return datetime.fromtimestamp(first // 10**9, UTC), datetime.fromtimestamp(last // 10**9, UTC)


def test_days_without_a_packet_show_nothing_of_their_run(console: Console, visit: Visit) -> None:
    first, last = covered(console)
    assert first < datetime(2023, 5, 1, tzinfo=UTC) < datetime(2023, 5, 3, tzinfo=UTC) < last
    text = visit("analyst").get("/blind-spots?from=2023-05-01&to=2023-05-02").text
    assert "Nothing was captured" in text
    assert 'class="chart"' not in text


def test_days_are_those_of_the_bans_and_what_counts_as_a_whole_is_said(visit: Visit) -> None:
    text = visit("analyst").get("/blind-spots?from=2023-03-20&to=2023-03-22").text
    assert 'class="chart"' in text
    assert "time zone Europe/Brussels" in text
    assert "1 record of coverage reaches beyond these days" in text
