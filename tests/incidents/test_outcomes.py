"""What came of the contacts of an incident: each counts once, in any order and any partition."""

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import GAP, NOON, SECOND, SENSOR, contact
from support.examples import examples

from netwatch.core.alert import Alert
from netwatch.core.verdict import RESET, Contact, Outcome, Severity
from netwatch.formats import jsonl
from netwatch.incidents import activity, incident, origin_counts
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.alert_parts import severity_of
from netwatch.incidents.contacts import ORDER, ContactProgress, Tally, settled, strongest
from netwatch.incidents.scan import ScanIncidents

Step = Contact | tuple[Contact, ContactProgress]


def became(now: Tally, of: Contact, bytes_in: int = 0, by: str = RESET) -> Step:
    """A handshake whose flow has ended; a blocked one was blocked by a reset, or what is given."""
    return of, ContactProgress(
        of.observation.time,
        10,
        bytes_in,
        of.observation.time + SECOND,
        "silent",
        now,
        1,
        by=by if now == "blocked" else "",
    )


def alert(*steps: Step) -> Alert:
    gathered = Incidents(GAP)
    for step in steps:
        if isinstance(step, tuple):
            assert gathered.add_progress(*step)
        else:
            gathered.add(step)
    (found,) = gathered.alerts(None, SENSOR)
    return found


def counts(found: Alert) -> dict[str, int]:
    every = {outcome: getattr(found.counts, outcome) for outcome in ORDER}
    return {outcome: count for outcome, count in every.items() if count}


QUERY = contact(0, "dns-query", packet=1)
BLOCKED = contact(0.1, "dns-answer", packet=2, outcome="blocked")
USABLE = contact(0.1, "dns-answer", packet=2)
NO_DATA = contact(0.2, "dns-answer", packet=3, outcome="unknown")
HELLO = contact(1)


@pytest.mark.parametrize(
    ("steps", "outcome", "expected"),
    [
        pytest.param([QUERY], "attempted", {"attempted": 1}, id="no-answer"),
        pytest.param([QUERY, USABLE], "attempted", {"attempted": 1}, id="answer"),
        pytest.param([QUERY, BLOCKED], "blocked", {"blocked": 1}, id="block"),
        pytest.param([BLOCKED, QUERY], "blocked", {"blocked": 1}, id="answer-first"),
        pytest.param([QUERY, QUERY, BLOCKED], "blocked", {"blocked": 2}, id="repeated-query"),
        pytest.param([QUERY, QUERY, BLOCKED, NO_DATA], "blocked", {"blocked": 2}, id="no-aaaa"),
        pytest.param([QUERY, NO_DATA], "attempted", {"attempted": 1}, id="no-data"),
        pytest.param(
            [QUERY, BLOCKED, USABLE], "attempted", {"attempted": 1, "blocked": 1}, id="both"
        ),
        pytest.param([HELLO], "attempted", {"attempted": 1}, id="hello"),
        pytest.param([HELLO, became("reached", HELLO)], "reached", {"reached": 1}, id="reached"),
        pytest.param([HELLO, became("blocked", HELLO)], "blocked", {"blocked": 1}, id="reset"),
        pytest.param(
            [QUERY, USABLE, HELLO, became("blocked", HELLO)],
            "blocked",
            {"attempted": 1, "blocked": 1},
            id="answer-and-reset",
        ),
        pytest.param(
            [QUERY, USABLE, HELLO, contact(2, flow=2), became("blocked", HELLO)],
            "attempted",
            {"attempted": 2, "blocked": 1},
            id="reset-and-no-answer",
        ),
        pytest.param([HELLO, became("unknown", HELLO)], "unknown", {"unknown": 1}, id="one-way"),
        pytest.param(
            [QUERY, HELLO, became("unknown", HELLO)], "unknown", {"unknown": 2}, id="one-way-query"
        ),
        pytest.param(
            [QUERY, USABLE, HELLO, became("unknown", HELLO)],
            "attempted",
            {"attempted": 1, "unknown": 1},
            id="answers-and-one-way",
        ),
        pytest.param(
            [QUERY, USABLE, HELLO, became("blocked", HELLO)],
            "blocked",
            {"attempted": 1, "blocked": 1},
            id="answers-and-reset",
        ),
        pytest.param(
            [QUERY, BLOCKED, HELLO, became("reached", HELLO)],
            "reached",
            {"reached": 1, "blocked": 1},
            id="block-evaded",
        ),
        pytest.param(
            [contact(0, "tls-cert", outcome="reached")], "reached", {"reached": 1}, id="certificate"
        ),
        pytest.param(
            [contact(0, "ip-from-dns", name="www.tiktok.com", outcome="blocked"), HELLO],
            "attempted",
            {"attempted": 1, "blocked": 1},
            id="flow",
        ),
    ],
)
def test_outcomes(steps: Sequence[Step], outcome: str, expected: dict[str, int]) -> None:
    found = alert(*steps)
    assert (found.outcome, counts(found)) == (outcome, expected)
    record = jsonl.alert_record(found)
    assert record["outcome"] == outcome
    assert {name: n for name, n in record["counts"]["outcomes"].items() if n} == expected


