"""Giving the filter of a list a name, and forgetting it."""

from urllib.parse import urlencode

from netwatch.console.answers import Answer, Redirect, bad_request
from netwatch.console.asked import parse_pairs
from netwatch.console.pages import incidents
from netwatch.console.rendering import address_of
from netwatch.console.saved_filters import MAX_FILTER_NAME, SavedFilter
from netwatch.console.view import View

LISTS = {"/incidents": incidents.FILTERS}
"""The lists whose filters can be saved, and the values of their addresses."""


def save(view: View) -> Answer:
    """Keep the filter of a list under a name."""
    page, name = _page_and_name(view)
    given = parse_pairs(view.form.text("query"))
    pairs = [(key, value) for key, value in given if key in LISTS[page] and value]
    if not pairs:
        raise bad_request(view.say("There is no filter to save."))
    saved = SavedFilter(name, urlencode(pairs))
    if not view.console.filters.save(view.who.account, page, saved):
        raise bad_request(view.say("There are too many saved filters: remove one."))
    return Redirect(address_of(page, pairs))


def remove(view: View) -> Answer:
    """Forget a filter."""
    page, name = _page_and_name(view)
    view.console.filters.remove(view.who.account, page, name)
    return Redirect(page)


def _page_and_name(view: View) -> tuple[str, str]:
    page, name = view.form.text("page"), " ".join(view.form.text("name").split())
    if page not in LISTS:
        raise bad_request()
    if not 0 < len(name) <= MAX_FILTER_NAME:
        number = view.language.number(MAX_FILTER_NAME)
        raise bad_request(
            view.say("The name of a filter has up to %(most)s characters.", most=number)
        )
    return page, name
