"""What metrics, health check and view get to see of a running capture."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.alerts import ALERT

from netwatch.core.statistics import RunStatistics
from netwatch.live.events import Told
from netwatch.live.messages import Standing
from netwatch.live.status import Board, Ranking
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.snapshot import Backlog, Table


def keeper(*standings: Standing | None, **more: Any) -> Any:
    there = [each for each in standings if each is not None]
    total = RunStatistics()
    for each in there:
        total.merge(each.statistics)
    crew = SimpleNamespace(
        standings=list(standings),
        statistics=lambda: total,
        flows=lambda: SimpleNamespace(counts={}),
        dropped=sum(each.dropped for each in there),
        freezes=sum(each.freezes for each in there),
        untold=sum(each.untold for each in there),
    )
    ledger = type("Ledger", (list,), {"refused": 3, "remembered": 5, "by_verdict": {}})()
    return SimpleNamespace(
        crew=crew,
        ledger=ledger,
        clock=SimpleNamespace(steps=2),
        store=SimpleNamespace(failures=4),
        output=SimpleNamespace(waiting=100, left_out=7),
        config=SimpleNamespace(catalog=SimpleNamespace(version="v")),
        reloads=1,
        refused=0,
        last_reload=None,
        **more,
    )


def standing(**fields: Any) -> Standing:
    return Standing(
        serial=0, time=None, statistics=fields.pop("statistics", RunStatistics()), **fields
    )


def test_workers_add_up() -> None:
    board = Board(("eth1", "eth2"))
    board.update(
        keeper(
            standing(
                statistics=RunStatistics(packets=5),
                freezes=1, untold=2, waiting=10, last_packet=100.0,
                events={"interface-down": 1}, tables={"flows": (1, 10, 2)},
            ),
            standing(
                statistics=RunStatistics(packets=6),
                freezes=2, untold=3, waiting=20, last_packet=90.0,
                events={"interface-down": 1, "ring-block-bad": 1}, tables={"flows": (3, 10, 4)},
            ),
            None,
        )
    )  # fmt: skip
    seen = board.look()
    assert (seen.packets, seen.freezes, seen.last_packet) == (11, 3, 100.0)
    assert seen.tables["flows"] == Table(4, 20, 6)
    assert seen.tables["incidents"].evicted == 3
    assert seen.backlogs == {"findings": Backlog(30, 5), "records": Backlog(100, 7)}
    # each of them looks at the same interface
    assert seen.events == {"interface-down": 1, "ring-block-bad": 1}
    assert (seen.clock_steps, seen.state_failures) == (2, 4)


def test_an_interface_that_is_down_is_a_trouble() -> None:
    board = Board(("eth1", "eth2"))
    board.update(keeper(standing(down=("eth2",)), standing(down=("eth2",))))
    wrong = troubles(board.look(), Thresholds())
    assert [(each.kind, each.where) for each in wrong] == [("down", "eth2")]
    board.update(keeper(standing(), standing()))
    assert troubles(board.look(), Thresholds()) == []


def test_drops_are_dated_when_they_rise() -> None:
    board = Board(("eth1",))
    board.update(keeper(standing()))
    assert board.look().last_drop is None
    board.update(keeper(standing(dropped=3)))
    first = board.look().last_drop
    assert first is not None
    assert troubles(board.look(), Thresholds())[0].kind == "dropping"
    board.update(keeper(standing(dropped=3)))
    assert board.look().last_drop == first


def test_each_incident_is_shown_once_and_its_contacts_count_once() -> None:
    board = Board(("eth1",))
    opened = replace(ALERT, status="open")
    for status in ("open", "update", "closed"):
        board(Told(replace(opened, status=status)))
    board.update(keeper(standing()))
    seen = board.look()
    assert [each.status for each in seen.recent] == ["closed"]
    contacts = sum(item.count for item in ALERT.evidence)
    assert [(each.name, each.contacts, each.incidents) for each in seen.apps] == [
        (ALERT.app.name, contacts, 1)
    ]


@pytest.mark.parametrize("many", [1, 5, 50])
def test_a_ranking_is_bounded_and_never_too_low(many: int) -> None:
    ranking = Ranking(limit=4)
    for number in range(many):
        ranking.add(f"name-{number}", 1, 0)
        ranking.add("often", 2, 1)
    (first, *rest) = ranking.top(10)
    assert (first.name, first.contacts >= 2 * many) == ("often", True)
    assert len(rest) <= 3
