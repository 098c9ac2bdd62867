"""What is above lists: quick ranges, filters that can be removed, totals; values that filter by a
click; times in the zone of the viewer; and forms that keep what was typed after a mistake."""

import html
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.consoles import Visitor, records

from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.formats.values import epoch_ns
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.incident_rows import DAY
from netwatch.store.list_totals import incident_total

HOUR = 3600 * 10**9


def rows(text: str) -> int:
    listed = text.partition('<table class="cards"')[2]
    return listed.count('<tr role="row">') - 1 if listed else 0


def links(text: str, css: str) -> list[str]:
    return [html.unescape(each) for each in re.findall(rf'<a class="{css}" href="([^"]*)"', text)]


def total(text: str) -> int:
    found = re.search(r'<p class="total" role="status">([\d,]+) ', text)
    assert found is not None
    return int(found[1].replace(",", ""))


@pytest.fixture
def last(console: Console, monkeypatch: pytest.MonkeyPatch) -> int:
    """A time just behind the last incident, which is now."""
    end = max(epoch_ns(each["first_seen"]) for each in records(console)) + HOUR
    monkeypatch.setattr(console, "now", lambda: end)
    return end


@pytest.mark.parametrize(("word", "days"), [("24h", 1), ("7d", 7), ("30d", 30)])
@pytest.mark.parametrize("place", ["/incidents", "/devices"])
def test_a_quick_range_ends_now(
    place: str, word: str, days: int, last: int, console: Console, visit: Callable[[str], Visitor]
) -> None:
    wanted = [
        each for each in records(console) if epoch_ns(each["first_seen"]) >= last - days * DAY
    ]
    text = visit("analyst").open(f"{place}?range={word}").text
    assert f'<a href="{place}?range={word}" aria-current="true">' in text
    if place == "/incidents":
        assert total(text) == len(wanted)
        assert rows(text) == min(50, len(wanted))
        exported = visit("analyst").get(f"/incidents.jsonl?range={word}").text
        assert len(exported.splitlines()) == len(wanted)


def test_since_in_force_begins_with_the_ban(
    last: int, console: Console, visit: Callable[[str], Visitor]
) -> None:
    for ban in console.config.policy.bans:
        found = [each for each in records(console) if each["ban"]["id"] == ban.id]
        text = visit("analyst").get(f"/incidents?range=force&ban={ban.id}").text
        day = ban.start.isoformat() if ban.start else ""
        inside = [each for each in found if each["first_seen"][:10] >= day]
        assert total(text) in (len(inside), len(inside) - 1), ban.id  # its day begins by its zone
        assert "Since in force" in text


@pytest.mark.parametrize(
    ("query", "tidy"),
    [
        ("range=7d&app=", "range=7d"),
        ("range=7d&from=2023-03-20&to=", "from=2023-03-20T00%3A00%3A00Z"),
        ("app=+tiktok+", "app=tiktok"),
    ],
)
def test_addresses_are_put_in_order(query: str, tidy: str, visit: Callable[[str], Visitor]) -> None:
    answer = visit("analyst").get(f"/incidents?{query}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents?{tidy}")


def test_each_filter_can_be_removed_by_itself(last: int, visit: Callable[[str], Visitor]) -> None:
    pairs = {"range": "30d", "verdict": "violation", "app": "tiktok"}
    query = "&".join(f"{name}={value}" for name, value in pairs.items())
    text = visit("analyst").get(f"/incidents?{query}").text
    left = [dict(parse_qsl(urlsplit(each).query)) for each in links(text, "cross")]
    assert left == [
        {name: value for name, value in pairs.items() if name != removed} for removed in pairs
    ]
    assert '<a href="/incidents">Clear all</a>' in text
    # A quick range keeps the other filters.
    assert 'href="/incidents?range=24h&amp;verdict=violation&amp;app=tiktok"' in text


@pytest.mark.parametrize("role", ["analyst", "auditor"])
def test_every_value_filters_by_a_click(role: str, visit: Callable[[str], Visitor]) -> None:
    visitor = visit(role)
    text = visitor.get("/incidents").text
    found = set(links(text, "pick"))
    names = {name for each in found for name, _ in parse_qsl(urlsplit(each).query)}
    graver = links(visitor.get("/incidents?columns=severity").text, "pick")
    assert any(each.startswith("/incidents?severity=medium") for each in graver)
    assert names >= {"verdict", "confidence", "app", "network", "kind", "outcome", "ban"}
    assert ("device" in names) == (role == "analyst")
    for each in sorted(found):
        answer = visitor.open(each)
        assert answer.status_code == 200, each
        assert 0 < rows(answer.text) <= total(answer.text), each
        ((name, value),) = parse_qsl(urlsplit(each).query)
        assert each not in links(answer.text, "pick"), (name, value)


