"""The autonomous system and the country of an address, from MaxMind-format databases.

The databases are read with geoip2, which is imported only if a database is configured. They are
opened when the configuration is checked, so that a missing or damaged file, or one of the wrong
type, is reported before the first packet. Damage inside a file shows only at the records that it
affects, which are counted.
"""

from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from netwatch.core.addresses import ip_text
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.user_yaml import require_regular_file

Location = tuple[int | None, str | None, str | None]
"""AS number, AS organisation and ISO 3166-1 country code; None if unknown."""

CACHE_LIMIT = 16_384
"""Addresses in the cache; when it is full, it is cleared."""

# Word in the type of a database -> the method of geoip2 that looks it up.
_ASN_KINDS = {"ASN": "asn", "ISP": "isp"}
_COUNTRY_KINDS = {"Country": "country", "City": "city", "Enterprise": "enterprise"}


class Geo:
    """Looks up addresses; without databases all are unknown.

    `damaged` counts records that could not be read. Pickled, it opens the databases again.
    """

    def __init__(self, asn: Path | None = None, country: Path | None = None) -> None:
        self.asn_path = asn
        self.country_path = country
        self.damaged = 0
        self._open = False
        self._asn: Any = None
        self._country: Any = None
        self._cache: dict[bytes, Location] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Geo, (self.asn_path, self.country_path)

    def check(self) -> None:
        """Open the databases. Raises `ConfigError` with a problem for each that cannot be used."""
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

    def lookup(self, ip: bytes | str) -> Location:
        """The location of an address, packed or as text.

        The first call opens the databases, and raises `ConfigError` as `check` does.
        """
        self.check()
        packed = ip if isinstance(ip, bytes) else ip_address(ip).packed
        location = self._cache.get(packed)
        if location is None:
            text = ip_text(packed)
            system = self._record(self._asn, text)
            region = self._record(self._country, text)
            location = (
                getattr(system, "autonomous_system_number", None),
                getattr(system, "autonomous_system_organization", None),
                region.country.iso_code if region else None,
            )
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            self._cache[packed] = location
        return location

    def note_damaged(self, anomalies: Counter[str]) -> None:
        """Note the number of unreadable records among the anomalies of a run."""
        if self.damaged:
            anomalies["geo-record-damaged"] = self.damaged

    def _record(self, lookup: Any, text: str) -> Any:
        if lookup is None:
            return None
        from geoip2.errors import AddressNotFoundError

        try:
            return lookup(text)
        except AddressNotFoundError:
            return None
        except Exception:  # The decoder raises many types for damaged bytes, and they are counted.
            self.damaged += 1
            return None

    def close(self) -> None:
        """Close the files; the next lookup opens them again."""
        for lookup in (self._asn, self._country):
            if lookup is not None:
                lookup.__self__.close()
        self._asn = self._country = None
        self._open = False


def _reader(path: Path, what: str, kinds: dict[str, str], problems: list[Problem]) -> Any:
    import geoip2.database

    expected = f"expected a MaxMind-format database of type {' or '.join(kinds)}"
    try:
        require_regular_file(path)
        reader = geoip2.database.Reader(path)
    except NetwatchError as error:
        problems.append(Problem(str(path), 0, 0, f"{error}; {expected}"))
        return None
    except OSError as error:
        problems.append(Problem(str(path), 0, 0, f"cannot be read: {error.strerror}; {expected}"))
        return None
    except Exception:  # The decoder raises many types for damaged bytes.
        problems.append(
            Problem(str(path), 0, 0, f"'{what}': {expected}, found another or a damaged file")
        )
        return None
    kind = reader.metadata().database_type
    method = next((kinds[word] for word in kinds if word in kind), None)
    if method is None:
        reader.close()
        message = f"'{what}': {expected}, found type '{kind}'"
        problems.append(Problem(str(path), 0, 0, message))
        return None
    return getattr(reader, method)
