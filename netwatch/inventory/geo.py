"""Whose network an address is in, and in which country: MaxMind-format databases.

Read with geoip2, which is imported only where a database is configured. The databases
are opened when the configuration is checked, so that one that is absent, damaged or of
the wrong kind is told before the first packet; damage deeper inside shows only at the
record that it hit, and is counted.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

from netwatch.core.addresses import ip_text
from netwatch.core.errors import ConfigError, Problem

Place = tuple[int | None, str | None, str | None]
"""Number of the autonomous system, its organisation, and the ISO 3166-1 country code."""

CACHE_LIMIT = 16_384
"""Addresses remembered; when that many are there, all are forgotten."""

# word in a database's type -> geoip2's method for it
_ASN_KINDS = {"ASN": "asn", "ISP": "isp"}
_COUNTRY_KINDS = {"Country": "country", "City": "city", "Enterprise": "enterprise"}


class Geo:
    """Looks addresses up; without databases it answers that nothing is known.

    `damaged` counts records that could not be read.
    """

    def __init__(self, asn: Path | None = None, country: Path | None = None) -> None:
        self.asn_path = asn
        self.country_path = country
        self.damaged = 0
        self._open = False
        self._asn: Any = None
        self._country: Any = None
        self._cache: dict[bytes, Place] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Geo, (self.asn_path, self.country_path)

    def check(self) -> None:
        """Open the databases; `ConfigError` tells of each that cannot serve."""
        if self._open:
            return
        problems: list[Problem] = []
        if self.asn_path:
            self._asn = _reader(self.asn_path, "asn", _ASN_KINDS, problems)
        if self.country_path:
            self._country = _reader(self.country_path, "country", _COUNTRY_KINDS, problems)
        if problems:
            self.close()
            raise ConfigError(problems)
        self._open = True

    def lookup(self, ip: bytes | str) -> Place:
        """What is known of an address, packed or as text; None where nothing is.

        Opens the databases at the first call: `ConfigError` as in `check`.
        """
        self.check()
        packed = ip if isinstance(ip, bytes) else ip_address(ip).packed
        place = self._cache.get(packed)
        if place is None:
            text = ip_text(packed)
            system = self._record(self._asn, text)
            region = self._record(self._country, text)
            place = (
                getattr(system, "autonomous_system_number", None),
                getattr(system, "autonomous_system_organization", None),
                region.country.iso_code if region else None,
            )
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            self._cache[packed] = place
        return place

    def _record(self, lookup: Any, text: str) -> Any:
        if lookup is None:
            return None
        from geoip2.errors import AddressNotFoundError

        try:
            return lookup(text)
        except AddressNotFoundError:
            return None
        except Exception:  # damaged bytes surface as whatever the decoder stumbled over
            self.damaged += 1
            return None

    def close(self) -> None:
        """Let the files go; the next look opens them again."""
        for lookup in (self._asn, self._country):
            if lookup is not None:
                lookup.__self__.close()
        self._asn = self._country = None
        self._open = False


def _reader(path: Path, what: str, kinds: dict[str, str], problems: list[Problem]) -> Any:
    import geoip2.database

    expected = f"a MaxMind-format database of kind {' or '.join(kinds)} is expected"
    try:
        reader = geoip2.database.Reader(path)
    except OSError as error:
        reason = error.strerror or "no such file"
        problems.append(Problem(str(path), 0, 0, f"cannot be read: {reason}; {expected}"))
        return None
    except Exception:  # damaged bytes surface as whatever the decoder stumbled over
        problems.append(Problem(str(path), 0, 0, f"is damaged or something else; {expected}"))
        return None
    kind = reader.metadata().database_type
    method = next((kinds[word] for word in kinds if word in kind), None)
    if method is None:
        reader.close()
        told = f"is a database of type '{kind}', given as '{what}'; {expected}"
        problems.append(Problem(str(path), 0, 0, told))
        return None
    return getattr(reader, method)
