"""The devices that hid their lookups: how many of each network, which ones, and the days of one
device. All of it was judged before (`netwatch.store.bypass_days`)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from netwatch.console.filter_bar import WHOLE_DAYS, filter_bar
from netwatch.console.lists import known_names
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.pages.reports import COVERAGE_FILTERS, chosen_days
from netwatch.console.view import Answer, Page, View
from netwatch.formats.bypass import BypassRecord, codes, past_share
from netwatch.formats.values import endpoint
from netwatch.report import labels, words
from netwatch.report.page import report_language
from netwatch.store.bypass_days import DAY
from netwatch.store.bypass_rows import kept_records

MAX_ROWS = 200
"""Days of devices that a page lists, the last ones."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class HiddenRow:
    """A day of a device, as a page shows it: all texts but the counts."""

    day: str
    device: str
    network: str
    sensor: str
    contacts: int
    untold: int
    share: str
    before: str
    others: str
    reasons: Sequence[str]
    addresses: Sequence[str]


@dataclass(frozen=True, slots=True)
class HiddenRows:
    """The last days of devices, newest first, and whether there are `more`."""

    rows: Sequence[HiddenRow]
    more: bool


def show(view: View) -> Answer:
    """Which devices hid their lookups in a period."""
    chosen = chosen_days(view)
    networks = known_names(view, ("network",)).get("network")
    begin, end = ((day - _EPOCH).days for day in (chosen.first, chosen.last + timedelta(1)))
    values = {
        "bar": filter_bar(view, COVERAGE_FILTERS, WHOLE_DAYS),
        "chosen": chosen,
        "hidden": _rows(view, begin, end, None, networks),
    }
    return Page("hidden_lookups", values, status=400 if chosen.problem else 200)


def of_device(
    view: View, names: Collection[str], since: int, until: int, network: str, sensor: str
) -> HiddenRows:
    """The days of what has one of these names, in a time (ns), and in a network and as a sensor saw
    them where these are given."""
    networks = {network} if network else None
    found = _rows(view, since // DAY, -(-until // DAY), names, networks)
    rows = [row for row in found.rows if sensor in ("", row.sensor)]
    return HiddenRows(rows, found.more)


def _rows(
    view: View,
    begin: int,
    end: int,
    devices: Collection[str] | None,
    networks: Collection[str] | None,
) -> HiddenRows:
    found = kept_records(
        view.console.catalogue, begin, end, devices=devices, networks=networks,
        limit=MAX_ROWS + 1, timeout=QUERY_SECONDS,
    )  # fmt: skip
    newest = found[::-1][:MAX_ROWS]
    return HiddenRows([_row(view, each) for each in newest], len(found) > MAX_ROWS)


def _row(view: View, record: BypassRecord) -> HiddenRow:
    used = report_language(view.language.code)
    reasons, device, others = labels.bypass_reasons(used), record["device"], record["others"]
    return HiddenRow(
        day=words.day(record["day"], used),
        device=device["id"],
        network=device["network"],
        sensor=device.get("sensor", ""),
        contacts=record["contacts"],
        untold=record["untold"],
        share=words.share(record["share"], used),
        before=words.share(past_share(record), used),
        others=words.share(others["median"] if others else None, used),
        reasons=[reasons.get(code, code) for code in codes(record)],
        addresses=[endpoint(each["ip"], each["port"]) for each in record["addresses"]],
    )
