"""Alerts with hostile text through real receivers, in every format and under every fault."""

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from support.delivery_scenarios import (
    FAULTS,
    SOME,
    Run,
    all_formats,
    applies,
    formats_of,
    killed,
    no_fault,
)
from support.made_alerts import output
from support.receiver_harness import RECEIVERS

from netwatch.delivery import attempt


@pytest.fixture
def run(request, deliver, tmp_path, certificates, monkeypatch):
    monkeypatch.setenv("HEC_TOKEN", "secret-of-the-collector")
    receiver = RECEIVERS[request.param](tmp_path, certificates)
    with contextlib.ExitStack() as ends:
        # A receiver ends whatever happens, even if a delivery does not.
        ends.callback(getattr(receiver, "end", receiver.stop))
        yield Run(receiver, deliver, tmp_path, certificates, formats_of(request.param)[0])
        for delivery in deliver.made:
            delivery.stop(60)


OTHERS = ("rsyslog-lf", "syslog-ng-tcp", "syslog-ng-tls", "tansu", "tenzir-syslog",
          "tenzir-webhook", "tenzir-hec", "tenzir-bulk")  # fmt: skip
"""Further receivers of the same sinks. A third of the faults is tried with each for a change, so
that each fault meets some of them, and all in `make test-long`."""


@pytest.mark.parametrize("run", RECEIVERS, indirect=True)
def test_thousand_hostile_alerts_are_received_unchanged(run, request):
    outcome = no_fault(run, SOME if request.node.callspec.params["run"] in OTHERS else 1000)
    assert (outcome.lost, outcome.unexpected, outcome.duplicates) == (0, 0, 0)


@pytest.mark.parametrize("run", [each for each in RECEIVERS if formats_of(each)[1:]], indirect=True)
def test_every_format_is_received_unchanged(run, request):
    assert all_formats(run, formats_of(request.node.callspec.params["run"])[1:], 64) == {}


def cases(named: Sequence[tuple[str, Sequence[str]]]) -> list[Any]:
    """Pairs of a receiver and one of its words, marked `long` where they are left out."""
    return [
        pytest.param(
            each,
            word,
            marks=[pytest.mark.long] if each in OTHERS and (place + number) % 3 else [],
        )
        for place, (each, words) in enumerate(named)
        for number, word in enumerate(words)
    ]


ELSEWHERE = ("none", "kill -9")
CASES = cases(
    [
        (each, [fault for fault in FAULTS if fault not in ELSEWHERE and applies(each, fault)])
        for each in RECEIVERS
    ]
)


@pytest.mark.parametrize(("run", "fault"), CASES, indirect=["run"])
def test_no_alert_is_lost(run, fault):
    outcome = FAULTS[fault](run)
    assert (outcome.lost, outcome.unexpected) == (0, 0)
    status = run.deliver.made[0].status()[0]
    assert (status.sent, status.dead, status.dropped) == (outcome.received, outcome.dead, 0)
    assert outcome.dead == {"one alert refused": 1, "half-failed bulk": 30}.get(fault, 0)


KILLED = [each for each in RECEIVERS if applies(each, "kill -9")]
OWN = ("file", "nats")
"""Receivers that differ in how a sink sends to them; tests/delivery/test_crash.py has HTTP. The
steps before and after that are the same for all, and `make test-long` kills at all of them."""


@pytest.mark.parametrize("run", OWN, indirect=True)
def test_a_kill_at_any_step_loses_no_alert(run):
    outcome = killed(run)
    assert (outcome.lost, outcome.unexpected) == (0, 0)


@pytest.mark.parametrize("run", [each for each in KILLED if each not in OWN], indirect=True)
def test_a_kill_when_alerts_were_sent_loses_none(run):
    outcome = killed(run, ("after send",))
    assert (outcome.lost, outcome.unexpected) == (0, 0)


@pytest.mark.long
@pytest.mark.parametrize("run", [each for each in KILLED if each not in OWN], indirect=True)
def test_a_kill_at_any_step_loses_no_alert_of_any_receiver(run):
    outcome = killed(run)
    assert (outcome.lost, outcome.unexpected) == (0, 0)


@pytest.mark.parametrize("run", RECEIVERS, indirect=True)
def test_connection_check_sends_no_alert(run):
    receiver = run.receiver
    receiver.start()
    one = output(run.folder, **run.output_keys())
    reached, text = attempt.check_connection(one)
    assert reached, text
    assert receiver.lines() == []
    if receiver.name not in ("file", "rsyslog UDP"):
        receiver.stop()
        reached, text = attempt.check_connection(one)
        assert not reached
        assert "refused" in text or "brokers are down" in text, text


SECURED = [each for each in RECEIVERS if applies(each, "wrong host name")]


@pytest.mark.parametrize("run", SECURED, indirect=True)
def test_connection_check_rejects_a_certificate_for_another_name(run):
    run.receiver.set_certificate(run.certificates.issue("other.example"))
    run.receiver.start()
    reached, text = attempt.check_connection(output(run.folder, **run.output_keys()))
    assert not reached
    assert "not valid for" in text, text
