import datetime
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.verdict import Ban, BanPeriod, BanTexts
from netwatch.core.yaml_reader import parse_yaml
from netwatch.rules.bans import bans_version, load_pack, pack_ids, read_ban
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import load_signatures

OURS = """\
id: our-rule
authority: City of Example
apps: [tiktok, vendor:tencent]
forbids: [service]
advises: [personal]
from: 2023-03-10
until: 2023-09-10
review: 2023-09-01
timezone: Europe/Brussels
legal_basis: Decision 2023/12 art. 3
min_confidence: confirmed
severity: low
networks: [hq]
"""


def read(text: str, catalog: Catalog) -> tuple[Ban | None, list[Problem]]:
    problems = Problems()
    mapping = parse_yaml(text, "netwatch.yaml", problems)
    assert mapping is not None
    ban = read_ban(Fields(mapping, "netwatch.yaml", problems, "a ban"), catalog)
    return ban, sorted(problems.found)


def test_a_ban_written_out(shipped_catalog: Catalog) -> None:
    ban, problems = read(OURS, shipped_catalog)
    assert problems == []
    assert ban == Ban(
        id="our-rule",
        authority="City of Example",
        apps=frozenset({"tiktok", "wechat", "qq"}),
        forbids=frozenset({"service"}),
        advises=frozenset({"personal"}),
        periods=(BanPeriod(datetime.date(2023, 3, 10), datetime.date(2023, 9, 10)),),
        review=datetime.date(2023, 9, 1),
        timezone="Europe/Brussels",
        legal_basis="Decision 2023/12 art. 3",
        min_confidence="confirmed",
        severity="low",
        networks=frozenset({"hq"}),
    )


def test_absent_keys_have_defaults(shipped_catalog: Catalog) -> None:
    ban, problems = read("id: a\nauthority: b\napps: [tiktok]\n", shipped_catalog)
    assert problems == []
    assert ban
    assert ban.forbids == {"service"}
    assert ban.advises == frozenset()
    assert (ban.start, ban.end, ban.review) == (None, None, None)
    assert (ban.timezone, ban.min_confidence, ban.severity) == ("UTC", "probable", "high")


def test_a_ban_may_only_advise(shipped_catalog: Catalog) -> None:
    ban, problems = read(OURS.replace("[service]", "[]"), shipped_catalog)
    assert problems == []
    assert ban
    assert (ban.forbids, ban.advises) == (frozenset(), {"personal"})


def test_first_and_last_day_may_be_the_same(shipped_catalog: Catalog) -> None:
    assert read(OURS.replace("2023-09-10", "2023-03-10"), shipped_catalog)[0]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("id: our-rule\n", "", 1, "needs 'id'"),
        ("authority: City of Example\n", "", 1, "needs 'authority'"),
        ("apps: [tiktok, vendor:tencent]\n", "", 1, "needs 'apps'"),
        ("[tiktok, vendor:tencent]", "[]", 3, "at least one app"),
        ("[tiktok, vendor:tencent]", "[tiktock]", 3, "did you mean 'tiktok'"),
        ("vendor:tencent", "vendor:tencet", 3, "did you mean 'vendor:tencent'"),
        ("forbids: [service]", "forbids: [resolver]", 4, "expected one of service"),
        ("forbids: [service]", "forbids: [infrastructure]", 4, "expected one of service"),
        ("forbids: [service]", "forbids: service", 4, "expected a list, found 'service'"),
        ("advises: [personal]", "advises: [service]", 5, "found in both"),
        (
            "forbids: [service]\nadvises: [personal]",
            "forbids: []",
            4,
            "expected a class in 'forbids' or",
        ),
        ("from: 2023-03-10", "from: 10 March", 6, "YYYY-MM-DD"),
        ("from: 2023-03-10", "from: 2023-03-10 08:00:00", 6, "YYYY-MM-DD"),
        ("from: 2023-03-10", "from: 2023-02-30", 6, "2023-02-30"),
        (
            "until: 2023-09-10",
            "until: 2023-03-09",
            7,
            "expected a day not before 'from' (2023-03-10)",
        ),
        ("Europe/Brussels", "Europe/Brusels", 9, "did you mean 'Europe/Brussels'"),
        (
            "Europe/Brussels",
            "Europe",
            9,
            "expected the IANA name of a time zone, like Europe/Brussels, found 'Europe'",
        ),
        ("Europe/Brussels", "../etc/passwd", 9, "expected the IANA name of a time zone"),
        ("min_confidence: confirmed", "min_confidence: sure", 11, "expected one of"),
        ("severity: low", "severity: huge", 12, "expected one of low"),
        ("networks: [hq]", "network: [hq]", 13, "did you mean 'networks'"),
        ("networks: [hq]", "scope: all", 13, "unknown key 'scope'"),
    ],
)
def test_a_mistake_is_reported_with_its_line(
    shipped_catalog: Catalog, old: str, new: str, line: int, expected: str
) -> None:
    assert old in OURS
    _, problems = read(OURS.replace(old, new, 1), shipped_catalog)
    assert any(each.line == line and expected in each.message for each in problems), problems


