"""Counts the contacts of devices, and those with addresses that nobody had been told, from the
facts of a store, for `netwatch.coverage.bypass`.

An address was told where an answer of DNS named it to the device, or to another that asks the same
resolver, and where its TTL and `MARGIN` have not passed since. A device that was never seen to ask
counts as one that asks all resolvers of its network. A conversation is judged by its beginning and
counts in each hour that it lasts; what has the same ends within `REST` is one conversation, so that
the parts in which an exporter reports it, or the flow table after a pause, are not judged alone.

Not everything counts:

- Nothing whose beginning was not seen, or that nobody answered, or that goes to a network of the
  configuration, to a private range, to a resolver, or to the ports of DNS, DHCP and NTP.
- Nothing of a device in a network of class ``infrastructure``, or outside of all networks.
- Nothing while lookups of the network are not heard, and within `WARM_UP` of the first that are:
  devices may have been told addresses before. What counts as heard are answers to the other devices
  of the network, so that a device that stops to ask does not fall silent itself. So of a network of
  one device nothing counts.

A device is a row of the inventory, else the MAC in its frames unless that is a router's, else an
address or its pseudonym. Days are those of UTC. DuckDB does the work. Of a long period the last
days are read whose rows are at most `MAX_ROWS`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import duckdb
import pyarrow as pa
from sqlalchemy import select

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.flow import DNS_TTL_GRACE
from netwatch.coverage.bypass import (
    MIN_CONTACTS,
    PAST_DAYS,
    Address,
    Bypass,
    Counts,
    DeviceDay,
    DeviceKey,
    Finding,
    bypasses,
)
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.messages import Known
from netwatch.store.options import StoreOptions
from netwatch.store.queries import once_more
from netwatch.store.views import Views, streamed

_SECOND = 1_000_000_000
DAY = 86_400 * _SECOND
"""A day in ns."""

_QUARTER = 900 * _SECOND

MARGIN = 3600 * _SECOND
"""How long after its TTL an address still counts as told, in ns: programs use what they were told
for as long as they run, and many caches keep it for longer than they were asked to."""

assert MARGIN >= DNS_TTL_GRACE

UNKNOWN_TTL = 86_400
"""The TTL (s) of an answer of a log that records none."""

WARM_UP = 2 * 3600 * _SECOND
"""How long lookups of a network must have been heard before a conversation counts, in ns."""

REST = 2 * 3600 * _SECOND
"""How long a conversation may pause without being another one, in ns."""

SKEW = 2 * _SECOND
"""How much later than a conversation its answer may be noted, in ns: logs note both when they
end."""

MAX_HOURS = 24
"""Hours in which one conversation counts."""

ROUTER_ADDRESSES = 3
"""Addresses of IPv4 that one MAC has on one day, of which more make it that of a router."""

MAX_ROWS = 20_000_000
"""Flows and observations that are read at most, the last ones: a million takes
some five seconds of CPU time."""

MAX_ADDRESSES = 5
"""Addresses that a finding lists, those with most contacts first."""

_SETTINGS = {"memory_limit": "1GB", "threads": "2"}

_PORTS = (53, 67, 68, 123, 137, 138, 546, 547, 853, 1900, 5353, 5355)
"""Ports of DNS, DHCP and NTP, and of what devices of one network say to each other."""

_NOT_COUNTED = tuple(
    map(
        ip_network,
        ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
         "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10",
         "ff00::/8"),
    )
)  # fmt: skip
"""Ranges of private, local and multicast addresses."""

_CLIENT_DAYS = f"""
SELECT DISTINCT client, first // {DAY} FROM netwatch.flow_rows
WHERE first >= $since AND first < $until
"""

_RESOLVERS = "SELECT DISTINCT resolver FROM netwatch.answer"

_SERVERS = """
SELECT DISTINCT server_ip FROM netwatch.flow_rows
WHERE first >= $since AND first < $until AND server_ip IS NOT NULL
"""

_ANSWERS = f"""
CREATE TABLE netwatch.answer AS
SELECT DISTINCT u.network, u.device, coalesce(f.server_ip, f.log_format, '') AS resolver,
  f.time // {_QUARTER} AS quarter, f.time, f.time - {SKEW} AS since,
  unnest(f.dns_answers) AS address,
  CASE WHEN f.log_format IS NOT NULL THEN true ELSE false END AS is_logged,
  unnest(f.dns_ttls)::BIGINT AS ttl
