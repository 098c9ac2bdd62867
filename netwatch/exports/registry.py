"""The formats of exports. A new one is an `ExportFormat` that writes and reads it, and a row here:
the command, the console, the documentation and the tests take them from this table."""

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
        "rpz": "resolvers:RPZ",
        "hosts": "resolvers:HOSTS",
        "dnsmasq": "resolvers:DNSMASQ",
        "unbound": "resolvers:UNBOUND",
        "adguard": "resolvers:ADGUARD",
        "nftables": "firewalls:NFTABLES",
        "suricata": "sensors:SURICATA",
        "zeek-intel": "sensors:ZEEK_INTEL",
        "sigma": "sensors:SIGMA",
        "squid": "firewalls:SQUID",
        "edl": "firewalls:EDL",
        "fortigate": "firewalls:FORTIGATE",
        "stix": "platforms:STIX",
        "misp": "platforms:MISP",
        "defender-csv": "platforms:DEFENDER",
    }
)
"""The formats by the words of ``--as``."""


@functools.cache
def feeds() -> Mapping[str, "ExportFormat"]:
    """The lists that firewalls fetch from the console, by the name of their file. They have no
    comments, so that they change when a name does, and not with each day."""
    return {export.feed: export for export in EXPORTS.values() if export.feed}