LISTED = """\
id: our-rule
authority: City of Example
apps: [tiktok]
periods:
  - {from: 2023-03-10, until: 2023-09-16, basis: the decision}
  - {from: 2023-09-26, basis: its extension}
"""


def test_a_ban_with_periods(shipped_catalog: Catalog) -> None:
    ban, problems = read(LISTED, shipped_catalog)
    assert problems == []
    assert ban
    assert ban.periods == (
        BanPeriod(datetime.date(2023, 3, 10), datetime.date(2023, 9, 16), "the decision"),
        BanPeriod(datetime.date(2023, 9, 26), None, "its extension"),
    )
    assert (ban.start, ban.end) == (datetime.date(2023, 3, 10), None)


def test_the_first_period_may_be_open_at_its_start(shipped_catalog: Catalog) -> None:
    ban, problems = read(LISTED.replace("from: 2023-03-10, ", ""), shipped_catalog)
    assert problems == []
    assert ban
    assert ban.periods[0].start is None


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("periods:", "from: 2023-03-10\nperiods:", 5, "either 'periods' or 'from' and 'until'"),
        ("periods:", "until: 2023-03-10\nperiods:", 5, "either 'periods' or 'from' and 'until'"),
        (", until: 2023-09-16", "", 6, "only the last period without 'until'"),
        ("{from: 2023-09-26, ", "{", 6, "'from' in every period but the first, found none"),
        ("2023-09-26", "2023-09-16", 6, "a day after 2023-09-16, on which the one before it ends"),
        ("2023-09-26", "2023-09-01", 6, "found 2023-09-01"),
        ("2023-09-26", "2022-09-01", 6, "found 2022-09-01"),
        ("2023-09-16", "2023-03-09", 5, "expected a day not before 'from' (2023-03-10)"),
        ("2023-09-16", "in autumn", 5, "YYYY-MM-DD"),
        ("basis: the decision", "bases: the decision", 5, "did you mean 'basis'"),
        ("basis: the decision", "basis: [a]", 5, "'basis': expected text"),
        ("basis: the decision", "kind: advise", 5, "expected one of ban, advice"),
        ("{from: 2023-09-26, basis: its extension}", "2023-09-26", 6, "a period as a mapping"),
    ],
)
def test_a_mistake_in_periods_is_reported_with_its_line(
    shipped_catalog: Catalog, old: str, new: str, line: int, expected: str
) -> None:
    assert old in LISTED
    ban, problems = read(LISTED.replace(old, new, 1), shipped_catalog)
    assert ban is None
    assert any(each.line == line and expected in each.message for each in problems), problems


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[]", "at least one period, found none"),
        ("", "at least one period, found none"),
        ("2023-03-10", "expected a list"),
    ],
)
def test_periods_are_a_list_that_is_not_empty(
    shipped_catalog: Catalog, value: str, expected: str
) -> None:
    ban, problems = read(LISTED.partition("periods:")[0] + f"periods: {value}\n", shipped_catalog)
    assert ban is None
    assert [each.line for each in problems] == [4]
    assert expected in problems[0].message


def test_the_version_of_bans_is_that_of_what_they_say(shipped_catalog: Catalog) -> None:
    ours, _ = read(OURS, shipped_catalog)
    again, _ = read("".join(reversed(OURS.splitlines(keepends=True))), shipped_catalog)
    pack = load_pack("be-fed-tiktok-2023", shipped_catalog).ban
    assert ours
    assert again
    version = bans_version([ours, pack])
    assert re.fullmatch("[0-9a-f]{12}", version)
    assert version == bans_version([pack, again])
    assert version != bans_version([ours])
    changes: dict[str, Any] = {
        "apps": frozenset({"tiktok"}),
        "review": None,
        "severity": "high",
        "periods": (BanPeriod(datetime.date(2023, 3, 10), datetime.date(2023, 9, 11)),),
        "authority": "Town of Example",
    }
    others = {bans_version([replace(ours, **{key: value}), pack]) for key, value in changes.items()}
    assert len(others | {version}) == len(changes) + 1


