"""Which names a flow record can be of, by what clients had been told."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.made_flows import flow
from support.office import TIKTOK

from netwatch.core.flow import DNS_TTL_GRACE, Flow
from netwatch.core.message import DnsInfo, Observation
from netwatch.engine import told_names
from netwatch.engine.told_names import AGE, CLOCK_MARGIN, MAX_NAMES, NameSet, ToldNames

SECOND = 1_000_000_000
ADDRESS, CLIENT = "203.0.113.10", "10.20.1.7"
GRACE = DNS_TTL_GRACE // SECOND
OTHER = "10.20.1.8"
APP = ("tiktok", TIKTOK)


def answer(
    address: str = ADDRESS, *, at: int = 0, client: str = CLIENT, name: str = TIKTOK
) -> Observation:
    """An answer with a TTL of a minute, `at` seconds after the epoch; without `client` the log does
    not say whose."""
    return Observation(
        time=at * SECOND,
        time_digits=9,
        evidence="dns-answer",
        name=name,
        client_ip=ip_address(client).packed if client else b"",
        client_port=50000,
        client_mac=None,
        server_ip=b"",
        server_port=53,
        transport="udp",
        vlan=None,
        source="test",
        packet=1,
        dns=DnsInfo("A", "NOERROR", ((address, 60),)),
    )


def flow_at(second: float, server: str = ADDRESS) -> Flow:
    """A flow whose record says that it began `second` seconds after the epoch."""
    return flow(CLIENT, server, first=round(second * SECOND), last=round(second * SECOND))


def same(*_: object) -> bool:
    return True


def told(*answers: tuple[str, str | None, dict[str, object]]) -> ToldNames:
    """Answers by their name and app, in their order."""
    names = ToldNames()
    for name, app, fields in answers:
        names.add(answer(name=name, **fields), (app, name) if app else None)  # type: ignore[arg-type]
    return names


def found(names: ToldNames, second: float = 7, **fields: object) -> NameSet | None:
    return names.names_of(flow_at(second, **fields), same)  # type: ignore[arg-type]


def test_all_names_that_the_client_was_told_are_candidates() -> None:
    names = told((TIKTOK, "tiktok", {}), ("m.tiktok.com", "tiktok", {"at": 3}))
    of_flow = found(names)
    assert of_flow is not None
    assert (of_flow.names, of_flow.count) == (("m.tiktok.com", TIKTOK), 2)
    assert of_flow.is_of_one_app
    assert of_flow.is_own
    assert of_flow.is_alone


@pytest.mark.parametrize("app", [None, "whatsapp"])
@pytest.mark.parametrize("at", [0, 3])
def test_a_name_of_another_app_or_of_none_makes_it_one_of_two(app: str | None, at: int) -> None:
    order = [(TIKTOK, "tiktok", {"at": 3 - at}), ("www.example.org", app, {"at": at})]
    of_flow = found(told(*order))
    assert of_flow is not None
    assert (of_flow.count, of_flow.is_of_one_app) == (2, False)


@pytest.mark.parametrize("app", [None, "whatsapp"])
def test_an_address_that_others_were_told_for_another_name_is_shared(app: str | None) -> None:
    own, other = (TIKTOK, "tiktok", {"at": 3}), ("www.example.org", app, {"client": OTHER})
    for order in ((own, other), (other, own)):
        of_flow = found(told(*order))
        assert of_flow is not None
        assert (of_flow.count, of_flow.is_own, of_flow.is_alone) == (1, True, False)
    # It is remembered for a while after the end of the answer, and then no more.
    late = AGE // SECOND + GRACE + 60
    for at, is_alone in ((late, False), (late + 1, True)):
        of_flow = found(told(other, (TIKTOK, "tiktok", {"at": at})), at)
        assert of_flow is not None
        assert of_flow.is_alone is is_alone


def test_a_client_that_was_told_nothing_has_the_names_of_others() -> None:
    names = told((TIKTOK, "tiktok", {"client": OTHER}))
    of_flow = found(names)
    assert of_flow is not None
    assert (of_flow.names, of_flow.is_own, of_flow.is_alone) == ((TIKTOK,), False, False)
    # Others had been told it for something else before.
    names = told(
        ("www.example.org", None, {"client": OTHER}), (TIKTOK, "tiktok", {"client": OTHER})
    )
    of_flow = found(names)
    assert of_flow is not None
    assert not of_flow.is_of_one_app
    # The client had it for something else, some time ago.
    names = told(("www.example.org", None, {}), (TIKTOK, "tiktok", {"at": 900, "client": OTHER}))
    of_flow = found(names, 901)
    assert of_flow is not None
    assert not of_flow.is_of_one_app


def test_what_the_client_was_told_explains_its_flow() -> None:
    names = told((TIKTOK, "tiktok", {"client": OTHER}), ("www.example.org", None, {}))
    assert found(names) is None


@pytest.mark.parametrize(
    ("second", "is_known"),
    [
        (100 - CLOCK_MARGIN / SECOND, True),
        (100 - CLOCK_MARGIN / SECOND - 0.001, False),
        (160 + GRACE, True),
        (160 + GRACE + 0.001, False),
    ],
)
def test_an_answer_is_in_use_from_its_time_to_its_ttl_with_margins(
    second: float, is_known: bool
) -> None:
    names = told((TIKTOK, "tiktok", {"at": 100}))
    assert (found(names, second) is not None) is is_known


def test_what_speaks_against_a_set_is_in_use_between_two_answers() -> None:
    # The name of no app was told at 0 and at 1000: in between the client may have used it.
    names = told(
        ("www.example.org", None, {}),
        (TIKTOK, "tiktok", {"at": 600}),
        ("www.example.org", None, {"at": 1000}),
    )
    of_flow = found(names, 610)
    assert of_flow is not None
    assert of_flow.count == 2
    # The name of the app was not in use there.
    names = told((TIKTOK, "tiktok", {}), (TIKTOK, "tiktok", {"at": 1000}))
    assert found(names, 610) is None


def test_another_device_at_the_address_was_told_nothing() -> None:
    names = told((TIKTOK, "tiktok", {}))
    assert names.names_of(flow_at(7), lambda *_: False) is not None  # by others
    of_flow = names.names_of(flow_at(7), lambda *_: False)
    assert of_flow is not None
    assert not of_flow.is_own


def test_a_client_with_too_many_names_has_one_more() -> None:
    names = told(*((f"n{number}.tiktok.com", "tiktok", {}) for number in range(MAX_NAMES)))
    of_flow = found(names)
    assert of_flow is not None
    assert (of_flow.count, of_flow.is_of_one_app) == (MAX_NAMES + 1, False)
    # What has expired long ago makes room.
    later = 60 + GRACE + AGE // SECOND + 1
    names.add(answer(name=TIKTOK, at=later), APP)
    of_flow = found(names, later)
    assert of_flow is not None
    assert of_flow.count == 1


def test_the_least_recent_pair_is_evicted_and_then_no_set_is_whole() -> None:
    names = ToldNames(limit=2)
    names.add(answer("203.0.113.1", name="www.example.org"), None)
    names.add(answer("203.0.113.1", name=TIKTOK, at=1), APP)
    names.add(answer("203.0.113.2", name=TIKTOK, at=2), APP)
    assert (len(names), names.evicted) == (1, 1)
    # Told again: of its names only this one is known.
    names.add(answer("203.0.113.1", name=TIKTOK, at=3), APP)
    of_flow = found(names, server="203.0.113.1")
    assert of_flow is not None
    assert not of_flow.is_of_one_app
    of_flow = found(names, 60 + GRACE + 2, server="203.0.113.1")
    assert of_flow is not None
    assert of_flow.is_of_one_app
    assert not of_flow.is_alone


def test_an_address_that_was_forgotten_is_never_the_apps_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(told_names, "ADDRESS_LIMIT", 1)
    names = told(
        ("www.example.org", None, {"client": OTHER}),
        ("www.example.net", None, {"client": OTHER, "at": 1}),
    )
    names.add(answer("203.0.113.77", name="www.example.com", at=2, client=OTHER), None)
    names.add(answer(name=TIKTOK, at=3), APP)
    of_flow = found(names)
    assert of_flow is not None
    assert not of_flow.is_alone


@examples(60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([TIKTOK, "m.tiktok.com", "web.whatsapp.com", "www.example.org"]),
            st.integers(0, 900),
            st.sampled_from(["10.20.1.7", OTHER]),
        ),
        max_size=8,
    ),
    st.integers(0, 1500),
)
def test_no_table_is_too_small_to_make_a_set_smaller(
    answers: list[tuple[str, int, str]], second: int
) -> None:
    """Whatever is evicted, a flow that is said to be of one app is said to be so by all answers."""
    apps = {TIKTOK: "tiktok", "m.tiktok.com": "tiktok", "web.whatsapp.com": "whatsapp"}
    small, whole = ToldNames(limit=1), ToldNames()
    for name, at, client in sorted(answers, key=lambda each: each[1]):
        app = apps.get(name)
        for table in (small, whole):
            table.add(answer(name=name, at=at, client=client), (app, name) if app else None)
    of_small = found(small, second)
    if of_small is not None and of_small.is_of_one_app and of_small.is_own:
        of_whole = found(whole, second)
        assert of_whole is not None
        assert of_whole.is_of_one_app
        assert not of_small.is_alone or of_whole.is_alone


def test_answers_without_client_are_left_out() -> None:
    names = ToldNames()
    names.add(answer(client=""), APP)
    assert len(names) == 0
