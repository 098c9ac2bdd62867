import pickle
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import App
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import load_signatures
from netwatch.rules.signature import Kind, Rule, Signature

LABELS = ("a", "b", "ab", "a-b", "ba", "x")


def catalog_of(*rules: tuple[Kind, str]) -> Catalog:
    app = App("clips", "Clips", "maker", "video")
    made = tuple(
        Rule(kind, name, app, "exclusive", ("test",), "clips.yaml", line)
        for line, (kind, name) in enumerate(rules, 1)
    )
    return Catalog([Signature(app, made, (), (), "clips.yaml", 1)], "v")


def matched_rule(catalog: Catalog, name: str) -> str | None:
    match = catalog.match(name)
    return match.rule if match else None


def naive(rules: list[tuple[Kind, str]], name: str) -> list[str]:
    """All rules that take the name, by a look at each one."""
    labels = name.split(".")

    def takes(kind: Kind, rule: str) -> bool:
        wanted = rule.split(".")
        if kind == "suffix":
            return labels[-len(wanted) :] == wanted
        return len(labels) == len(wanted) and all(map(fnmatchcase, labels, wanted))

    def place(rule: tuple[Kind, str]) -> tuple[int, int, str]:
        kind, text = rule
        size = len(text) - text.count("*")
        return ["host", "glob", "suffix"].index(kind), -size, text

    return [" ".join(rule) for rule in sorted(rules, key=place) if takes(*rule)]


plain = st.lists(st.sampled_from(LABELS), min_size=2, max_size=4).map(".".join)
starred = st.tuples(
    st.lists(st.sampled_from(("*", "a*", "*b", "a*b", "*a*", "ab")), min_size=1, max_size=2),
    st.lists(st.sampled_from(LABELS), min_size=2, max_size=2),
).map(lambda parts: ".".join(parts[0] + parts[1]))
any_rule = st.one_of(
    st.tuples(st.sampled_from(("host", "suffix")), plain),
    st.tuples(st.just("glob"), starred.filter(lambda name: "*" in name)),
)
any_name = st.lists(st.sampled_from(LABELS), min_size=1, max_size=6).map(".".join)


@given(st.lists(any_rule, max_size=30, unique=True), any_name)
def test_lookups_find_what_a_scan_finds(rules: list[tuple[Kind, str]], name: str) -> None:
    catalog = catalog_of(*rules)
    found = [rule.match.rule for rule in catalog.matching_rules(name)]
    assert found == naive(rules, name)
    assert matched_rule(catalog, name) == (found[0] if found else None)


@given(st.text())
def test_any_text_is_rejected_or_matches(name: str) -> None:
    catalog = catalog_of(("suffix", "clips.example"), ("glob", "*.b.example"))
    match = catalog.match(name)
    assert match is None or name.endswith(".example")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("clips.example", "suffix clips.example"),
        ("www.clips.example", "suffix clips.example"),
        ("p16-x.clips.example", "glob p16-*.clips.example"),
        ("p16-sg-x.clips.example", "glob p16-sg-*.clips.example"),
        ("p16-va.clips.example", "host p16-va.clips.example"),
        ("a.p16-va.clips.example", "suffix clips.example"),
        ("px.eu.clips.example", "suffix eu.clips.example"),
        ("eu.clips.example", "suffix eu.clips.example"),
        ("notclips.example", None),
        ("clips.example.org", None),
        ("clips", None),
        ("example", None),
        ("", None),
        (".", None),
    ],
)
def test_the_most_specific_rule_wins(name: str, rule: str | None) -> None:
    catalog = catalog_of(
        ("suffix", "clips.example"),
        ("glob", "p16-*.clips.example"),
        ("glob", "p16-sg-*.clips.example"),
        ("host", "p16-va.clips.example"),
        ("suffix", "eu.clips.example"),
    )
    assert matched_rule(catalog, name) == rule


def test_a_star_stays_inside_one_label() -> None:
    catalog = catalog_of(("glob", "a*z.clips.example"))
    assert matched_rule(catalog, "a-z.clips.example")
    assert matched_rule(catalog, "az.clips.example")
    assert not matched_rule(catalog, "a.z.clips.example")
    assert not matched_rule(catalog, "b.az.clips.example")
    assert not matched_rule(catalog, "az.clips.example.org")


def test_stars_take_linear_time_for_hostile_names() -> None:
    catalog = catalog_of(("glob", f"{'a*' * 20}z.clips.example"))
    assert not matched_rule(catalog, f"{'a' * 200}.clips.example")
    assert matched_rule(catalog, f"{'a' * 200}z.clips.example")


def test_only_the_end_of_an_overlong_name_counts() -> None:
    catalog = catalog_of(
        ("suffix", "clips.example"), ("host", "a.clips.example"), ("glob", "*.b.example")
    )
    assert matched_rule(catalog, "a." * 50_000 + "clips.example") == "suffix clips.example"
    assert matched_rule(catalog, "a" * 300 + "clips.example") is None
    assert matched_rule(catalog, "x" * 300 + ".b.example") is None
    longest = "abcdefg." * 31 + "abcde"
    assert matched_rule(catalog_of(("suffix", longest)), f"a.{longest}") == f"suffix {longest}"


def test_many_rules_are_found() -> None:
    catalog = catalog_of(*(("suffix", f"n{number}.example") for number in range(100_000)))
    assert all(matched_rule(catalog, f"www.n{number}.example") for number in range(0, 100_000, 7))
    assert matched_rule(catalog, "www.n100000.example") is None


def test_a_catalogue_can_be_pickled() -> None:
    catalog = catalog_of(("suffix", "clips.example"), ("glob", "p*.b.example"))
    again: Catalog = pickle.loads(pickle.dumps(catalog))
    assert matched_rule(again, "px.b.example") == "glob p*.b.example"
    assert again.version == catalog.version
    assert again.apps() == catalog.apps()


def test_apps_are_chosen_by_id_vendor_and_category(write: Callable[..., Path]) -> None:
    write("clips", "suffix: clips.example, role: exclusive", vendor="maker")
    write("cuts", "suffix: cuts.example, role: exclusive", vendor="maker")
    catalog = load_signatures(
        [write("chat", "suffix: chat.example, role: exclusive").parent], Path()
    )
    problems = Problems()
    chosen = catalog.resolve_apps(
        [(3, "clips"), (4, "vendor:maker"), (5, "clipz"), (6, "category:vide")], "n.yaml", problems
    )
    assert chosen == {"clips", "cuts"}
    assert catalog.resolve_apps([(1, "category:video")], "n.yaml", problems) == {
        "clips",
        "cuts",
        "chat",
    }
    first, second = sorted(problems.found)
    assert (first.line, second.line) == (5, 6)
    assert "did you mean 'clips'" in first.message
    assert "did you mean 'category:video'" in second.message


def test_an_as_gives_the_apps_of_its_vendor(write: Callable[..., Path]) -> None:
    rest = "asns: [{number: 64496, name: MAKER}]\n"
    write("clips", "suffix: clips.example, role: exclusive", rest=rest)
    path = write("cuts", "suffix: cuts.example, role: exclusive", rest=rest)
    catalog = load_signatures([path.parent], Path())
    assert [app.id for app in catalog.apps_of_asn(64496)] == ["clips", "cuts"]
    assert catalog.apps_of_asn(64497) == ()
