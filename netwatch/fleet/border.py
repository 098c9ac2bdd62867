"""Limits of what a sensor may report, at the border of a centre: the checks of values, and the
networks and devices that it may report on.

A sensor may be broken or taken over, so nothing that it sends is used before it has passed here.
Numbers are so small that the sum of as many as a store can have rows still fits into 63 bits, times
are not in the future, texts are storable in any database. Anything else raises `BorderError`.

A compromised sensor can also claim to have seen a device of any network, or of any inventory.
Reports on a network or device that is not its own, by the centre's configuration, are kept and
shown as a contradiction, with the least confidence; each is a case of its own
(`netwatch.store.case_members`), so it changes nothing that other sensors have reported. Its
legitimate reports do not join a case of another network, or of another device of an inventory,
either, whatever flow, device or address it claims to have seen. Its clients and its coverage count
for no other network. Facts name no device of an inventory: the centre identifies clients by its
own.
"""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from netwatch.config.fleet_section import SensorLimit
from netwatch.core.alert import number_of
from netwatch.core.errors import NetwatchError
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.coverage.judged import OneOf
from netwatch.formats.coverage import read_report
from netwatch.store.case_members import (
    DEVICES,
    NETWORKS,
    OUTSIDE_DEVICE,
    OUTSIDE_NETWORK,
    device_of_inventory,
    is_among,
)
from netwatch.store.fleet_sensors import AppliedState, PublishedKind
from netwatch.store.run_rows import ClientAddress

MAX_FLOWS = 10_000_000_000
"""Flows of a network in an hour, or rows that a capture lost, at most: 9 * 10^8 such numbers can be
summed."""

MAX_BYTES = 1_000_000_000_000_000
"""Bytes or packets of one flow or incident, at most."""

CLOCK_SLACK = 86_400_000_000_000
"""How far after its receipt something may have happened (ns). A clock with a larger error could not
apply what is published either."""

MAX_POSITION = 2_147_483_647
"""The greatest count of captures and hours that a column of the catalogue holds."""

MAX_TEXT = 300
"""Characters of a name."""

MAX_SENTENCE = 4000
"""Characters of a text for people."""

MAX_DEPTH = 12
"""Nesting depth of values."""

MAX_HEALTH = 64 << 10
"""Bytes of a sign of life."""

MAX_NETWORKS = 4096
"""Networks of a record of coverage."""

_MAX_REASONS = 64

_PLACE = ("time", "type", "name", "source")

_MAX_NAMED = 16

LEAST = min(CONFIDENCE_RANK, key=CONFIDENCE_RANK.__getitem__)
"""The confidence of a sensor's report on a network or device that is not its own."""


class BorderError(NetwatchError):
    """A sensor sent something that is not allowed."""


def text(value: Any, limit: int = MAX_TEXT, *, empty: bool = False) -> str:
    """A storable text. Raises `BorderError`."""
    if not isinstance(value, str) or len(value) > limit or "\0" in value:
        raise BorderError(f"expected a text of at most {limit} characters")
    if not value and not empty:
        raise BorderError("expected a text, found an empty one")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BorderError("expected a text, found half a character (a lone surrogate)") from None
    return value


def word(value: Any, words: Collection[str]) -> Any:
    """One of some words. Raises `BorderError`."""
    if not isinstance(value, str) or value not in words:
        raise BorderError(f"expected one of {', '.join(sorted(words))}")
    return value


def number(value: Any, limit: int = MAX_FLOWS) -> int:
    """A whole number from 0 up to a limit. Raises `BorderError`."""
    if type(value) is not int or not 0 <= value <= limit:
        raise BorderError(f"expected a number from 0 to {limit:,}")
    return value


def moment(value: Any, now: int) -> int:
    """A time (ns since the epoch) that is not after `now`, allowing for clock differences. Raises
    `BorderError`."""
    if type(value) is not int or not 0 <= value <= now + CLOCK_SLACK:
        raise BorderError("expected a time from 1970 on that is not in the future")
    return value


