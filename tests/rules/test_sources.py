import re

from netwatch.rules.catalog import Catalog
from netwatch.rules.sources import SOURCES, families


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
