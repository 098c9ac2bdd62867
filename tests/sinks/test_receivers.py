"""Alerts with hostile text through real receivers, in every format and under every fault."""

import pytest
from support.delivery_scenarios import FAULTS, Run, applies, forms, nothing
from support.made_alerts import output
from support.receiver_harness import RECEIVERS

from netwatch.delivery import probe


@pytest.fixture
def run(request, deliver, tmp_path, certificates, monkeypatch):
    monkeypatch.setenv("HEC_TOKEN", "secret-of-the-collector")
    receiver = RECEIVERS[request.param](tmp_path, certificates)
    yield Run(receiver, deliver, tmp_path, certificates, forms(request.param)[0])
    for delivery in deliver.made:
        delivery.stop(60)
    getattr(receiver, "end", receiver.stop)()


@pytest.mark.parametrize("run", RECEIVERS, indirect=True)
def test_a_thousand_hostile_alerts_come_back_field_by_field(run):
    outcome = nothing(run, 1000)
    assert (outcome.lost, outcome.strange, outcome.repeated) == (0, 0, 0)


FORMS = [(each, form) for each in RECEIVERS for form in forms(each)[1:]]


@pytest.mark.parametrize(("run", "form"), FORMS, indirect=["run"])
def test_every_format_comes_back_as_it_was(run, form):
    outcome = nothing(Run(run.receiver, run.deliver, run.folder, run.certificates, form), 64)
    assert (outcome.lost, outcome.strange, outcome.repeated) == (0, 0, 0)


CASES = [(each, fault) for each in RECEIVERS for fault in FAULTS if applies(each, fault)]


@pytest.mark.parametrize(
    ("run", "fault"), [case for case in CASES if case[1] != "none"], indirect=["run"]
)
def test_no_alert_is_lost(run, fault):
    outcome = FAULTS[fault](run)
    assert (outcome.lost, outcome.strange) == (0, 0)
    if fault != "kill -9":
        status = run.deliver.made[0].status()[0]
        assert (status.sent, status.dead, status.dropped) == (outcome.arrived, outcome.dead, 0)
    assert outcome.dead == {"one alert refused": 1, "half-failed bulk": 30}.get(fault, 0)


@pytest.mark.parametrize("run", RECEIVERS, indirect=True)
def test_a_receiver_is_reached_without_an_alert(run):
    receiver = run.receiver
    receiver.start()
    one = output(run.folder, **run.made())
    well, told = probe.reach(one)
    assert well, told
    assert receiver.lines() == []
    if receiver.name not in ("file", "rsyslog UDP"):
        receiver.stop()
        well, told = probe.reach(one)
        assert not well
        assert "refused" in told or "brokers are down" in told, told


SECURED = [each for each in RECEIVERS if applies(each, "wrong host name")]


@pytest.mark.parametrize("run", SECURED, indirect=True)
def test_a_receiver_that_is_another_is_not_reached(run):
    run.receiver.secure(run.certificates.issue("other.example"))
    run.receiver.start()
    well, told = probe.reach(output(run.folder, **run.made()))
    assert not well
    assert "not valid for" in told, told
