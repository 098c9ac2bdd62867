"""The page for the person concerned, in plain words, to read and to print in four languages."""

from netwatch.console.answers import Answer, Page
from netwatch.console.pages.incident import stored_incident, subject_of
from netwatch.console.view import View
from netwatch.explain.subject import CATALOGUES, subject_page
from netwatch.explain.subject_notice import notice_of
from netwatch.language.language import LANGUAGES, language


def show(view: View) -> Answer:
    """The page; ``text`` of the address is its language, which need not be that of the console."""
    incident = stored_incident(view)
    code = view.query.word("text", LANGUAGES) or view.language.code
    lines = subject_page(
        incident, notice_of(view.console.config), view.console.zone_of(incident.ban.id),
        language(code, CATALOGUES),
    )  # fmt: skip
    values = {"incident": incident.id, "code": code, "lines": list(lines)}
    return Page("plain", values, subject_of(incident), detail={"language": code})
