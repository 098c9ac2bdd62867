"""How a list looks: the order of its rows, and which columns it shows. Both are in its address
(``sort=-app``, ``columns=app,device``), so they can be kept and passed on, and both are links and a
form, so they work without script, by keyboard, and where a narrow screen has no head of a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netwatch.console.rendering import address_of
from netwatch.console.view import Pairs, View
from netwatch.core.filter_words import DESCENDING

LOOK = ("sort", "columns")
"""The values of an address that say how its list looks."""

_MANY = 9


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its text (to be translated), whether it has numbers, whether rows can be
    sorted by it, and whether it is shown where the address does not say which."""

    name: str
    text: str
    is_number: bool = False
    sorts: bool = False
    is_usual: bool = True

    @property
    def begins_descending(self) -> bool:
        """Whether the first click on its head sorts the newest or the most first."""
        return self.is_number or self.name.endswith("_seen")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column as the macro ``sorted_heads`` takes it. `address` is that of the list
    sorted by it, empty if it cannot be; `sorted` is a word of ``aria-sort``, empty if it is not."""

    text: str
    kind: str
    address: str
    sorted: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of the form of a look."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Look:
    """How a list looks. `sort` is the name of the column it is sorted by, `pairs` are what its
    address has, `kept` its filters; `others` are the columns that can be chosen."""

    sort: str
    is_descending: bool
    is_usual_order: bool
    shown: frozenset[str]
    heads: tuple[Head, ...]
    orders: tuple[Choice, ...]
    others: tuple[Choice, ...]
    pairs: Pairs
    kept: Pairs

    @property
    def is_wide(self) -> bool:
        """Whether the table may be wider than a window, so that it scrolls."""
        return len(self.shown) > _MANY


def usual_columns(columns: Sequence[Column]) -> str:
    """The columns of a list whose address does not say which, as an address would."""
    return ",".join(column.name for column in columns[1:] if column.is_usual)


def order_of(view: View, columns: Sequence[Column], usual: str) -> tuple[str, bool]:
    """The column that the rows of a list are sorted by, and whether they are descending. Raises
    `Refused` for one that they cannot be sorted by."""
    names = [column.name for column in columns if column.sorts]
    text = view.query.text("sort") or usual
    view.query.check("sort", text, [each for name in names for each in (name, DESCENDING + name)])
    return text.removeprefix(DESCENDING), text.startswith(DESCENDING)


def _shown(view: View, columns: Sequence[Column]) -> frozenset[str]:
    """The columns that are shown; the first one always is. Raises `Refused` for what is none."""
    names = [column.name for column in columns[1:]]
    chosen = (view.query.text("columns") or usual_columns(columns)).split(",")
    for name in chosen:
        view.query.check("columns", name, names)
    return frozenset({columns[0].name, *chosen})


def look_of(view: View, columns: Sequence[Column], usual: str, kept: Sequence[str]) -> Look:
    """How a list looks whose rows are usually sorted by `usual`, and whose other values of its
    address are `kept`. Raises `Refused` for what cannot be."""
    name, is_descending = order_of(view, columns, usual)
    shown = _shown(view, columns)
    pairs, filters = view.query.kept(LOOK), view.query.kept(kept)
    others = [pair for pair in (*filters, *pairs) if pair[0] != "sort"]

    def head(column: Column) -> Head:
        is_here = column.name == name
        descends = not is_descending if is_here else column.begins_descending
        sort = (DESCENDING if descends else "") + column.name
        pair = [] if sort == usual else [("sort", sort)]
        return Head(
            view.say(column.text),
            "number" if column.is_number else "",
            address_of(view.place, [*others, *pair]) if column.sorts else "",
            ("descending" if is_descending else "ascending") if is_here else "",
        )

    return Look(
        name, is_descending, view.query.text("sort") in ("", usual), shown,
        tuple(head(column) for column in columns if column.name in shown),
        tuple(
            Choice(sort, text, sort == (DESCENDING if is_descending else "") + name)
            for column in columns
            if column.sorts
            for sort, text in _orders(view, column)
        ),
        tuple(
            Choice(column.name, view.say(column.text), column.name in shown)
            for column in columns[1:]
        ),
        tuple(pairs), tuple(filters),
    )  # fmt: skip


def _orders(view: View, column: Column) -> list[tuple[str, str]]:
    """The two orders of a column, each with its text, the one of the first click first."""
    say, name = view.say, view.say(column.text)
    if column.is_number:
        texts = (say("%(name)s: fewest first", name=name), say("%(name)s: most first", name=name))
    elif column.name.endswith("_seen"):
        texts = (say("%(name)s: oldest first", name=name), say("%(name)s: newest first", name=name))
    else:
        texts = (name, say("%(name)s, reversed", name=name))
    both = [(column.name, texts[0]), (DESCENDING + column.name, texts[1])]
    return both[::-1] if column.begins_descending else both


def plain_look(view: View, columns: Sequence[Column], usual: str, kept: Sequence[str]) -> Look:
    """The look of a list whose address cannot be read."""
    pairs = tuple(pair for pair in view.query.pairs if pair[0] not in LOOK)
    return look_of(replace(view, query=replace(view.query, pairs=pairs)), columns, usual, kept)


def joined_columns(pairs: Sequence[tuple[str, str]], usual: str) -> list[tuple[str, str]]:
    """Values of an address with the columns of a form in one, and without those that are usual."""
    names = [name for key, value in pairs if key == "columns" for name in value.split(",") if name]
    text = ",".join(dict.fromkeys(names))
    others = [pair for pair in pairs if pair[0] != "columns"]
    if not names or {*names} == {*usual.split(",")}:
        return others
    return [*others, ("columns", text)]
