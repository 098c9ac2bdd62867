"""The devices that hid their lookups in the days of a report."""

import time
from collections import defaultdict

from netwatch.config import Config
from netwatch.coverage.bypass import REASONS
from netwatch.engine.facts_process import known_addresses
from netwatch.formats.bypass import BypassRecord, codes, past_share
from netwatch.report.counting import Naming
from netwatch.report.reading import Span
from netwatch.report.values import Bypasses, BypassRow
from netwatch.store.bypass_days import DAY, BypassRecords, bypass_records
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.views import FilesError

MAX_LISTED = 50
"""Devices that a report lists, those with most days first."""


def hiding_devices(
    catalogue: Catalogue,
    options: StoreOptions,
    config: Config,
    span: Span,
    name: Naming,
    *,
    counts: bool = True,
) -> Bypasses:
    """The devices, with their days in a time (ns). `name` gives their names in the report. Where
    the files of facts cannot be read, no day was looked at: all else is in the catalogue. Days that
    were not judged yet are looked at if it `counts`. Raises `NetwatchError`."""
    try:
        known = known_addresses(config)
        found = bypass_records(catalogue, options, *span, known, now=time.time_ns(), counts=counts)
    except FilesError:
        found = BypassRecords((), unread=(span[1] - span[0]) // DAY)
    by_device: defaultdict[tuple[str, str, str], list[BypassRecord]] = defaultdict(list)
    for each in found.found:
        device = each["device"]
        by_device[device["network"], device.get("sensor", ""), device["id"]].append(each)
    rows = [_row(of_device, name) for of_device in by_device.values()]
    rows.sort(key=lambda row: (-row.days, row.network, row.device))
    left = max(0, len(rows) - MAX_LISTED)
    return Bypasses(tuple(rows[:MAX_LISTED]), left, found.judged, found.unread)


def _row(found: list[BypassRecord], name: Naming) -> BypassRow:
    """The row of a device."""
    last = found[-1]
    contacts, untold = (sum(each[key] for each in found) for key in ("contacts", "untold"))
    said = {code for each in found for code in codes(each)}
    return BypassRow(
        device=name(last["device"]["id"]),
        network=last["device"]["network"],
        device_class=last["device"]["class"],
        first=found[0]["day"],
        last=last["day"],
        days=len(found),
        contacts=contacts,
        untold=untold,
        share=untold / contacts,
        low=min(each["interval"][0] for each in found),
        past_share=past_share(last),
        others_share=last["others"]["median"] if last["others"] else None,
        reasons=tuple(code for code in REASONS if code in said),
    )