@pytest.mark.parametrize("place", ["/incidents", "/devices"])
@pytest.mark.parametrize("role", ["analyst", "auditor"])
def test_every_value_is_left_out_by_a_click(
    place: str, role: str, visit: Callable[[str], Visitor]
) -> None:
    if (place, role) == ("/devices", "auditor"):
        pytest.skip("auditors see no devices")
    visitor = visit(role)
    text = visitor.open(place).text
    found = set(links(text, "drop"))
    names = {name for each in found for name, _ in parse_qsl(urlsplit(each).query)}
    others = {"not-verdict", "not-confidence", "not-app", "not-network", "not-kind", "not-outcome",
              "not-ban"}  # fmt: skip
    assert names >= (others if place == "/incidents" else {"not-network"})
    assert ("not-device" in names) == (role == "analyst")
    for each in sorted(found):
        answer = visitor.get(each)
        assert answer.status_code == 200, each
        ((name, value),) = parse_qsl(urlsplit(each).query)
        if name != "not-device":
            only = visitor.open(f"{place}?{name.removeprefix('not-')}={value}").text
            assert total(answer.text) + total(only) == total(text), each
        assert total(text) - total(answer.text) > 0, each
        assert each not in links(answer.text, "drop")
        assert links(answer.text, "cross") == [place]


