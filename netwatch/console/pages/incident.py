"""One incident: every step from the packet to the clause, what it does not prove, what would refute
it, and its packets.

The page for the person concerned says it in plain words, to read and to print in four languages.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.rendering import words
from netwatch.console.triage_form import section
from netwatch.console.view import Answer, Download, Page, View, not_found
from netwatch.core.errors import NetwatchError
from netwatch.explain import wording
from netwatch.explain.sheet import labelled
from netwatch.explain.sources import explanation
from netwatch.explain.steps import Explanation
from netwatch.explain.stored import capture_files, cut_packets, original_captures
from netwatch.explain.subject import CATALOGUES, notice_of, period_text, subject_sheet, with_words
from netwatch.explain.wording import exemptions_asked, not_proved, refutations
from netwatch.language.language import LANGUAGES, language
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import cases_of_incident
from netwatch.store.incident_pages import incident_row
from netwatch.store.pruning import is_evidence_capture

_PIECE = 1 << 16


def show_plain(view: View) -> Answer:
    """The page; ``text`` of the address is its language, which need not be that of the console."""
    code = view.query.word("text", LANGUAGES) or view.language.code
    incident = with_words(stored_incident(view), view.console.config, code)
    texts = language(code, CATALOGUES)
    zone = view.console.zone_of(incident.ban.id)
    values = {
        "incident": incident.id,
        "code": code,
        "sheet": subject_sheet(incident, notice_of(view.console.config), zone, texts),
        "label": lambda text: labelled(text, texts),
        "triage": section(view, incident.id),
    }
    return Page("plain", values, subject_of(incident), detail={"language": code})


def show(view: View, problem: str = "") -> Page:
    """The page of an incident; `problem` is what is wrong with the form of its triage."""
    incident = with_words(stored_incident(view), view.console.config, view.language.code)
    texts, called = language(view.language.code, CATALOGUES), words(view.language)
    say, period = texts.say, incident.ban.period
    values = {
        "incident": incident,
        "zone": view.console.zone_of(incident.ban.id),
        "evidence": {code: say(text) for code, text in wording.EVIDENCE.items()},
        "bindings": {code: say(text) for code, text in wording.BINDINGS.items()},
        "lacks": {code: say(text) for code, text in wording.LACKS.items()},
        "is_flow_record": wording.is_flow_record,
        "why_not": {code: say(text) for code, text in wording.WHY_NOT.items()},
        "in_force": period_text(period.start, period.end, texts),
        "not_proved": [
            wording.sentence(e, wording.NOT_PROVED, say, called) for e in not_proved(incident)
        ],
        "refutations": [
            wording.sentence(e, wording.REFUTATIONS, say, called) for e in refutations(incident)
        ],
        "packets": _packets_from(view, incident),
        "triage": section(view, incident.id, problem),
        "cases": cases_of_incident(view.console.catalogue, incident.id),
    }
    return Page("incident", values, subject_of(incident))


def _packets_from(view: View, incident: Explanation) -> str:
    """Where the packets of an incident can be taken from: ``evidence`` or ``captures``; empty if
    there are none."""
    if packets_file(view, incident) is not None:
        return "evidence"
    return "captures" if original_captures(incident) else ""


def packets(view: View) -> Answer:
    """The packets that prove an incident, as the evidence capture has them; if there is none,
    those that the evidence names, cut out of the captures that were read."""
    incident = stored_incident(view)
    path = packets_file(view, incident)
    if path is None:
        return _cut(view, incident)
    if not os.access(path, os.R_OK):
        raise not_found(view.say("The evidence capture cannot be read."))
    return Download(
        path.name,
        "application/x-pcapng",
        _pieces(path),
        subject_of(incident),
        detail={"file": path.name},
    )


def _cut(view: View, incident: Explanation) -> Answer:
    files = original_captures(incident)
    if not files:
        raise not_found(
            view.say(
                "There is no evidence capture of this incident, and the captures that"
                " it was read from were moved or deleted."
            )
        )
    try:
        content = cut_packets(incident)
    except NetwatchError as error:
        view.console.report(str(error))
        raise not_found(
            view.say(
                "The packets cannot be cut out of the captures: they were changed, or take too long"
                " to read."
            )
        ) from None
    captures = [{"file": file.path, "sha256": file.sha256} for file in files.values()]
    name = f"{incident.id}-packets.pcapng"
    return Download(
        name,
        "application/x-pcapng",
        iter([content]),
        subject_of(incident),
        detail={"file": name, "cut out of": captures},
    )


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def stored_incident(view: View) -> Explanation:
    """The incident that the address names. Raises `Refused` if there is none."""
    catalogue = view.console.catalogue
    row = incident_row(catalogue, view.path["id"])
    if row is None:
        raise not_found(view.say("There is no such incident."))
    with catalogue.database.reading(QUERY_SECONDS) as connection:
        sources = connection.execute(
            select(tables.capture.c.sources).where(tables.capture.c.run == row.run)
        ).scalars()
        files = capture_files(sources)
    record = json.loads(row.record)
    exemptions = exemptions_asked(record, view.console.config.policy)
    return explanation(record, files, exemptions)


def person(view: View) -> str:
    """Whom the pages on the incident that the address names are about. Raises `Refused` if there
    is none."""
    row = incident_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(view.say("There is no such incident."))
    return device_of(json.loads(row.record))


def device_of(record: Mapping[str, Any]) -> str:
    """The device of an incident, in the words of the audit."""
    device = record["device"]
    return f"device {device['id'] or device['ip']}"


def subject_of(incident: Explanation) -> str:
    """Whom and what a page on an incident is about, for the audit."""
    return f"device {incident.device.id or incident.device.ip}, incident {incident.id}"


def packets_file(view: View, incident: Explanation) -> Path | None:
    """The evidence capture of an incident. Paths are those of records, so only a file that netwatch
    wrote for this very incident counts."""
    evidence = tables.evidence.c
    with view.console.catalogue.database.reading(QUERY_SECONDS) as connection:
        stored = connection.execute(
            select(evidence.path)
            .where(evidence.incident == incident.id)
            .order_by(evidence.id.desc())
            .limit(5)
        ).scalars().all()  # fmt: skip
    for text in (*stored, incident.evidence_file):
        path = Path(text or "")
        is_capture = path.suffix == ".pcapng" and incident.id in path.name
        if is_capture and is_evidence_capture(path):
            return path
    return None
