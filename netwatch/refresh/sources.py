"""The devices of each source of an inventory, as they are registered now."""

from collections.abc import Iterator

from netwatch.core.user_yaml import Problems
from netwatch.inventory.directory_export import read_computers
from netwatch.inventory.entry_table import Entry, EntryTable
from netwatch.inventory.inventory_file import add_rows, read_text
from netwatch.inventory.registered import Registered, registered
from netwatch.refresh.options import CsvSource, DirectorySource, NetboxSource, Source


def read_source(source: Source, timezone: str, now: int) -> list[Registered]:
    """The devices that a source lists at `now` (ns). Days in a file are those of `timezone`. Raises
    `NetwatchError`, and `ConfigError` with the mistakes in a file."""
    if isinstance(source, NetboxSource):
        # Not at the top: most configurations have no NetBox, and urllib3 takes long.
        from netwatch.refresh.netbox import read_netbox

        return read_netbox(source)
    problems = Problems()
    devices: list[Registered] = []
    text = read_text(source.path, problems)
    if text is not None and isinstance(source, DirectorySource):
        devices = read_computers(text, source.name, problems, source.rules, source.owner)
    elif text is not None and isinstance(source, CsvSource):
        table = EntryTable(expected=text.count("\n"))
        add_rows(table, text, source.name, problems, source.headers, timezone)
        devices = [_registered(entry) for entry in _valid(table, now)]
    problems.raise_if_any()
    return devices


def _valid(table: EntryTable, now: int) -> Iterator[Entry]:
    for entry in table:
        has_begun = entry.since is None or entry.since <= now
        if has_begun and (entry.until is None or now < entry.until):
            yield entry


def _registered(entry: Entry) -> Registered:
    return registered(
        entry.id,
        macs=entry.macs,
        ips=entry.ips,
        hostname=entry.hostname or "",
        owner=entry.owner or "",
        device_class=entry.device_class,
        origin=f"line {entry.line}",
    )
