"""Pictures on pages: the SVG of both widths, and the table of the data below it."""

from dataclasses import dataclass

from markupsafe import Markup

from netwatch.charts.picture import Picture, Table
from netwatch.console.view import View
from netwatch.core.errors import NetwatchError


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as the macro ``figure`` takes it. `wide` and `narrow` are empty where the picture
    could not be rendered: the table has the same data."""

    name: str
    title: str
    summary: str
    wide: Markup
    narrow: Markup
    table: Table


def figure(view: View, picture: Picture, prefix: str = "") -> Figure:
    """A picture for a page; `prefix` tells it from others of the same name there."""
    renderer = view.console.renderer
    try:
        # The only HTML that is not escaped: netwatch.charts made it, and escapes what is in it.
        wide = Markup(renderer.svg(picture, "wide", view.language, prefix))
        narrow = Markup(renderer.svg(picture, "narrow", view.language, prefix))
    except NetwatchError as error:
        view.console.report(str(error))
        wide = narrow = Markup()
    name = f"{prefix}{picture.name}"
    return Figure(name, picture.title, picture.summary, wide, narrow, picture.table)