FILTERED = replace(BLOCKED, blocked_by="10.20.0.80")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([QUERY, USABLE, HELLO, became("reached", HELLO)], ()),
        ([QUERY, replace(BLOCKED, blocked_by="NXDOMAIN")], ("NXDOMAIN",)),
        ([FILTERED, replace(BLOCKED, blocked_by="0.0.0.0"), FILTERED], ("0.0.0.0", "10.20.0.80")),
        ([FILTERED, HELLO, became("blocked", HELLO)], ("10.20.0.80", "reset")),
        (
            [QUERY, replace(contact(1, "ip-from-dns"), outcome="blocked", blocked_by=RESET)],
            ("reset",),
        ),
        # A server whose answer comes after a refusal was reached.
        (
            [
                HELLO,
                became("blocked", HELLO),
                (
                    HELLO,
                    ContactProgress(
                        HELLO.observation.time,
                        0,
                        0,
                        HELLO.observation.time,
                        "blocked",
                        "reached",
                        1,
                        was_by=RESET,
                    ),
                ),
            ],
            (),
        ),
        # So was one that a proxy let through after it had asked for a password.
        (
            [
                HELLO,
                became("blocked", HELLO, by="HTTP 407"),
                (
                    HELLO,
                    ContactProgress(
                        HELLO.observation.time,
                        0,
                        0,
                        HELLO.observation.time,
                        "blocked",
                        "blocked",
                        1,
                        was_by="HTTP 407",
                        by="HTTP 403",
                    ),
                ),
            ],
            ("HTTP 403",),
        ),
        (
            [HELLO, became("blocked", HELLO), became("blocked", HELLO, by="tls-alert 99")],
            ("reset", "tls-alert 99"),
        ),
    ],
)
def test_by_what_contacts_were_blocked(steps: Sequence[Step], expected: tuple[str, ...]) -> None:
    assert alert(*steps).blocked_by == expected
    parts = [Incidents(GAP) for _ in steps]
    for part, step in zip(parts, steps, strict=True):
        if not isinstance(step, tuple):
            part.add(step)
    whole = parts[0]
    for part in parts[1:]:
        whole.merge(part)
    for step in steps:
        if isinstance(step, tuple):
            whole.add_progress(*step)
    assert whole.alerts(None, SENSOR)[0].blocked_by == expected


def test_more_answers_than_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident, "BLOCK_LIMIT", 2)
    steps = [replace(BLOCKED, blocked_by=f"10.20.0.{number}") for number in (9, 7, 8)]
    assert alert(*steps).blocked_by == ("10.20.0.7", "10.20.0.8")


def test_evidence_says_which_names_only_the_app_asks_for() -> None:
    page = replace(HELLO, match=replace(HELLO.match, embed_reachable=True))
    shared = replace(HELLO, match=replace(HELLO.match, role="vendor"))
    found = [
        jsonl.alert_record(alert(each))["evidence"][0]["app_only"] for each in (HELLO, page, shared)
    ]
    assert found == [True, False, False]


def test_names_are_answered_each_for_itself() -> None:
    other = contact(2, "dns-query", "b.tiktok.com", packet=5)
    found = alert(QUERY, BLOCKED, other)
    assert (found.outcome, counts(found)) == ("attempted", {"attempted": 1, "blocked": 1})


def test_what_comes_too_late_makes_no_negative_count() -> None:
    found = alert(HELLO, became("reached", HELLO), became("reached", HELLO))
    assert counts(found) == {"reached": 2}


