"""The devices that hid their lookups in the days of a report."""

from collections import defaultdict
from datetime import date, timedelta

from netwatch.config import Config
from netwatch.coverage.bypass import REASONS, Finding
from netwatch.report.counting import Naming
from netwatch.report.reading import Span
from netwatch.report.values import Bypasses, BypassRow
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.untold import DAY, Findings, Known, bypass_findings
from netwatch.store.views import FilesError

MAX_LISTED = 50
"""Devices that a report lists, those with most days first."""

_EPOCH = date(1970, 1, 1)


def known_addresses(config: Config) -> Known:
    """What a configuration says of addresses."""
    ranges = [each for scope in config.networks.scopes for each in scope.ranges]
    return Known(ranges, config.devices.entries)


def hiding_devices(
    catalogue: Catalogue, options: StoreOptions, config: Config, span: Span, name: Naming
) -> Bypasses:
    """The devices, with their days in a time (ns). `name` gives their names in the report. Where
    the files of facts cannot be read, no day was looked at: all else is in the catalogue. Raises
    `NetwatchError`."""
    try:
        findings = bypass_findings(catalogue, options, *span, known_addresses(config))
    except FilesError:
        findings = Findings((), unread=(span[1] - span[0]) // DAY)
    by_device: defaultdict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for each in findings.found:
        by_device[each.bypass.own.device].append(each)
    rows = [_row(found, name) for found in by_device.values()]
    rows.sort(key=lambda row: (-row.days, row.network, row.device))
    left = max(0, len(rows) - MAX_LISTED)
    return Bypasses(tuple(rows[:MAX_LISTED]), left, findings.judged, findings.unread)


def _row(found: list[Finding], name: Naming) -> BypassRow:
    """The row of a device."""
    last = found[-1]
    device = last.bypass.own.device
    contacts = sum(each.bypass.own.contacts for each in found)
    untold = sum(each.bypass.own.untold for each in found)
    past, others = last.bypass.past, last.bypass.others
    said = {code for each in found for code in each.bypass.reasons}
    return BypassRow(
        device=name(device.device),
        network=device.network,
        device_class=last.device_class,
        first=_day(found[0]),
        last=_day(last),
        days=len(found),
        contacts=contacts,
        untold=untold,
        share=untold / contacts,
        low=min(each.bypass.interval.low for each in found),
        past_share=past.untold / past.contacts if past else None,
        others_share=others.median if others else None,
        reasons=tuple(code for code in REASONS if code in said),
    )


def _day(finding: Finding) -> str:
    return (_EPOCH + timedelta(finding.bypass.own.day)).isoformat()
