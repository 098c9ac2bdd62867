from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.core.errors import ConfigError
from netwatch.rules.lint import EXAMPLE_RULES, LINT_RULES, lint
from netwatch.rules.load import load_signatures
from netwatch.rules.shared_zones import SHARED_ZONES

Write = Callable[..., Path]


def faults(folder: Path) -> list[tuple[str, int, str]]:
    found = lint(load_signatures([folder], Path()))
    return [(Path(each.file).name, each.line, each.message) for each in found]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("suffix: co.uk", "is a public suffix"),
        ("host: com.au", "is a public suffix"),
        ("suffix: github.io", "is a public suffix"),
        ("suffix: akamaized.net", "matches a whole shared zone"),
        ("host: fastly.net", "matches a whole shared zone"),
        ("suffix: aliyuncs.com", "whose customers run any service"),
        ("suffix: com.akamaized.net", "'com' is not the name of a customer"),
        ('glob: "clips*.co.uk"', "* in its registrable domain"),
        ('glob: "p*.akamaized.net"', "expected at least 4 letters next to the * in 'p*'"),
        ('glob: "*.clips.com.cloudfront.net"', ""),
        ('glob: "p16-clips-*.akamaized.net"', ""),
        ('glob: "*.clips.co.uk"', ""),
        ("suffix: clips.akamaized.net", ""),
        ("suffix: clips.com.akamaized.net", ""),
        ("suffix: clips.co.uk", ""),
    ],
)
def test_a_rule_must_not_match_names_of_other_owners(
    write: Write, domain: str, expected: str
) -> None:
    folder = write("clips", "suffix: clips.com, role: exclusive", f"{domain}, role: cdn").parent
    found = faults(folder)
    assert [(file, line) for file, line, _ in found] == [("clips.yaml", 7)] * bool(expected)
    assert all(expected in message for _, _, message in found)


EVERYBODYS = (
    "suffix: microsoft.com",
    "suffix: windowsupdate.com",
    "host: ctldl.windowsupdate.com",
    "suffix: europa.eu",
    "suffix: gov.be",
    "host: www.gov.uk",
    "suffix: service.gov.uk",
    "suffix: corp.internal",
    "host: printer.local",
    "suffix: quad9.net",
    "host: dns.google",
    'glob: "*.update.microsoft.com"',
)


@pytest.mark.parametrize("domain", EVERYBODYS)
@pytest.mark.parametrize("role", ["exclusive", "vendor", "embed", "cdn"])
def test_a_name_of_everybody_needs_a_decision(write: Write, domain: str, role: str) -> None:
    path = write("clips", f"{domain}, role: {role}")
    with pytest.raises(ConfigError) as caught:
        load_signatures([path], Path())
    (found,) = caught.value.problems
    assert (found.file, found.line) == (str(path), 6)
    assert "expected 'decide:' with the reason why the app 'clips' may claim it" in found.message
    assert found.message.endswith("[common-zone]")
    path = write("clips", f"{domain}, role: {role}, decide: its owner says so")
    (rule,) = load_signatures([path], Path()).rules()
    assert rule.decide == "its owner says so"
    assert "[common-zone]" not in str(lint(load_signatures([path], Path())))


@pytest.mark.parametrize(
    "domain",
    [
        "suffix: clips.akamaized.net",
        "suffix: clips.github.io",
        "host: clips.azurewebsites.net",
        "suffix: notmicrosoft.com",
        "suffix: internal.example",
        "host: gov.example.com",
    ],
)
def test_a_name_of_one_owner_needs_no_decision(write: Write, domain: str) -> None:
    assert faults(write("clips", f"{domain}, role: exclusive").parent) == []


@pytest.mark.parametrize("zone", sorted(SHARED_ZONES))
def test_every_shared_zone_is_refused(write: Write, zone: str) -> None:
    (found,) = faults(write("clips", f"suffix: {zone}, role: cdn").parent)
    assert found[2].endswith("; expected a name below it [shared-zone]")


