"""What is held on one person, and of whom a pseudonym is: for the data protection officer."""

from collections.abc import Sequence
from itertools import islice

from netwatch.console.answers import Answer, Page
from netwatch.console.pages.incidents import QUERY_SECONDS, Listed, listed
from netwatch.console.view import View
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.store.database import QueryTimeoutError
from netwatch.store.device_facts import DeviceFacts
from netwatch.store.filters import Filter, Place, client_places, device_clients
from netwatch.store.identifying import Identity, identify, write_journal
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.stored_clients import stored_clients

_SHOWN = 50
_PLACES = 20
_LOOKS = 10_000
_ALL_TIME = (0, (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """How many addresses of a device are known in a network by a sensor, and their flows, None
    where they cannot be read. Sites have equal addresses, so each may be another device."""

    place: Place
    clients: int
    facts: DeviceFacts | None


@dataclass(frozen=True, slots=True)
class Held:
    """What the store has of a device: incidents, the newest first, and whether there are more; its
    addresses by where they are, the first `_PLACES`, and how many more there are; and the rows of
    the audit on it."""

    device: str
    incidents: tuple[Listed, ...]
    more: bool
    places: tuple[HeldPlace, ...]
    more_places: int
    looks: int


def show(view: View) -> Answer:
    """The form, and for a device what is held on it."""
    device = view.query.text("device")
    if not device:
        return Page("person", _values(), subject="nobody")
    return Page("person", _values(held=_held(view, device)), subject=f"device {device}")


def who(view: View) -> Answer:
    """Of whom a pseudonym is. It is in the journal of the store and in the audit before it is
    shown."""
    console, text = view.console, view.form.text("pseudonym")
    reason = view.form.text("reason")
    privacy = console.config.privacy
    found, message = None, ""
    if not text or not reason:
        message = view.say("A pseudonym and a reason are needed.")
    elif privacy is None:
        message = view.say("The configuration has no key of pseudonyms.")
    else:
        try:
            write_journal(console.catalogue, view.who.account, text, reason)
            found = identify(
                text, privacy.keys, console.config.devices.entries,
                stored_clients(console.catalogue, privacy.sealing),
                console.config.networks.scopes,
            )  # fmt: skip
            message = "" if found else view.say("Nothing says of whom this pseudonym is.")
        except NetwatchError as error:
            message = str(error)
    values = _values(found=found, pseudonym=text, message=message)
    detail = {"reason": reason, "found": found is not None}
    status = 200 if found else 422
    return Page("person", values, f"pseudonym {text[:80] or '-'}", status, detail=detail)


def _values(
    held: Held | None = None, found: Identity | None = None, pseudonym: str = "", message: str = ""
) -> dict[str, object]:
    return {"held": held, "found": found, "pseudonym": pseudonym, "message": message}


def _held(view: View, device: str) -> Held:
    console = view.console
    page = incident_page(
        console.catalogue, IncidentFilter(device=frozenset({device})),
        size=_SHOWN, timeout=QUERY_SECONDS,
    )  # fmt: skip
    entry = console.config.devices.entries.with_id(device)
    addresses: list[tuple[bytes | None, bytes | None]] = []
    if entry is not None:
        addresses = [(ip, None) for ip in entry.ips]
        addresses += [(None, mac) for mac in entry.macs]
    clients = device_clients(
        console.catalogue, Filter(device=device, addresses=tuple(addresses)), ()
    )
    known = client_places(console.catalogue, clients)
    places = [
        HeldPlace(place, len(numbers), _facts(view, numbers))
        for place, numbers in islice(known.items(), _PLACES)
    ]
    own = f"device {device}"
    looks = sum(
        entry.subject == own or entry.subject.startswith(f"{own},")
        for entry in console.audit.newest(_LOOKS, None, subject=own)
    )
    rows = tuple(listed(view, row) for row in page.rows)
    more = page.following is not None
    return Held(device, rows, more, tuple(places), len(known) - len(places), looks)


def _facts(view: View, clients: Sequence[int]) -> DeviceFacts | None:
    facts = view.console.device_facts
    try:
        return facts.read(clients, *_ALL_TIME, lambda _: False, QUERY_SECONDS)
    except QueryTimeoutError:
        return None
