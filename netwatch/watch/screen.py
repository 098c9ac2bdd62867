"""A snapshot as a screen: what an admin wants to see at a glance, as wide as there is room.

The head says whether all is well and how much comes; below it stand the incidents, the
newest first, then who and what, and what nobody could read. What matters less goes first
where the terminal is low, and columns where it is narrow. All text that comes from packets
is escaped, and nothing is taken for markup.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from netwatch.core.alert import Alert
from netwatch.dissect.loop.headers import INNOCENT
from netwatch.formats.values import escaped, rfc3339
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.rates import Rates
from netwatch.watch.snapshot import Ranked, Snapshot

WIDE = 72
"""Columns from which on panes stand beside each other."""

PANE = 6
"""Rows of a pane: of apps, of devices, of blind spots."""

_VERDICTS = {"violation": "bold red", "advisory": "yellow", "exempt": "green"}
_BARS = "▁▂▃▄▅▆▇█"
_STEPS = ("", "k", "M", "G", "T")

Column = tuple[str, int, int, Callable[[Alert], str]]
"""Title, width, the columns a terminal needs for it to be shown, and what it shows."""

_COLUMNS: tuple[Column, ...] = (
    ("last seen (UTC)", 15, 72, lambda told: rfc3339(told.last_seen, 0)[5:19].replace("T", " ")),
    ("state", 6, 48, lambda told: told.status),
    ("verdict", 9, 0, lambda told: told.verdict),
    ("confidence", 10, 110, lambda told: told.confidence),
    ("app", 12, 0, lambda told: told.app.name),
    ("device", 0, 0, lambda told: told.device.hostname or told.device.id),
    ("address", 15, 150, lambda told: told.device.ip),
    ("network", 12, 132, lambda told: told.network.name),
    ("contacts", 8, 100, lambda told: f"{sum(item.count for item in told.evidence):,}"),
    ("shown as", 0, 64, lambda told: _shown(told)),
)


def screen(
    seen: Snapshot, rates: Rates, width: int, height: int, limits: Thresholds | None = None
) -> RenderableType:
    """Everything, in at most `height` lines of `width` columns."""
    parts: list[Part] = [(1, _line(_title(seen, width)))]
    parts += [(1, _line(text)) for text in _health(seen, limits or Thresholds())]
    parts += [(1, _line(text)) for text in _flow(seen, rates, width)]
    room = height - sum(size for size, _ in parts)
    foot = [(1, _line(text)) for text in _foot(seen)]
    panes = _panes(seen, width)
    least = 4
    while panes and room - sum(size for size, _ in panes) - len(foot) < least:
        panes.pop()
    while foot and room - sum(size for size, _ in panes) - len(foot) < least:
        foot.pop()
    room -= sum(size for size, _ in panes) + len(foot)
    if room >= 3:
        parts.append((room, _incidents(seen, width, room - 2)))
    parts += panes + foot
    return Group(*(part for _, part in parts[:height]))


Part = tuple[int, RenderableType]
"""How many lines it takes, and what it is."""


def _line(text: Text) -> RenderableType:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _title(seen: Snapshot, width: int) -> Text:
    text = Text("netwatch ", style="bold")
    text.append(escaped(seen.version), style="not bold")
    text.append(f"  {escaped(', '.join(seen.interfaces)) or 'no interface'}", style="bold cyan")
    text.append(f"  up {_span(seen.now - seen.started)}", style="not bold")
    if seen.signatures and width >= 96:
        text.append(f"  signatures {escaped(seen.signatures)}", style="dim")
    return text


def _health(seen: Snapshot, limits: Thresholds) -> Iterable[Text]:
    wrong = troubles(seen, limits)
    if wrong:
        told = "; ".join(escaped(trouble.told) for trouble in wrong)
        yield Text(f"NOT WELL  {told}", style="bold white on red")
    else:
        yield Text("well", style="green")


def _flow(seen: Snapshot, rates: Rates, width: int) -> Iterable[Text]:
    text = Text("packets ", style="dim").append(f"{_short(rates.packets)}/s", style="not dim bold")
    lost = f"{_short(rates.dropped)}/s, {seen.dropped:,} in all"
    text.append("  dropped ").append(lost, style=f"not dim bold{' red' if rates.dropped else ''}")
    text.append("  traffic ").append(f"{_short(rates.bits, ' ')}bit/s", style="not dim bold")
    text.append("  names ").append(f"{_short(rates.names)}/s", style="not dim bold")
    yield text
    trend = rates.trend[-max(0, width - 16) :]
    text = Text(_bars(trend), style="cyan")
    if trend:
        text.append(f"  peak {_short(max(trend))}/s", style="dim")
    yield text


def _incidents(seen: Snapshot, width: int, rows: int) -> RenderableType:
    opened = sum(seen.opened.values())
    kinds = [kind for kind in _VERDICTS if seen.incidents.get(kind)]
    told = ", ".join(f"{seen.incidents[kind]:,} {kind}" for kind in kinds)
    head = Text("incidents ", style="bold")
    head.append(f"{opened:,} open; told: {told or 'none'}", style="not bold")
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    columns = [column for column in _COLUMNS if width >= column[2]]
    for title, fixed, _, _ in columns:
        table.add_column(
            title,
            no_wrap=True,
            overflow="ellipsis",
            width=fixed or None,
            ratio=None if fixed else 1 + (title == "shown as"),
            justify="right" if title == "contacts" else "left",
        )
    for alert in seen.recent[:rows]:
        cells = [Text(escaped(show(alert))) for *_, show in columns]
        colour = _VERDICTS.get(alert.verdict, "")
        table.add_row(*cells, style=colour if alert.status != "closed" else f"dim {colour}")
    fill = max(0, rows - len(seen.recent[:rows]))
    return Group(_line(head), Padding(table, (0, 0, fill, 0)))


def _shown(told: Alert) -> str:
    """The surest name: that of a handshake where there is one."""
    best = min(
        told.evidence, key=lambda item: (item.type.startswith("dns"), item.time), default=None
    )
    return f"{best.type} {best.name}" if best else ", ".join(told.names)


def _panes(seen: Snapshot, width: int) -> list[Part]:
    """Apps, devices and blind spots, beside each other where there is room."""
    panes = [
        _pane("apps", _ranked(seen.apps)),
        _pane("devices", _ranked(seen.devices)),
        _pane(*_blind(seen.flows)),
    ]
    if width >= WIDE:
        table = Table.grid(expand=True, padding=(0, 2, 0, 0))
        for _ in panes:
            table.add_column(ratio=1)
        table.add_row(*panes)
        return [(PANE, table)]
    return [(PANE, pane) for pane in panes]


def _pane(title: str, rows: Sequence[tuple[str, str]]) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(title, no_wrap=True, overflow="ellipsis", ratio=1, header_style="bold")
    table.add_column("", no_wrap=True, justify="right")
    for name, count in rows[: PANE - 2]:
        table.add_row(Text(escaped(name)), Text(count))
    return Padding(table, (0, 0, max(0, PANE - 1 - len(rows[: PANE - 2])), 0))


def _ranked(rows: Sequence[Ranked]) -> list[tuple[str, str]]:
    return [(row.name, f"{row.contacts:,}") for row in rows] or [("none yet", "")]


def _blind(flows: Mapping[str, int]) -> tuple[str, list[tuple[str, str]]]:
    """The flows without a name in percent of all, rounded up, and by the reason."""
    rest = sorted((-count, name) for name, count in flows.items() if name != "named" and count)
    total, blind = sum(flows.values()), -sum(count for count, _ in rest)
    title = f"blind spots: {-(-100 * blind // total)} %" if total else "blind spots"
    return title, [(name, f"{-count:,}") for count, name in rest] or [("none yet", "")]


def _foot(seen: Snapshot) -> Iterable[Text]:
    if seen.outputs:
        text = Text("outputs ", style="dim")
        text.append(
            "  ".join(
                f"{escaped(name)}: {queue.waiting:,} waiting, {queue.lost:,} lost"
                for name, queue in sorted(seen.outputs.items())
            ),
            style="not dim",
        )
        yield text
    met = (item for item in seen.anomalies.items() if item[0] not in INNOCENT)
    odd = sorted(met, key=lambda item: (-item[1], item[0]))
    text = Text("anomalies ", style="dim")
    text.append(", ".join(f"{name} {count:,}" for name, count in odd[:8]) or "none", style="dim")
    yield text


def _bars(values: Sequence[float]) -> str:
    most = max(values, default=0.0)
    if most <= 0:
        return ""
    return "".join(_BARS[min(7, int(8 * value / most))] for value in values)


def _short(value: float, unit: str = "") -> str:
    """A number in three digits: 999, 1.23 k, 45.6 M; `unit` stands behind one without a
    letter."""
    step = 0
    while value >= 999.5 and step < len(_STEPS) - 1:
        value /= 1000
        step += 1
    if not step:
        return f"{value:.0f}{unit}"
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {_STEPS[step]}"


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock
