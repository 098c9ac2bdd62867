"""The filters of lists under a name: kept, shared with those of the same role, and forgotten. What
is shared, and no longer, is in the audit, under the person whom it is about.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from netwatch.console.console import PERSON_FILTERS
from netwatch.console.list_looks import LOOK
from netwatch.console.pages.device import DEVICE_FILTERS
from netwatch.console.pages.incidents import CASE_FILTERS, FILTERS
from netwatch.console.rendering import address_of
from netwatch.console.saved_filters import MAX_FILTER_NAME, SavedFilter, TakenError
from netwatch.console.view import Answer, Redirect, View, bad_request, parse_pairs

LISTS = {
    "/incidents": (*FILTERS, *LOOK),
    "/cases": (*CASE_FILTERS, *LOOK),
    "/devices": (*DEVICE_FILTERS, *LOOK),
}
"""The lists whose filters can be saved, and the values of their addresses."""


def save(view: View) -> Answer:
    """Keep the filter of a list under a name, for oneself or all who have the same role."""
    page, name = _page_and_name(view)
    given = parse_pairs(view.form.text("query"))
    pairs = [(key, value) for key, value in given if key in LISTS[page] and value]
    if not pairs:
        raise bad_request(view.say("There is no filter to save."))
    for key, _ in pairs:
        if key in PERSON_FILTERS and view.role not in PERSON_FILTERS[key].roles:
            raise bad_request()
    saved = SavedFilter(name, urlencode(pairs))
    filters, account = view.console.filters, view.who.account
    try:
        if view.form.text("shared"):
            with view.console.database.together():
                is_kept = filters.share(account, view.role, page, saved)
                if is_kept:
                    _note(view, "filter shared", page, saved)
        else:
            is_kept = filters.save(account, page, saved)
    except TakenError:
        raise bad_request(
            view.say("Somebody else shares a filter of this name: choose another one.")
        ) from None
    if not is_kept:
        raise bad_request(view.say("There are too many saved filters: remove one."))
    return Redirect(address_of(page, pairs))


def remove(view: View) -> Answer:
    """Forget a filter, or share it no longer."""
    page, name = _page_and_name(view)
    account = view.who.account
    if not view.form.text("shared"):
        view.console.filters.remove(account, page, name)
        return Redirect(page)
    with view.console.database.together():
        if removed := view.console.filters.unshare(account, view.role, page, name):
            _note(view, "filter unshared", page, removed)
    return Redirect(page)


def _note(view: View, action: str, page: str, saved: SavedFilter) -> None:
    """Write down that a filter is shared, or no longer, under each person that it names."""
    who = view.who
    for subject in _persons(parse_pairs(saved.query)) or [page.removeprefix("/")]:
        view.console.audit.add(
            action, account=who.account, role=who.role, subject=subject, address=view.address,
            detail={"path": page, "name": saved.name, "filter": saved.query},
        )  # fmt: skip


def _persons(pairs: Sequence[tuple[str, str]]) -> list[str]:
    named = (PERSON_FILTERS[key].subject(value) for key, value in pairs if key in PERSON_FILTERS)
    return [*dict.fromkeys(filter(None, named))]


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