def span(first: Any, last: Any, now: int) -> tuple[int | None, int | None]:
    """Two times, the later one last; both None if there are none. Raises `BorderError`."""
    if first is None and last is None:
        return None, None
    begin, end = sorted((moment(first, now), moment(last, now)))
    return begin, end


def require_plain(value: Any, values: int = 10_000) -> None:
    """Require JSON that can be stored and shown: at most so many values, numbers that fit into 63
    bits, valid texts. Raises `BorderError`."""
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        found, depth = stack.pop()
        values -= 1
        if values < 0 or depth > MAX_DEPTH:
            raise BorderError("expected fewer values, or fewer in each other")
        match found:
            case None | bool():
                pass
            case str():
                text(found, MAX_SENTENCE, empty=True)
            case int():
                if not -(1 << 63) < found < 1 << 63:
                    raise BorderError("expected a number of at most 63 bits")
            case float():
                if not math.isfinite(found):
                    raise BorderError("expected a number that is finite")
            case list():
                stack += [(inner, depth + 1) for inner in found]
            case dict():
                stack += [(inner, depth + 1) for pair in found.items() for inner in pair]
            case _:
                raise BorderError("expected JSON")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """A context that adds the place to an error."""
    try:
        yield
    except BorderError as error:
        raise BorderError(f"{name}: {error}") from None


def value_of(record: Mapping[str, Any], name: str, check: Callable[..., Any], *limits: Any) -> Any:
    """The checked value of a field, from `check`. Raises `BorderError`, which names the field."""
    with naming(name):
        return check(record.get(name), *limits)


# Messages


