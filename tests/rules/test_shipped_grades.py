"""The grades of the shipped rules of ByteDance's apps: hosts that pages, SDKs or other apps call
prove no use of an app, whatever zone or region they are in; hosts that only an app calls do.

`netwatch.rules.lint_shipped` has hosts that were seen; here are their siblings in other zones and
regions, and which app each belongs to."""

import pytest

from netwatch.core.verdict import CONFIDENCE_RANK, Confidence
from netwatch.rules.catalog import Catalog

PROBABLE: dict[str, str] = {
    "www.tiktok.com": "tiktok",
    "m.tiktok.com": "tiktok",
    "vm.tiktok.com": "tiktok",
    "www.douyin.com": "douyin",
    "www.toutiao.com": "toutiao",
    "www.capcut.com": "capcut",
    "seller.tiktok.com": "tiktok-shop",
    "www.lemon8-app.com": "lemon8",
    "www.feishu.cn": "lark",
    "www.larksuite.com": "lark",
}
"""Hosts that serve the app or its site and that pages or links reach, with their app."""

SDK_LABELS = (
    "libraweb", "libraweb-va", "mcs", "mcs-va", "mcs16-normal-no1a", "mon", "mon-va",
    "mon16-normal-useast5", "mssdk", "mssdk-ttp2", "mssdk16-normal-useast5", "webmssdk",
    "starling", "starling-sg", "vmweb", "analytics", "analytics-sg",
)  # fmt: skip
SDK_ZONES = (
    "tiktok.com", "us.tiktok.com", "eu.tiktok.com", "tiktokv.com", "us.tiktokv.com", "tiktokv.eu",
    "tiktokv.us", "tiktokw.eu", "tiktokw.us",
)  # fmt: skip
"""Every label of the SDK in every zone, whether it was seen there or not."""

CDN_LABELS = (
    "lf16-tiktok-common", "lf16-tiktok-web", "lf16-cdn-tos", "sf16-va", "s20", "p16-sign-va",
    "p19-pu-sign-useast8", "p77-sign-sg", "v16m", "v16-webapp", "v19", "v45-p", "v77",
)  # fmt: skip
CDN_ZONES = ("tiktokcdn.com", "tiktokcdn-us.com", "tiktokcdn-eu.com")

