"""The report as one HTML file: no script, no request, ready to print.

The template has no texts of its own: everything that it prints comes from `Page`, in the language
of the report, and is escaped by the template engine. Only the pictures, made by `netwatch.charts`,
are not escaped.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from netwatch.charts import FOLDER as CHARTS
from netwatch.charts.change import NetworkChange, Seen, before_after
from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.charts.days import BanDay
from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.charts.picture import Picture, Size, dark_rules
from netwatch.charts.render import Renderer
from netwatch.charts.weeks import Week, WeeklyIncidents, weeks_picture
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.installing import install_command
from netwatch.core.text import escaped
from netwatch.language.language import Language, language
from netwatch.report import labels, tables, words
from netwatch.report.labels import Summary, summary
from netwatch.report.tables import Grid
from netwatch.report.values import BanReport, Coverage, Report


def _weeks_picture(ban: BanReport, language: Language) -> Picture:
    """Incidents by week, by how they count."""
    found = [
        Week(
            date.fromisoformat(week.monday),
            week.counts.categories if week.counts else {},
            [date.fromisoformat(day) for day in week.missing],
            week.captured,
        )
        for week in ban.weeks
        for found in [week.counts]
    ]
    return weeks_picture(WeeklyIncidents(found, _marks(ban)), language)


def _marks(ban: BanReport) -> list[BanDay]:
    return [BanDay(date.fromisoformat(each.day), each.event) for each in ban.days]


def _coverage_picture(values: Coverage, language: Language) -> Picture:
    """The coverage by network."""
    rows = [
        NetworkCoverage(network.network, network.flows, network.named, network.unnamed)
        for network in values.networks
    ]
    return coverage_picture(rows, language)


def _devices_picture(ban: BanReport, language: Language) -> Picture | None:
    """Devices by weeks; None if no device had an incident."""
    if not ban.devices:
        return None
    rows = [
        DeviceWeeks(
            device.device,
            {date.fromisoformat(monday): count for monday, count in device.weeks.items()},
        )
        for device in ban.devices
    ]
    first, last = ban.weeks[0].monday, ban.weeks[-1].monday
    missing = [date.fromisoformat(day) for week in ban.weeks for day in week.missing]
    return heat_map(
        rows, date.fromisoformat(first), date.fromisoformat(last), language, missing, _marks(ban)
    )


def _change_picture(report: Report, ban: BanReport, language: Language) -> Picture | None:
    """The previous period and the report's, by network; None if there is none."""
    rows = [
        NetworkChange(
            name, Seen(each.before, each.named_before), Seen(each.after, each.named_after)
        )
        for name, each in ban.change.networks.items()
    ]
    if not rows:
        return None
    names = (
        _span((report.previous_first, report.previous_last), language),
        _span((report.first, report.last), language),
    )
    return before_after(rows, names, language)


def _span(days: Iterable[str], language: Language) -> str:
    first, last = (language.day(date.fromisoformat(day)) for day in days)
    return language.say("%(first)s to %(last)s", first=first, last=last)


FOLDER = Path(__file__).parent
"""Where templates and translations are."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture on a page: its SVGs by size, and the table of its data."""

    title: str
    summary: str
    wide: str
    narrow: str
    grid: Grid


