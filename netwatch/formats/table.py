"""Records for people: aligned lines of observations and a table of alerts.

Records are written as they arrive. Colours are used on a terminal only, unless NO_COLOR is set.
If the output is not a terminal, the table of alerts is 120 columns wide. Text that is too wide
is wrapped or shifts the rest to the right; it is never cut. No line ends with spaces.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from netwatch.core.addresses import ip_text
from netwatch.core.alert import Alert, AlertRecord, RecordKind, place_of, table_note
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import (
    EVIDENCE,
    WORD_CLIENT_HOST,
    WORD_CLIENT_IP,
    WORD_CLIENT_NETWORK,
    WORD_CLIENT_PORT,
    WORD_EVIDENCE,
    WORD_NAME,
    WORD_SENSOR,
    WORD_SERVER_IP,
    WORD_SERVER_PORT,
    WORD_TIME,
    WORD_TIME_DIGITS,
)
from netwatch.core.tabular import Columns
from netwatch.core.text import escaped
from netwatch.coverage.counts import CoverageReport
from netwatch.formats import coverage
from netwatch.formats.values import endpoint, epoch_ns, rfc3339

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

UNKNOWN = "-"
"""Instead of a client or server that is not in a log."""

WIDTH = 120
"""Width of the table of alerts, in characters, if the output is not a terminal."""

ALERT_COLUMNS: dict[str, int] = {
    "verdict": 9,
    "kind": 11,
    "app and ban": 18,
    "device, network": 17,
    "first and last seen": 20,
    "evidence": 35,
}
"""The columns of the table of alerts with their widths at `WIDTH`. A wider terminal widens them; on
a narrower one, each alert is a paragraph of a few lines. The column of the kind also has the
outcome: ``session, reached``."""

# Red and magenta can be read on white and on black; yellow, cyan, green and blue cannot on one.
_OUTCOME_COLOURS = {"blocked": "bold", "unknown": "dim"}
_KIND_COLOURS = {"session": "bold red", "background": "magenta"}
_VERDICT_COLOURS = {"violation": "bold red", "advisory": "magenta", "exempt": "bold"}
_EVIDENCE_COLOURS = {"dns": "bold", "tls": "magenta", "qui": "magenta", "htt": "red"}


_FILLED = re.compile(r" +((?:\x1b\[[0-9;]*m)*)\Z")
"""Spaces at the end of a line, before the end of its colour."""


class TableWriter:
    """Writes lines for people."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._columns = Columns([0, 21, 10, 40])
        self._console: Console | None = None
        self._paint: Callable[[str, str], str] | None = None
        self._has_alerts = False

    def begin(self, records: RecordKind) -> None:
        """Write nothing: the header of the table comes with the first alert."""

    def observations(self, batch: ObservationBatch) -> None:
        """Write each observation of a batch as a line: time, client, evidence, name, server."""
        lines = [
            self._line(batch, row) for start, stop in batch.spans for row in range(start, stop)
        ]
        self._stream.write("".join(lines))

    def _line(self, batch: ObservationBatch, row: int) -> str:
        word = batch.word
        evidence = EVIDENCE[word(row, WORD_EVIDENCE)]
        cells = [
            rfc3339(word(row, WORD_TIME), word(row, WORD_TIME_DIGITS)),
            _endpoint(batch, word(row, WORD_CLIENT_IP), word(row, WORD_CLIENT_PORT))
            or escaped(batch.text(word(row, WORD_CLIENT_HOST)))
            or UNKNOWN,
            evidence,
            escaped(batch.text(word(row, WORD_NAME))),
        ]
        self._columns.widen(cells)
        time, client, kind, name = self._columns.padded(cells)
        if self._paint is None:
            self._paint = _painter(self._rich())
        kind = self._paint(kind, _EVIDENCE_COLOURS.get(evidence[:3], "none"))
        server = _endpoint(batch, word(row, WORD_SERVER_IP), word(row, WORD_SERVER_PORT))
        where = ""
        if word(row, WORD_SENSOR):
            network, sensor = (word(row, each) for each in (WORD_CLIENT_NETWORK, WORD_SENSOR))
            named = batch.sources[network - 1] if network else UNKNOWN
            where = escaped(f"  {named}  {batch.sources[sensor - 1]}")
        return f"{time}  {client}  {kind}  {name}  {server or UNKNOWN}{where}\n"

    def alert(self, alert: Alert) -> None:
        """Write one alert."""
        from netwatch.formats.jsonl import alert_record

        self.alert_record(alert_record(alert))

    def alert_record(self, record: AlertRecord) -> None:
        """Write one alert as a row of several lines, preceded by the header if it is the first.
        Below it is a note if its kind or outcome needs one. On a terminal that is too narrow for
        the table, write it as a paragraph."""
        from rich.padding import Padding
        from rich.text import Text

        console = self._rich()
        cells = [Text("\n".join(map(escaped, lines))) for lines in alert_cells(record)]
        verdict, kind, *_ = cells
        verdict.stylize(_VERDICT_COLOURS[record["verdict"]])
        _colour_kind(kind, record)
        note = Text(escaped(table_note(record)))
        if self._has_alerts:
            self._stream.write("\n")
        if console.width < WIDTH:
            for line in (*_paragraph(cells), note):
                if line:
                    self._print(line)
        else:
            table = _table(console.width, header=not self._has_alerts)
            table.add_row(*cells)
            self._print(table)
            if note:
                indent = _widths(console.width)["verdict"] + 2
                self._print(Padding(note, (0, 0, 0, indent), expand=False))
        self._has_alerts = True

    def _print(self, what: "RenderableType") -> None:
        """Write what rich renders, without the spaces with which it fills lines."""
        console = self._rich()
        with console.capture() as captured:
            console.print(what)
        lines = (_FILLED.sub(r"\1", line) for line in captured.get().splitlines())
        self._stream.write("".join(f"{line}\n" for line in lines))

    def coverage(self, report: CoverageReport, everything: bool) -> bool:
        """Write a table of networks and devices, separated from the alerts by an empty line."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in coverage.COLUMNS:
            right = title in ("flows", "named", "share")
            table.add_column(title, justify="right" if right else "left", overflow="fold")
        for cells in coverage.report_rows(report, everything):
            table.add_row(*map(escaped, cells))
        if self._has_alerts:
            self._stream.write("\n")
        self._print(table)
        return True

    def end(self) -> None:
        """Write nothing: nothing follows the last row."""

    def _rich(self) -> "Console":
        if self._console is None:
            from rich.console import Console

            class Piped(Console):
                """Its library would end the program with status 1 if the reader is gone."""

                def on_broken_pipe(self) -> None:
                    raise  # It is called while the error is being handled.

            console = Piped(file=self._stream, highlight=False, markup=False, emoji=False)
            if not console.is_terminal:
                console.width = WIDTH
            self._console = console
        return self._console


def _endpoint(batch: ObservationBatch, ip: int, port: int) -> str:
    """A side of an observation from the words of its row; empty if not in the log."""
    if not ip:
        return ""
    text = ip_text(batch.packed(ip))
    return text if port < 0 else endpoint(text, port)


def alert_cells(record: AlertRecord) -> list[list[str]]:
    """The cells of an alert's record in the order of `ALERT_COLUMNS`, each as a list of lines."""
    device, network, items = record["device"], record["network"], record["evidence"]
    vlan = None if network["vlan"] is None else f"VLAN {network['vlan']}"
    place = ", ".join(filter(None, [network["name"], vlan]))
    evidence = [f"{sum(item['count'] for item in items)} in all"]
    if items:
        first = min(items, key=lambda item: epoch_ns(item["time"]))
        evidence[0] += ", first:"
        evidence += [f"{first['type']} {first['name']}", place_of(first)]
    status = [] if record["status"] == "closed" else [record["status"]]
    return [
        [record["verdict"], record["confidence"], *status],
        [f"{record['kind']['value']}, {record['outcome']}"],
        [record["app"]["name"], record["ban"]["id"]],
        _distinct(device["id"], device["hostname"], device["ip"], place),
        _distinct(*(rfc3339(epoch_ns(record[key]), 0) for key in ("first_seen", "last_seen"))),
        evidence,
    ]


