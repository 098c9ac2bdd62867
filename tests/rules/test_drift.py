"""Differences between the catalogue and a list, in both directions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.lists.reader import read_list
from netwatch.rules.catalog import Catalog
from netwatch.rules.drift import Drift, compare
from netwatch.rules.load import load_signatures

Write = Callable[..., Path]


@pytest.fixture
def catalog(write: Write) -> Catalog:
    write(
        "video",
        "suffix: video.com, role: exclusive",
        "host: ads.video.com, role: embed",
        "host: p16.videocdn.com, role: exclusive",
        "suffix: video.net.akamaized.net, role: cdn",
        'glob: "v*-pull.videostream.com", role: exclusive',
        vendor="acme",
    )
    write("chat", "suffix: chat.com, role: exclusive", "suffix: talk.video.com, role: exclusive",
          vendor="acme")  # fmt: skip
    return load_signatures([write("other", "suffix: other.com, role: exclusive").parent], Path())


def drift(catalog: Catalog, text: str, app: str | None = "video", source: str = "mine") -> Drift:
    return compare(catalog, read_list("list", None, text.encode()), source, app)


def found(result: Drift, change: str) -> list[str]:
    return [f"{each.kind} {each.name}" for each in result.differences if each.change == change]


def test_a_name_below_a_suffix_is_not_lacking(catalog: Catalog) -> None:
    result = drift(catalog, "full:www.video.com\nvideo.com\ndeep.er.video.com\nnew.example\n")
    (app,) = result.apps
    assert (app.listed, app.have, app.coverage) == (4, 3, 0.75)
    assert found(result, "lacking") == ["suffix new.example"]


def test_a_zone_of_which_we_have_only_hosts_is_had_in_part(catalog: Catalog) -> None:
    result = drift(catalog, "domain:videocdn.com\ndomain:p16.videocdn.com\n")
    assert found(result, "partial") == ["suffix p16.videocdn.com", "suffix videocdn.com"]
    assert found(drift(catalog, "0.0.0.0 p16.videocdn.com\n"), "partial") == []


def test_names_of_another_app_are_named_with_the_rule(catalog: Catalog) -> None:
    result = drift(catalog, "||talk.video.com^\n||www.chat.com^\n")
    assert found(result, "other-app") == ["suffix talk.video.com", "suffix www.chat.com"]
    rules = [each.rule and each.rule.app.id for each in result.differences if each.rule]
    assert rules[:2] == ["chat", "chat"]


def test_shared_zones_and_public_suffixes_do_not_count_as_lacking(catalog: Catalog) -> None:
    result = drift(catalog, "domain:akamaized.net\ndomain:github.io\ndomain:video.com\n")
    assert found(result, "shared") == ["suffix akamaized.net", "suffix github.io"]
    assert found(result, "lacking") == []
    assert result.apps[0].coverage == 1.0


def test_globs_compare_by_their_zone_and_their_text(catalog: Catalog) -> None:
    text = "v*-pull.videostream.com\ncdn-*.video.com\nx*-pull.videostream.com\n"
    result = drift(catalog, text)
    assert found(result, "lacking") == ["glob x*-pull.videostream.com"]
    assert result.apps[0].have == 2


def test_rules_that_a_list_lacks_takes_out_or_has(catalog: Catalog) -> None:
    text = "||video.com^\n||v12-pull.videostream.com^\n@@||ads.video.com^\n"
    result = drift(catalog, text, source="test")
    assert found(result, "excepted") == ["host ads.video.com"]
    stale = ["host p16.videocdn.com", "suffix video.net.akamaized.net"]
    assert found(result, "stale-source") == stale
    assert found(result, "ours-only") == []
    assert (result.apps[0].rules, result.apps[0].confirmed) == (5, 2)
    assert found(drift(catalog, text, source="mine"), "ours-only") == stale
    assert found(drift(catalog, text, source="mine"), "unsourced") == [
        "glob v*-pull.videostream.com",
        "suffix video.com",
    ]


def test_an_exception_holds_below_a_longer_listed_name_only_in_filters(catalog: Catalog) -> None:
    filters = "@@||video.com^\n||ads.video.com^\n"
    assert found(drift(catalog, filters), "excepted") == ["host ads.video.com", "suffix video.com"]
    dnsmasq = "server=/video.com/#\naddress=/ads.video.com/0.0.0.0\n"
    assert found(drift(catalog, dnsmasq), "excepted") == ["suffix video.com"]


def test_without_an_app_names_go_to_the_app_of_their_domain(catalog: Catalog) -> None:
    names = ("www.chat.com", "v1.videocdn.com", "x.akamaized.net", "a.example")
    text = "".join(f"0.0.0.0 {name}\n" for name in names)
    result = drift(catalog, text, None)
    assert [(app.app, app.listed, app.have) for app in result.apps] == [
        ("chat", 1, 1),
        ("video", 1, 0),
    ]
    assert found(result, "lacking") == ["host v1.videocdn.com"]
    assert result.of_no_app == 2


def test_a_domain_of_several_apps_attributes_nothing(catalog: Catalog, write: Write) -> None:
    folder = write("one", "host: a.both.com, role: exclusive", folder="both").parent
    write("two", "host: b.both.com, role: exclusive", folder="both")
    result = drift(load_signatures([folder], Path()), "0.0.0.0 c.both.com\n", None)
    assert (result.apps, result.of_no_app) == ((), 1)


def test_patterns_are_counted_and_not_compared(catalog: Catalog) -> None:
    result = drift(catalog, "keyword:video\nregexp:video\\.com$\nfull:www.video.com\n")
    assert (result.patterns, result.apps[0].listed) == (2, 1)


def test_sources_of_one_family_confirm_nothing_new(write: Write) -> None:
    path = write("video", "suffix: video.com, role: exclusive")
    path.write_text(path.read_text().replace("[test]", "[hagezi]"))
    catalog = load_signatures([path], Path())
    assert found(drift(catalog, "||video.com^\n", source="adguard"), "unsourced") == []
    result = drift(catalog, "||video.com^\n", source="v2fly")
    assert found(result, "unsourced") == ["suffix video.com"]
    assert result.family("video") == "v2fly"
