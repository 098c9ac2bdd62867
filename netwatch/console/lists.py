"""What lists have in common: tidy addresses, times in forms, and lines of CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from netwatch.console.answers import Redirect
from netwatch.console.rendering import address_of
from netwatch.console.view import View
from netwatch.formats.csv import cell

TIMES = ("from", "to")
"""The values of an address that are times."""


def tidied(view: View, names: Sequence[str]) -> Redirect | None:
    """The address of a list as it can be passed on: without the empty values that a form sends, and
    with times in UTC. None where it is tidy already."""
    pairs = []
    for name, value in view.query.pairs:
        moment = view.query.moment(name) if name in TIMES and value.strip() else None
        text = _text(moment) if moment is not None else value.strip()
        if text or name not in names:
            pairs.append((name, text))
    if pairs == list(view.query.pairs):
        return None
    return Redirect(address_of(view.place, pairs))


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_inputs(view: View) -> dict[str, str]:
    """The times of an address as the fields of a form have them, in UTC."""
    found = {name: view.query.moment(name) for name in TIMES}
    return {name: "" if value is None else _text(value)[:-1] for name, value in found.items()}


def csv_line(cells: Iterable[object]) -> bytes:
    """A line of CSV (RFC 4180) of cells that are safe to open in a spreadsheet."""
    text = io.StringIO()
    csv.writer(text).writerow([cell(each) for each in cells])
    return text.getvalue().encode()
