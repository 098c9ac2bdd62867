"""The formats of exports. A new one is a module that writes and reads it, and a row here: the
command, the console, the documentation and the tests take them from this table."""

import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netwatch.exports.export_format import ExportFormat


class _Formats(Mapping[str, "ExportFormat"]):
    """Formats by their word. A module is imported when its format is asked for, because most
    commands need the words alone."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> "ExportFormat":
        module, _, attribute = self._places[name].partition(":")
        found: ExportFormat = getattr(
            importlib.import_module(f"netwatch.exports.{module}"), attribute
        )
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


EXPORTS: Mapping[str, "ExportFormat"] = _Formats(
    {
        "rpz": "resolver_rpz:RPZ",
        "hosts": "resolver_hosts:HOSTS",
        "dnsmasq": "resolver_dnsmasq:DNSMASQ",
        "unbound": "resolver_unbound:UNBOUND",
        "adguard": "resolver_adguard:ADGUARD",
        "nftables": "firewall_nftables:NFTABLES",
        "suricata": "sensor_suricata:SURICATA",
        "zeek-intel": "sensor_zeek:ZEEK_INTEL",
        "sigma": "sensor_sigma:SIGMA",
        "squid": "proxy_squid:SQUID",
        "edl": "firewall_lists:EDL",
        "fortigate": "firewall_lists:FORTIGATE",
        "stix": "platform_stix:STIX",
        "misp": "platform_misp:MISP",
        "defender-csv": "platform_defender:DEFENDER",
    }
)
"""The formats by the words of ``--as``."""


@functools.cache
def feeds() -> Mapping[str, "ExportFormat"]:
    """The lists that firewalls fetch from the console, by the name of their file. They have no
    comments, so that they change when a name does, and not with each day."""
    return {each.feed: each for each in EXPORTS.values() if each.feed}
