"""Zones that contain names of many owners, or that most devices contact, and why a rule must not
match a whole one.

The traffic of an app goes through shared zones, and so does other traffic: a rule for such a zone
would attribute the traffic of other customers to the app. A rule for a name below it that contains
the name of the app is fine.

Common zones are those that most devices contact, that belong to governments, or that are private:
no list of names, and no signed set, is enough to assign one to an app. Such a name in a signature
needs ``decide:`` with a person's reason. They are in ``common_zones.yaml``, with how they were
compiled. `LintRule` is a row of the table in `netwatch.rules.lint`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from netwatch.core.errors import Problem
from netwatch.rules.catalog import Catalog, literal_tail
from netwatch.rules.signature import Alias, Example, Rule, Signature

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_CDN = "a content delivery network that serves many owners' sites"
_CLOUD = "a cloud whose customers run any service under it"
_LINKS = "an attribution service that gives each customer a host"

SHARED_ZONES: Mapping[str, str] = MappingProxyType(
    {
        # Akamai
        "akadns.net": _CDN,
        "akamai.net": _CDN,
        "akamaiedge.net": _CDN,
        "akamaihd.net": _CDN,
        "akamaized.net": _CDN,
        "edgekey.net": _CDN,
        "edgesuite.net": _CDN,
        # Alibaba
        "alikunlun.com": _CDN,
        "aliyuncs.com": _CLOUD,
        "cdngslb.com": _CDN,
        "kunluncan.com": _CDN,
        "kunlunle.com": _CDN,
        # Amazon
        "amazonaws.com": _CLOUD,
        "cloudfront.net": _CDN,
        # Cloudflare, Fastly, Google, Meta, Microsoft
        "cdn.cloudflare.net": _CDN,
        "cloudflare.net": _CDN,
        "fastly.net": _CDN,
        "fastlylb.net": _CDN,
        "map.fastly.net": _CDN,
        "googleusercontent.com": _CLOUD,
        "googlevideo.com": _CDN,
        "fbcdn.net": "the content delivery network of all products of Meta",
        "azureedge.net": _CDN,
        "azurefd.net": _CDN,
        "trafficmanager.net": _CLOUD,
        # Huawei
        "huaweicloud.com": _CLOUD,
        "huaweicloudapis.com": _CLOUD,
        "hwclouds.com": _CLOUD,
        "myhuaweicloud.com": _CLOUD,
        "myhwcdn.com": _CDN,
        # Tencent
        "cdn-go.cn": _CDN,
        "liveplay.myqcloud.com": _CDN,
        "myqcloud.com": _CLOUD,
        # Wangsu
        "cdn20.com": _CDN,
        "wscdns.com": _CDN,
        "wsdvs.com": _CDN,
        # Yandex
        "yandex.cloud": _CLOUD,
        "yandexcloud.net": _CLOUD,
        # others
        "b-cdn.net": _CDN,
        "cdn77.org": _CDN,
        "edgecastcdn.net": _CDN,
        "footprint.net": _CDN,
        "llnwd.net": _CDN,
        "mncdn.com": _CDN,
        "swiftserve.com": _CDN,
        "app.link": _LINKS,
        "appsflyersdk.com": _LINKS,
        "onelink.me": _LINKS,
    }
)
"""Zone to the reason, in words that complete the sentence "ZONE is ..."."""

UNDECIDED = "common-zone"
"""The id of the rule for names in common zones without a decision."""

Finding = tuple[Rule | Example | Alias | Signature, str]
"""What is at fault, and why, in words."""

PATH = Path(__file__).with_name("common_zones.yaml")


@cache
def public_suffixes(only_icann: bool = False) -> "PublicSuffixList":
    """The public suffix list (publicsuffix.org) that its Python package ships, read once. With
    `only_icann` it has no private section: zones that companies such as CDNs have entered."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=only_icann)


@dataclass(frozen=True, slots=True)
class LintRule:
    """One lint rule. `id` follows each of its messages in brackets, `check` yields its findings.
    Findings of severity ``error`` make `signatures lint` fail with exit status 2."""

    id: str
    severity: str
    description: str
    check: Callable[[Catalog], Iterator[Finding]]


class CommonZone(NamedTuple):
    """A zone, and why it is common, in words that complete "ZONE is …". If it `has_customers`,
    names below it may belong to somebody else: a site in a cloud."""

    name: str
    why: str
    has_customers: bool


def why_common(name: str) -> str:
    """Why a name needs a person's decision, in words that complete "NAME is in …"; empty if it is
    in no such zone, or belongs to a customer of a platform."""
    zone = _find(name)
    if zone is None or (zone.has_customers and _is_customers(name, zone.name)):
        return ""
    return f"{zone.name}, {zone.why}"


def undecided(rule: Rule) -> str:
    """What is wrong with a rule for a name in a common zone without a decision; empty if nothing
    is."""
    if rule.decide:
        return ""
    common = why_common(literal_tail(rule.name) if rule.kind == "glob" else rule.name)
    if not common:
        return ""
    return (
        f"{rule.text} is in {common}; expected 'decide:' with the reason why the app"
        f" '{rule.app.id}' may claim it"
    )


def undecided_rules(rules: Iterable[Rule]) -> Iterator[Problem]:
    """The rules that lack a decision, as problems of their files."""
    for rule in rules:
        message = undecided(rule)
        if message:
            yield Problem(rule.file, rule.line, 0, f"{message} [{UNDECIDED}]")


def _find(name: str) -> CommonZone | None:
    """The zone that a name is in. Few names are, so two labels rule out most of them."""
    zones, last, second = _zones()
    labels = name.split(".")
    if labels[-1] not in last and (len(labels) < 2 or labels[-2] not in second):
        return None
    for start in range(len(labels)):
        zone = ".".join(labels[start:])
        # The country of a zone such as gov.* is its last label.
        found = zones.get(zone) or zones.get(".".join([*labels[start:-1], "*"]))
        if found is not None:
            return found
    return None


def _is_customers(name: str, zone: str) -> bool:
    """Whether a name in a zone is at or below a zone that many owners share, or a suffix of the
    private section of the public suffix list. The label before that then tells the owner, and no
    rule may take the whole."""
    labels = name.split(".")
    above = [".".join(labels[at:]) for at in range(len(labels) - zone.count("."))]
    if not SHARED_ZONES.keys().isdisjoint(above):
        return True
    return any(map(public_suffixes().is_public, above))


@cache
def _zones() -> tuple[Mapping[str, CommonZone], frozenset[str], frozenset[str]]:
    """The zones by name, those that are one label, and the second-level labels of the others."""
    import yaml  # most commands need no zones, since the catalogue comes from the cache

    groups = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    zones = {
        zone: CommonZone(zone, group["why"], group.get("has_customers", False))
        for group in groups.values()
        for zone in group["zones"]
    }
    several = [zone.split(".") for zone in zones if "." in zone]
    return (
        zones,
        frozenset(zone for zone in zones if "." not in zone),
        frozenset(labels[-2] for labels in several),
    )
