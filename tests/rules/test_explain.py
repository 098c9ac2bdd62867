import pytest

from netwatch.rules.catalog import Catalog
from netwatch.rules.explain import why


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tiktok.com", "it is the zone itself"),
        ("www.tiktok.com", "it stands below tiktok.com at a label boundary"),
        (
            "analytics.tiktok.com",
            "it is that very name; more specific than suffix tiktok.com (tiktok, exclusive)",
        ),
        ("ads-eu.tiktok.com", "same labels"),
        ("a.nottiktok.com", "tiktok.com (tiktok) is only the end of the label 'nottiktok'"),
        ("tiktok.com.example.org", "its end tells the owner"),
        ("x.lf16-capcut.faceulv.com", "stands below faceulv.com"),
        ("a.p16-va-default.akamaized.net", "takes that very name, not what is below it"),
        ("tiktok-my.com", "it tells 'tiktok', but is no zone or host of that app"),
        ("www.example.org", "no rule has a name like it"),
        ("", "no rule has a name like it"),
    ],
)
def test_the_reason_is_told(shipped_catalog: Catalog, name: str, told: str) -> None:
    assert told in why(shipped_catalog, name)
