"""What lists have in common: tidy addresses, times in forms, and lines of CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from netwatch.console.answers import Redirect
from netwatch.console.rendering import address_of
from netwatch.console.view import View
from netwatch.core.errors import NetwatchError
from netwatch.formats.csv import cell
from netwatch.formats.values import json_line

TIMES = ("from", "to")
"""The values of an address that are times."""

_PIECE = 1 << 16


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


def joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in pieces of some size: to make one piece and to send it is a step of its own each.
    The lines before an error are given before it is raised."""
    piece, error = bytearray(), None
    try:
        for line in lines:
            piece += line
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
    except NetwatchError as raised:
        error = raised
    if piece:
        yield bytes(piece)
    if error is not None:
        raise error


def cut_line(view: View, *, is_csv: bool) -> bytes:
    """The last line of an exported list that was cut, which says so."""
    text = view.say(
        "The export was cut here, since it took too long or the store could not be read: ask for a"
        " shorter period."
    )
    return csv_line([text]) if is_csv else f"{json_line({'cut': text})}\n".encode()
