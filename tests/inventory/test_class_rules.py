"""Which class a device of a register has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.inventory.class_rules import (
    ClassRule,
    class_by,
    folded_dn,
    folders_of,
    pattern_of,
)


def test_the_first_rule_that_fits_decides() -> None:
    rules = (
        ClassRule("infrastructure", (("role", ("router", "sw*")),)),
        ClassRule("personal", (("tag", ("byod",)), ("site", ("hq",)))),
        ClassRule("service"),
    )
    assert class_by(rules, {"role": ["Switch"]}) == "infrastructure"
    assert class_by(rules, {"tag": ["other", "BYOD"], "site": ["hq"]}) == "personal"
    assert class_by(rules, {"tag": ["byod"], "site": ["annex"]}) == "service"
    assert class_by(rules, {}) == "service"
    assert class_by(rules[:2], {}) is None


@pytest.mark.parametrize(
    ("folder", "is_in"),
    [
        ("OU=PC,OU=City,DC=city,DC=example", True),
        ("ou=city, dc=city, dc=example", True),
        ("dc=example", True),
        ("OU=C,OU=City,DC=city,DC=example", False),
        ("CN=ws-1,OU=PC,OU=City,DC=city,DC=example", False),
        ("OU=Ci*", True),
    ],
)
def test_a_computer_is_in_all_folders_above_it(folder: str, is_in: bool) -> None:
    rule = ClassRule("service", (("under", (pattern_of("under", folder),)),))
    dn = "CN=ws-1, OU=PC,OU=City,DC=city,DC=example"
    assert rule.fits({"under": folders_of(dn)}) is is_in


def test_an_escaped_comma_separates_nothing() -> None:
    assert folders_of(r"CN=a\,b,OU=x\\,DC=example") == [r"ou=x\\,dc=example", "dc=example"]
    assert folded_dn("CN=a\\") == "cn=a\\"


def test_long_names_take_little_time() -> None:
    assert folders_of("CN=a," * 1_000_000) == []
    assert len(folders_of("," * 8000)) == 64


@given(st.text())
def test_any_text_has_folders(dn: str) -> None:
    assert all(folded_dn(dn).endswith(folder) for folder in folders_of(dn))
