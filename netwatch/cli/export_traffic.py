"""The traffic used by ``netwatch signatures export``: captures, logs and stores, for a preview and
for addresses."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.config import Config
from netwatch.core.errors import ConfigError
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.exports.export_format import Export, ExportFormat, ServerAddress
from netwatch.exports.preview import (
    NameReport,
    Preview,
    PreviewReport,
    ServerAddresses,
    networks_of,
)
from netwatch.exports.selection import Selection

MAX_ROWS_SHOWN = 50
"""Names of one result in the table of a preview, at most."""

_TITLES = {
    "innocent": "stopped, though not a name of the apps in these roles",
    "missed": "of the apps, and passes",
    "stopped": "of the apps, and stopped",
}


class Traffic:
    """Reads traffic by the configuration. `is_incomplete` is true if some could not be read."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._statistics = RunStatistics()

    @property
    def is_incomplete(self) -> bool:
        """Whether a capture could not be read."""
        return bool(self._statistics.unread)

    def preview(
        self, form: ExportFormat, text: str, selection: Selection, paths: Sequence[str]
    ) -> PreviewReport:
        """The names that a file would have blocked and missed in the traffic of these paths."""
        config = self._config
        counted = Preview(
            form,
            form.read(text),
            selection,
            config.catalog,
            config.networks,
            config.strip_search_suffix,
        )
        for batch in self._batches(paths):
            counted.add(batch)
        return counted.report()

    def with_addresses(self, made: Export, paths: Sequence[str], *, with_networks: bool) -> Export:
        """The export with the addresses of its apps' servers. Raises `ConfigError`."""
        config, selection = self._config, made.selection
        seen = ServerAddresses(
            selection,
            config.catalog,
            config.strip_search_suffix,
            lambda packed: packed in config.sinkholes or bool(config.networks.find(packed, None)),
        )
        for batch in self._batches(paths):
            seen.add(batch)
        addresses, shared = seen.found()
        if seen.uncounted:
            print_message(f"netwatch: {quantity(seen.uncounted, 'address', 'addresses')} not kept")
        if with_networks:
            addresses += self._networks(selection)
        return replace(made, addresses=tuple(addresses), shared=shared)

    def _networks(self, selection: Selection) -> Iterator[ServerAddress]:
        database = self._config.geo.asn_path
        if database is None:
            message = "--asns needs geoip.asn in the configuration, a database of networks"
            raise ConfigError.of("netwatch signatures export", message)
        systems = {
            asn.number: asn.name
            for app in selection.apps
            for asn in self._config.catalog.signatures[app.id].asns
        }
        yield from networks_of(database, systems)

    def _batches(self, paths: Sequence[str]) -> Iterator[ObservationBatch]:
        captures = []
        for path in paths:
            if self._is_store(path):
                yield from self._stored(path)
            else:
                captures.append(path)
        if not captures:
            return
        from netwatch.engine.jobs import observations

        unread = len(self._statistics.unread)
        yield from observations(captures, self._statistics)
        for reason in self._statistics.unread[unread:]:
            print_message(f"netwatch: {reason}")

    def _is_store(self, path: str) -> bool:
        from netwatch.store.options import plain_path

        configured = self._config.store
        if configured is not None and plain_path(path) == configured.path:
            return True
        return Path(path, "catalogue.sqlite").is_file()

    def _stored(self, path: str) -> Iterator[ObservationBatch]:
        from netwatch.store.options import StoreOptions, plain_path, require_extra

        require_extra("netwatch signatures export")
        from netwatch.store.opening import open_catalogue
        from netwatch.store.queries import observations
        from netwatch.store.statements import Filter

        configured = self._config.store
        if configured is None or plain_path(path) != configured.path:
            configured = StoreOptions(plain_path(path))
        with open_catalogue(configured) as catalogue:
            yield from observations(catalogue, configured, Filter())


def print_report(report: PreviewReport, output_format: str) -> None:
    """Print a preview: wrongly blocked traffic first, since it is unexpected."""
    if output_format == "jsonl":
        print_record(_summary(report))
        for name in report.names:
            print_record(_name(name))
        return
    app = quantity(report.app_devices, "device")
    print_line(
        f"{quantity(report.observations, 'observation')}; {app} with contacts of the apps, of which"
        f" {report.stopped_devices:,} had some stopped and {report.missed_devices:,} had some pass;"
        f" {quantity(report.innocent_devices, 'device')} with other contacts stopped"
    )
    for count, words in (
        (report.of_resolvers, "of resolvers, which ask for others"),
        (report.outside, "of clients in no network"),
        (report.uncounted, "not counted, as there are too many names and clients"),
    ):
        if count:
            print_line(f"left aside: {quantity(count, 'observation')} {words}")
    for result, title in _TITLES.items():
        found = [name for name in report.names if name.result == result]
        print_line()
        print_line(f"{title} ({quantity(len(found), 'name')})")
        if found:
            rows = [("NAME", "WHY", "LOOKUPS", "HANDSHAKES", "DEVICES")]
            rows += [_row(report) for report in found[:MAX_ROWS_SHOWN]]
            print_columns(rows, indent=2)
        if len(found) > MAX_ROWS_SHOWN:
            print_line(f"  and {len(found) - MAX_ROWS_SHOWN:,} more (--format jsonl)")


def _row(report: NameReport) -> tuple[str, str, str, str, str]:
    why = report.reason or (report.hit.rule.text if report.hit else "")
    counts = (report.lookups, report.handshakes, report.devices)
    lookups, handshakes, devices = map(str, counts)
    return report.name, why, lookups, handshakes, devices


def _summary(report: PreviewReport) -> dict[str, Any]:
    return {
        "record": "summary",
        "observations": report.observations,
        "devices": {
            "app": report.app_devices,
            "stopped": report.stopped_devices,
            "missed": report.missed_devices,
            "innocent": report.innocent_devices,
        },
        "of_resolvers": report.of_resolvers,
        "outside": report.outside,
        "uncounted": report.uncounted,
    }


def _name(report: NameReport) -> dict[str, Any]:
    record: dict[str, Any] = {"record": "name", "result": report.result, "name": report.name}
    if report.hit is not None:
        rule = report.hit.rule
        record |= {"app": rule.app.id, "role": rule.role, "rule": rule.text}
    return record | {
        "lookups": report.lookups,
        "handshakes": report.handshakes,
        "devices": report.devices,
        "reason": report.reason,
    }