@dataclass(frozen=True, slots=True)
class Block:
    """The answer for one ban: its `word` as a code, a title and its meaning; the share of flows
    that could not be read, and how many contacts these could hide; reasons and notes as
    sentences."""

    ban: str
    authority: str
    word: str
    title: str
    meaning: str
    unnamed: str
    bound: str
    reasons: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Section:
    """One ban in detail: facts as pairs, figures and tables."""

    ban: str
    anchor: str
    facts: Sequence[tuple[str, str]]
    figures: Sequence[Figure]
    grids: Sequence[Grid]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the template prints. `headings` are by name."""

    language: str
    title: str
    subtitle: str
    headings: dict[str, str]
    summaries: Sequence[Summary]
    answers: Sequence[Block]
    sections: Sequence[Section]
    coverage: Figure | None
    grids: Sequence[Grid]
    annexes: Sequence[Grid]
    facts: Sequence[tuple[str, str]]
    method: Sequence[str]
    limits: Sequence[str]

    @property
    def all_grids(self) -> list[Grid]:
        """All tables, including those of figures."""
        own = [grid for section in self.sections for grid in section.grids]
        figures = [figure for section in self.sections for figure in section.figures]
        figures += [self.coverage] if self.coverage else []
        return [*own, *(figure.grid for figure in figures), *self.grids, *self.annexes]


def require_templates(command: str) -> None:
    """Raise `ConfigError` if the template engine is not installed."""
    if importlib.util.find_spec("jinja2") is None:
        message = f"a report as a page needs an extra: {install_command('report')}"
        raise ConfigError.of(command, message)


def report_language(code: str) -> Language:
    """The language of a report, with its texts and those of pictures."""
    return language(code, FOLDER, CHARTS)


def page(report: Report, used: Language, renderer: Renderer, note: Callable[[str], None]) -> Page:
    """The page of a report. If a picture cannot be rendered only its table is there, and `note` is
    called with the reason."""
    maker = _Maker(report, used, renderer, note)
    by_device, bypasses = report.coverage.by_device, report.coverage.bypasses
    return Page(
        language=used.code,
        title=used.say("Were the bans complied with?"),
        subtitle=used.say(
            "Report on %(first)s to %(last)s",
            first=words.day(report.first, used),
            last=words.day(report.last, used),
        ),
        headings=_headings(used),
        summaries=[summary(report, ban, used) for ban in report.bans],
        answers=[_block(ban, used) for ban in report.bans],
        sections=[maker.section(number, ban) for number, ban in enumerate(report.bans)],
        coverage=maker.figure(_coverage_picture(report.coverage, used), "", "coverage.csv")
        if report.coverage.networks
        else None,
        grids=_filled(
            [
                tables.blind_spots(report.coverage, used),
                *([tables.blind_devices(by_device, used)] if by_device else []),
                *([tables.bypasses(bypasses, used)] if bypasses else []),
                tables.gaps(report, used),
                tables.silences(report, used),
            ]
        ),
        annexes=_filled(
            [
                *(_listed(ban, used) for ban in report.bans),
                tables.versions(report, used),
                tables.captures(report, used),
            ]
        ),
        facts=_facts(report, used),
        method=words.method(report, used),
        limits=words.limits(report, used),
    )


def html(made: Page) -> str:
    """A page as HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([FOLDER / "templates", CHARTS / "templates"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (FOLDER / "templates" / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        page=made, style=style, dark=dark_rules("svg.chart"), left=_left
    )


def _left(made: Page, grid: Grid) -> str:
    """The note below a cut table."""
    return made.headings["left"].replace("{rows}", f"{grid.left}").replace("{file}", grid.file)


class _Maker:
    """Makes the figures and sections of a page."""

    def __init__(
        self, report: Report, used: Language, renderer: Renderer, note: Callable[[str], None]
    ) -> None:
        self._report = report
        self._used = used
        self._renderer = renderer
        self._note = note

    def figure(self, picture: Picture, prefix: str, file: str) -> Figure:
        """A picture with its table."""
        return Figure(
            picture.title,
            picture.summary,
            self._svg(picture, "wide", prefix),
            self._svg(picture, "narrow", prefix),
            Grid(
                self._used.say("%(picture)s: the data", picture=picture.title), picture.table, file
            ),
        )

    def _svg(self, picture: Picture, size: Size, prefix: str) -> str:
        try:
            return self._renderer.svg(picture, size, self._used, prefix)
        except NetwatchError as error:
            self._note(f"{picture.title}: {error}")
            return ""

    def section(self, number: int, ban: BanReport) -> Section:
        """A ban in detail."""
        used, prefix = self._used, f"ban{number}-"
        drawn = [
            _weeks_picture(ban, used),
            _devices_picture(ban, used),
            _change_picture(self._report, ban, used),
        ]
        return Section(
            ban=escaped(ban.id),
            anchor=f"ban{number}",
            facts=_ban_facts(ban, used),
            figures=[
                self.figure(each, prefix, tables.file_name(ban, each.name))
                for each in drawn
                if each
            ],
            grids=_filled(
                [
                    tables.totals(ban, used),
                    tables.change(self._report, ban, used),
                    tables.repeat_devices(ban, used),
                    tables.exemptions(ban, used),
                ]
            ),
        )


def _listed(ban: BanReport, used: Language) -> Grid:
    """The incidents of a ban, with a caption that names it."""
    grid = tables.incidents(ban, used)
    return replace(grid, caption=f"{escaped(ban.id)}: {grid.caption}")


def _filled(grids: Sequence[Grid]) -> list[Grid]:
    return [grid for grid in grids if grid.table.rows]


def _block(ban: BanReport, used: Language) -> Block:
    return Block(
        ban=escaped(ban.id),
        authority=escaped(ban.words(used.code).authority),
        word=ban.answer.word,
        title=labels.answers(used)[ban.answer.word],
        meaning=labels.answers_explained(used)[ban.answer.word],
        unnamed=words.unnamed(ban.answer, used) if ban.answer.days_in_force else "",
        bound=words.bound(ban, used),
        reasons=[words.reason(reason, used) for reason in ban.answer.reasons],
        notes=[words.reason(note, used) for note in ban.answer.notes],
    )


def _ban_facts(ban: BanReport, used: Language) -> list[tuple[str, str]]:
    classes = labels.classes_of_several(used)
    texts = ban.words(used.code)
    periods = [
        used.say(
            "%(first)s to %(last)s: %(basis)s",
            first=words.day(each.first, used),
            last=words.day(each.last, used),
            basis=escaped(basis) or used.say("no basis is named"),
        )
        for each, basis in zip(ban.periods, texts.bases, strict=True)
    ]
    found = [
        (used.say("Authority"), escaped(texts.authority)),
        (used.say("Legal basis"), escaped(texts.legal_basis)),
        (used.say("Apps"), escaped(used.listed(ban.apps))),
        (used.say("Forbidden for"), used.listed(classes[forbid] for forbid in ban.forbids)),
        (
            used.say("Only advised against for"),
            used.listed(classes[advise] for advise in ban.advises),
        ),
        *((used.say("In force in this period"), period) for period in periods),
        (used.say("Review"), words.day(ban.review, used) if ban.review else ""),
        (used.say("Time zone"), ban.timezone),
    ]
    return [(name, value) for name, value in found if value]


def _facts(report: Report, used: Language) -> list[tuple[str, str]]:
    coverage = report.coverage
    return [
        (used.say("Made"), words.moment(report.made, report.timezone, used)),
        (used.say("Time zone"), report.timezone),
        (
            used.say("Captured"),
            used.say(
                "%(hours)s of %(all)s hours",
                hours=used.number(coverage.hours),
                all=used.number(coverage.hours_of_period),
            ),
        ),
        (used.say("Packets"), used.number(coverage.packets)),
        (
            used.say("Lost or unreadable packets"),
            used.number(coverage.packets_dropped + coverage.packets_unreadable),
        ),
        (used.say("Sensors"), escaped(used.listed(report.sources.sensors))),
        (used.say("Store"), report.sources.store),
        (used.say("netwatch"), report.netwatch),
        *_audit_fact(report, used),
    ]


def _audit_fact(report: Report, used: Language) -> Iterator[tuple[str, str]]:
    """The head of the audit, with which it can be compared later."""
    if report.audit is not None:
        rows = used.number(report.audit.rows)
        yield (
            used.say("Audit of the console"),
            used.say("row %(rows)s, hash %(hash)s", rows=rows, hash=report.audit.hash),
        )


def _headings(used: Language) -> dict[str, str]:
    return {
        "answer": used.say("The answer in detail"),
        "reasons": used.say("Reasons"),
        "notes": used.say("Also"),
        "coverage": used.say("What could not be seen"),
        "annexes": used.say("Annexes: the data behind this report"),
        "method": used.say("Method"),
        "limits": used.say("Limits"),
        "none": used.say("The configuration has no ban."),
        "left": used.say(
            "%(rows)s more rows: in a PDF as the attached file %(file)s, and in the JSON report.",
            rows="{rows}",
            file="{file}",
        ),
        "detail": used.say("The ban %(ban)s", ban="{ban}"),
    }
