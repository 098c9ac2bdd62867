"""Alerts are stored in steps, none of which may be skipped."""

import pytest
from support.fleet_alerts import GAP
from support.fleet_centre import sensor_records

from netwatch import __version__
from netwatch.core.errors import NetwatchError
from netwatch.fleet import alert_commits
from netwatch.fleet.alert_commits import AlertCommits
from netwatch.fleet.envelope import Envelope
from netwatch.store.options import StoreOptions


@pytest.fixture
def commits(tmp_path, monkeypatch):
    monkeypatch.setattr(alert_commits, "TRANSACTION", 4)
    made = AlertCommits(StoreOptions(str(tmp_path / "store")), GAP)
    yield made
    made.close()


def message(count):
    records = sensor_records("ghent-1", range(count))
    body = {"alerts": [{"key": each["id"], "record": each} for each in records]}
    return Envelope(sensor="ghent-1", kind="alerts", sequence=1, sent=1, version=__version__,
                    id="a", body=body)  # fmt: skip


def test_many_alerts_are_stored_in_several_transactions(commits):
    commits.prepare([message(10)], {})
    assert [commits.store(), commits.store()] == [None, None]
    result = commits.store()
    assert [len(keys) for keys in result.stored.values()] == [10]
    assert result.new == 10


def test_nothing_counts_as_stored_that_was_not_prepared(commits):
    """A process may be killed between the steps, and the next one has nothing."""
    with pytest.raises(NetwatchError, match="nothing is prepared"):
        commits.store()
    commits.prepare([message(1)], {})
    assert commits.store().new == 1
    with pytest.raises(NetwatchError, match="nothing is prepared"):
        commits.store()


def test_no_alerts_are_an_empty_result(commits):
    commits.prepare([message(0)], {})
    result = commits.store()
    assert (result.stored, result.new, result.spoiled) == ({}, 0, {})