def test_a_suffix_must_not_match_an_app_of_another_vendor(write: Write) -> None:
    write("clips", "suffix: x.com, role: exclusive", "suffix: maker.com, role: vendor")
    write("chat", "suffix: y.com, role: exclusive", "host: chat.maker.com, role: exclusive")
    folder = write("mail", 'glob: "m-*.eu.maker.com", role: exclusive').parent
    found = faults(folder)
    assert [(file, line) for file, line, _ in found] == [("clips.yaml", 7)] * 2
    assert "also matches glob m-*.eu.maker.com of app 'mail'" in found[0][2] + found[1][2]
    assert "also matches host chat.maker.com of app 'chat'" in found[0][2] + found[1][2]


def test_a_glob_must_not_match_an_app_of_another_vendor(write: Write) -> None:
    write("clips", 'glob: "c*.maker.com", role: exclusive')
    folder = write("chat", "host: chat.maker.com, role: exclusive").parent
    ((file, line, message),) = faults(folder)
    assert (file, line) == ("clips.yaml", 6)
    assert "also matches host chat.maker.com" in message


def test_a_suffix_may_match_apps_of_the_same_vendor(write: Write) -> None:
    write("clips", "suffix: maker.com, role: vendor", vendor="maker")
    folder = write("chat", "suffix: chat.maker.com, role: exclusive", vendor="maker").parent
    assert faults(folder) == []


def test_a_name_belongs_to_one_app(write: Write) -> None:
    write("chat", "suffix: maker.com, role: vendor", vendor="maker")
    folder = write("clips", "host: maker.com, role: exclusive", vendor="maker").parent
    ((file, line, message),) = faults(folder)
    assert (file, line) == ("clips.yaml", 6)
    assert "is also a name of app 'chat'" in message
    assert "chat.yaml:6" in message


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("tests: {match: [www.clips.org]}\n", "must match, but no rule matches it"),
        ("tests: {match: [a.chat.clips.com]}\n", "suffix chat.clips.com of 'chat'"),
        ("tests: {ignore: [a.clips.com]}\n", "must not match, but suffix clips.com matches it"),
        (
            "tests: {ignore: [a.chat.clips.com]}\n",
            "must not match, but suffix clips.com matches it",
        ),
        ("tests: {match: [a.clips.com], ignore: [notclips.com, clips.com.example]}\n", ""),
    ],
)
def test_examples_are_checked(write: Write, rest: str, expected: str) -> None:
    write("chat", "suffix: chat.clips.com, role: exclusive", vendor="maker")
    folder = write("clips", "suffix: clips.com, role: exclusive", vendor="maker", rest=rest).parent
    found = faults(folder)
    assert [(file, line) for file, line, _ in found] == [("clips.yaml", 7)] * bool(expected)
    assert all(expected in message for _, _, message in found)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("com.cn", "is a public suffix"),
        ("chat.com", "is a name of app 'chat'"),
        ("a.chat.com", "is a name of app 'chat'"),
        ("cdn.maker.com", ""),
        ("edgesuite.net", ""),
        ("tail.example", ""),
    ],
)
def test_a_cdn_tail_must_not_be_anybodys_name(write: Write, tail: str, expected: str) -> None:
    write("chat", "suffix: chat.com, role: exclusive")
    write("infra", "suffix: maker.com, role: vendor", vendor="maker")
    folder = write(
        "clips",
        "suffix: clips.com, role: exclusive",
        vendor="maker",
        rest=f"aliases: [{tail}]\n",
    ).parent
    found = faults(folder)
    assert [(file, line) for file, line, _ in found] == [("clips.yaml", 7)] * bool(expected)
    assert all(expected in message and "[alias-tail]" in message for _, _, message in found)


def test_each_lint_rule_has_an_id_and_a_description() -> None:
    ids = [rule.id for rule in LINT_RULES]
    assert len(set(ids)) == len(ids)
    assert all(rule.description and rule.severity == "error" for rule in LINT_RULES)
    assert set(EXAMPLE_RULES) < set(LINT_RULES)
