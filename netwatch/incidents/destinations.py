"""The servers of an incident, and where their addresses belong."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from netwatch.core.addresses import ip_text
from netwatch.core.alert import Destination


class GeoLookup(Protocol):
    """Looks up where an address belongs, as `netwatch.inventory.geo.Geo` does."""

    def lookup(self, ip: bytes | str) -> tuple[int | None, str | None, str | None]:
        """AS number, AS organisation and ISO country code of an address; None where unknown."""
        ...


def located(
    destinations: Iterable[tuple[Any, ...]], geo: GeoLookup | None
) -> Iterator[Destination]:
    """Destinations in order, each of which ends with a packed address and a port, with what is
    known of the address."""
    for _, ip, port in sorted(destinations):
        location = geo.lookup(ip) if geo else (None, None, None)
        yield Destination(ip_text(ip), port, *location)
