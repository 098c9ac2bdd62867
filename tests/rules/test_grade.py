import re

import pytest

from netwatch.core.verdict import Confidence, Role
from netwatch.rules.catalog import Catalog
from netwatch.rules.grade import SOURCES, UNMARKED, Marks, families, grade, marks

TWO = ("v2fly", "nextdns")
ONE = ("danhorton7", "blocklistproject")


@pytest.mark.parametrize(
    ("role", "given", "sources", "expected"),
    [
        ("exclusive", marks(), TWO, "confirmed"),
        ("vendor", marks(), TWO, "probable"),
        ("embed", marks(), TWO, "possible"),
        ("cdn", marks(), TWO, "possible"),
        # pages or other apps call it too
        ("exclusive", marks(embed_reachable=True), TWO, "probable"),
        ("vendor", marks(embed_reachable=True), TWO, "possible"),
        ("embed", marks(embed_reachable=True), TWO, "possible"),
        ("cdn", marks(embed_reachable=True), TWO, "possible"),
        # a cap never raises
        ("exclusive", marks("probable"), TWO, "probable"),
        ("exclusive", marks("possible"), TWO, "possible"),
        ("vendor", marks("possible"), TWO, "possible"),
        ("vendor", marks("probable"), TWO, "probable"),
        ("embed", marks("probable"), TWO, "possible"),
        # nobody confirmed the owner
        ("exclusive", marks(verified=False), TWO, "probable"),
        ("vendor", marks(verified=False), TWO, "probable"),
        ("cdn", marks(verified=False), TWO, "possible"),
        # one independent source
        ("exclusive", marks(shipped=True), TWO, "confirmed"),
        ("exclusive", marks(shipped=True), ONE, "probable"),
        ("vendor", marks(shipped=True), ONE, "probable"),
        ("embed", marks(shipped=True), ONE, "possible"),
        ("exclusive", marks(), ONE, "confirmed"),
        ("exclusive", marks(), ("mine",), "confirmed"),
        # several conditions
        ("exclusive", marks("probable", False, True, True), ONE, "probable"),
        ("exclusive", marks("possible", False, True, True), TWO, "possible"),
        ("vendor", marks("probable", False, True), TWO, "possible"),
    ],
)
def test_the_decision_table(
    role: Role, given: Marks, sources: tuple[str, ...], expected: Confidence
) -> None:
    assert grade(role, given, sources).value == expected


def test_the_reasons_are_the_role_and_what_takes_it_down() -> None:
    assert grade("exclusive", marks(), TWO).reasons == (
        "the domain is this app's own (role exclusive): confirmed",
    )
    found = grade("exclusive", marks("possible", False, True, True), ONE).reasons
    assert found[1:] == (
        "pages or other apps call the domain too (embed_reachable): at most probable",
        "the rule says so (confidence: possible): at most possible",
        "the owner of the domain is not confirmed (verified: false): at most probable",
        "the shipped rule rests on one independent source (danhorton7, blocklistproject):"
        " at most probable",
    )
    assert len(grade("embed", marks("possible", False, True, True), ONE).reasons) == 1
    vendor = grade("vendor", marks("probable", False, True, True), ONE).reasons
    assert [reason.rpartition(" ")[2] for reason in vendor] == ["probable", "possible"]


def test_a_rule_that_says_nothing_has_these_marks() -> None:
    assert Marks() == UNMARKED == Marks(None, True, False, False)
    assert marks("probable", verified=False) is marks("probable", verified=False)


def test_the_same_grade_is_found_once() -> None:
    """A catalogue may have a million rules."""
    assert grade("vendor", marks(), TWO) is grade("vendor", marks(), TWO)


def test_conditions_are_the_role_or_what_takes_it_down() -> None:
    assert grade("exclusive", marks(), TWO).conditions == ("role exclusive",)
    assert grade("exclusive", marks("possible", False, True, True), ONE).conditions == (
        "embed_reachable",
        "confidence: possible",
        "verified: false",
        "one source",
    )


@pytest.mark.parametrize(
    ("role", "given", "sources", "app", "expected"),
    [
        ("exclusive", marks(shipped=True), ONE, "", "blocklistproject"),
        ("exclusive", marks(shipped=True), ("hagezi", "adguard"), "", "adguard"),
        ("exclusive", marks(shipped=True), ("v2fly", "adguard"), "telegram", "v2fly"),
        ("exclusive", marks(shipped=True), ("v2fly", "adguard"), "vk", ""),
        ("exclusive", marks(), ONE, "", ""),
        ("exclusive", marks(shipped=True), TWO, "", ""),
        ("exclusive", marks(shipped=True, verified=False), ONE, "", ""),
        ("exclusive", marks(shipped=True, embed_reachable=True), ONE, "", ""),
        ("vendor", marks(shipped=True), ONE, "", ""),
    ],
)
def test_a_lone_family_is_named_where_nothing_else_weighs_on_an_app_only_name(
    role: Role, given: Marks, sources: tuple[str, ...], app: str, expected: str
) -> None:
    assert grade(role, given, sources, app).lone_family == expected


def test_copies_are_one_family() -> None:
    assert families(["danhorton7", "blocklistproject"]) == {"blocklistproject"}
    assert families(["hagezi", "adguard", "hagezi-2022"]) == {"adguard"}
    assert families(["v2fly", "nextdns", "v2fly"]) == {"v2fly", "nextdns"}
    assert families([]) == frozenset()


def test_a_list_may_be_a_copy_for_one_app_only() -> None:
    assert families(["v2fly", "adguard"], "telegram") == {"v2fly"}
    assert families(["v2fly", "adguard"], "tiktok") == {"v2fly", "adguard"}


def test_an_unknown_source_is_a_family_of_its_own() -> None:
    assert families(["observed", "v2fly"]) == {"observed", "v2fly"}


def test_every_source_of_the_shipped_rules_is_described(shipped_catalog: Catalog) -> None:
    used = {tag for rule in shipped_catalog.rules() for tag in rule.sources}
    assert used <= set(SOURCES)
    assert all(source.family and source.description for source in SOURCES.values())
    assert all(re.fullmatch(r"20\d\d(-\d\d){0,2}", each.state) for each in SOURCES.values())
