"""The sources that shipped signatures name, and which of them are independent of each other.

A source is a public list, table or page that says which names an app has. Lists copy each other, so
the number of lists says little: sources of one *family* count once. A row of the table is a fact
about a source; a new tag in a shipped signature needs a row here (lint rule ``unknown-source``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Source:
    """A source by its tag. `copied` has the apps for which it has the names of another family, by
    their ids."""

    tag: str
    family: str
    description: str
    copied: Mapping[str, str] = field(default_factory=dict)


_ROWS = (
    Source("acl4ssr", "acl4ssr", "rule sets for proxy clients of the project ACL4SSR"),
    Source(
        "adguard",
        "adguard",
        "services of AdGuard's registry of host lists",
        {"telegram": "v2fly", "whatsapp": "v2fly"},
    ),
    Source("adguard-kb", "adguard", "AdGuard's table of DNS providers"),
    Source("blocklistproject", "blocklistproject", "host lists of the Block List Project"),
    Source("citizenlab", "citizenlab", "test lists of the Citizen Lab"),
    Source("danhorton7", "blocklistproject", "a host list, of which the former is nearly a part"),
    Source("ddg-radar", "ddg-radar", "DuckDuckGo's crawl of third parties on web sites"),
    Source("dibdot", "dibdot", "a list of hosts of DNS over HTTPS"),
    Source("disconnect", "disconnect", "Disconnect's lists of entities and trackers"),
    Source("ghostery", "ghostery", "Ghostery's database of trackers"),
    Source("hagezi", "adguard", "HaGeZi's lists, which contain names of AdGuard's services"),
    Source("hagezi-2022", "adguard", "the state of HaGeZi's lists in 2022"),
    Source("integrator-docs", "integrator-docs", "instructions of companies that install products"),
    Source("ios-rule-script", "ios-rule-script", "rule sets for proxy clients of blackmatrix7"),
    Source("maltrail", "maltrail", "Maltrail's lists of malicious and suspicious names"),
    Source("ndpi", "ndpi", "nDPI's table of names by protocol"),
    Source("nextdns", "nextdns", "NextDNS's lists of names by service"),
    Source("ooni-probe", "ooni-probe", "tests of the OONI probe for Telegram and WhatsApp"),
    Source("public-code", "public-code", "public source code that calls the host"),
    Source("sukka", "sukka", "rule sets for proxy clients of Sukka"),
    Source("third-party-web", "third-party-web", "a table of third parties on web sites"),
    Source("v2fly", "v2fly", "v2fly's lists of names by service"),
    Source("vendor-docs", "vendor-docs", "documentation of the vendor"),
)

SOURCES: Mapping[str, Source] = MappingProxyType({row.tag: row for row in _ROWS})
"""All sources of the shipped signatures by their tags."""


def families(tags: Iterable[str], app_id: str = "") -> frozenset[str]:
    """The families of the sources with these tags, for an app. A tag that is not in the table is a
    family of its own: the sources of a site's own files are not known here."""
    found = set()
    for tag in tags:
        source = SOURCES.get(tag)
        found.add(source.copied.get(app_id, source.family) if source else tag)
    return frozenset(found)
