"""What a value of a sensor may be: the limits at the border of a centre, and the checks of them.

A sensor may be broken or taken over, so nothing that it says is used before it has passed here.
Numbers are so small that the sum of as many as a store can have rows still fits into 63 bits, times
are not in the future, texts are texts that any database keeps. What does not fit raises
`EnvelopeError`.
"""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.formats.coverage import read_report
from netwatch.store.fleet_sensors import AppliedState, PublishedKind

MAX_FLOWS = 10_000_000_000
"""Flows of a network in an hour, or rows that a capture lost: 9 * 10^8 such numbers can be summed.
"""

MAX_BYTES = 1_000_000_000_000_000
"""Bytes or packets of one flow or incident."""

CLOCK_SLACK = 86_400_000_000_000
"""How far after its receipt something may have happened (ns). A clock that is off by more cannot
apply what is published either."""

MAX_POSITION = 2_147_483_647
"""What a column of the catalogue holds that counts captures and hours."""

MAX_TEXT = 300
"""Characters of a name."""

MAX_SENTENCE = 4000
"""Characters of a text for people."""

MAX_DEPTH = 12
"""Values in each other."""

MAX_HEALTH = 64 << 10
"""Bytes of a sign of life."""

MAX_NETWORKS = 4096
"""Networks of a record of coverage."""

_MAX_REASONS = 64


class BorderError(NetwatchError):
    """Something that a sensor sent is not what it may be."""


def text(value: Any, limit: int = MAX_TEXT, *, empty: bool = False) -> str:
    """A text that can be stored. Raises `BorderError`."""
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
    """A time (ns since the epoch) that is over at `now`, as far as clocks differ. Raises
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
    """Require JSON that can be kept and shown: at most so many values, numbers that fit into 63
    bits, texts that are texts. Raises `BorderError`."""
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
                stack += [(each, depth + 1) for each in found]
            case dict():
                stack += [(each, depth + 1) for pair in found.items() for each in pair]
            case _:
                raise BorderError("expected JSON")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """A context in which an error says where it is."""
    try:
        yield
    except BorderError as error:
        raise BorderError(f"{name}: {error}") from None


def field(record: Mapping[str, Any], name: str, check: Callable[..., Any], *limits: Any) -> Any:
    """The value of a field as `check` gives it. Raises `BorderError`, which names the field."""
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
        field(body, "kind", word, ("set", "configuration")),
        version,
        field(body, "state", word, ("applied", "rejected")),
        text(body.get("reason", ""), MAX_SENTENCE, empty=True),
    )


def read_coverage(record: Any) -> dict[str, Any]:
    """The record of coverage as ``scan --coverage`` writes it. Raises `BorderError`."""
    with naming("record"):
        require_plain(record, 200_000)
        if not isinstance(record, dict):
            raise BorderError("expected a JSON object")
        networks = record.get("networks", [])
        if not isinstance(networks, list) or len(networks) > MAX_NETWORKS:
            raise BorderError(f"expected at most {MAX_NETWORKS:,} networks")
        for share in networks:
            _share(share)
            field(share, "name", text)
            field(share, "class", text)
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
    field(share, "named", number)
    unnamed = share.get("unnamed")
    if not isinstance(unnamed, dict) or len(unnamed) > _MAX_REASONS:
        raise BorderError(f"unnamed: expected at most {_MAX_REASONS} reasons")
    for reason, flows in unnamed.items():
        text(reason)
        number(flows)