def test_several_values_are_left_out_and_kept_by_the_form(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    query = "verdict=violation&not-device=ws-021&not-device=ws-022&not-network=byod"
    text = visitor.get(f"/incidents?{query}").text
    left = [
        each
        for each in records(console)
        if each["verdict"] == "violation"
        and each["network"]["name"] != "byod"
        and each["device"]["id"] not in ("ws-021", "ws-022")
    ]
    assert total(text) == len(left) > 0
    for name, value in parse_qsl(query)[1:]:
        assert f'<input type="hidden" name="{name}" value="{value}">' in text
    assert '<span class="chip-value left-out">not ws-022</span>' in text
    one = "/incidents?verdict=violation&not-device=ws-021&not-network=byod"
    assert one in links(text, "cross")
    # What was left out and is wanted after all is left out no more.
    assert "/incidents?verdict=violation&amp;not-network=byod&amp;device=" in text
    exported = visitor.get(f"/incidents.jsonl?{query}").text
    assert sorted(json.loads(line)["id"] for line in exported.splitlines()) == sorted(
        each["id"] for each in left
    )
    (entry,) = (each for each in console.audit.entries() if each.action == "export")
    assert json.loads(entry.detail)["filter"] == {
        "verdict": "violation", "not-device": "ws-021 ws-022", "not-network": "byod",
    }  # fmt: skip


@pytest.mark.parametrize("query", ["not-device=ws-021", "not-device=ws-021&not-device="])
def test_who_sees_no_devices_leaves_none_out(query: str, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("auditor")
    for place in ("/incidents", "/incidents.csv", "/cases", "/cases.csv"):
        assert visitor.get(f"{place}?{query}").status_code == 403, place


@pytest.mark.parametrize("place", ["/incidents", "/devices", "/cases"])
def test_words_that_nobody_knows_cannot_be_left_out(
    place: str, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    for query in ("not-verdict=guilty", "not-verdict=exempt&not-verdict=x", "not-network=nowhere"):
        assert visitor.open(f"{place}?{query}").status_code == 400, query


FILTERS = (
    {}, {"verdict": {"violation"}}, {"app": {"tiktok"}, "kind": {"session", "lookup"}},
    {"network": {"hq"}}, {"app": {"no-such-app"}}, {"device": {"ws-021"}},
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_totals_are_the_number_of_rows(number: int, console: Console) -> None:
    moments = sorted(epoch_ns(each["first_seen"]) for each in records(console))
    first, middle, end = moments[0], moments[len(moments) // 2], moments[-1]
    spans = (
        (None, None), (middle, None), (None, middle), (first, end), (first + 1, end + 1),
        (middle, middle), (middle, middle + HOUR), (first // DAY * DAY, (end // DAY + 1) * DAY),
        (first - 3 * DAY, first - DAY),
    )  # fmt: skip
    sorts = {name: frozenset(words) for name, words in FILTERS[number].items()}
    for since, until in spans:
        wanted = IncidentFilter(since=since, until=until, **sorts)  # type: ignore[arg-type]
        found = incident_page(console.catalogue, wanted, size=1000).rows
        assert incident_total(console.catalogue, wanted) == len(found), (since, until)


def test_the_number_of_devices_and_cases_is_said(visit: Callable[[str], Visitor]) -> None:
    text = visit("analyst").open("/devices").text
    assert total(text) == rows(text)


def test_a_count_that_takes_too_long_is_left_out(console: Console) -> None:
    assert incident_total(console.catalogue, IncidentFilter(device=frozenset({"x"})), 0.0) in (
        None,
        0,
    )


@pytest.mark.parametrize(
    ("place", "query", "said"),
    [
        ("/incidents", "from=yesterday&app=tiktok", "is not a time like"),
        ("/incidents", "verdict=guilty&app=tiktok", "cannot be “guilty”"),
        ("/incidents", "from=2023-03-20T00:00:00Z&to=2023-03-19T00:00:00Z&app=tiktok",
         "The end is before the start."),
        ("/incidents", "range=1y&app=tiktok", "cannot be “1y”"),
        ("/incidents", "after=x&app=tiktok", "begin at the first page"),
        ("/cases", "from=yesterday&app=tiktok", "is not a time like"),
        ("/devices", "from=yesterday&network=hq", "is not a time like"),
    ],
)  # fmt: skip
def test_after_a_mistake_the_form_has_what_was_typed(
    place: str, query: str, said: str, visit: Callable[[str], Visitor]
) -> None:
    answer = visit("analyst").open(f"{place}?{query}")
    assert answer.status_code == 400
    assert said in answer.text
    assert '<details class="filters" open>' in answer.text
    assert rows(answer.text) == 0
    given = dict(parse_qsl(query))
    for name in given.keys() - {"range", "after", "verdict", "to", "from"}:
        assert f'name="{name}" type="text" value="{given[name]}"' in answer.text
    if given.get("from") == "yesterday":
        assert 'type="datetime-local" value="yesterday"' in answer.text
    # The field with the mistake has the focus, and says what is wrong with it.
    wrong = re.findall(r'name="(\w+)"[^>]* autofocus aria-invalid="true"', answer.text)
    expected = {"before": ["to"], "yesterday": ["from"], "guilty": ["verdict"]}
    assert wrong == next((names for word, names in expected.items() if word in said + query), [])
    assert answer.text.count('aria-describedby="problem') == len(wrong)
    assert '<p id="problem" class="message error"' in answer.text
    if "guilty" in query:
        assert '<option value="guilty" selected>guilty</option>' in answer.text
    if place != "/devices":
        exported = visit("analyst").get(f"{place}.csv?{query.partition('&after')[0]}")
        assert exported.status_code == (200 if "after" in given else 400)


@pytest.mark.parametrize("place", ["/blind-spots", "/bans/be-fed-tiktok-2023", "/exemptions"])
def test_days_that_cannot_be_are_said_above_the_form(
    place: str, visit: Callable[[str], Visitor]
) -> None:
    answer = visit("analyst").get(f"{place}?from=2023-05-02&to=2023-05-01")
    assert answer.status_code == 400
    assert "must not be after the last" in answer.text
    assert 'type="date" value="2023-05-02"' in answer.text


def test_blind_spots_are_filtered_by_network(visit: Callable[[str], Visitor]) -> None:
    visitor = visit("auditor")
    text = visitor.get("/blind-spots?from=2023-03-01&to=2023-05-31").text
    found = {dict(parse_qsl(urlsplit(each).query))["network"] for each in links(text, "pick")}
    assert found
    for network in found:
        one = visitor.get(f"/blind-spots?from=2023-03-01&to=2023-05-31&network={network}").text
        shown = set(re.findall(r'<span class="name">([^<]*)</span>', one.partition("<tbody")[2]))
        assert shown == {network}
    assert visitor.get("/blind-spots?network=nowhere").status_code == 400


@pytest.mark.parametrize("role", ["analyst", "auditor"])
def test_exemptions_are_filtered_by_ban_and_use(role: str, visit: Callable[[str], Visitor]) -> None:
    visitor, days = visit(role), "from=2023-03-01&to=2023-05-31"
    text = visitor.get(f"/exemptions?{days}").text
    assert '<th scope="row"' in text
    for css, place in (("pick", ""), ("drop", "not-")):
        found = [dict(parse_qsl(urlsplit(each).query)) for each in links(text, css)]
        assert {name for each in found for name in each if name not in ("from", "to")} == (
            {f"{place}ban", f"{place}state"}
        )
    assert '<th scope="row"' in visitor.get(f"/exemptions?{days}&state=used").text
    for query in ("not-state=used", "not-ban=be-fed-tiktok-2023", "state=unused"):
        left = visitor.get(f"/exemptions?{days}&{query}").text
        assert left.count('<th scope="row"') < text.count('<th scope="row"'), query
        assert "Remove a filter" in left
    for query in ("state=odd", "not-state=odd", "ban=nobody"):
        assert visitor.get(f"/exemptions?{days}&{query}").status_code == 400, query


def test_times_are_those_of_the_viewer(console: Console, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    assert "From (UTC)" in visitor.get("/incidents").text
    assert "Europe/Brussels" in visitor.get("/account").text
    assert visitor.get("/account?zone=Nowhere/Land").status_code == 200
    assert "From (UTC)" in visitor.get("/incidents").text
    assert visitor.get("/account?zone=Europe/Brussels").status_code == 200
    text = visitor.get("/incidents?from=2023-03-20T09:00:00Z").text
    assert "From (Europe/Brussels)" in text
    assert 'type="datetime-local" value="2023-03-20T10:00:00"' in text
    assert "2023-03-20 10:00:00" in text
    typed = visitor.get("/incidents?from=2023-03-20T10:00")
    assert typed.headers["location"] == "/incidents?from=2023-03-20T09%3A00%3A00Z"
    assert "From (UTC)" in visit("analyst").get("/incidents").text


def test_the_zone_of_the_browser_is_used_unless_one_was_chosen(console: Console) -> None:
    visitor = Visitor(console)
    fields = {"name": "ben", "password": "a long enough pass-phrase", "next": ""}
    for zone, known in (("../etc/passwd", "UTC"), ("America/New_York", "America/New_York"),
                        ("Asia/Tokyo", "America/New_York")):  # fmt: skip
        visitor.post("/sign-in", {**fields, "zone": zone}, on="/sign-in")
        assert f"From ({known})" in visitor.get("/incidents").text
        visitor.post("/sign-out", {})


def test_the_console_has_a_zone_of_its_own(
    make_console: Callable[[ConsoleOptions], Console],
) -> None:
    visitor = Visitor(make_console(replace(ConsoleOptions(), timezone="Europe/Brussels")))
    visitor.sign_in("ben")
    assert "From (Europe/Brussels)" in visitor.get("/incidents").text


@pytest.mark.parametrize("page", ["/cases", "/devices"])
def test_filters_of_all_lists_can_be_saved(page: str, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    query = "range=30d&network=hq"
    assert f'name="query" value="{query.replace("&", "&amp;")}"' in (
        visitor.open(f"{page}?{query}").text
    )
    saved = visitor.post("/filters", {"page": page, "name": "mine", "query": query})
    assert saved.headers["location"] == f"{page}?{query}"
    assert f'<a href="{page}?{query.replace("&", "&amp;")}">mine</a>' in visitor.open(page).text


def offered(page: str, name: str) -> dict[str, str]:
    """What a field of a filter offers."""
    found = re.search(rf'<datalist id="o-{name}">(.*?)</datalist>', page)
    return dict(re.findall(r'<option value="([^"]*)">([^<]*)<', found[1])) if found else {}


def test_fields_offer_what_is_known_with_its_counts(
    visit: Callable[[str], Visitor], console: Console
) -> None:
    page = visit("analyst").get("/incidents").text
    known = records(console)
    for name, key in (("network", "network"), ("ban", "ban"), ("device", "device"), ("app", "app")):
        counts = Counter(each[key]["name" if key == "network" else "id"] for each in known)
        for value, text in offered(page, name).items():
            number = "1 incident" if counts[value] == 1 else f"{counts[value]} incidents"
            assert text in (number, f"TikTok, {number}"), (name, value)
        assert counts.keys() <= offered(page, name).keys(), name
    assert offered(page, "app")["tiktok"].startswith("TikTok, ")
    # Networks of the configuration are offered without an incident as well.
    assert offered(page, "network")["guest"] == "0 incidents"
    assert "Press office" not in str(offered(page, "device"))
    assert not offered(visit("auditor").get("/incidents").text, "device")
    assert offered(visit("analyst").open("/devices").text, "device").keys() == (
        offered(page, "device").keys()
    )
