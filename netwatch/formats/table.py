"""Records for people: aligned lines of observations, a table of alerts.

Records are written as they come. Colours are only for a terminal (and not where NO_COLOR
is set); elsewhere lines of alerts are 120 columns wide. What does not fit is folded or
pushes the rest to the right, and is never cut.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from netwatch.core.addresses import ip_text
from netwatch.core.alert import Alert, Records
from netwatch.core.observation import Observation
from netwatch.coverage.counts import Report
from netwatch.formats import coverage
from netwatch.formats.values import endpoint, escaped, rfc3339

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 120
"""Columns of a table of alerts where there is no terminal."""

ALERT: dict[str, int] = {
    "verdict": 9,
    "app": 10,
    "device": 18,
    "network": 10,
    "first and last seen": 20,
    "evidence": 27,
    "ban": 14,
}
"""What is told of an alert, and the widths of these columns at `WIDTH`; a wider terminal
stretches them, on a narrower one they stand below each other."""

_COLOURS = {"violation": "bold red", "advisory": "yellow", "exempt": "green"}
_EVIDENCE = {"dns": "cyan", "tls": "magenta", "qui": "magenta", "htt": "blue"}


class TableWriter:
    """Writes lines for people."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._widths = [0, 21, 10, 40]
        self._console: Console | None = None
        self._paint: Callable[[str, str], str] | None = None
        self._headed = False

    def begin(self, records: Records) -> None:
        """Nothing stands before the first record."""

    def observation(self, obs: Observation) -> None:
        """Write one observation as a line: time, client, evidence, name, server."""
        cells = [
            rfc3339(obs.time, obs.digits),
            endpoint(ip_text(obs.client_ip), obs.client_port),
            obs.evidence,
            escaped(obs.name),
        ]
        # Columns only ever widen, so that nothing has to be known of the lines to come.
        self._widths = [
            max(width, len(cell)) for width, cell in zip(self._widths, cells, strict=True)
        ]
        time, client, evidence, name = map(str.ljust, cells, self._widths)
        if self._paint is None:
            self._paint = _painter(self._rich())
        evidence = self._paint(evidence, _EVIDENCE.get(evidence[:3], "none"))
        server = endpoint(ip_text(obs.server_ip), obs.server_port)
        self._stream.write(f"{time}  {client}  {evidence}  {name}  {server}\n")

    def alert(self, told: Alert) -> None:
        """Write one alert as a row of several lines, with the table's head before the
        first, or as a list where the terminal is too narrow for a table."""
        from rich.text import Text

        console = self._rich()
        verdict, *others = (Text("\n".join(map(escaped, lines))) for lines in alert(told))
        verdict.stylize(_COLOURS[told.verdict])
        if console.width < WIDTH:
            table = _list()
            for title, cell in zip(ALERT, [verdict, *others], strict=True):
                table.add_row(title, cell)
        else:
            table = _table(console.width, head=not self._headed)
            table.add_row(verdict, *others)
        if self._headed:
            self._stream.write("\n")
        self._headed = True
        console.print(table)

    def coverage(self, report: Report, everything: bool) -> bool:
        """Write a table of networks and devices, apart from alerts by an empty line."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in coverage.COLUMNS:
            right = title in ("flows", "named", "share")
            table.add_column(title, justify="right" if right else "left", overflow="fold")
        for cells in coverage.rows(report, everything):
            table.add_row(*map(escaped, cells))
        if self._headed:
            self._stream.write("\n")
        self._rich().print(table)
        return True

    def end(self) -> None:
        """Nothing follows the last row."""

    def _rich(self) -> "Console":
        if self._console is None:
            from rich.console import Console

            console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
            if not console.is_terminal:
                console.width = WIDTH
            self._console = console
        return self._console


def alert(told: Alert) -> list[list[str]]:
    """The cells of an alert, in the order of ALERT, each as its lines."""
    device = told.device
    total = sum(item.count for item in told.evidence)
    evidence = [f"{total} in all"]
    if told.evidence:
        first = min(told.evidence, key=lambda item: item.time)
        evidence[0] += ", first:"
        evidence += [f"{first.type} {first.name}", f"{first.source}#{first.packet}"]
    return [
        [told.verdict, told.confidence] + ([told.status] if told.status != "closed" else []),
        [told.app.name],
        _distinct(device.id, device.hostname, device.ip),
        _distinct(told.network.name, None if told.vlan is None else f"VLAN {told.vlan}"),
        _distinct(rfc3339(told.first_seen, 0), rfc3339(told.last_seen, 0)),
        evidence,
        [told.ban.id],
    ]


def _distinct(*lines: str | None) -> list[str]:
    return list(dict.fromkeys(line for line in lines if line))


def _table(width: int, head: bool) -> "Table":
    """A table for one alert: all of them have the same widths, so that they line up."""
    from rich.table import Table

    room = width - 2 * (len(ALERT) - 1)
    whole = sum(ALERT.values())
    table = Table(box=None, show_header=head, pad_edge=False, padding=(0, 2, 0, 0))
    for title, share in ALERT.items():
        table.add_column(title, width=room * share // whole, overflow="fold")
    return table


def _list() -> "Table":
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(width=max(map(len, ALERT)), style="dim")
    table.add_column(overflow="fold")
    return table


def _painter(console: "Console") -> Callable[[str, str], str]:
    """A function that gives a text its colour, or leaves it where there are none."""
    if console.color_system is None or console.no_color:
        return lambda text, colour: text
    from rich.color import ColorSystem
    from rich.style import Style

    def paint(text: str, colour: str) -> str:
        return Style.parse(colour).render(text, color_system=ColorSystem.STANDARD)

    return paint