@pytest.mark.parametrize("found", ORDER)
def test_the_strongest_outcome(found: Outcome) -> None:
    weaker = ORDER[ORDER.index(found) :]
    assert strongest(settled(dict.fromkeys(weaker, 1), [])) == found
    assert strongest(settled({}, [])) == "unknown"


@pytest.mark.parametrize(
    ("ban", "outcome", "kind", "severity"),
    [
        ("high", "reached", "session", "high"),
        ("high", "attempted", "background", "high"),
        ("high", "unknown", "lookup", "high"),
        ("high", "blocked", "lookup", "medium"),
        ("high", "reached", "embed", "medium"),
        ("high", "blocked", "embed", "low"),
        ("critical", "blocked", "background", "high"),
        ("medium", "blocked", "embed", "low"),
        ("low", "blocked", "embed", "low"),
    ],
)
def test_severity(ban: Severity, outcome: Outcome, kind: str, severity: Severity) -> None:
    assert severity_of(ban, outcome, kind) == severity  # type: ignore[arg-type]


def test_the_alert_of_a_blocked_lookup_is_less_severe_and_has_the_same_id() -> None:
    open_, blocked = alert(QUERY), alert(QUERY, BLOCKED)
    assert (open_.severity, blocked.severity) == ("high", "medium")
    assert open_.id == blocked.id
    assert blocked.kind.value == "lookup"


hellos = st.builds(
    contact,
    at=st.integers(0, 40).map(lambda n: n * 120),
    evidence=st.sampled_from(["tls-sni", "quic-sni", "http-host"]),
    name=st.sampled_from([f"{n}.tiktok.com" for n in range(5)]),
    role=st.sampled_from(["exclusive", "cdn"]),
    who=st.integers(1, 2),
    packet=st.integers(1, 9),
)
lookups = st.builds(
    contact,
    at=st.integers(0, 40).map(lambda n: n * 120),
    evidence=st.sampled_from(["dns-query", "dns-answer", "dns-cname"]),
    name=st.sampled_from([f"{n}.tiktok.com" for n in range(5)]),
    who=st.integers(1, 2),
    packet=st.integers(1, 9),
    outcome=st.sampled_from(["attempted", "blocked", "unknown"]),
)
fates = st.builds(
    ContactProgress,
    st.just(NOON),
    st.integers(0, 5000),
    st.integers(0, 90_000),
    st.integers(NOON, NOON + 7200 * SECOND),
    st.just("silent"),
    st.sampled_from(["reached", "attempted", "blocked", "unknown", "silent"]),
    st.just(1),
    use_in=st.integers(0, 90_000),
    by=st.sampled_from([RESET, "HTTP 403", "tls-alert 99"]),
)


@pytest.mark.parametrize("limit", [3, 2048])
@examples(120)
@given(data=st.data())
def test_neither_order_nor_parts_nor_disk_change_the_alert(limit: int, data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.tuples(hellos, fates), max_size=12))
    followed = [(made, replace(fate, time=made.observation.time)) for made, fate in drawn]
    asked = data.draw(st.lists(lookups, max_size=12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activity, "ENTRY_LIMIT", limit)
        patch.setattr(origin_counts, "NAME_LIMIT", limit)
        whole = ScanIncidents(GAP)
        for made in [*(made for made, _ in followed), *asked]:
            whole.add(made)
        for made, fate in followed:
            whole.add_progress(made, fate)
        expected = [json.dumps(jsonl.alert_record(a)) for a in whole.result(None, SENSOR).alerts]
        with ScanIncidents(GAP, limit=data.draw(st.integers(1, 3))) as merged:
            workers = [ScanIncidents(GAP, merged.folder, limit=1) for _ in range(2)]
            # A worker has all of a capture: what became of a contact comes from where it was seen.
            for made, fate in data.draw(st.permutations(followed)):
                worker = data.draw(st.sampled_from(workers))
                worker.add(made)
                worker.add_progress(made, fate)
            for made in data.draw(st.permutations(asked)):
                data.draw(st.sampled_from(workers)).add(made)
            for worker in workers:
                merged.merge(pickle.loads(pickle.dumps(worker)))
            found = [json.dumps(jsonl.alert_record(a)) for a in merged.result(None, SENSOR).alerts]
    assert found == expected
    total = sum(sum(json.loads(line)["counts"]["outcomes"].values()) for line in found)
    assert total <= len(followed) + len(asked)
