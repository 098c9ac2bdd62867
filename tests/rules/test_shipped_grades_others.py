"""The grades that the shipped signatures of apps other than ByteDance's give well-known names.

A host that pages, apps of others or servers call must not prove use of an app, and neither must any
host of the same kind; a host that only the app calls must.
"""

from typing import Any

import pytest
import yaml
from support.paths import SHARED

from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.rules.catalog import Catalog
from netwatch.rules.grade import GRADE_OF_ROLE

EVIDENCE = SHARED / "research" / "signature-evidence.yaml"

APPS = (
    "alipay",
    "alibaba-qwen",
    "aliexpress",
    "dahua",
    "deepseek",
    "encrypted-dns",
    "hik-connect",
    "huawei",
    "icloud-private-relay",
    "kaspersky",
    "kimi",
    "manus",
    "moomoo",
    "pinduoduo",
    "qq",
    "rednote",
    "shein",
    "signal",
    "telegram",
    "temu",
    "tigerbrokers",
    "tor",
    "vk",
    "vpn",
    "webull",
    "weibo",
    "wechat",
    "whatsapp",
    "yandex",
    "yandex-dns",
    "zoom",
)

OF_OTHERS = {
    "telegram": """telegram.org www.telegram.org oauth.telegram.org core.telegram.org t.me
        telegram.me api.telegram.org telegra.ph graph.org legra.ph contest.com fragment.com
        comments.app quiz.directory cdn4.cdn-telegram.org cdn5.telesco.pe tx.me tg.dev ton.org""",
    "whatsapp": """wa.me api.whatsapp.com chat.whatsapp.com www.whatsapp.com faq.whatsapp.com
        business.whatsapp.com static.whatsapp.net whatsappbrand.com scontent.whatsapp.net
        wl.co whatsapp.biz""",
    "zoom": """us01apizva.zoom.us us02apizva.zoom.us eu01apizva.zoom.us us01campaign.zoom.us
        eu01campaign.zoom.us us01ccistatic.zoom.us log-gateway.zoom.us source.zoom.us api.zoom.us
        st1.zoom.us zoom.us www.zoom.us www.zoom.com support.zoom.us""",
    "kaspersky": """www.kaspersky.com support.kaspersky.com www.kaspersky.be kaspersky.fr
        gc.kis.v2.scr.kaspersky-labs.com me.kis.v2.scr.kaspersky-labs.com crl.kaspersky.com
        otr.kaspersky.com""",
    "deepseek": """api.deepseek.com api-docs.deepseek.com cdn.deepseek.com status.deepseek.com
        fe-static.deepseek.com""",
    "kimi": "api.moonshot.ai api.moonshot.cn api.kimi.com platform.moonshot.ai platform.kimi.com",
    "wechat": """res.wx.qq.com res2.wx.qq.com mp.weixin.qq.com open.weixin.qq.com
        lp.open.weixin.qq.com api.weixin.qq.com api.mch.weixin.qq.com pay.weixin.qq.com
        qyapi.weixin.qq.com mmbiz.qpic.cn thirdwx.qlogo.cn qzonestyle.gtimg.cn mat1.gtimg.com
        app1.wxcloudrun.com mmbizurl.cn badjs.weixinbridge.com""",
    "qq": """connect.qq.com graph.qq.com ssl.ptlogin2.qq.com wpa.qq.com open.qq.com e.qq.com
        tajs.qq.com pingjs.qq.com bugly.qq.com t.captcha.qq.com v.qq.com player.video.qq.com
        apis.map.qq.com mail.qq.com url.cn ugdtimg.com foxmail.com pub.idqqimg.com""",
    "vk": """sun9-1.userapi.com sun9-1.vkuserphoto.ru
        vkvd1.vkuservideo.net st.vk-cdn.net mail.ru top-fwz1.mail.ru rs.mail.ru
        r.mail.ru ad.mail.ru vkvideo.ru ok.ru connect.ok.ru apiok.ru mycdn.me
        api.vk.com login.vk.com oauth.vk.com id.vk.com id.vk.ru ads.vk.com analytics.vk.com
        ms.vk.com
        target.vk.ru vk.cc vk.ru imgsmail.ru mradx.net
        vk-analytics.ru""",
    "aliexpress": """cnzz.mmstat.com log.mmstat.com at.alicdn.com g.alicdn.com s.alicdn.com
        img.alicdn.com ae01.alicdn.com ae01.aliexpress-media.com s.click.aliexpress.com""",
    "alibaba-qwen": """aliyun.com account.aliyun.com www.aliyun.com dns.aliyun.com
        portal.qwen.ai adtrack.qianwen.com""",
    "temu": """img.kwcdn.com aimg.kwcdn.com bstatic.kwcdn.com commimg.kwcdn.com img.temucdn.com
        pftk.temu.com thtk.temu.com""",
    "shein": "img.ltwebstatic.com assets.ltwebstatic.com www.romwe.com",
    "rednote": """xhslink.com sns-webpic-qc.xhscdn.com as.xiaohongshu.com t2.xiaohongshu.com
        apm-fe.xiaohongshu.com picasso-static.xiaohongshu.com customer.xiaohongshu.com""",
    "moomoo": "static.moomoo.com collect.futunn.com medialink-adx.moomoo.com",
    "signal": "signal.org www.signal.org support.signal.org signal.me signal.group",
    "weibo": "widget.weibo.com api.weibo.com wx1.sinaimg.cn t.cn click.uve.weibo.com",
    "alipay": "gw.alipayobjects.com openapi.alipay.com mapi.alipay.com",
    "yandex": """mc.yandex.ru mc.yandex.com mc.yandex.net an.yandex.ru yastatic.net yandex.st
        informer.yandex.ru api-maps.yandex.ru smartcaptcha.yandexcloud.net yandex.ru ya.ru
        avatars.mds.yandex.net ads.adfox.ru webvisor.org webvisor.com ymetrica1.com
        yandexadexchange.net clck.ru yandex.kz yango.com yastat.net""",
    "huawei": """metrics-dra.dt.hicloud.com metrics1.data.hicloud.com app.agconnect.link
        grs.dbankcloud.com
        connect-dre.hispace.hicloud.com push-api.cloud.huawei.com
        token-drcn.push.dbankcloud.com adx-dre.op.hicloud.com consumer.huawei.com www.vmall.com
        cloud.huawei.eu""",
    "vpn": """tailscale.com www.tailscale.com pkgs.tailscale.com api.tailscale.com nordvpn.com
        www.nordvpn.com www.expressvpn.com protonvpn.com mullvad.net www.surfshark.com hide.me
        account.nordaccount.com""",
    "tor": """www.torproject.org support.torproject.org deb.torproject.org check.torproject.org
        snowflake.torproject.org""",
    "encrypted-dns": "www.opendns.com nextdns.io my.nextdns.io www.cleanbrowsing.org",
    "icloud-private-relay": "mask-canary.icloud.com",
    "manus": "files.manuscdn.com api.manus.im",
    "pinduoduo": "img.pddpic.com",
    "webull": "api.webull.com",
    "tigerbrokers": "openapi.tigerfintech.com",
    "hik-connect": "open.ys7.com ieuopen.ezvizlife.com www.hikvision.com",
    "dahua": "openapi.easy4ip.com open.imoulife.com",
}
"""Names that pages, apps of others, servers or readers of a site call, by their app."""

