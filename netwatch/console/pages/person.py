"""What is held on one person, as GDPR article 15 asks, also as a file; and of whom a pseudonym is:
for the data protection officer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netwatch.console.audit import entry_record
from netwatch.console.held import Held, HeldKind, copies, held, looks_at, overview
from netwatch.console.lists import joined
from netwatch.console.pages.incidents import QUERY_SECONDS, listed
from netwatch.console.view import Answer, Download, Page, View, bad_request
from netwatch.core.errors import NetwatchError
from netwatch.explain.subject import notice_of
from netwatch.formats.values import json_line, rfc3339
from netwatch.rules.ban_keys import words_in
from netwatch.store.identifying import Identity, identify, write_journal
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.resolving import stored_clients

SCHEMA = "netwatch.person/1"
"""The schema of the file, with its version."""

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class ShownKind:
    """A kind of data in words: what it is, why it is kept, and for how long where that is no time
    after its date."""

    kind: HeldKind
    what: str
    why: str
    rule: str


def show(view: View) -> Answer:
    """The form, and for a device what is held on it."""
    device = view.query.text("device")
    if not device:
        return Page("person", _values(), subject="nobody")
    return Page("person", _values(_shown(view, device)), subject=f"device {device}")


def export(view: View) -> Answer:
    """All that is held on a device, as one JSON file: the copy of GDPR article 15 (3)."""
    device = view.query.text("device")
    if not device:
        raise bad_request(view.say("The address has no device."))
    found = held(view.console, device, QUERY_SECONDS)
    return Download(
        "person.json", "application/json", joined(_file(view, found)), f"device {device}"
    )


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
            message = "" if found else view.say("It is not known whose pseudonym this is.")
        except NetwatchError as error:
            message = str(error)
    values = _values(found=found, pseudonym=text, message=message)
    detail = {"reason": reason, "found": found is not None}
    status = 200 if found else 422
    return Page("person", values, f"pseudonym {text[:80] or '-'}", status, detail=detail)


def _values(
    shown: Mapping[str, Any] | None = None,
    found: Identity | None = None,
    pseudonym: str = "",
    message: str = "",
) -> dict[str, object]:
    return {"held": shown, "found": found, "pseudonym": pseudonym, "message": message}


def _shown(view: View, device: str) -> dict[str, Any]:
    """What the page says of a device."""
    found = held(view.console, device, QUERY_SECONDS)
    wanted = IncidentFilter(device=frozenset(found.ids))
    page = incident_page(view.console.catalogue, wanted, size=_SHOWN, timeout=QUERY_SECONDS)
    texts = _texts(view)
    return {
        "device": device,
        "kinds": [ShownKind(kind, *texts[kind.code], _rule(view, kind)) for kind in found.kinds],
        "places": len({(kind.network, kind.sensor) for kind in found.kinds if kind.network}),
        "looks": found.looks[:_SHOWN],
        "accounts": view.console.names.shown({look.account for look in found.looks[:_SHOWN]}),
        "more_looks": len(found.looks) - len(found.looks[:_SHOWN]),
        "incidents": [listed(view, row) for row in page.rows],
        "more": page.following is not None,
        "notice": notice_of(view.console.config),
        "bases": [
            (ban.id, words_in(ban, view.language.code).legal_basis)
            for ban in view.console.config.policy.bans
        ],
        "recipients": [output.name for output in view.console.config.outputs],
    }


def _texts(view: View) -> dict[str, tuple[str, str]]:
    """Of each kind of data what it is, and why it is kept."""
    say = view.say
    again = say("to judge again if signatures or bans change, and to show how much could be read")
    verdict = say("to show whether a ban was complied with, and by what evidence")
    return {
        "inventory": (
            say("Rows of the inventory: id, addresses, host name, owner"),
            say("to tell devices and their classes apart"),
        ),
        "client": (say("Addresses, MACs and their network"), say("facts refer to them")),
        "observation": (say("Observations: names that it showed, and servers"), again),
        "flow": (say("Flows: with whom, when and how much, without content"), again),
        "claim": (
            say("Address claims: which address and host name it had"),
            say("to find the device behind an address"),
        ),
        "incident": (say("Incidents"), verdict),
        "case": (say("Cases: incidents as several sensors saw them"), verdict),
        "evidence": (
            say("Evidence captures: the packets that prove an incident"),
            say("so that others can verify an incident"),
        ),
        "coverage": (
            say("Records of coverage: flows of the device with and without a name"),
            say("to show what could not be seen"),
        ),
        "audit": (
            say("Rows of the audit: who looked at it"), say("to show who looked at it, and why"),
        ),
    }  # fmt: skip


def _rule(view: View, kind: HeldKind) -> str:
    say = view.say
    return {
        "time": "",
        "facts": say("as long as there are facts of them"),
        "yours": say("as long as it is in your file"),
        "record": say("not deleted by netwatch"),
    }[kind.rule]


def _file(view: View, found: Held) -> Iterator[bytes]:
    """The file, piece by piece."""
    console = view.console
    notice = notice_of(console.config)
    head = {
        "schema": SCHEMA,
        "device": found.device,
        "known_as": [*found.ids],
        "made": rfc3339(console.now(), 0),
        "controller": notice.controller,
        "contact": notice.contact,
        "supervisor": notice.supervisor,
        "purposes": [
            {"ban": ban.id, "legal_basis": ban.legal_basis} for ban in console.config.policy.bans
        ],
        "recipients": [output.name for output in console.config.outputs],
        "kinds": [overview(kind) for kind in found.kinds],
    }
    yield json_line(head).removesuffix("}").encode()
    for name, values in copies(console, found):
        yield f',\n"{name}":['.encode()
        for number, value in enumerate(values):
            text = json_line(value) if isinstance(value, dict) else json_line({"path": value})
            yield f"{',' if number else ''}\n{text}".encode()
        yield b"]"
    entries = looks_at(console, found.ids)
    names = console.names.of({entry.account for entry in entries})
    looks = ",\n".join(json_line(entry_record(entry, names)) for entry in entries)
    yield f',\n"looks":[{looks}]}}\n'.encode()
