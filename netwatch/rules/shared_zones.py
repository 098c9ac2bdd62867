"""Zones that contain names of many owners, and why a rule must not match a whole one.

The traffic of an app goes through them, and so does that of many others: a rule for such a zone
would attribute the traffic of other customers to the app. A rule for a name below it that contains
the name of the app is fine.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

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


@cache
def public_suffixes(only_icann: bool = False) -> "PublicSuffixList":
    """The public suffix list (publicsuffix.org) that its Python package ships, read once. With
    `only_icann` it has no private section: zones that companies such as CDNs have entered."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=only_icann)