ALSO_THE_APP = {
    "vk": "vk.com m.vk.com",
    "whatsapp": "pps.whatsapp.net graph.whatsapp.com graph.whatsapp.net web.whatsapp.com",
    "temu": "www.temu.com api.temu.com",
    "shein": "www.shein.com sheinsz.ltwebstatic.com",
    "aliexpress": "www.aliexpress.com m.aliexpress.com acs.aliexpress.com",
    "deepseek": "www.deepseek.com platform.deepseek.com",
    "kimi": "www.kimi.com",
    "alibaba-qwen": "tongyi.aliyun.com www.tongyi.com",
    "rednote": "www.xiaohongshu.com edith.xiaohongshu.com app.xiaohongshu.com",
    "weibo": "weibo.com m.weibo.cn",
    "signal": "updates.signal.org",
    "alipay": "www.alipay.com",
    "zoom": "us02web.zoom.us",
    "telegram": "td.telegram.org",
    "tor": "abc.onion.to snowflake-broker.torproject.net",
    "wechat": "www.wechat.com channels.weixin.qq.com support.weixin.qq.com",
    "manus": "manus.im www.manus.im",
    "moomoo": "api.futunn.com www.moomoo.com",
}
"""Names that others call as well as the app itself, by their app."""

APP_ONLY = {
    "telegram": "web.telegram.org pluto.web.telegram.org td.tdesktop.com",
    "whatsapp": """e1.whatsapp.net e16.whatsapp.net g.whatsapp.net mmg.whatsapp.net v.whatsapp.net
        media-bru2-1.cdn.whatsapp.net""",
    "signal": "chat.signal.org storage.signal.org sfu.voip.signal.org cdn3.signal.org",
    "weibo": "api.weibo.cn",
    "alipay": "mobilegw.alipay.com",
    "wechat": """short.weixin.qq.com long.weixin.qq.com szshort.weixin.qq.com sgshort.wechat.com
        hkextshort.weixin.qq.com szlong.weixin.qq.com dns.weixin.qq.com wx.qq.com web.wechat.com""",
    "tor": "aus1.torproject.org bridges.torproject.org",
    "deepseek": "chat.deepseek.com",
    "alibaba-qwen": "chat.qwen.ai",
    "kaspersky": "s00.upd.kaspersky.com dc1.ksn.kaspersky-labs.com activation-v2.kaspersky.com",
    "shein": "api-service.shein.com",
    "vpn": """api.protonvpn.ch engage.cloudflareclient.com controlplane.tailscale.com
        api.nordvpn.com""",
    "encrypted-dns": "dns.google dns.quad9.net mozilla.cloudflare-dns.com us-nyc.doh.sb",
    "yandex-dns": "common.dot.dns.yandex.net",
    "icloud-private-relay": "mask.icloud.com mask-h2.icloud.com",
}
"""Names that only the app calls, by their app."""