POSSIBLE: dict[str, str] = {
    **{f"{label}.{zone}": "tiktok" for label in SDK_LABELS for zone in SDK_ZONES},
    **{f"{label}.{zone}": "tiktok" for label in CDN_LABELS for zone in CDN_ZONES},
    "sf16-website-login.neutral.ttwstatic.com": "tiktok",
    "lf16-tiktok-web.neutral.ttwstatic.com": "tiktok",
    "lf16-tiktok-web.ttwstatic.com": "tiktok",
    "analytics-ipv6.tiktokw.us": "tiktok",
    "mcs-ie.tiktokw.eu": "tiktok",
    "webmssdk16-normal-no1a.tiktokw.eu": "tiktok",
    "v16-webapp-prime.us.tiktok.com": "tiktok",
    "gecko16-normal-useast5.tiktokv.us": "tiktok",
    "developers.tiktok.com": "tiktok",
    "business-api.tiktok.com": "tiktok",
    "open-api.tiktok.com": "tiktok",
    "newsroom.tiktok.com": "tiktok",
    "ads.tiktok.com": "tiktok",
    "p16-tiktok-va.ibyteimg.com": "tiktok",
    "p16-musical-sg.ibyteimg.com.edgesuite.net": "tiktok",
    "mcs.tiktokv.us.edgesuite.net": "tiktok",
    "v16m.tiktokcdn.com.akamaized.net": "tiktok",
    "p16-va-default.akamaized.net": "tiktok",
    "snssdk1233.onelink.me": "tiktok",
    "p16-tiktok-web-ads-sg.ibyteimg.com": "tiktok",
    "p16-ad-sg.ibyteimg.com": "tiktok-ads",
    "open.tiktokapis.com": "tiktok-ads",
    "api16-access-sg.pangle.io": "tiktok-ads",
    "api16-access-ttp.tiktokpangle.us": "tiktok-ads",
    "api-access.pangolin-sdk-toutiao.com": "tiktok-ads",
    "mcs.ctobsnssdk.com": "tiktok-ads",
    "pangolin.snssdk.com": "tiktok-ads",
    "p16-oec-general-useast5.ttcdn-us.com": "tiktok-shop",
    "p16-oec-ttp.tiktokcdn-us.com": "tiktok-shop",
    "p16-oec-va.ibyteimg.com": "tiktok-shop",
    "open-api.tiktokglobalshop.com": "tiktok-shop",
    "lf-lemon8-web.tiktokcdn-us.com": "lemon8",
    "p16-lemon8-sign-sg.tiktokcdn.com": "lemon8",
    "p16-va.lemon8cdn.com": "lemon8",
    "p16-capcut-cms-sg.ibyteimg.com": "capcut",
    "mon16-normal-us-ttp.capcutapi.us": "capcut",
    "open.feishu.cn": "lark",
    "open.larksuite.com": "lark",
    "msg-frontier.feishu.cn": "lark",
    "p3-lark-file.byteimg.com": "lark",
    "mon.toutiao.com": "toutiao",
    "open.douyin.com": "douyin",
    "api.coze.com": "trae-coze",
    "p16-flow-sign-va.ciciai.com": "doubao-dola",
    "log.sgsnssdk.com": "bytedance-infra",
    "mon-va.byteoversea.com": "bytedance-infra",
    "maliva-mcs.byteoversea.com": "bytedance-infra",
    "log.snssdk.com": "bytedance-infra",
    "gator.volces.com": "bytedance-infra",
    "ark.cn-beijing.volces.com": "bytedance-infra",
    "lf3-data.volccdn.com": "bytedance-infra",
    "lf1-cdn-tos.bytegoofy.com": "bytedance-infra",
    "p3-sign.byteimg.com": "bytedance-infra",
    "p16-hera-sign-va.ibyteimg.com": "bytedance-infra",
    "lf16-effectcdn.byteeffecttos-g.com": "bytedance-infra",
    "sf16-sg.bytedance.map.fastly.net": "bytedance-infra",
    "www.bytedance.com": "bytedance-infra",
}
"""Hosts that give at most ``possible``, with the app they belong to."""

CONFIRMED: dict[str, str] = {
    "api16-normal-c-useast1a.tiktokv.com": "tiktok",
    "api22-core-c-alisg.tiktokv.com": "tiktok",
    "api31-normal-alisg.tiktokv.com": "tiktok",
    "api16-normal-useast5.us.tiktokv.com": "tiktok",
    "api16-normal-no1a.tiktokv.eu": "tiktok",
    "api16-normal-useast5.tiktokv.us": "tiktok",
    "aggr16-normal.tiktokv.us": "tiktok",
    "webcast22-normal-c-alisg.tiktokv.com": "tiktok",
    "webcast16-normal-no1a.tiktokv.eu": "tiktok",
    "hotapi16-normal-no1a.tiktokv.eu": "tiktok",
    "search16-normal-c-useast1a.tiktokv.com": "tiktok",
    "im-va.tiktokv.com": "tiktok",
    "frontier-va.tiktokv.com": "tiktok",
    "api2.musical.ly": "tiktok",
    "api.row.tiktokglobalshopv.com": "tiktok-shop",
    "editor-api-sg.capcutapi.com": "capcut",
    "api3-normal-c-hl.amemv.com": "douyin",
    "webcast.amemv.com": "douyin",
    "api5-normal-lf.toutiaoapi.com": "toutiao",
    "internal-api-lark-api.feishu.cn": "lark",
    "internal-api-lark-api.larksuite.com": "lark",
    "trae-api-sg.mchost.guru": "trae-coze",
}
"""Hosts that only the app calls, as far as is known, with their app."""

NEVER_CONFIRMED = (
    "tiktokcdn.com", "tiktokcdn-us.com", "tiktokcdn-eu.com", "tiktokcdn-in.com", "ttwstatic.com",
    "tiktokw.us", "tiktokw.eu", "tiktok.com", "tiktokv.com", "tiktokv.eu", "tiktokv.us",
    "ibyteimg.com", "byteoversea.com", "tiktok-row.net", "muscdn.com",
)  # fmt: skip
"""Zones of which some hosts are called by others: an unknown host in one proves nothing."""


