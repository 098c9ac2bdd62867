"""Alerts with hostile text through real receivers, in every format and under every fault."""

import pytest
from harness import RECEIVERS
from scenarios import FAULTS, Run, applies, nothing

from netwatch.formats import RENDERERS
from netwatch.sinks.base import JSON_FORMATS


@pytest.fixture
def run(request, deliver, tmp_path, certificates, monkeypatch):
    monkeypatch.setenv("HEC_TOKEN", "secret-of-the-collector")
    receiver = RECEIVERS[request.param](tmp_path, certificates)
    yield Run(receiver, deliver, tmp_path)
    for delivery in deliver.made:
        delivery.stop(60)
    receiver.stop()


@pytest.mark.parametrize("run", RECEIVERS, indirect=True)
def test_a_thousand_hostile_alerts_come_back_field_by_field(run):
    outcome = nothing(run, 1000)
    assert (outcome.lost, outcome.strange, outcome.repeated) == (0, 0, 0)


@pytest.mark.parametrize("form", [form for form in RENDERERS if form != "jsonl"])
@pytest.mark.parametrize("run", RECEIVERS, indirect=True)
def test_every_format_comes_back_as_it_was(run, form):
    if run.receiver.name == "_bulk" and form not in JSON_FORMATS:
        pytest.skip("a bulk takes JSON alone")
    outcome = nothing(Run(run.receiver, run.deliver, run.folder, form), 64)
    assert (outcome.lost, outcome.strange, outcome.repeated) == (0, 0, 0)


CASES = [(each, fault) for each in RECEIVERS for fault in FAULTS if applies(each, fault)]


@pytest.mark.parametrize(
    ("run", "fault"), [case for case in CASES if case[1] != "none"], indirect=["run"]
)
def test_no_alert_is_lost(run, fault):
    outcome = FAULTS[fault](run)
    assert (outcome.lost, outcome.strange) == (0, 0)
    assert run.deliver.made[0].status()[0].sent == outcome.put