def read_health(data: bytes) -> dict[str, Any]:
    """A sign of life. Raises `BorderError`."""
    if len(data) > MAX_HEALTH:
        raise BorderError(f"a sign of life of more than {MAX_HEALTH:,} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BorderError("a sign of life that is not JSON") from None
    if not isinstance(found, dict):
        raise BorderError("a sign of life that is not a JSON object")
    with naming("a sign of life"):
        require_plain(found)
    return found


def read_applied(body: Any) -> tuple[PublishedKind, str, AppliedState, str]:
    """Kind, version, state and reason of a report on a published version. Raises `BorderError`."""
    if not isinstance(body, dict):
        raise BorderError("a report on a published version that is no JSON object")
    version = body.get("version")
    if type(version) is int:
        number(version, (1 << 63) - 1)
        version = str(version)
    with naming("version"):
        version = text(version, 64)
    return (
        value_of(body, "kind", word, ("set", "configuration")),
        version,
        value_of(body, "state", word, ("applied", "rejected")),
        text(body.get("reason", ""), MAX_SENTENCE, empty=True),
    )


def read_coverage(record: Any) -> dict[str, Any]:
    """The record of coverage as written by ``scan --coverage``. Raises `BorderError`."""
    with naming("record"):
        require_plain(record, 200_000)
        if not isinstance(record, dict):
            raise BorderError("expected a JSON object")
        networks = record.get("networks", [])
        if not isinstance(networks, list) or len(networks) > MAX_NETWORKS:
            raise BorderError(f"expected at most {MAX_NETWORKS:,} networks")
        for share in networks:
            _share(share)
            value_of(share, "name", text)
            value_of(share, "class", text)
        if len({network["name"] for network in networks}) < len(networks):
            raise BorderError("expected each network once")
        _share(record.get("outside"))
        try:
            read_report(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BorderError("expected what scan --coverage writes") from None
    return record


def _share(share: Any) -> None:
    """Check the flows of a network."""
    if not isinstance(share, dict):
        raise BorderError("expected the flows of a network")
    value_of(share, "named", number)
    unnamed = share.get("unnamed")
    if not isinstance(unnamed, dict) or len(unnamed) > _MAX_REASONS:
        raise BorderError(f"unnamed: expected at most {_MAX_REASONS} reasons")
    for reason, flows in unnamed.items():
        text(reason)
        number(flows)


@dataclass(slots=True)
class Outside:
    """The networks and devices in a sensor's reports that are not its own; None is no network."""

    networks: set[str | None] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.networks or self.devices)


@dataclass(frozen=True, slots=True)
class SensorLimits:
    """The limits of those sensors that have some, by name."""

    allowed: Mapping[str, SensorLimit]

    def allows(self, sensor: str, network: str | None) -> bool:
        """Whether a sensor may report on a network."""
        limit = self.allowed.get(sensor)
        return limit is None or limit.networks is None or network in limit.networks

    def marked(
        self, sensor: str, record: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Outside] | None:
        """The record of an alert with the limits of its sensor, and with the contradictions if it
        is about something outside, and that; None if the sensor may report on everything."""
        limit = self.allowed.get(sensor)
        if limit is None or limit == SensorLimit():
            return None
        outside = Outside()
        said_by = dict(record["sensor"])
        found = []
        if limit.networks is not None:
            said_by[NETWORKS] = sorted(limit.networks)
            network = record["network"]["name"]
            if network not in limit.networks:
                outside.networks.add(network)
                about = f"the network {network}" if network else "no network"
                found.append(_contradiction(OUTSIDE_NETWORK, about, said_by, NETWORKS, record))
        if limit.devices is not None:
            said_by[DEVICES] = [*limit.devices]
            device = device_of_inventory(record)
            if device is not None and not is_among(device, limit.devices):
                outside.devices.add(device)
                about = f"the device {device}" if device else "a device without an id"
                found.append(_contradiction(OUTSIDE_DEVICE, about, said_by, DEVICES, record))
        if not found:
            return {**record, "sensor": said_by}, outside
        known = record.get("contradictions") or []
        return {
            **record,
            "sensor": said_by,
            "confidence": LEAST,
            "contradictions": [*found, *known],
        }, outside

    def clients(
        self, sensor: str, clients: Sequence[ClientAddress]
    ) -> tuple[Sequence[ClientAddress], set[str]]:
        """Clients as they count, and the networks that are not the sensor's own."""
        outside = {
            client.network
            for client in clients
            if client.network is not None and not self.allows(sensor, client.network)
        }
        if not outside:
            return clients, outside
        return [
            replace(client, network=None, network_class=None)
            if client.network in outside
            else client
            for client in clients
        ], outside

    def one_of(self, sensor: str, found: OneOf) -> tuple[OneOf, set[str]]:
        """Flow records of networks that count, and the other networks."""
        outside = {network for network, *_ in found if not self.allows(sensor, network)}
        return [each for each in found if each[0] not in outside], outside

    def coverage(self, sensor: str, record: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """A record of coverage with the networks that count, and those that do not."""
        outside = {
            network["name"]
            for network in record["networks"]
            if not self.allows(sensor, network["name"])
        }
        kept = [network for network in record["networks"] if network["name"] not in outside]
        return {**record, "networks": kept}, outside


def _contradiction(
    kind: str, about: str, said_by: Mapping[str, Any], limit: str, record: Mapping[str, Any]
) -> dict[str, Any]:
    """The contradiction of a record `about` something that its sensor may not report on; `limit` is
    the key of its limit."""
    own = said_by[limit]
    names = ", ".join(own[:_MAX_NAMED]) or "none"
    more = ", …" if len(own) > _MAX_NAMED else ""
    first = record["evidence"][0]
    return {
        "type": kind,
        "text": f"The sensor {said_by['name']} speaks of {about}; its own: {names}{more}.",
        "count": max(1, sum(item["count"] for item in record["evidence"])),
        "evidence": [{**{name: first[name] for name in _PLACE}, "packet": number_of(first)}],
    }


UNLIMITED = SensorLimits({})
"""Each sensor may report on everything."""