@pytest.mark.parametrize(
    ("most", "hosts"),
    [("probable", PROBABLE), ("possible", POSSIBLE)],
    ids=["probable", "possible"],
)
def test_a_host_that_others_call_has_at_most_its_grade(
    shipped_catalog: Catalog, most: Confidence, hosts: dict[str, str]
) -> None:
    wrong = []
    for host, app in hosts.items():
        match = shipped_catalog.match(host)
        assert match, host
        if (
            match.app.id != app
            or CONFIDENCE_RANK[match.grade or "confirmed"] > CONFIDENCE_RANK[most]
        ):
            wrong.append((host, match.app.id, match.rule, match.grade))
    assert wrong == []


@pytest.mark.parametrize(("host", "app"), CONFIRMED.items())
def test_a_host_that_only_the_app_calls_is_confirmed(
    shipped_catalog: Catalog, host: str, app: str
) -> None:
    match = shipped_catalog.match(host)
    assert match
    assert (match.app.id, match.grade, match.app_only) == (app, "confirmed", True)


@pytest.mark.parametrize("zone", NEVER_CONFIRMED)
def test_an_unknown_host_of_a_shared_zone_is_not_confirmed(
    shipped_catalog: Catalog, zone: str
) -> None:
    match = shipped_catalog.match(f"xyz123.{zone}")
    assert match
    assert match.grade != "confirmed"


def test_shared_infrastructure_proves_no_app(shipped_catalog: Catalog) -> None:
    """A ban on all apps of the vendor must not accuse every app that contains its SDK, and nothing
    that all of its apps use shows which one it is."""
    rules = shipped_catalog.signatures["bytedance-infra"].rules
    assert {rule.role for rule in rules} == {"vendor", "embed"}
    assert {rule.grade.value for rule in rules} == {"probable", "possible"}
    ads = shipped_catalog.signatures["tiktok-ads"].rules
    assert {rule.grade.value for rule in ads} == {"possible"}


@pytest.mark.parametrize(
    ("name", "app"),
    [
        ("pull-f5-tt01.tiktokcdn.com.c.bytefcdn-oversea.com", "tiktok"),
        ("api.tiktok.com.c.footprint.net", "tiktok"),
        ("muscdn.com.cdn.cloudflare.net", "tiktok"),
        ("frontier-ru.tiktokv.com.edgekey.net", "tiktok"),
        ("tiktokw.us.edgesuite.net", "tiktok"),
        ("www.larksuite.com.ttdns2.com", "lark"),
        ("p1.pstatp.com.w.kunluncan.com", "bytedance-infra"),
        ("aweme.amemv.com.w.cdngslb.com", "douyin"),
        ("api-spe-a.isnssdk.com.edgekey.net", "bytedance-infra"),
    ],
)
def test_a_zone_under_a_tail_of_a_cdn_belongs_to_the_app(
    shipped_catalog: Catalog, name: str, app: str
) -> None:
    match = shipped_catalog.match(name)
    assert match
    assert match.app.id == app


@pytest.mark.parametrize(
    "name",
    [
        "app-measurement.com", "alog.umeng.com", "v.bsgslb.com", "opencdnpstatp.wshifen.com",
        "d1234abcd.cloudfront.net", "tiktokcdn.com.localdomain", "api.gifshow.com",
        "static.kspkg.com", "tik-tokcdn.com", "tiktokusds.com", "lifeattiktok.com",
        "nottiktok.com", "tiktok.com.example.org", "lark.com", "footprint.net", "edgesuite.net",
        "w.kunluncan.com", "bytes.example", "www.coze.com.example.org",
    ],
)  # fmt: skip
def test_names_of_others_match_no_app_of_the_vendor(shipped_catalog: Catalog, name: str) -> None:
    match = shipped_catalog.match(name)
    assert match is None or match.app.vendor != "bytedance"
