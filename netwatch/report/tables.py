"""The tables of a report in a language. A long one is cut in HTML and PDF; all of it is in a CSV
file, which is attached to a PDF."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netwatch.charts.picture import Table
from netwatch.charts.weeks import category_words, used_categories
from netwatch.core.tabular import CsvWriter
from netwatch.core.text import escaped
from netwatch.language.language import Language
from netwatch.report import labels, words
from netwatch.report.values import (
    BanReport,
    BlindDevices,
    Bypasses,
    Counts,
    Coverage,
    IncidentRow,
    NetworkRow,
    Report,
)

ROWS = 200
"""Rows of a table that HTML and PDF show, at most."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._]+")


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with its caption; `file` is the name of its CSV file."""

    caption: str
    table: Table
    file: str

    @property
    def shown(self) -> Sequence[tuple[str, ...]]:
        """The rows that are shown."""
        return self.table.rows[:ROWS]

    @property
    def left(self) -> int:
        """How many rows are not shown."""
        return max(0, len(self.table.rows) - ROWS)


def file_name(ban: BanReport, what: str) -> str:
    """The name of the file of a table of a ban."""
    return f"{_UNSAFE.sub('-', ban.id)}-{what}.csv"


def csv_text(table: Table) -> str:
    """A table as CSV."""
    stream = io.StringIO()
    CsvWriter(stream, "\r\n").rows((table.headers, *table.rows))
    return stream.getvalue()


def totals(ban: BanReport, language: Language) -> Grid:
    """Incidents by app, network, class, kind, outcome and confidence."""
    found = ban.totals
    groups: list[tuple[str, Mapping[str, Counts], Mapping[str, str]]] = [
        (language.say("App"), found.app, {}),
        (language.say("Network"), found.network, {}),
        (language.say("Class"), found.device_class, labels.classes(language)),
        (language.say("Kind"), found.kind, labels.kinds(language)),
        (language.say("Outcome"), found.outcome, labels.outcomes(language)),
        (language.say("Confidence"), found.confidence, labels.confidences(language)),
    ]
    used = used_categories(found.all.categories)
    rows = [
        (group, escaped(names.get(value, value)), *_counts(counts, used, language))
        for group, values, names in groups
        for value, counts in values.items()
    ]
    rows.append((language.say("All"), "", *_counts(found.all, used, language)))
    headers = (language.say("By"), "", *_category_headers(used, language))
    caption = language.say("Incidents by what they are like, and how they count")
    numbers = frozenset(range(2, len(headers)))
    return Grid(caption, Table(headers, tuple(rows), numbers), file_name(ban, "totals"))


def _counts(counts: Counts, used: Sequence[str], language: Language) -> tuple[str, ...]:
    found = counts.categories
    return tuple(language.number(found[each]) for each in used)


def _category_headers(used: Sequence[str], language: Language) -> tuple[str, ...]:
    words = category_words(language)
    return tuple(words[each] for each in used)


def repeat_devices(ban: BanReport, language: Language) -> Grid:
    """The devices that had incidents on several days."""
    names = labels.classes(language)
    used = used_categories(ban.totals.all.categories)
    rows = tuple(
        (
            escaped(device.device),
            escaped(device.network),
            names.get(device.device_class, device.device_class),
            escaped(language.listed(device.apps)),
            language.number(device.days),
            *_counts(device.counts, used, language),
            words.short_moment(device.first_seen, ban.timezone, language),
            words.short_moment(device.last_seen, ban.timezone, language),
        )
        for device in ban.devices
        if device.days > 1
    )
    headers = (
        language.say("Device"),
        language.say("Network"),
        language.say("Class"),
        language.say("Apps"),
        language.say("Days"),
        *_category_headers(used, language),
        language.say("First"),
        language.say("Last"),
    )
    caption = language.say("Devices with incidents on several days")
    numbers = frozenset(range(4, 5 + len(used)))
    return Grid(caption, Table(headers, rows, numbers), file_name(ban, "repeat-devices"))


def exemptions(ban: BanReport, language: Language) -> Grid:
    """The register of exemptions, and what they were used for."""
    states = labels.exemption_states(language)
    rows = tuple(
        (
            escaped(exemption.device),
            escaped(exemption.reason),
            escaped(exemption.approved_by),
            words.day(exemption.first, language),
            words.day(exemption.last, language),
            states[exemption.state],
            language.number(exemption.used),
            language.number(exemption.after_expiry),
        )
        for exemption in ban.exemptions
    )
    headers = (
        language.say("Device"),
        language.say("Reason"),
        language.say("Approved by"),
        language.say("From"),
        language.say("Until"),
        language.say("State"),
        language.say("Incidents covered"),
        language.say("After its end"),
    )
    caption = language.say("Exemptions")
    return Grid(caption, Table(headers, rows, frozenset({6, 7})), file_name(ban, "exemptions"))


def incidents(ban: BanReport, language: Language) -> Grid:
    """All incidents, each with how it counts."""
    named = [
        labels.verdicts(language),
        labels.confidences(language),
        labels.short_kinds(language),
        labels.outcomes(language),
        labels.servers(language),
        labels.weights(language),
    ]
    is_marked = any(incident.unheard for incident in ban.incidents)
    rows = tuple(
        (
            words.short_moment(incident.first_seen, ban.timezone, language),
            escaped(incident.device),
            escaped(incident.network),
            escaped(incident.app),
            *_words(incident, named, language),
            *([_last_heard(incident, ban, language)] if is_marked else []),
            incident.id[:12],
        )
        for incident in ban.incidents
    )
    headers = (
        language.say("Started"),
        language.say("Device"),
        language.say("Network"),
        language.say("App"),
        language.say("Verdict"),
        language.say("Confidence"),
        language.say("Kind"),
        language.say("Outcome"),
        language.say("Evidence"),
        language.say("Counts as"),
        *([language.say("End not known, sensor last heard")] if is_marked else []),
        language.say("Incident"),
    )
    return Grid(language.say("Incidents"), Table(headers, rows), file_name(ban, "incidents"))


def _last_heard(each: IncidentRow, ban: BanReport, language: Language) -> str:
    """When the sensor of an incident was last heard, if its end was never reported."""
    return words.short_moment(each.unheard or None, ban.timezone, language)


def _words(each: IncidentRow, named: Sequence[Mapping[str, str]], language: Language) -> list[str]:
    """The words for the codes of an incident."""
    server = labels.BY_FLOWS if each.by_flows else each.server
    codes = (each.verdict, each.confidence, each.kind, each.outcome, server, each.weight)
    found = [names.get(code, escaped(code)) for names, code in zip(named, codes, strict=True)]
    if each.sampling > 1:
        rate = language.number(each.sampling)
        found[4] = language.say(
            "%(evidence)s; one packet in %(rate)s", evidence=found[4], rate=rate
        )
    return found


def change(report: Report, ban: BanReport, language: Language) -> Grid:
    """The differences from the previous period."""
    found = ban.change
    # None is a period without a capture, about which nothing is known.
    is_known = [each is not None for each in (found.before, found.after)]
    both = (found.before or Counts(), found.after or Counts())
    totals = {name: sum(each.categories[name] for each in both) for name in both[0].categories}

    def row(title: str, *counts: int) -> tuple[str, ...]:
        cells = [
            language.number(count) if known else language.say("not captured")
            for count, known in zip(counts, is_known, strict=True)
        ]
        return title, *cells

    hours = language.number(report.coverage.hours_of_period)
    rows = [
        (
            language.say("Hours with a capture"),
            *(
                language.say("%(hours)s of %(all)s hours", hours=language.number(each), all=hours)
                for each in (found.hours_before, found.hours_after)
            ),
        )
    ]
    rows += [
        row(title, *(each.categories[name] for each in both))
        for name, title in category_words(language).items()
        if name in used_categories(totals)
    ]
    rows += [
        row(language.say("Incidents with %(app)s", app=escaped(app)), before.total, after.total)
        for app, (before, after) in found.apps.items()
    ]
    rows += [
        (
            language.say("Flows with a readable name"),
            words.share(found.named_before, language),
            words.share(found.named_after, language),
        ),
        row(
            language.say("Devices with incidents in both periods"),
            found.devices_again,
            found.devices_again,
        ),
        row(
            language.say("Devices with incidents in one period only"),
            found.devices_gone,
            found.devices_new,
        ),
    ]
    headers = (
        "",
        language.say("Before"),
        language.say("Now"),
    )
    caption = language.say(
        "Compared with the previous period, %(first)s to %(last)s",
        first=words.day(report.previous_first, language),
        last=words.day(report.previous_last, language),
    )
    return Grid(caption, Table(headers, tuple(rows), frozenset({1, 2})), file_name(ban, "change"))


def blind_spots(coverage: Coverage, language: Language) -> Grid:
    """Flows that could not be read, by network and reason, with the remedy for each."""
    cures = labels.cures(language)
    rows = tuple(
        (
            escaped(network.network),
            labels.blind_spot(reason, _by_k(network), language),
            language.number(count),
            words.share(count / network.flows, language),
            cures.get(reason, ""),
        )
        for network in coverage.networks
        for reason, count in sorted(network.unnamed.items(), key=lambda item: (-item[1], item[0]))
    )
    headers = (
        language.say("Network"),
        language.say("Reason"),
        language.say("Flows"),
        language.say("Share"),
        language.say("Remedy"),
    )
    caption = language.say("Blind spots, and how to remedy them")
    return Grid(caption, Table(headers, rows, frozenset({2, 3})), "blind-spots.csv")


def _by_k(network: NetworkRow) -> dict[int, int]:
    return {int(names): flows for names, flows in network.one_of_k.items()}


def blind_devices(found: BlindDevices, language: Language) -> Grid:
    """The devices most of whose flows could not be read, with the remedy for the most frequent
    reason."""
    names, cures = labels.reasons(language), labels.cures(language)
    classes = labels.classes(language)
    rows = tuple(
        (
            escaped(device.device),
            escaped(device.network),
            classes.get(device.device_class, escaped(device.device_class)),
            language.number(device.flows),
            words.share(device.unnamed_share, language),
            names.get(reason, escaped(reason)),
            cures.get(reason, ""),
        )
        for device in found.devices
        for reason in [next(iter(device.unnamed))]
    )
    headers = (
        language.say("Device"),
        language.say("Network"),
        language.say("Class"),
        language.say("Flows"),
        language.say("Without a readable name"),
        language.say("Most frequent reason"),
        language.say("Remedy"),
    )
    return Grid(
        words.blind_devices(found, language),
        Table(headers, rows, frozenset({3, 4})),
        "blind-devices.csv",
    )


def bypasses(found: Bypasses, language: Language) -> Grid:
    """The devices that hid their lookups, with the reasons."""
    reasons, classes = labels.bypass_reasons(language), labels.classes(language)
    rows = tuple(
        (
            escaped(row.device),
            escaped(row.network),
            classes.get(row.device_class, escaped(row.device_class)),
            words.days(row.first, row.last, row.days, language),
            language.number(row.contacts),
            words.share(row.share, language),
            words.share(row.past_share, language),
            words.share(row.others_share, language),
            "; ".join(reasons.get(reason, escaped(reason)) for reason in row.reasons),
        )
        for row in found.devices
    )
    headers = (
        language.say("Device"),
        language.say("Network"),
        language.say("Class"),
        language.say("Days"),
        language.say("Contacts"),
        language.say("To addresses no visible lookup had named"),
        language.say("The device before"),
        language.say("Others on that day"),
        language.say("Reasons"),
    )
    return Grid(
        words.bypasses(found, language),
        Table(headers, rows, frozenset({4, 5, 6, 7})),
        "hidden-lookups.csv",
    )


def gaps(report: Report, language: Language) -> Grid:
    """Times without a capture."""
    rows = tuple(
        (
            words.moment(gap.begin, report.timezone, language),
            words.moment(gap.end, report.timezone, language),
            language.number(gap.hours),
        )
        for gap in report.coverage.gaps
    )
    headers = (language.say("From"), language.say("To"), language.say("Hours"))
    return Grid(
        language.say("Times without a capture"), Table(headers, rows, frozenset({2})), "gaps.csv"
    )


def silences(report: Report, language: Language) -> Grid:
    """Times in which a sensor of a fleet was not heard: what it saw is not known."""
    rows = tuple(
        (
            escaped(silence.sensor),
            words.moment(silence.begin, report.timezone, language),
            words.moment(silence.end, report.timezone, language),
            language.number(silence.hours),
        )
        for silence in report.coverage.silences
    )
    headers = (
        language.say("Sensor"),
        language.say("From"),
        language.say("To"),
        language.say("Hours"),
    )
    caption = language.say("Times in which a sensor was not heard")
    return Grid(caption, Table(headers, rows, frozenset({3})), "silences.csv")


def versions(report: Report, language: Language) -> Grid:
    """The versions that decided, by content hashes."""
    at_hand = language.say("current configuration")
    decided = language.say("decided incidents")
    sources = report.sources
    rows = tuple(
        (role, each.netwatch, each.signatures, each.bans, each.configuration)
        for role, each in (
            *((decided, version) for version in sources.versions),
            (at_hand, sources.configuration),
        )
    )
    headers = (
        "",
        language.say("netwatch"),
        language.say("Signatures"),
        language.say("Bans"),
        language.say("Configuration"),
    )
    return Grid(language.say("Versions"), Table(headers, rows), "versions.csv")


def captures(report: Report, language: Language) -> Grid:
    """The captures that were read."""
    states = {
        "complete": language.say("complete"),
        "partial": language.say("in part"),
        "open": language.say("going on"),
    }
    rows = tuple(
        (
            escaped(capture.path),
            words.short_moment(capture.first, report.timezone, language),
            words.short_moment(capture.last, report.timezone, language),
            states.get(capture.state, capture.state),
            "" if capture.size is None else language.number(capture.size),
            capture.sha256,
        )
        for capture in report.sources.captures
    )
    headers = (
        language.say("Capture"),
        language.say("First packet"),
        language.say("Last packet"),
        language.say("State"),
        language.say("Bytes"),
        language.say("SHA-256"),
    )
    return Grid(language.say("Captures"), Table(headers, rows, frozenset({4})), "captures.csv")


def files(grids: Iterable[Grid]) -> dict[str, str]:
    """The CSV files of cut tables."""
    return {grid.file: csv_text(grid.table) for grid in grids if grid.left}
