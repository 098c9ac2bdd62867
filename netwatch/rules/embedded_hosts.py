"""Hosts in the zones of apps that pages, other apps or servers call without the app.

A contact with one of them proves no use of the app, so no shipped rule may give it more than the
grade in this table (lint rule ``embedded-host``). Most give ``possible``. Those that the app or a
visitor of its site calls just as well give ``probable``: the contact is worth an alert that says
what speaks against it. The rules themselves apply to all hosts of the same kind; the table has
examples of each kind, so that a rule which is too strong is noticed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from netwatch.core.verdict import Confidence


@dataclass(frozen=True, slots=True)
class EmbeddedHost:
    """A host, the highest grade that a rule may give it, and who calls it, in words that complete
    the sentence "HOST is called by …"."""

    host: str
    most: Confidence
    callers: str


_PROBABLE: Mapping[str, str] = {
    "www.tiktok.com": "the app's site and by pages that embed its player",
    "telegram.org": "the app's site and by pages with its widgets",
    "t.me": "people who follow a link and by pages that embed posts",
    "vk.com": "the app's site and by pages with its widgets and share buttons",
    "mail.ru": "the portal of the vendor and by pages with its counters",
    "vkvideo.ru": "the app's site and by pages that embed its player",
    "www.kaspersky.com": "customers and by readers of product and news pages",
    "edith.xiaohongshu.com": "the app and by pages of its site that people share",
    "web.whatsapp.com": "the app in the browser and by links to a chat",
    "cloudflareclient.com": "the app and by pages that check a connection",
    "capcutapi.com": "the app and by its editor on the web",
}
"""Each serves the app or its site, too: a visit to it is what a ban is about."""

_POSSIBLE: Mapping[str, tuple[str, ...]] = {
    "pages that embed a player or a video": (
        "lf16-tiktok-common.tiktokcdn-us.com",
        "lf16-cdn-tos.tiktokcdn-us.com",
        "lf16-tiktok-web.tiktokcdn-us.com",
        "v45-p.tiktokcdn-us.com",
        "v19.tiktokcdn-us.com",
        "v16m.tiktokcdn-us.com",
        "libraweb-va.tiktok.com",
        "libraweb.tiktokw.us",
        "libraweb-ttp2.tiktokw.eu",
        "vmweb.us.tiktok.com",
        "mcs-ttp2.us.tiktok.com",
        "mcs.tiktokv.us",
        "mcs.tiktokw.us",
        "mcs-ie.tiktokw.eu",
        "mcs-ie2.tiktokw.eu",
        "mcs16-normal-no1a.tiktokw.eu",
        "mssdk.tiktokw.us",
        "mssdk-ttp2.tiktokw.us",
        "mssdk.tiktokw.eu",
        "webmssdk16-normal-no1a.tiktokw.eu",
        "mon16-normal-useast5.tiktokv.us",
        "mon16-normal-no1a.tiktokv.eu",
        "starling-ttp2.tiktokv.us",
        "sf16-website-login.neutral.ttwstatic.com",
        "lf16-tiktok-web.neutral.ttwstatic.com",
    ),
    "pages with a pixel, a counter or ads": (
        "analytics.tiktok.com",
        "analytics.us.tiktok.com",
        "analytics-sg.tiktok.com",
        "analytics-i18n.tiktok.com",
        "analytics-ipv6.tiktokw.us",
        "analytics-ie.tiktokw.eu",
        "analytics16-normal-no1a.tiktokw.eu",
        "ads.tiktok.com",
        "ads-api.tiktok.com",
        "ads-sg.tiktok.com",
        "ad.tiktokv.com",
        "p16-tiktok-web-ads-sg.ibyteimg.com",
        "ads.vk.com",
        "ms.vk.com",
        "analytics.vk.com",
        "top-fwz1.mail.ru",
        "cnzz.mmstat.com",
        "adtrack.qianwen.com",
        "vmweb-va.capcutapi.com",
        "collect.futunn.com",
        "medialink-adx.moomoo.com",
        "mc.yandex.ru",
        "mc.yandex.com",
        "an.yandex.ru",
    ),
    "servers and by developers of other services": (
        "developers.tiktok.com",
        "business-api.tiktok.com",
        "open.tiktokapis.com",
        "open-api.tiktok.com",
        "api.telegram.org",
        "api.deepseek.com",
        "api.moonshot.ai",
        "api.manus.im",
        "portal.qwen.ai",
        "openapi.alipay.com",
        "api.weibo.com",
        "tailscale.com",
        "api-maps.yandex.ru",
    ),
    "other apps that carry an SDK of the vendor": (
        "apm.volccdn.com",
        "api16-access-sg.pangle.io",
        "log.sgsnssdk.com",
        "mon-va.byteoversea.com",
        "gator.volces.com",
        "apmplus.volces.com",
        "tab.volces.com",
        "appmetrica.yandex.ru",
        "snssdk1233.onelink.me",
        "musically.app.link",
    ),
    "pages with a share link, a login button or public content": (
        "telegra.ph",
        "contest.com",
        "wa.me",
        "api.whatsapp.com",
        "connect.qq.com",
        "graph.qq.com",
        "mp.weixin.qq.com",
    ),
    "sites with a widget of a contact centre": (
        "us01apizva.zoom.us",
        "us01campaign.zoom.us",
        "log-gateway.zoom.us",
    ),
    "pages that load a script, a font or an image from it": (
        "res.wx.qq.com",
        "at.alicdn.com",
        "g.alicdn.com",
        "yastatic.net",
        "sun9-1.userapi.com",
        "img.kwcdn.com",
        "aimg.kwcdn.com",
        "img.ltwebstatic.com",
        "p16-va.lemon8cdn.com",
        "p16-oec-general-useast5.ttcdn-us.com",
        "fe-static.deepseek.com",
        "scontent.whatsapp.net",
        "static.moomoo.com",
        "wx1.sinaimg.cn",
        "gw.alipayobjects.com",
        "lf16-capcut.faceulv.com",
    ),
    "pages of its site, whoever opens them": (
        "apm-fe.xiaohongshu.com",
        "as.xiaohongshu.com",
        "customer.xiaohongshu.com",
        "picasso-static.xiaohongshu.com",
        "t2.xiaohongshu.com",
    ),
    "pages of another app of the vendor": ("lf-lemon8-web.tiktokcdn-us.com",),
}


def _rows() -> Iterator[EmbeddedHost]:
    for host, callers in _PROBABLE.items():
        yield EmbeddedHost(host, "probable", callers)
    for callers, hosts in _POSSIBLE.items():
        for host in hosts:
            yield EmbeddedHost(host, "possible", callers)


EMBEDDED_HOSTS: Mapping[str, EmbeddedHost] = MappingProxyType({row.host: row for row in _rows()})
"""The rows by their hosts."""
