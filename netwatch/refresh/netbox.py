"""The devices of a NetBox, over its REST API.

Lists are read in pages, ordered by object id. Each page begins with the last object of the page
before: if it is a different one, somebody changed the list meanwhile and an object may have been
skipped, so the list is read again. Addresses in responses are not followed, neither redirections
nor links to the next page, so that the token is sent to the configured server only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlencode

from netwatch.core.errors import NetwatchError
from netwatch.core.exchange import exchange
from netwatch.inventory.netbox_objects import (
    KINDS,
    MAX_INTERFACES,
    NetboxKind,
    NetboxRegister,
    Page,
    id_of,
    read_page,
)
from netwatch.inventory.registered import MAX_REGISTERED, Registered
from netwatch.refresh.options import NetboxSource
from netwatch.sinks.base import MisconfiguredError, UnavailableError
from netwatch.sinks.http_client import HttpClient, Response
from netwatch.sinks.secrets import redact

T = TypeVar("T")

MAX_NETBOX_SECONDS = 1800.0
"""The time limit for all requests to one NetBox together, in s."""

MAX_PARTS = 100_000
"""Pages of all lists of a NetBox together; a server may return one object in each."""

ATTEMPTS = 3
"""How often a list that changes meanwhile is read."""

PART = 500
"""Objects requested per page; the server may return fewer."""

DEVICES_AT_ONCE = 100
"""Devices whose interfaces or addresses are requested in one list."""

_HINTS = {
    401: "; is the token right?",
    403: "; may the token read devices, interfaces and IP addresses?",
    404: "; is 'url' the address of NetBox?",
}


class ChangedError(NetwatchError):
    """A list changed while it was read."""


def read_netbox(source: NetboxSource) -> list[Registered]:
    """The devices of a NetBox. Raises `NetwatchError`."""
    session = _Session(source)
    try:
        with exchange(MAX_NETBOX_SECONDS):
            return [device for name in source.kinds for device in session.read(KINDS[name])]
    except (NetwatchError, OSError) as error:
        secrets = [source.token] if source.token else []
        raise NetwatchError(f"{source.name}: {redact(str(error), secrets)}") from None
    finally:
        session.close()


class _Session:
    """The requests to one NetBox. Methods raise `NetwatchError` and `OSError`."""

    def __init__(self, source: NetboxSource) -> None:
        self._source = source
        self._client = HttpClient(source.http)
        self._parts = 0
        self._headers = {"Accept": "application/json"}
        if source.token is not None:
            token = source.token.value()
            # From version 4.5 on, there are tokens with this prefix, which have a scheme of their
            # own.
            scheme = "Bearer" if token.startswith("nbt_") else "Token"
            self._headers["Authorization"] = f"{scheme} {token}"

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def read(self, kind: NetboxKind) -> list[Registered]:
        """The devices of one kind."""
        register = NetboxRegister(kind, self._source.rules, self._source.owner)
        query = [*self._source.filters, ("exclude", "config_context")]
        register.add_devices(self._list(kind.path, query, register.device, MAX_REGISTERED))
        numbers = register.numbers
        for at in range(0, len(numbers), DEVICES_AT_ONCE):
            chosen = numbers[at : at + DEVICES_AT_ONCE]
            of = [(f"{kind.field}_id", str(number)) for number in chosen]
            found = self._list(kind.interfaces, of, register.interface, MAX_INTERFACES)
            register.add_interfaces(found)
            register.add_addresses(
                self._list("ipam/ip-addresses", of, register.address, MAX_INTERFACES)
            )
        return register.devices()

    def _list(
        self,
        path: str,
        query: Sequence[tuple[str, str]],
        convert: Callable[[Mapping[str, Any]], T],
        limit: int,
    ) -> list[T]:
        """The objects of a list, converted, from one consistent state of it; `limit` is how many
        there may be."""
        for _ in range(ATTEMPTS - 1):
            with suppress(ChangedError):
                return [convert(value) for value in self._read_list(path, query, limit)]
        return [convert(value) for value in self._read_list(path, query, limit)]

    def _read_list(
        self, path: str, query: Sequence[tuple[str, str]], limit: int
    ) -> Iterator[Mapping[str, Any]]:
        offset, count, last = 0, None, 0
        while True:
            part = self._part(path, query, max(0, offset - 1))
            objects = part.objects
            if count not in (None, part.count):
                raise ChangedError(f"the list {path} changes while it is read")
            count = part.count
            if count > limit:
                raise NetwatchError(f"{path}: expected at most {limit:,} objects, found {count:,}")
            if offset:
                if not objects or id_of(objects[0]) != last:
                    raise ChangedError(f"the list {path} changes while it is read")
                objects = objects[1:]
            for value in objects:
                if id_of(value) <= last:
                    raise NetwatchError(f"{path}: expected objects in order of their id")
                last = id_of(value)
                yield value
            offset += len(objects)
            if offset >= count:
                return
            if not objects:
                raise NetwatchError(f"{path}: expected {count:,} objects, found {offset:,}")

    def _part(self, path: str, query: Sequence[tuple[str, str]], offset: int) -> Page:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise NetwatchError(f"expected at most {MAX_PARTS:,} parts of lists, found more")
        place = {"ordering": "id", "limit": PART, "offset": offset}
        url = f"{self._source.url.rstrip('/')}/api/{path}/"
        try:
            response = self._client.request(
                f"{url}?{urlencode([*query, *place.items()])}", b"", self._headers, "GET"
            )
        except (UnavailableError, MisconfiguredError) as error:
            raise NetwatchError(str(error)) from None
        if response.status != 200:
            raise NetwatchError(f"{path}: {_problem(response)}")
        page = read_page(response.body)
        if len(page.objects) > PART:
            raise NetwatchError(f"{path}: expected at most {PART} objects in a part")
        return page


def _problem(response: Response) -> str:
    """The meaning of a response status, for messages."""
    if 300 <= response.status < 400:
        return (
            f"expected a list, found a redirection (HTTP status {response.status}), which is not"
            " followed; write the address that it leads to as 'url'"
        )
    return f"{response}{_HINTS.get(response.status, '')}"