def _rows(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(app, name) for app, names in table.items() for name in names.split()]


@pytest.mark.parametrize(("app", "name"), _rows(OF_OTHERS))
def test_a_host_of_others_is_possible_at_most(
    shipped_catalog: Catalog, app: str, name: str
) -> None:
    match = shipped_catalog.match(name)
    assert match
    assert (match.app.id, match.grade) == (app, "possible")


@pytest.mark.parametrize(("app", "name"), _rows(ALSO_THE_APP))
def test_a_host_of_the_app_and_others_is_probable(
    shipped_catalog: Catalog, app: str, name: str
) -> None:
    match = shipped_catalog.match(name)
    assert match
    assert (match.app.id, match.grade, match.embed_reachable) == (app, "probable", True)


@pytest.mark.parametrize(("app", "name"), _rows(APP_ONLY))
def test_a_host_that_only_the_app_calls_is_confirmed(
    shipped_catalog: Catalog, app: str, name: str
) -> None:
    match = shipped_catalog.match(name)
    assert match
    assert (match.app.id, match.role, match.grade) == (app, "exclusive", "confirmed")


@pytest.mark.parametrize("app", APPS)
def test_every_app_says_ten_names_that_are_not_it(shipped_catalog: Catalog, app: str) -> None:
    examples = shipped_catalog.signatures[app].examples
    ignored = [example.name for example in examples if not example.wanted]
    assert len(set(ignored)) >= 10


def test_marks_follow_the_evidence(shipped_catalog: Catalog) -> None:
    """What the evidence calls reachable from pages has less than the grade of its role, and what
    it does not confirm is not confirmed."""
    if not EVIDENCE.is_file():
        pytest.skip("the evidence is not at hand")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    evidence: Any = yaml.load(EVIDENCE.read_text(), Loader=loader)
    for app in evidence["apps"]:
        if app["id"] not in APPS:
            continue
        for domain in app["domains"]:
            match = shipped_catalog.match(domain["name"])
            if match is None or domain["match"] not in ("host", "suffix"):
                continue
            if domain.get("embed_reachable") and match.role != "embed":
                assert match.grade is not None
                rank = CONFIDENCE_RANK[GRADE_OF_ROLE[match.role]]
                assert CONFIDENCE_RANK[match.grade] < rank, domain["name"]
            if not domain["verified"]:
                assert match.grade != "confirmed", domain["name"]
