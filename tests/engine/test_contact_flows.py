"""What becomes of contacts: bans together know what each would know by itself."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.contacts import ANSWERED, APPS, BAN, GAP, NOON, SECOND, SENSOR, contact

from netwatch.core.flow import UNSEEN, Flow, FlowProgress
from netwatch.core.verdict import Contact, Decision, Ruling
from netwatch.engine.contact_flows import RECENT_LIMIT, ContactFlows, Place
from netwatch.formats import jsonl
from netwatch.incidents.aggregate import Incidents, under_each_ban

BANS = [replace(BAN, id=name) for name in ("city", "region", "state")]
KINDS = ["violation", "advisory", "exempt"]

decisions = st.lists(
    st.tuples(st.sampled_from(BANS), st.sampled_from(KINDS)),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each[0].id,
).map(lambda said: Decision.of(Ruling(ban, kind) for ban, kind in said))


@st.composite
def contacts(draw: st.DrawFn) -> list[Contact]:
    """Handshakes in order of time, several in a flow, of which bans say different things."""
    said = draw(st.lists(decisions, min_size=1, max_size=3))
    made, at = [], 0
    for number in range(draw(st.integers(1, 10))):
        at += draw(st.sampled_from([0, 30, 1800, 1801]))
        one = contact(
            at,
            name=draw(st.sampled_from(["a.tiktok.com", "b.tiktok.com"])),
            who=draw(st.sampled_from([7, 7, 8])),
            app=draw(st.sampled_from([*APPS])),
            packet=number,
            flow=draw(st.integers(1, 2)),
            outcome=draw(st.sampled_from(["attempted", "attempted", "blocked"])),
            seen=draw(st.sampled_from([UNSEEN, ANSWERED])),
        )
        device = replace(one.device, ip="10.20.0.7")
        seen = replace(one.observation, client_ip=bytes((10, 20, 0, 7)))
        decision = draw(st.sampled_from(said))
        made.append(replace(one, observation=seen, device=device, decision=decision))
    return made


def ended(number: int, sent: str) -> Flow:
    return Flow(
        first=NOON,
        last=NOON + 9000 * SECOND,
        transport="tcp",
        client_ip=bytes((10, 20, 0, 7)),
        client_port=50000 + number,
        server_ip=bytes((192, 0, 2, 1)),
        server_port=443,
        vlan=20,
        bytes_out=1000 * number,
        bytes_in=7000 * number,
        name_status="named",
        start_seen=True,
        incomplete_message=False,
        server_sent=sent,
        flow_id=number,
    )


def follow(made: Sequence[Contact], reports: set[int], sent: str) -> Incidents:
    """The incidents of contacts, whose flows are reported at some of them and end in the end."""
    far = FlowProgress(500, 900, NOON + 8000 * SECOND, "payload")
    dissector: Any = SimpleNamespace(
        report_end_of=lambda flow: None, progress_of=lambda seen: far, answers_in=lambda flow: ()
    )
    incidents = Incidents(GAP)
    flows = ContactFlows(dissector, incidents, GAP)
    for number, one in enumerate(made):
        incidents.add(one)
        seen = one.observation
        flows.add(one, seen.flow_id, Place(seen.client_port, seen.time, seen.packet, seen.mark))
        if number in reports:
            flows.report()
    for number in (1, 2):
        flows.flow_ended(ended(number, sent))
    assert len(flows) == 0
    return incidents


def records(incidents: Incidents) -> list[dict[str, Any]]:
    return [jsonl.alert_record(alert) for alert in incidents.alerts(None, SENSOR)]


@settings(deadline=None)
@given(
    contacts(),
    st.sets(st.integers(0, 9)),
    st.sampled_from(["payload", "refusal", "headers", "HTTP 403"]),
)
def test_bans_together_know_what_each_knows_by_itself(
    made: list[Contact], reports: set[int], sent: str
) -> None:
    together = {alert["id"]: alert for alert in records(follow(made, reports, sent))}
    apart = {}
    for ban in BANS:
        of_ban = [
            (number, under)
            for number, one in enumerate(made)
            for under in under_each_ban(one)
            if under.decision.rulings[0].ban == ban
        ]
        # The flows are reported after the same contacts, whether this ban applies to them or not.
        before = {
            sum(number <= report for number, _ in of_ban) - 1
            for report in reports
            if report < len(made)
        }
        found = follow([under for _, under in of_ban], before, sent)
        apart |= {alert["id"]: alert for alert in records(found)}
    assert together == apart


class Asked:
    """The flows of a capture, which notes of which the progress was read."""

    def __init__(self) -> None:
        self.flows: list[int] = []

    def report_end_of(self, flow: int) -> None:
        pass

    def progress_of(self, seen: Any) -> FlowProgress:
        self.flows.append(seen.flow_id)
        return FlowProgress(500, 900, NOON + 8000 * SECOND, "payload")

    def answers_in(self, flow: int) -> tuple[()]:
        return ()


def test_a_contact_reads_the_latest_flows_of_its_device_alone() -> None:
    table = Asked()
    flows = ContactFlows(table, Incidents(GAP), GAP)
    for number in range(1, 3 * RECENT_LIMIT):
        who = 8 if number <= RECENT_LIMIT else 7
        one = contact(number, who=who, packet=number, flow=number)
        flows.add(one, number, Place(50000, one.observation.time, number))
    flows.report_recent()
    table.flows.clear()
    one = contact(9000, who=7, packet=9000, flow=9000)
    flows.add(one, 9000, Place(50000, one.observation.time, 9000))
    flows.report_recent()
    read = dict.fromkeys(table.flows)
    assert list(read) == [*range(2 * RECENT_LIMIT + 1, 3 * RECENT_LIMIT), 9000]
    table.flows.clear()
    flows.report()
    assert len(set(table.flows)) == 3 * RECENT_LIMIT
    assert len(flows) == 3 * RECENT_LIMIT
    for number in [*range(1, 3 * RECENT_LIMIT), 9000]:
        assert flows.flow_ended(ended(number, "payload"))
    flows.report_recent()
    assert len(flows) == 0
