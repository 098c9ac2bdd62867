from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.rules.catalog import Catalog
from netwatch.rules.explain import explain_name
from netwatch.rules.load import load_signatures


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiktok.com", "the name is the zone itself"),
        ("www.tiktok.com", "the name is below tiktok.com at a label boundary"),
        (
            "seller.tiktok.com",
            "exactly this host; more specific than suffix tiktok.com (tiktok, exclusive)",
        ),
        ("ads-eu.tiktok.com", "same labels"),
        ("a.nottiktok.com", "tiktok.com (tiktok) is only the end of the label 'nottiktok'"),
        ("tiktok.com.example.org", "the end of a name tells its owner"),
        ("x.lf16-capcut.faceulv.com", "is below faceulv.com"),
        ("a.p16-va-default.akamaized.net", "matches exactly that name, and none below it"),
        ("tiktok-my.com", "it contains 'tiktok', but is not a name of that app"),
        ("www.example.org", "no rule has a similar name"),
        ("", "no rule has a similar name"),
    ],
)
def test_the_reason_is_given(shipped_catalog: Catalog, name: str, expected: str) -> None:
    assert expected in explain_name(shipped_catalog, name)[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "clips.com.edgesuite.net",
            "the name is clips.com.edgesuite.net: zone clips.com under the CDN tail edgesuite.net",
        ),
        (
            "v1.clips.com.edgesuite.net",
            "the name is below clips.com.edgesuite.net: zone clips.com under the CDN tail"
            " edgesuite.net",
        ),
        (
            "px.clips.com.edgesuite.net",
            "the name is px.clips.com under the CDN tail edgesuite.net; more specific than"
            " suffix clips.com under edgesuite.net (clips, exclusive)",
        ),
        ("notclips.com.edgesuite.net", "it contains clips.com (clips), but the end of a name"),
    ],
)
def test_a_name_under_a_cdn_tail_is_explained(
    write: Callable[..., Path], name: str, expected: str
) -> None:
    path = write(
        "clips",
        "suffix: clips.com, role: exclusive",
        "host: px.clips.com, role: embed",
        rest="aliases: [edgesuite.net]\n",
    )
    assert expected in explain_name(load_signatures([path], Path()), name)[1]