FROM netwatch.observation_rows f
JOIN netwatch.shown s ON s.value = f.capture
JOIN netwatch.unit u ON u.client = f.client
WHERE f.evidence <> 'dns-cname' AND len(f.dns_answers) > 0
  AND f.time >= $since AND f.time < $until
"""

_TOLD = f"""
CREATE TABLE netwatch.told AS
WITH each_one AS (
  SELECT resolver, address, since, time + {MARGIN} + {_SECOND} *
    CASE WHEN is_logged AND ttl = 0 THEN {UNKNOWN_TTL} ELSE ttl END AS until
  FROM netwatch.answer
), marked AS (
  SELECT *, since > max(until) OVER (PARTITION BY resolver, address ORDER BY since
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_new
  FROM each_one
), numbered AS (
  SELECT *, sum(CASE WHEN is_new THEN 1 ELSE 0 END)
    OVER (PARTITION BY resolver, address ORDER BY since ROWS UNBOUNDED PRECEDING) AS part
  FROM marked
)
SELECT resolver, address, min(since) AS since, max(until) AS until
FROM numbered GROUP BY resolver, address, part
"""

_ASKED = """
CREATE TABLE netwatch.asked AS
WITH own AS (SELECT DISTINCT device, resolver FROM netwatch.answer),
  its AS (SELECT DISTINCT network, resolver FROM netwatch.answer)
SELECT device, resolver FROM own
UNION ALL
SELECT DISTINCT u.device, its.resolver FROM netwatch.unit u JOIN its USING (network)
WHERE u.device NOT IN (SELECT device FROM own)
"""

_HEARD = f"""
CREATE TABLE netwatch.heard AS
WITH quarters AS (
  SELECT network, quarter, min(device) AS one, max(device) AS another
  FROM netwatch.answer GROUP BY network, quarter
), marked AS (
  SELECT *, quarter - lag(quarter) OVER (PARTITION BY network ORDER BY quarter) > 2 AS is_new
  FROM quarters
), numbered AS (
  SELECT *, sum(CASE WHEN is_new THEN 1 ELSE 0 END)
    OVER (PARTITION BY network ORDER BY quarter ROWS UNBOUNDED PRECEDING) AS part
  FROM marked
)
SELECT network, quarter, one, another,
  min(quarter) OVER (PARTITION BY network, part) * {_QUARTER} + {WARM_UP} AS warm
FROM numbered
"""

_BEGUN = f"""
CREATE TABLE netwatch.begun AS
WITH flows AS (
  SELECT u.network, u.device, f.client, f.client_port, f.server_ip, f.server_port, f.transport,
    f.first, f.last, f.start_seen, f.bytes_in, f.name_status
  FROM netwatch.flow_rows f
  JOIN netwatch.shown s ON s.value = f.capture
  JOIN netwatch.unit u ON u.client = f.client
  JOIN netwatch.counted_address a ON a.value = f.server_ip
  WHERE f.first >= $since AND f.first < $until AND f.server_port NOT IN {_PORTS}
), marked AS (
  SELECT *, first > {REST} + max(last) OVER (
    PARTITION BY client, client_port, server_ip, server_port, transport ORDER BY first
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_new
  FROM flows
), numbered AS (
  SELECT *, sum(CASE WHEN is_new THEN 1 ELSE 0 END) OVER (
    PARTITION BY client, client_port, server_ip, server_port, transport ORDER BY first
    ROWS UNBOUNDED PRECEDING) AS part
  FROM marked
), whole AS (
  SELECT network, device, server_ip, server_port, transport, min(first) AS first,
    max(last) AS last, bool_or(name_status <> 'none' AND name_status <> 'no-sni'
      AND name_status <> 'truncated') AS is_named
  FROM numbered
  GROUP BY network, device, client, client_port, server_ip, server_port, transport, part
  HAVING arg_min(start_seen, first) AND sum(bytes_in) > 0
)
SELECT row_number() OVER () AS number, w.device, w.server_ip, w.server_port, w.transport, w.first,
  w.last, w.is_named
FROM whole w
ASOF JOIN netwatch.heard h ON w.network = h.network AND w.first // {_QUARTER} >= h.quarter
WHERE h.quarter + 1 >= w.first // {_QUARTER} AND w.first >= h.warm
  AND (h.one <> w.device OR h.another <> w.device)
"""

_CONTACTS = f"""
CREATE TABLE netwatch.contact AS
WITH judged AS (
  SELECT b.number, bool_or(coalesce(t.until >= b.first, false)) AS is_told
  FROM netwatch.begun b
  LEFT JOIN netwatch.asked a ON a.device = b.device
  ASOF LEFT JOIN netwatch.told t
    ON t.resolver = a.resolver AND t.address = b.server_ip AND b.first >= t.since
  GROUP BY b.number
), hours AS (
  SELECT b.*, j.is_told, unnest(range(b.first // {3600 * _SECOND},
    least(b.last // {3600 * _SECOND}, b.first // {3600 * _SECOND} + {MAX_HOURS - 1}) + 1)) AS hour
  FROM netwatch.begun b JOIN judged j USING (number)
)
SELECT device, hour // 24 AS day, hour, server_ip, bool_and(NOT is_told) AS is_untold,
  bool_or(is_named) AS is_named, arg_min(server_port, first) AS server_port,
  arg_min(transport, first) AS transport
FROM hours GROUP BY device, hour, server_ip
"""

_DEVICE_DAYS = f"""
WITH total AS (
  SELECT device, day, count(*) AS contacts FROM netwatch.contact GROUP BY device, day
), lookup AS (
  SELECT device, time // {DAY} AS day, count(DISTINCT time) AS lookups
  FROM netwatch.answer GROUP BY device, day
)
SELECT t.device, t.day, t.contacts, coalesce(l.lookups, 0)
FROM total t LEFT JOIN lookup l ON l.device = t.device AND l.day = t.day
ORDER BY t.day, t.device
"""

_UNTOLD = """
SELECT device, day, server_ip, count(*), count(*) FILTER (WHERE is_named)
FROM netwatch.contact WHERE is_untold GROUP BY device, day, server_ip ORDER BY server_ip
"""

_PORTS_OF = """
SELECT server_ip, arg_min(server_port, hour), arg_min(transport, hour)
FROM netwatch.contact WHERE device = $device AND day = $day AND is_untold GROUP BY server_ip
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of a period, and the classes of the devices that had enough contacts to be
    judged, by day; `unread` of its days, the first ones, were not read because there are too many
    flows."""

    found: tuple[Finding, ...]
    classes: Mapping[int, Counter[str]] = field(default_factory=dict)
    unread: int = 0

    @property
    def judged(self) -> int:
        """Days of devices that could be judged."""
        return sum(each.total() for each in self.classes.values())


def bypass_findings(
    catalogue: Catalogue,
    options: StoreOptions,
    since: int | None,
    until: int | None,
    known: Known,
    kept: Mapping[int, Container[DeviceKey]] | None = None,
) -> Findings:
    """The findings on days that begin from `since` up to, but without, `until` (ns); None is the
    first or the last that is stored. Days in `kept` were judged before: these devices hid their
    lookups. Raises `NetwatchError`."""
    rows: defaultdict[int, int] = defaultdict(int)
    for file in (*catalogue.files("flow"), *catalogue.files("observation")):
        rows[file.first // DAY] += file.rows
    if not rows:
        return Findings(())
    first = min(rows) if since is None else -(-since // DAY)
    end = max(rows) + 1 if until is None else -(-until // DAY)
    read_from = _first_day(rows, first - PAST_DAYS, end)

    def read() -> Iterator[Findings]:
        # An answer of the day before may still be in use.
        begin, stop = (read_from - 1) * DAY, end * DAY
        with Views(
            catalogue, options, ["observation", "flow"],
            since=begin, until=stop, settings=_SETTINGS,
        ) as views:  # fmt: skip
            counter = _Counter(catalogue, views, known)
            counter.count(begin, stop)
            days = [*counter.days()]
            classes: defaultdict[int, Counter[str]] = defaultdict(Counter)
            for each in days:
                if first <= each.day < end and each.contacts >= MIN_CONTACTS:
                    classes[each.day][counter.device_class(each.device)] += 1
            yield Findings(
                tuple(
                    Finding(each, counter.device_class(each.own.device), counter.addresses(each))
                    for each in bypasses(days, kept)
                    if first <= each.own.day < end
                ),
                dict(classes),
                min(max(0, read_from - first), max(0, end - first)),
            )

    (found,) = once_more(read)
    assert isinstance(found, Findings)
    return found


def _first_day(rows: dict[int, int], first: int, end: int) -> int:
    """The first day that is read: of those before `end` the last that have at most `MAX_ROWS`, and
    one at least."""
    total = 0
    for day in sorted((day for day in rows if first <= day < end), reverse=True):
        total += rows[day]
        if total > MAX_ROWS and total > rows[day]:
            return day + 1
    return first


class _Counter:
    """Counts in tables of views."""

    def __init__(self, catalogue: Catalogue, views: Views, known: Known) -> None:
        self._catalogue = catalogue
        self._views = views
        self._known = known
        self._devices: list[DeviceKey] = []
        self._classes: dict[DeviceKey, str] = {}

    def count(self, since: int, until: int) -> None:
        """Make the tables, from facts of a time (ns)."""
        times = {"since": since, "until": until}
        self._add_units(times)
        for statement in (_ANSWERS, _TOLD, _ASKED, _HEARD):
            self._run(statement, times if "$since" in statement else {})
        self._add_addresses(times)
        self._run(_BEGUN, times)
        self._run(_CONTACTS, {})

    def days(self) -> Iterator[DeviceDay]:
        """The days of devices."""
        untold: defaultdict[tuple[int, int], dict[str, Counts]] = defaultdict(dict)
        for device, day, ip, contacts, named in self._run(_UNTOLD, {}).fetchall():
            untold[device, day][ip] = Counts(contacts, named)
        for device, day, contacts, lookups in self._run(_DEVICE_DAYS, {}).fetchall():
            addresses = untold.get((device, day), {})
            yield DeviceDay(
                self._devices[device],
                day,
                contacts,
                untold=sum(counts.contacts for counts in addresses.values()),
                named=sum(counts.named for counts in addresses.values()),
                most=max((counts.contacts for counts in addresses.values()), default=0),
                lookups=lookups,
                addresses=addresses,
            )

    def device_class(self, device: DeviceKey) -> str:
        """The class of its network."""
        return self._classes[device]

    def addresses(self, found: Bypass) -> tuple[Address, ...]:
        """Those with most untold contacts of a finding."""
        own = found.own
        wanted = {"device": self._devices.index(own.device), "day": own.day}
        rows = self._run(_PORTS_OF, wanted).fetchall()
        seen = {ip: (port, transport) for ip, port, transport in rows}
        first = sorted(own.addresses, key=lambda ip: (-own.addresses[ip].contacts, ip))
        addresses = []
        for ip in first[:MAX_ADDRESSES]:
            port, transport = seen[ip]
            addresses.append(Address(ip, port, transport, own.addresses[ip].contacts))
        return tuple(addresses)

    def _run(self, statement: str, values: Mapping[str, int]) -> duckdb.DuckDBPyConnection:
        return self._views.connection.execute(statement, values)

    def _add_units(self, times: Mapping[str, int]) -> None:
        """Give clients the numbers of their devices and networks: the table ``unit``."""
        rows = self._clients()
        routers = self._routers(rows, times)
        numbers: dict[DeviceKey, int] = {}
        networks: dict[str, int] = {}
        units: list[tuple[int, int, int]] = []
        for row in rows:
            is_router = (row.sensor, row.network, row.mac) in routers
            identity = row.pseudonym or self._identity(row.ip, None if is_router else row.mac)
            if not identity or row.device_class == "infrastructure":
                continue
            key = DeviceKey(row.network, row.sensor or "", identity)
            if key not in numbers:
                numbers[key] = len(self._devices)
                self._devices.append(key)
                self._classes[key] = row.device_class or ""
            network = networks.setdefault(row.network, len(networks))
            units.append((row.number, numbers[key], network))
        self._table("unit", ("client", "device", "network"), units)

    def _clients(self) -> list[Any]:
        client = tables.client.c
        columns = (
            client.number, client.sensor, client.ip, client.mac, client.network,
            client["class"].label("device_class"), client.pseudonym,
        )  # fmt: skip
        statement = select(*columns).where(client.network.is_not(None))
        return [*streamed(self._catalogue, statement)]

    def _identity(self, ip: str | None, mac: str | None) -> str | None:
        """What a device is called."""
        entries = self._known.entries
        packed_mac, packed = parse_mac(mac or ""), parse_ip(ip or "")
        entry = entries.with_mac(packed_mac) if packed_mac else None
        if entry is None and packed is not None:
            entry = entries.with_ip(packed)
        return entry.id if entry is not None else mac or ip

    def _routers(
        self, rows: Sequence[Any], times: Mapping[str, int]
    ) -> set[tuple[str | None, str, str]]:
        """The MACs that have the addresses of several devices on one day."""
        owners = {
            row.number: ((row.sensor, row.network, row.mac), row.ip)
            for row in rows
            if row.mac and row.ip and ":" not in row.ip
        }
        seen: defaultdict[tuple[Any, int], set[str]] = defaultdict(set)
        for number, day in self._run(_CLIENT_DAYS, times).fetchall():
            if number in owners:
                key, ip = owners[number]
                seen[key, day].add(ip)
        return {key for (key, _), ips in seen.items() if len(ips) > ROUTER_ADDRESSES}

    def _add_addresses(self, times: Mapping[str, int]) -> None:
        """Those that count: the table ``counted_address``."""
        resolvers = {row[0] for row in self._run(_RESOLVERS, {}).fetchall()}
        is_local = _within((*_NOT_COUNTED, *self._known.ranges))
        servers = self._run(_SERVERS, times).fetchall()
        counted = [ip for (ip,) in servers if ip not in resolvers and not is_local(ip)]
        self._views.register("counted_address", counted, "VARCHAR")

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[tuple[int, ...]]) -> None:
        definition = ", ".join(f"{column} INTEGER" for column in columns)
        self._views.connection.execute(f"CREATE TABLE netwatch.{name} ({definition})")
        values = list(zip(*rows, strict=True)) or [()] * len(columns)
        arrays = [pa.array(each, pa.int32()) for each in values]
        self._views.copy(f"netwatch.{name}", pa.table(dict(zip(columns, arrays, strict=True))))


def _within(ranges: Sequence[IPv4Network | IPv6Network]) -> Callable[[str], bool]:
    """Whether an address is in one of these ranges; a text that is none counts as if it were."""
    prefixes: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for each in ranges:
        shift = each.max_prefixlen - each.prefixlen
        prefixes[each.max_prefixlen // 8, shift].add(int(each.network_address) >> shift)

    def is_within(text: str) -> bool:
        packed = parse_ip(text)
        if packed is None:
            return True
        value = int.from_bytes(packed)
        return any(
            value >> shift in its for (size, shift), its in prefixes.items() if size == len(packed)
        )

    return is_within
