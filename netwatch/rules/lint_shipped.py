"""Checks of the signatures and bans that netwatch ships: that they name their sources, and accuse
nobody wrongly.

A site's own rules count as their authors wrote them, so none of this applies to them. A check of
signatures is a row of `LINT_RULES` in `netwatch.rules.lint`; one of bans is a function and a row of
`PACK_RULES`.

Hosts in the zones of apps that pages, other apps or servers call without the app do not prove use
of it, so no shipped rule may give a contact with one more than the grade in the table here (lint
rule ``embedded-host``). A pack must contain what others need to check it; the ban that applies
without a configuration comes from no authority, so none of the rules of bans applies to it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from netwatch.core.errors import Problem
from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import CONFIDENCE_RANK, Confidence
from netwatch.rules.bans import DEFAULT_BAN, Pack, load_pack, pack_ids
from netwatch.rules.catalog import Catalog, Hit
from netwatch.rules.grade import SOURCES, families
from netwatch.rules.shared_zones import Finding, public_suffixes
from netwatch.rules.signature import Rule

MIN_IGNORED = 10
"""Names under `tests: ignore` that a shipped app needs: look-alikes, and hosts that pages embed."""


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
"""Each also serves the app or its site: a visit to it is what a ban is about."""

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
    "pages of its site, in any browser": (
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


def unknown_sources(catalog: Catalog) -> Iterator[Finding]:
    """Source tags without a row in `netwatch.rules.grade`."""
    for rule in _shipped_rules(catalog):
        for tag in rule.sources:
            if tag not in SOURCES:
                hint = did_you_mean(tag, SOURCES)
                yield (
                    rule,
                    f"{rule.text} names the unknown source '{tag}'; expected one of"
                    f" netwatch/rules/grade.py{hint}",
                )


def verified_by_many(catalog: Catalog) -> Iterator[Finding]:
    """Rules whose owner was never confirmed although several independent sources agree."""
    for rule in _shipped_rules(catalog):
        found = families(rule.sources, rule.app.id)
        if not rule.marks.verified and len(found) > 1:
            yield (
                rule,
                f"{rule.text} has 'verified: false', but {len(found)} independent sources"
                f" ({', '.join(sorted(found))}) agree; expected one of the two",
            )


def few_ignored_names(catalog: Catalog) -> Iterator[Finding]:
    """Apps with too few names that they must not match."""
    for app_id, signature in catalog.signatures.items():
        count = len({example.name for example in signature.examples if not example.wanted})
        if count < MIN_IGNORED and any(rule.marks.shipped for rule in signature.rules):
            yield (
                signature,
                f"app '{app_id}' has {count} names under 'tests: ignore'; expected at least"
                f" {MIN_IGNORED} look-alikes and hosts that pages embed",
            )


def covered_by_aliases(catalog: Catalog) -> Iterator[Finding]:
    """Rules for names that the app's CDN tails cover with the same result."""
    for rule in _shipped_rules(catalog):
        cover = _cover(catalog, rule)
        if cover:
            yield (
                rule,
                f"{rule.text} is not needed: it is {cover.rule.text} under the CDN tail"
                f" {cover.tail} of the app's 'aliases' ({cover.rule.file}:{cover.rule.line})",
            )


def _cover(catalog: Catalog, rule: Rule) -> Hit | None:
    """The match of the name without this rule, if it is one under a CDN tail that is as strong."""
    if rule.kind == "glob":
        return None
    hits = (hit for hit in catalog.hits(rule.name) if hit.rule is not rule)
    cover = next(hits, None)
    if cover is None or not cover.tail:
        return None
    same = (cover.rule.app.id, cover.rule.role) == (rule.app.id, rule.role)
    stronger = CONFIDENCE_RANK[cover.rule.grade.value] >= CONFIDENCE_RANK[rule.grade.value]
    marked = rule.marks.cap or not rule.marks.verified or rule.marks.embed_reachable
    if not same or not stronger or (marked and cover.rule.marks != rule.marks):
        return None
    return cover


def embedded_hosts(catalog: Catalog) -> Iterator[Finding]:
    """Rules that give a host called by others more than its row in `EMBEDDED_HOSTS` allows."""
    for row in EMBEDDED_HOSTS.values():
        rule = next(catalog.matching_rules(row.host), None)
        if rule is None or not rule.marks.shipped:
            continue
        value = rule.grade.value
        if CONFIDENCE_RANK[value] > CONFIDENCE_RANK[row.most]:
            yield (
                rule,
                f"{rule.text} gives {row.host} the grade {value}, but it is called by"
                f" {row.callers}; expected at most {row.most}",
            )


