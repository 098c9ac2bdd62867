"""The page for the person concerned, in plain words, to read and to print in four languages."""

from netwatch.console.answers import Answer, Page
from netwatch.console.pages.incident import stored_incident, subject_of
from netwatch.console.view import View
from netwatch.explain.sheet import labelled
from netwatch.explain.subject import CATALOGUES, subject_sheet
from netwatch.explain.subject_notice import notice_of, with_words
from netwatch.language.language import LANGUAGES, language


def show(view: View) -> Answer:
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
    }
    return Page("plain", values, subject_of(incident), detail={"language": code})
