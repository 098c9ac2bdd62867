"""The view of a running capture on a terminal, redrawn twice a second: a snapshot at a glance, as
wide and high as the terminal.

At the top are the health and the rates; below are the incidents, newest first, then the last
messages, apps, devices and blind spots, then outputs and anomalies. If the terminal is low, the
parts at the bottom are left out first; if it is narrow, columns are. All text from packets is
escaped, and none of it is interpreted as markup.

It uses the alternate screen of the terminal and restores the terminal however the capture ends. It
is drawn in a thread of its own from snapshots only, so that a slow terminal delays no packet. It
follows the size of the terminal, and uses no colours if NO_COLOR is set.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from netwatch.core.alert import Alert
from netwatch.core.text import escaped, quantity
from netwatch.coverage.counts import unreadable
from netwatch.dissect.loop.layout import HARMLESS
from netwatch.formats.values import rfc3339
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.snapshot import ContactCount, History, Rates, Snapshot, TakeSnapshot

SIDE_BY_SIDE_WIDTH = 72
"""The width of a terminal from which the panes are side by side."""

PANE_HEIGHT = 6
"""Lines of a pane (apps, devices, blind spots), with its title and an empty line."""

MESSAGE_HEIGHT = 4
"""Lines of messages, the most recent ones."""

MIN_TABLE_HEIGHT = 4
"""Lines that the table of incidents needs; panes, footer and messages are left out in favour of
it."""

# Colours that can be read on white and on black.
_VERDICTS = {"violation": "bold red", "advisory": "magenta", "exempt": "bold"}
_OUTCOMES = {"blocked": "bold"}
_BARS = "▁▂▃▄▅▆▇█"
_PREFIXES = ("", "k", "M", "G", "T")

Column = tuple[str, int, int, Callable[[Alert], str]]
"""Title, width (0: flexible), the width of the terminal from which the column is shown, and the
function that gives its text."""

_COLUMNS: tuple[Column, ...] = (
    ("last seen (UTC)", 15, 88, lambda alert: _time_of_day(alert.last_seen)),
    ("state", 6, 104, lambda alert: alert.status),
    ("verdict", 9, 0, lambda alert: alert.verdict),
    ("kind", 10, 96, lambda alert: alert.kind.value),
    ("outcome", 9, 56, lambda alert: alert.outcome),
    ("confidence", 10, 124, lambda alert: alert.confidence),
    ("app", 12, 0, lambda alert: alert.app.name),
    ("device", 0, 0, lambda alert: alert.device.hostname or alert.device.id),
    ("address", 15, 160, lambda alert: alert.device.address or ""),
    ("network", 12, 144, lambda alert: alert.network.name),
    ("contacts", 8, 116, lambda alert: f"{sum(item.count for item in alert.evidence):,}"),
    ("evidence", 0, 64, lambda alert: _best_evidence(alert)),
)


def screen(
    snapshot: Snapshot,
    rates: Rates,
    width: int,
    height: int,
    thresholds: Thresholds | None = None,
) -> RenderableType:
    """The whole screen, in at most `height` lines of `width` columns."""
    parts: list[Part] = [(1, _line(_title(snapshot, width)))]
    parts += [(1, _line(text)) for text in _health(snapshot, thresholds or Thresholds())]
    parts += [(1, _line(text)) for text in _rates(snapshot, rates, width)]
    left = height - sum(lines for lines, _ in parts)
    footer = [(1, _line(text)) for text in _footer(snapshot)]
    messages = [(1, _line(text)) for text in _messages(snapshot)]
    panes = _panes(snapshot, width)
    # Messages are rarer than what panes show, so panes give way to them.
    needed = MIN_TABLE_HEIGHT + len(messages)
    while panes and left - sum(lines for lines, _ in panes) - len(footer) < needed:
        panes.pop()
    needed = MIN_TABLE_HEIGHT + min(1, len(messages))
    while footer and left - sum(lines for lines, _ in panes) - len(footer) < needed:
        footer.pop()
    left -= sum(lines for lines, _ in panes) + len(footer)
    while messages and left - len(messages) < MIN_TABLE_HEIGHT:
        messages.pop(0)
    left -= len(messages)
    if left >= 3:
        parts.append((left, _incidents(snapshot, width, left - 2)))
    parts += messages + panes + footer
    return Group(*(part for _, part in parts[:height]))


Part = tuple[int, RenderableType]
"""A part of the screen: its lines, and what is shown there."""


def _line(text: Text) -> RenderableType:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _title(snapshot: Snapshot, width: int) -> Text:
    text = Text("netwatch ", style="bold")
    text.append(escaped(snapshot.version), style="not bold")
    text.append(f"  {escaped(', '.join(snapshot.interfaces)) or 'no interface'}", style="bold")
    text.append(f"  up {_duration(snapshot.now - snapshot.started)}", style="not bold")
    if snapshot.signatures and width >= 96:
        text.append(f"  signatures {escaped(snapshot.signatures)}", style="dim")
    return text


def _health(snapshot: Snapshot, thresholds: Thresholds) -> Iterable[Text]:
    found = troubles(snapshot, thresholds)
    if found:
        messages = "; ".join(escaped(trouble.message) for trouble in found)
        yield Text(f"UNHEALTHY  {messages}", style="bold white on red")
    else:
        yield Text("healthy", style="bold")
    if snapshot.reload_error:
        mistakes = snapshot.reload_error.splitlines()
        text = Text("RELOAD REFUSED  ", style="bold red")
        # The folder would leave no room for the error.
        place, colon, mistake = mistakes[0].partition(": ")
        place = place.rpartition("/")[2]
        text.append(escaped(f"{place}{colon}{mistake}"), style="not bold")
        if len(mistakes) > 1:
            text.append(f" (and {quantity(len(mistakes) - 1, 'more mistake')})", style="not bold")
        yield text


def _rates(snapshot: Snapshot, rates: Rates, width: int) -> Iterable[Text]:
    text = Text("packets ", style="dim").append(f"{_si(rates.packets)}/s", style="not dim bold")
    lost = f"{_si(rates.dropped)}/s, {snapshot.dropped:,} in total"
    text.append("  dropped ").append(lost, style=f"not dim bold{' red' if rates.dropped else ''}")
    text.append("  traffic ").append(f"{_si(rates.bits, ' ')}bit/s", style="not dim bold")
    text.append("  names ").append(f"{_si(rates.names)}/s", style="not dim bold")
    yield text
    trend = rates.trend[-max(0, width - 16) :]
    text = Text(_bars(trend), style="magenta")
    if trend:
        text.append(f"  peak {_si(max(trend))}/s", style="dim")
    yield text


def _incidents(snapshot: Snapshot, width: int, rows: int) -> RenderableType:
    open_now = sum(snapshot.open_incidents.values())
    verdicts = [verdict for verdict in _VERDICTS if snapshot.incidents.get(verdict)]
    reported = ", ".join(f"{snapshot.incidents[verdict]:,} {verdict}" for verdict in verdicts)
    head = Text("incidents ", style="bold")
    head.append(f"{open_now:,} open; reported: {reported or 'none'}", style="not bold")
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    columns = [column for column in _COLUMNS if width >= column[2]]
    for title, fixed, _, _ in columns:
        table.add_column(
            title,
            no_wrap=True,
            overflow="ellipsis",
            width=fixed or None,
            ratio=None if fixed else 1 + (title == "evidence"),
            justify="right" if title == "contacts" else "left",
        )
    for alert in snapshot.recent[:rows]:
        cells = [
            Text(escaped(show(alert)), style=_OUTCOMES.get(show(alert), ""))
            if title == "outcome"
            else Text(escaped(show(alert)))
            for title, *_, show in columns
        ]
        colour = _VERDICTS.get(alert.verdict, "")
        table.add_row(*cells, style=colour if alert.status != "closed" else f"dim {colour}")
    fill = max(0, rows - len(snapshot.recent[:rows]))
    return Group(_line(head), Padding(table, (0, 0, fill, 0)))


def _time_of_day(time: int) -> str:
    """Month, day and time, without the year, of a time in ns."""
    return rfc3339(time, 0)[5:19].replace("T", " ")


def _best_evidence(alert: Alert) -> str:
    """The first handshake; if there is none, the first lookup."""
    best = min(
        alert.evidence, key=lambda item: (item.type.startswith("dns"), item.time), default=None
    )
    return f"{best.type} {best.name}" if best else ", ".join(alert.names)


def _panes(snapshot: Snapshot, width: int) -> list[Part]:
    """Apps, devices and blind spots, side by side if the terminal is wide enough."""
    panes = [
        _pane("apps", _contact_rows(snapshot.apps)),
        _pane("devices", _contact_rows(snapshot.devices)),
        _pane(*_blind_spots(snapshot)),
    ]
    if width >= SIDE_BY_SIDE_WIDTH:
        table = Table.grid(expand=True, padding=(0, 2, 0, 0))
        for _ in panes:
            table.add_column(ratio=1)
        table.add_row(*panes)
        return [(PANE_HEIGHT, table)]
    return [(PANE_HEIGHT, pane) for pane in panes]


def _pane(title: str, rows: Sequence[tuple[str, str]]) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(title, no_wrap=True, overflow="ellipsis", ratio=1, header_style="bold")
    table.add_column("", no_wrap=True, justify="right")
    for name, count in rows[: PANE_HEIGHT - 2]:
        table.add_row(Text(escaped(name)), Text(count))
    return Padding(table, (0, 0, max(0, PANE_HEIGHT - 1 - len(rows[: PANE_HEIGHT - 2])), 0))


def _contact_rows(rows: Sequence[ContactCount]) -> list[tuple[str, str]]:
    return [(row.name, f"{row.contacts:,}") for row in rows] or [("none yet", "")]


def _blind_spots(snapshot: Snapshot) -> tuple[str, list[tuple[str, str]]]:
    """Title and rows: the share of flows without a name in percent, rounded up, and their number by
    reason, below the packets that could not be read, which are in no flow."""
    flows = snapshot.flows
    unnamed = sorted((-count, name) for name, count in flows.items() if name != "named" and count)
    total, blind = sum(flows.values()), -sum(count for count, _ in unnamed)
    title = f"blind spots: {-(-100 * blind // total)} %" if total else "blind spots"
    packets = sum(unreadable(snapshot.anomalies).values())
    rows = [("packets not read", f"{packets:,}")] if packets else []
    rows += [(name, f"{-count:,}") for count, name in unnamed]
    return title, rows or [("none yet", "")]


def _messages(snapshot: Snapshot) -> Iterable[Text]:
    """The last messages, the newest at the bottom."""
    for message in snapshot.messages[-MESSAGE_HEIGHT:]:
        clock = rfc3339(int(message.time) * 10**9, 0)[11:19]
        yield Text(f"{clock}  ", style="dim").append(escaped(message.text), style="not dim")


def _footer(snapshot: Snapshot) -> Iterable[Text]:
    if snapshot.outputs:
        text = Text("outputs ", style="dim")
        text.append(
            "  ".join(
                f"{escaped(name)}: {queue.waiting:,} waiting, {queue.lost:,} lost"
                for name, queue in sorted(snapshot.outputs.items())
            ),
            style="not dim",
        )
        yield text
    counts = [item for item in snapshot.anomalies.items() if item[0] not in HARMLESS]
    counts.sort(key=lambda item: (-item[1], item[0]))
    text = Text("anomalies ", style="dim")
    text.append(", ".join(f"{name} {count:,}" for name, count in counts[:8]) or "none", style="dim")
    yield text


def _bars(values: Sequence[float]) -> str:
    """A bar chart in one line, scaled to the largest value."""
    most = max(values, default=0.0)
    if most <= 0:
        return ""
    return "".join(_BARS[min(7, int(8 * value / most))] for value in values)


def _si(value: float, separator: str = "") -> str:
    """A number in three digits with an SI prefix: 999, 1.23 k, 45.6 M. `separator` follows a
    number without a prefix."""
    prefix = 0
    while value >= 999.5 and prefix < len(_PREFIXES) - 1:
        value /= 1000
        prefix += 1
    if not prefix:
        return f"{value:.0f}{separator}"
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {_PREFIXES[prefix]}"


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


REFRESH = 2
"""Redraws per second."""


def can_show(console: Console) -> bool:
    """Whether the console is a terminal that supports cursor movement."""
    return console.is_terminal and not console.is_dumb_terminal


class View:
    """Shows a capture on `console` during the context."""

    def __init__(
        self,
        take_snapshot: TakeSnapshot,
        console: Console,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._take_snapshot = take_snapshot
        self._console = console
        self._thresholds = thresholds or Thresholds()
        self._history = History()
        self._live = Live(
            get_renderable=self._render,
            console=console,
            screen=True,
            refresh_per_second=REFRESH,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _render(self) -> RenderableType:
        snapshot = self._take_snapshot()
        rates = self._history.add(snapshot)
        width, height = self._console.size
        if width < 20 or height < 5:
            return Text("too small", no_wrap=True)
        return screen(snapshot, rates, width, height, self._thresholds)

    def __enter__(self) -> "View":
        try:
            self._live.start(refresh=True)
        except BaseException:
            # An interrupt may come when the alternate screen is already in use.
            self._live.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        # A terminal that was closed cannot be restored.
        with contextlib.suppress(OSError):
            self._live.stop()