def unproved_zones(catalog: Catalog) -> Iterator[Finding]:
    """Whole zones whose every name would prove the app. An app has a site, links that people share,
    files or an API for developers in its zones, so only names that only the app calls may give
    `confirmed`. The zones of apps that hide names serve nothing else."""
    for rule in _shipped_rules(catalog):
        if (
            rule.kind != "suffix"
            or rule.role != "exclusive"
            or rule.app.category in BYPASS_CATEGORIES
        ):
            continue
        if rule.grade.value != "confirmed" and not rule.grade.lone_family:
            continue
        if public_suffixes().privatesuffix(rule.name) == rule.name:
            yield (
                rule,
                f"{rule.text} lets every name of a zone prove the app; expected"
                " 'embed_reachable: true', and rules for the names that only the app calls",
            )


def _shipped_rules(catalog: Catalog) -> Iterator[Rule]:
    return (rule for rule in catalog.rules() if rule.marks.shipped)


@dataclass(frozen=True, slots=True)
class PackRule:
    """A rule for packs. `id` follows each message in brackets; `check` yields what is wrong."""

    id: str
    description: str
    check: Callable[[Pack], Iterator[str]]


def lint_packs(catalog: Catalog) -> list[Problem]:
    """The findings of all rules for all shipped packs; `catalog` must have all shipped apps."""
    packs = [load_pack(ban_id, catalog) for ban_id in pack_ids() if ban_id != DEFAULT_BAN]
    return [problem for pack in packs for problem in lint_pack(pack)]


def lint_pack(pack: Pack) -> list[Problem]:
    """The findings of all rules for one pack."""
    return [
        Problem(pack.file, 1, 0, f"ban '{pack.ban.id}' {message} [{rule.id}]")
        for rule in PACK_RULES
        for message in rule.check(pack)
    ]


def _readable_source(pack: Pack) -> Iterator[str]:
    if not any(source.startswith("https://") for source in pack.sources):
        yield "has no source with https; expected an address at which its dates can be read"


def _announced_first(pack: Pack) -> Iterator[str]:
    first, announced = pack.ban.start, pack.announced
    if first is None:
        yield "has no first day; expected 'from'"
    elif announced and announced > first and str(announced) not in pack.notes:
        yield (
            f"was announced on {announced}, after its first day {first}; expected an earlier day,"
            " or 'notes' with this day and the reason"
        )
    elif announced is None and "announced" not in pack.unconfirmed:
        yield "has no 'announced'; expected the day, or 'announced' under 'unconfirmed'"


def _legal_basis(pack: Pack) -> Iterator[str]:
    if not pack.ban.legal_basis and "legal basis" not in pack.status:
        yield "has no 'legal_basis'; expected it, or a 'status' that states that none was published"


def _status(pack: Pack) -> Iterator[str]:
    if pack.unconfirmed and not pack.status:
        yield "has 'unconfirmed'; expected a 'status' that explains it in words"
    if "not confirmed" in pack.status and not pack.unconfirmed:
        yield "has a 'status' that something is not confirmed; expected it under 'unconfirmed'"


def _bases(pack: Pack) -> Iterator[str]:
    if len(pack.ban.periods) > 1:
        for period in pack.ban.periods:
            if not period.basis:
                yield f"has a period from {period.start} without 'basis'; expected the decision"


def _background(pack: Pack) -> Iterator[str]:
    for key, text in (("jurisdiction", pack.jurisdiction), ("scope", pack.scope)):
        if not text:
            yield f"has no '{key}'; expected it"
    if pack.ban.timezone == "UTC":
        yield "has no 'timezone'; expected the authority's"


PACK_RULES: tuple[PackRule, ...] = (
    PackRule(
        "pack-source", "a pack without a source that can be read with https", _readable_source
    ),
    PackRule(
        "pack-announced",
        "a pack that was announced after its first day, or without a day of announcement, and does"
        " not state so",
        _announced_first,
    ),
    PackRule(
        "pack-legal-basis",
        "a pack without `legal_basis` whose `status` does not state that none was published",
        _legal_basis,
    ),
    PackRule("pack-status", "a pack whose `status` and `unconfirmed` do not agree", _status),
    PackRule("pack-basis", "one of several periods without `basis`", _bases),
    PackRule("pack-background", "a pack without jurisdiction, scope or time zone", _background),
)
"""All rules for packs."""