def test_an_entry_names_a_pack(shipped_catalog: Catalog) -> None:
    ban, problems = read("pack: be-fed-tiktok-2023\n", shipped_catalog)
    assert problems == []
    assert ban == load_pack("be-fed-tiktok-2023", shipped_catalog).ban
    assert ban.start == datetime.date(2023, 3, 10)
    assert ban.end is None
    assert (ban.forbids, ban.advises) == ({"service"}, {"personal"})
    assert ban.timezone == "Europe/Brussels"


def test_an_entry_may_change_severity_and_networks_of_a_pack(shipped_catalog: Catalog) -> None:
    text = "pack: default\nseverity: low\nmin_confidence: possible\nnetworks: [hq, lab]\n"
    ban, problems = read(text, shipped_catalog)
    assert problems == []
    assert ban
    assert (ban.severity, ban.min_confidence) == ("low", "possible")
    assert ban.networks == {"hq", "lab"}
    assert ban.apps == {"tiktok"}


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (
            "severity: low\npack: be-fed-tiktok\n",
            2,
            "found 'be-fed-tiktok'; did you mean be-fed-tiktok-2023",
        ),
        ("pack: 12345\n", 1, "found '12345' (known: at-gov-tiktok-2023"),
        ("pack:\n", 1, "needs 'pack'"),
        ("pack: default\nfrom: 2023-03-10\n", 2, "unknown key 'from'"),
        ("pack: default\nseverity: huge\n", 2, "expected one of low"),
    ],
)
def test_a_mistake_in_a_pack_entry_is_reported(
    shipped_catalog: Catalog, text: str, line: int, expected: str
) -> None:
    _, problems = read(text, shipped_catalog)
    assert any(each.line == line and expected in each.message for each in problems), problems


def test_a_pack_needs_its_apps_in_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").write_text(
        "app: chat\nname: c\nvendor: c\ncategory: c\n"
        "domains: [{suffix: chat.example, role: exclusive, sources: [test]}]\n"
    )
    catalog = load_signatures(["chat.yaml"], tmp_path)
    ban, problems = read("pack: be-fed-tiktok-2023\n", catalog)
    assert ban is None
    assert [Path(each.file).name for each in problems] == ["be-fed-tiktok-2023.yaml"]
    assert "found unknown app 'tiktok'" in problems[0].message
    with pytest.raises(ConfigError):
        load_pack("be-fed-tiktok-2023", catalog)


def test_an_unknown_pack_is_an_error_with_near_ids(shipped_catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="did you mean us-ny-deepseek-2025"):
        load_pack("us-ny-deepseek", shipped_catalog)


@pytest.mark.parametrize("ban_id", sorted(path.stem for path in ROOT.glob("signatures/bans/*")))
def test_every_shipped_pack_is_valid(shipped_catalog: Catalog, ban_id: str) -> None:
    pack = load_pack(ban_id, shipped_catalog)
    assert pack.ban.id == ban_id
    assert ban_id in pack_ids()
    if ban_id == "default":
        assert pack.ban.start is None
        return
    assert pack.ban.start
    assert ban_id.endswith(f"-{pack.ban.start.year}")
    assert pack.ban.timezone != "UTC"
    assert pack.scope
    assert pack.jurisdiction.partition("-")[0].isupper()
    assert all(source.startswith("http") for source in pack.sources)
    assert pack.sources


def test_a_ban_has_its_words_in_other_languages(shipped_catalog: Catalog) -> None:
    ban, problems = read(
        LISTED + "texts: {nl: {authority: Stad, bases: [een, twee]}}\n", shipped_catalog
    )
    assert problems == []
    assert ban
    assert ban.texts == (BanTexts("nl", "Stad", "", ("een", "twee")),)
    assert bans_version([ban]) == bans_version([replace(ban, texts=())])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("{nl: {bases: [een]}}", "expected a text for each of the 2 periods, found 1"),
        ("{it: {authority: Comune}}", "unknown key 'it' in texts"),
        ("{nl: {autority: Stad}}", "unknown key 'autority' in a text"),
        ("[nl]", "expected a mapping"),
    ],
)
def test_mistakes_in_the_words_of_a_ban_are_named(
    shipped_catalog: Catalog, texts: str, expected: str
) -> None:
    ban, problems = read(LISTED + f"texts: {texts}\n", shipped_catalog)
    assert ban is None
    assert expected in problems[0].message


def test_every_shipped_ban_has_all_its_words_in_each_language(shipped_catalog: Catalog) -> None:
    for id_ in pack_ids():
        ban = load_pack(id_, shipped_catalog).ban
        assert [each.language for each in ban.texts] == ["fr", "nl", "de"], id_
        bases = [bool(period.basis) for period in ban.periods]
        for each in ban.texts:
            assert each.authority, id_
            assert bool(each.legal_basis) == bool(ban.legal_basis), id_
            assert list(map(bool, each.bases)) == (bases if any(bases) else []), id_
