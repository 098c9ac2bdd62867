"""The formats of exports. A new one is a module that writes and reads it, and a row here: the
command, the console, the documentation and the tests take them from this table."""

from collections.abc import Mapping
from types import MappingProxyType

from netwatch.exports import (
    firewall_lists,
    firewall_nftables,
    platform_defender,
    platform_misp,
    platform_stix,
    proxy_squid,
    resolver_adguard,
    resolver_dnsmasq,
    resolver_hosts,
    resolver_rpz,
    resolver_unbound,
    sensor_sigma,
    sensor_suricata,
    sensor_zeek,
)
from netwatch.exports.export_format import ExportFormat

EXPORTS: Mapping[str, ExportFormat] = MappingProxyType(
    {
        "rpz": resolver_rpz.RPZ,
        "hosts": resolver_hosts.HOSTS,
        "dnsmasq": resolver_dnsmasq.DNSMASQ,
        "unbound": resolver_unbound.UNBOUND,
        "adguard": resolver_adguard.ADGUARD,
        "nftables": firewall_nftables.NFTABLES,
        "suricata": sensor_suricata.SURICATA,
        "zeek-intel": sensor_zeek.ZEEK_INTEL,
        "sigma": sensor_sigma.SIGMA,
        "squid": proxy_squid.SQUID,
        "edl": firewall_lists.EDL,
        "fortigate": firewall_lists.FORTIGATE,
        "stix": platform_stix.STIX,
        "misp": platform_misp.MISP,
        "defender-csv": platform_defender.DEFENDER,
    }
)
"""The formats by the words of ``--as``."""

FEEDS: Mapping[str, ExportFormat] = MappingProxyType(
    {each.feed: each for each in EXPORTS.values() if each.feed}
)
"""The lists that firewalls fetch from the console, by the name of their file. They have no
comments, so that they change when a name does, and not with each day."""
