"""Alerts with hostile text through real receivers, in every format and under every fault."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from support.delivery_scenarios import (
    FAULTS,
    Run,
    all_formats,
    applies,
    formats_of,
    killed,
    no_fault,
)
from support.examples import only_long
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


CLIENTS = (
    ("file",),
    ("rsyslog-udp",),
    ("rsyslog-tcp", "rsyslog-tls", "syslog-ng-tcp", "rsyslog-lf", "syslog-ng-tls", "tenzir-syslog"),
    ("webhook", "hec", "bulk", "tenzir-webhook", "tenzir-hec", "tenzir-bulk"),
    ("mail",),
    ("nats",),
    ("kafka", "tansu"),
)
"""The receivers of each client of netwatch. For a change, each client meets each fault and each
format at one of its receivers in turn; `make test-long` tries all with all."""

assert {each for group in CLIENTS for each in group} == {*RECEIVERS}


def once(receivers: Sequence[str]) -> list[Any]:
    """These receivers, of which the first of each client is tried for each change."""
    first = {next((each for each in group if each in receivers), "") for group in CLIENTS}
    return [each if each in first else only_long(each) for each in receivers]


@pytest.mark.parametrize("run", once([*RECEIVERS]), indirect=True)
def test_thousand_hostile_alerts_are_received_unchanged(run):
    outcome = no_fault(run, 1000)
    assert (outcome.lost, outcome.unexpected, outcome.duplicates) == (0, 0, 0)


def formats() -> Iterator[Any]:
    """Each receiver with those of its formats that are its turn, and with the others."""
    for group in CLIENTS:
        for turn, receiver in enumerate(group):
            forms = formats_of(receiver)[1:]
            if mine := forms[turn :: len(group)]:
                yield pytest.param(receiver, mine, id=receiver)
            if left := [form for form in forms if form not in mine]:
                yield pytest.param(receiver, left, id=f"{receiver}-others", marks=pytest.mark.long)


@pytest.mark.parametrize(("run", "forms"), [*formats()], indirect=["run"])
def test_formats_are_received_unchanged(run, forms):
    assert all_formats(run, forms, 64) == {}


ELSEWHERE = ("none", "kill -9")
SLOW = {("tansu", "expired certificate")}
"""It takes a quarter of a minute, and is refused by the library that refuses a wrong host name."""


def faults() -> Iterator[Any]:
    """Pairs of a receiver and a fault."""
    for number, fault in enumerate(FAULTS):
        if fault not in ELSEWHERE:
            for group in CLIENTS:
                able = [each for each in group if applies(each, fault)]
                for place, receiver in enumerate(able):
                    is_its_turn = place == number % len(able) and (receiver, fault) not in SLOW
                    yield (receiver, fault) if is_its_turn else only_long(receiver, fault)


@pytest.mark.parametrize(("run", "fault"), [*faults()], indirect=["run"])
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


@pytest.mark.parametrize("run", once([each for each in KILLED if each not in OWN]), indirect=True)
def test_a_kill_when_alerts_were_sent_loses_none(run):
    outcome = killed(run, ("after send",))
    assert (outcome.lost, outcome.unexpected) == (0, 0)


@pytest.mark.long
@pytest.mark.parametrize("run", [each for each in KILLED if each not in OWN], indirect=True)
def test_a_kill_at_any_step_loses_no_alert_of_any_receiver(run):
    outcome = killed(run)
    assert (outcome.lost, outcome.unexpected) == (0, 0)


@pytest.mark.parametrize("run", once([*RECEIVERS]), indirect=True)
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


@pytest.mark.parametrize("run", once(SECURED), indirect=True)
def test_connection_check_rejects_a_certificate_for_another_name(run):
    run.receiver.set_certificate(run.certificates.issue("other.example"))
    run.receiver.start()
    reached, text = attempt.check_connection(output(run.folder, **run.output_keys()))
    assert not reached
    assert "not valid for" in text, text
