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
    """A source by its tag. `state` is the newest day, month or year of the text that was read.
    `copied` has the apps for which it has the names of another family, by their ids."""

    tag: str
    family: str
    description: str
    state: str
    copied: Mapping[str, str] = field(default_factory=dict)


_ROWS = (
    Source(
        "acl4ssr", "acl4ssr", "rule sets for proxy clients of the project ACL4SSR", "2026-08-22"
    ),
    Source(
        "adguard",
        "adguard",
        "services of AdGuard's registry of host lists",
        "2026",
        {"telegram": "v2fly", "whatsapp": "v2fly"},
    ),
    Source("adguard-kb", "adguard", "AdGuard's table of DNS providers", "2026-07-21"),
    Source(
        "blocklistproject", "blocklistproject", "host lists of the Block List Project", "2026-07-20"
    ),
    Source("citizenlab", "citizenlab", "test lists of the Citizen Lab", "2026"),
    Source(
        "danhorton7",
        "blocklistproject",
        "a host list, of which the former is nearly a part",
        "2025-09-18",
    ),
    Source("ddg-radar", "ddg-radar", "DuckDuckGo's crawl of third parties on web sites", "2026"),
    Source("dibdot", "dibdot", "a list of hosts of DNS over HTTPS", "2026-08-22"),
    Source("disconnect", "disconnect", "Disconnect's lists of entities and trackers", "2026-08-07"),
    Source("ghostery", "ghostery", "Ghostery's database of trackers", "2026-08-06"),
    Source(
        "hagezi",
        "adguard",
        "HaGeZi's lists, which contain names of AdGuard's services",
        "2026-04-27",
    ),
    Source("hagezi-2022", "adguard", "the state of HaGeZi's lists in 2022", "2022-07-24"),
    Source(
        "integrator-docs",
        "integrator-docs",
        "instructions of companies that install products",
        "2026-11",
    ),
    Source(
        "ios-rule-script", "ios-rule-script", "rule sets for proxy clients of blackmatrix7", "2022"
    ),
    Source(
        "maltrail", "maltrail", "Maltrail's lists of malicious and suspicious names", "2026-08-23"
    ),
    Source("ndpi", "ndpi", "nDPI's table of names by protocol", "2024-10-21"),
    Source("nextdns", "nextdns", "NextDNS's lists of names by service", "2025-11-15"),
    Source(
        "ooni-probe",
        "ooni-probe",
        "tests of the OONI probe for Telegram and WhatsApp",
        "2026-08-14",
    ),
    Source("public-code", "public-code", "public source code that calls the host", "2026-11"),
    Source("sukka", "sukka", "rule sets for proxy clients of Sukka", "2026-08-23"),
    Source(
        "third-party-web", "third-party-web", "a table of third parties on web sites", "2026-05-13"
    ),
    Source("v2fly", "v2fly", "v2fly's lists of names by service", "2026-08-19"),
    Source("vendor-docs", "vendor-docs", "documentation of the vendor", "2026-11"),
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
