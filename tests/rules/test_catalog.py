import pickle
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import App, Role
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import load_signatures
from netwatch.rules.signature import Alias, Kind, Rule, Signature

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


TAILS = ("b.x", "x", "a.b.x")


def naive_under_tails(
    rules: list[tuple[Kind, str, Role]], aliases: set[str], name: str
) -> list[tuple[str, str]]:
    """All rules that take the name with its tail, by a look at each rule under each tail."""
    plain = [(kind, rule) for kind, rule, _ in rules]
    zones = {rule for kind, rule, role in rules if kind == "suffix" and role in ALIASED}
    found = [(text, "", len(text.split(" ")[1])) for text in naive(plain, name)]
    for tail in TAILS:
        if tail not in aliases or not name.endswith(f".{tail}"):
            continue
        before = naive(plain, name.removesuffix(f".{tail}"))
        while before and before[-1].split(" ")[0] + before[-1].split(" ")[1] not in {
            f"suffix{zone}" for zone in zones
        }:
            before.pop()
        for text in before:
            kind, rule = text.split(" ")
            whole = kind != "suffix"
            found.append((text, tail, len(name) if whole else len(rule) + 1 + len(tail)))

    def place(each: tuple[str, str, int]) -> tuple[int, bool]:
        text, tail, length = each
        written_out = not tail and not text.startswith("suffix")
        return -1000 if written_out else -length, bool(tail)

    # `sorted` is stable: rules of one place stay in the order of `naive`.
    return [(text, tail) for text, tail, _ in sorted(found, key=place)]


ALIASED: tuple[Role, ...] = ("exclusive", "vendor")
roled = st.tuples(any_rule, st.sampled_from(("exclusive", "vendor", "embed", "cdn"))).map(
    lambda each: (*each[0], each[1])
)


@given(
    st.lists(roled, max_size=30, unique_by=lambda each: each[:2]),
    st.sets(st.sampled_from(TAILS)),
    any_name,
    st.sampled_from(("", *TAILS)),
)
def test_lookups_under_tails_find_what_a_scan_finds(
    rules: list[tuple[Kind, str, Role]], aliases: set[str], name: str, tail: str
) -> None:
    app = App("clips", "Clips", "maker", "video")
    made = tuple(Rule(kind, rule, app, role, ("a",), "f", 1) for kind, rule, role in rules)
    tails = tuple(Alias(each, "f", 1) for each in TAILS if each in aliases)
    catalog = Catalog([Signature(app, made, (), (), "f", 1, aliases=tails)], "v")
    name = f"{name}.{tail}" if tail else name
    found = [(hit.rule.text, hit.tail) for hit in catalog.hits(name)]
    assert found == naive_under_tails(rules, aliases, name)
    parents = {name.split(".", number)[-1] for number in range(name.count(".") + 1)}
    assert not found or not catalog.zones().isdisjoint(parents)


@pytest.fixture
def under_tails(write: Callable[..., Path]) -> Catalog:
    write(
        "clips",
        "suffix: clips.com, role: exclusive",
        "suffix: pixel.clips.com, role: embed",
        'glob: "ads-*.clips.com", role: embed',
        "suffix: play.clips.com.edgesuite.net, role: cdn",
        "host: x.own.com, role: exclusive",
        vendor="maker",
        rest="aliases: [edgesuite.net, c.footprint.net]\n",
    )
    write("shop", "suffix: shop.clips.com, role: exclusive", vendor="maker")
    return load_signatures([write("chat", "suffix: chat.com, role: exclusive").parent], Path())


@pytest.mark.parametrize(
    ("name", "rule", "role"),
    [
        ("clips.com.edgesuite.net", "suffix clips.com", "exclusive"),
        ("v1.clips.com.edgesuite.net", "suffix clips.com", "exclusive"),
        ("v1.clips.com.c.footprint.net", "suffix clips.com", "exclusive"),
        # whatever pages embed is so under the tail, too
        ("pixel.clips.com.edgesuite.net", "suffix pixel.clips.com", "embed"),
        ("a.pixel.clips.com.edgesuite.net", "suffix pixel.clips.com", "embed"),
        ("ads-eu.clips.com.edgesuite.net", "glob ads-*.clips.com", "embed"),
        # and another app of the vendor in the zone is that app
        ("a.shop.clips.com.edgesuite.net", "suffix shop.clips.com", "exclusive"),
        # what is written out comes first
        ("play.clips.com.edgesuite.net", "suffix play.clips.com.edgesuite.net", "cdn"),
        # neither the tail alone, nor other customers, nor other tails, nor hosts
        ("edgesuite.net", None, None),
        ("notclips.com.edgesuite.net", None, None),
        ("clips.com.edgesuite.net.example", None, None),
        ("clips.com.footprint.net", None, None),
        ("clips.com.edgekey.net", None, None),
        ("x.own.com.edgesuite.net", None, None),
        ("clips.comedgesuite.net", None, None),
        # the tails of one app are not those of another
        ("chat.com.edgesuite.net", None, None),
    ],
)
def test_a_zone_is_found_under_the_tails_of_its_app(
    under_tails: Catalog, name: str, rule: str | None, role: str | None
) -> None:
    match = under_tails.match(name)
    assert (match and match.rule, match and match.role) == (rule, role)


def test_the_zones_of_aliases_are_names_and_not_whole_tails(under_tails: Catalog) -> None:
    zones = under_tails.zones()
    assert {"clips.com.edgesuite.net", "clips.com.c.footprint.net"} <= zones
    assert zones.isdisjoint({"edgesuite.net", "c.footprint.net", "chat.com.edgesuite.net"})
    assert pickle.loads(pickle.dumps(under_tails)).zones() == zones


def test_only_the_end_of_an_overlong_name_under_a_tail_counts(under_tails: Catalog) -> None:
    name = "a." * 50_000 + "pixel.clips.com.edgesuite.net"
    assert matched_rule(under_tails, name) == "suffix pixel.clips.com"


def test_tails_of_several_sources_are_merged(write: Callable[..., Path], tmp_path: Path) -> None:
    tails = "aliases: [edgesuite.net, a.net]\n"
    write("clips", "suffix: clips.com, role: exclusive", rest=tails)
    write(
        "clips",
        "suffix: more.com, role: vendor",
        folder="more",
        rest="aliases: [a.net, b.net]\n",
    )
    catalog = load_signatures(["mine", "more"], tmp_path)
    for zone in ("clips.com", "more.com"):
        for tail in ("edgesuite.net", "a.net", "b.net"):
            assert matched_rule(catalog, f"{zone}.{tail}") == f"suffix {zone}"
    assert len(catalog.signatures["clips"].aliases) == 3


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


def test_apps_of_a_vendor_may_name_the_same_as(write: Callable[..., Path]) -> None:
    rest = "asns: [{number: 64496, name: MAKER}]\n"
    write("clips", "suffix: clips.example, role: exclusive", rest=rest)
    path = write("cuts", "suffix: cuts.example, role: exclusive", rest=rest)
    catalog = load_signatures([path.parent], Path())
    numbers = {
        app_id: [asn.number for asn in each.asns] for app_id, each in catalog.signatures.items()
    }
    assert numbers == {"clips": [64496], "cuts": [64496]}
