"""Drafts of signature files from lists."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from netwatch.core.verdict import App
from netwatch.lists.reader import read_list
from netwatch.rules.catalog import Catalog
from netwatch.rules.draft import Draft, make_draft
from netwatch.rules.lint import lint
from netwatch.rules.load import load_signatures
from netwatch.rules.shared_zones import PATH, why_common

Write = Callable[..., Path]

DAY = datetime.date(2024, 2, 29)
VIDEO = App("video", 'Video: "the" app\u2028of Acme', "acme", "video")


@pytest.fixture
def catalog(write: Write) -> Catalog:
    write("video", "suffix: video.com, role: exclusive", "host: p16.videocdn.com, role: exclusive")
    return load_signatures([write("chat", "suffix: chat.com, role: exclusive").parent], Path())


def draft(catalog: Catalog, text: str, app: App = VIDEO) -> Draft:
    return make_draft(catalog, [read_list("list", None, text.encode())], app, "v2fly", DAY)


def rules(result: Draft) -> list[str]:
    rows = [line for line in result.text.splitlines() if line.startswith("  - {")]
    return [row.removeprefix("  - {").partition(", role")[0] for row in rows]


def test_a_draft_has_new_names_only_and_says_where_they_are_from(catalog: Catalog) -> None:
    app = catalog.signatures["video"].app
    text = "video.com\nfull:www.video.com\nnew.com @ads\nfull:a.new.com\nfull:one.example.net\n"
    result = draft(catalog, text, app)
    assert rules(result) == ["suffix: new.com", "host: one.example.net"]
    assert result.left_out == ()
    assert (
        "# A draft from the list list (domain-list), source v2fly, read on 2024-02-29."
        in result.text
    )
    assert f"# SHA-256 of the list: {read_list('', None, text.encode()).digest}" in result.text
    row = "{suffix: new.com, role: exclusive, verified: false, sources: [v2fly]}"
    assert row in result.text


def test_hosts_stay_hosts(catalog: Catalog) -> None:
    result = draft(catalog, "".join(f"0.0.0.0 n{number}.new.com\n" for number in range(20)))
    assert len(rules(result)) == 20
    assert all(rule.startswith("host: ") for rule in rules(result))


def test_what_cannot_belong_to_the_app_is_left_out_with_its_reason(catalog: Catalog) -> None:
    text = (
        "akamaized.net\ngithub.io\nwww.chat.com\nkeyword:x\nfull:video.com.edgesuite.net\n"
        "full:co.uk\nnew.example.org\n"
    )
    result = draft(catalog, text)
    reasons = {listed.name: reason for listed, reason in result.left_out}
    assert reasons.keys() == {"akamaized.net", "github.io", "www.chat.com", "x", "co.uk"}
    assert reasons["github.io"] == "a public suffix"
    assert reasons["akamaized.net"].startswith("a content delivery network")
    assert reasons["www.chat.com"].startswith("suffix chat.com gives it to the app 'chat' (")
    assert rules(result) == ["suffix: new.example.org", "host: video.com.edgesuite.net"]


def test_names_that_most_devices_contact_and_of_governments_are_held_back(
    catalog: Catalog,
) -> None:
    text = (
        "new.com\nmicrosoft.com\nfull:outlook.office.com\nwindowsupdate.com\nfgov.be\n"
        "full:www.gov.uk\nec.europa.eu\n"
    )
    result = draft(catalog, text)
    assert rules(result) == ["suffix: new.com"]
    assert [listed.name for listed, _ in result.held_back] == [
        *("microsoft.com", "outlook.office.com", "windowsupdate.com", "fgov.be", "www.gov.uk"),
        "ec.europa.eu",
    ]
    assert "# 6 entries were left out" in result.text
    assert "microsoft.com" not in result.text


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("microsoft.com", "microsoft.com"),
        ("a.b.windowsupdate.com", "windowsupdate.com"),
        ("finances.belgium.be", "belgium.be"),
        ("gov.br", "gov.*"),
        ("x.gov.br", "gov.*"),
        ("impots.gouv.fr", "gouv.*"),
        ("www.zoll.bund.de", "bund.de"),
        ("whitehouse.gov", "gov"),
        ("notmicrosoft.com", ""),
        ("gov.example.com", ""),
        ("microsoft.com.example.org", ""),
        ("www.tiktok.com", ""),
        ("com", ""),
    ],
)
def test_zones_and_all_below_them_are_common(name: str, zone: str) -> None:
    assert why_common(name).partition(", ")[0] == zone


def test_common_zones_are_host_names_once_each_and_a_shipped_rule_for_one_is_decided() -> None:
    groups = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    zones = [zone for group in groups.values() for zone in group["zones"]]
    assert len(zones) == len(set(zones)) > 350
    assert all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*(\.\*)?", zone) for zone in zones)
    for rule in load_signatures(["builtin"], Path()).rules():
        assert rule.name not in zones or rule.decide


def test_a_suffix_that_is_left_out_covers_nothing(catalog: Catalog) -> None:
    result = draft(catalog, "edgesuite.net\nfull:new.edgesuite.net\n")
    assert rules(result) == ["host: new.edgesuite.net"]


def test_a_zone_of_which_a_rule_takes_a_host_is_new(catalog: Catalog) -> None:
    assert rules(draft(catalog, "domain:videocdn.com\n")) == ["suffix: videocdn.com"]


def test_a_draft_passes_lint_as_a_file(catalog: Catalog, tmp_path: Path) -> None:
    text = "domain:new.org\nfull:a.example.net\n1.new.net @x\n"
    result = draft(catalog, text, App("fresh", VIDEO.name, "acme", "video"))
    assert result.open_questions == ()
    path = tmp_path / "fresh.yaml"
    path.write_text(result.text, encoding="utf-8")
    together = load_signatures([tmp_path / "mine", path], Path())
    assert lint(together) == []
    assert together.signatures["fresh"].app.name == VIDEO.name
    match = together.match("www.new.org")
    assert match is not None
    assert (match.app.id, match.role, match.grade) == ("fresh", "exclusive", "probable")


def test_what_a_person_must_decide_is_said(catalog: Catalog, write: Write) -> None:
    write("mail", "host: mail.wide.com, role: exclusive", folder="more")
    both = load_signatures([Path(catalog.signatures["chat"].file).parent,
                            write("mail", "host: mail.wide.com, role: exclusive", folder="more")],
                           Path())  # fmt: skip
    result = draft(both, "domain:wide.com\nfull:a.example.net\n", both.signatures["video"].app)
    (question,) = result.open_questions
    assert question.message.startswith(
        "suffix wide.com also matches host mail.wide.com of app 'mail'"
    )
    assert question.file == "video.yaml"


def test_another_name_for_a_known_app_is_a_question(catalog: Catalog) -> None:
    questions = draft(catalog, "domain:new.org\n").open_questions
    assert "expected the same name, vendor and category" in questions[0].message


def test_nothing_new_is_an_empty_draft(catalog: Catalog) -> None:
    app = catalog.signatures["video"].app
    result = draft(catalog, "domain:video.com\nfull:x.video.com\n", app)
    assert (result.rules, result.left_out, result.open_questions) == (0, (), ())
