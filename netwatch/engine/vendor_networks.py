"""Whose network an address is in, for flow records to which no lookup of an app's name led.

An autonomous system of a vendor proves no app: it serves other apps and other companies, too. So a
flow to one of its addresses is at most a possible contact: it accuses nobody, and is only counted,
if both sides have sent something. Without a database of autonomous systems (``geoip: asn``) no
address is known.
"""

from collections.abc import Collection, Container

from netwatch.config import Config
from netwatch.core.limited_dict import LimitedDict

CACHE_LIMIT = 65_536
"""Addresses of which it is remembered whether they are in such a network."""


class VendorNetworks:
    """The packed addresses in networks of the vendors of `apps`, which are ids."""

    def __init__(self, config: Config, apps: Collection[str]) -> None:
        signatures = config.catalog.signatures
        numbers = {
            system.number for app in apps if app in signatures for system in signatures[app].asns
        }
        self._numbers = frozenset(numbers if config.geo.asn_path is not None else ())
        self._geo = config.geo
        self._known: LimitedDict[bytes, bool] = LimitedDict(CACHE_LIMIT)

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def __contains__(self, address: object) -> bool:
        if not self._numbers or not isinstance(address, bytes) or not address:
            return False
        known = self._known.get(address)
        if known is None:
            known = self._known[address] = self._geo.lookup(address)[0] in self._numbers
        return known


class InEither:
    """What is in one of two containers."""

    def __init__(self, first: Container[bytes], second: Container[bytes]) -> None:
        self._first, self._second = first, second

    def __contains__(self, address: object) -> bool:
        return address in self._first or address in self._second