def _distinct(*lines: str | None) -> list[str]:
    return list(dict.fromkeys(line for line in lines if line))


def _table(width: int, header: bool) -> "Table":
    """A table for one alert. All have the same column widths, so that their rows line up."""
    from rich.table import Table

    table = Table(box=None, show_header=header, pad_edge=False, padding=(0, 2, 0, 0))
    for title, column in _widths(width).items():
        table.add_column(title, width=column, overflow="fold")
    return table


def _widths(width: int) -> dict[str, int]:
    """The widths of the columns of a table of `width` characters."""
    available = width - 2 * (len(ALERT_COLUMNS) - 1)
    total = sum(ALERT_COLUMNS.values())
    return {title: available * share // total for title, share in ALERT_COLUMNS.items()}


def _colour_kind(cell: "Text", record: AlertRecord) -> None:
    """Colour kind and outcome: use stands out, and so does a block that worked."""
    kind, _, outcome = cell.plain.partition(", ")
    cell.stylize(_KIND_COLOURS.get(record["kind"]["value"], "none"), 0, len(kind))
    cell.stylize(_OUTCOME_COLOURS.get(record["outcome"], "none"), len(cell.plain) - len(outcome))


def _paragraph(cells: "Sequence[Text]") -> "Iterator[Text]":
    """The cells of an alert in three lines, which a narrow terminal wraps: what, who and when, and
    the evidence."""
    from rich.text import Text

    gap = Text("  ")
    parts = [gap.join(cell.split("\n")) for cell in cells]
    for of_line in (parts[:3], parts[3:5], parts[5:]):
        yield gap.join(of_line)


def _painter(console: "Console") -> Callable[[str, str], str]:
    """A function that colours a text, or returns it unchanged if colours are off."""
    if console.color_system is None or console.no_color:
        return lambda text, colour: text
    from rich.color import ColorSystem
    from rich.style import Style

    def paint(text: str, colour: str) -> str:
        return Style.parse(colour).render(text, color_system=ColorSystem.STANDARD)

    return paint
