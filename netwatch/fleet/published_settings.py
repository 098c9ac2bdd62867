"""What the centre publishes, in a running capture: it is applied beside the link, and named in the
signs of life and in the health of the capture.

The capture is not touched from here. What is installed changes files that its configuration names,
so it reloads as after any other change, without missing a packet; and where local files change,
what was refused before is offered again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from netwatch import __version__
from netwatch.config import Config, examine_configuration, examine_set
from netwatch.core.errors import NetwatchError, Problem
from netwatch.fleet.connection import Connection, read_credentials
from netwatch.fleet.envelope import Envelope
from netwatch.fleet.keys import read_public_key
from netwatch.fleet.published_feed import KINDS, Applied, Applier, PublishedFeed
from netwatch.fleet.subjects import subject
from netwatch.updates.published import published_store
from netwatch.updates.set_check import check_set
from netwatch.watch.snapshot import PublishedStatus


class PublishedSettings:
    """The bundles for the sensor of `config`, whose file is at `path` (None where `load` finds it).
    `report` takes sentences for the log, from the thread of the link. Raises `NetwatchError` for
    credentials that cannot be used."""

    def __init__(self, config: Config, path: str | None, report: Callable[[str], None]) -> None:
        fleet = config.fleet
        assert fleet is not None
        assert fleet.credentials is not None
        self._sensor = fleet.sensor
        self._folder = fleet.published
        self._path = path
        self._report = report
        publisher = read_credentials(fleet.credentials, fleet.sensor).publisher
        keys = read_public_key(publisher) if publisher else {}
        self._applier = Applier(fleet.sensor, fleet.published, keys, self._examine)
        self._feed = PublishedFeed(fleet.sensor, self._applier, self._tell)
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = ("", 0)
        self._versions = self._read_versions()

    async def run(self, connection: Connection) -> None:
        """Apply what is published, as long as a connection lasts: a task of the link."""
        self._client, self._loop = connection.client, asyncio.get_running_loop()
        await self._feed.run(connection.client)

    def retry(self) -> None:
        """Offer again what was refused; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._feed.retry)

    def status(self) -> PublishedStatus:
        """What is in use, and what was refused; from any thread."""
        return PublishedStatus(
            versions=self._versions,
            refused=dict(self._applier.refused),
            problems=tuple(_sentence(each) for each in [*self._applier.problems.values()]),
        )

    def health(self) -> Mapping[str, Any]:
        """What a sign of life says of it."""
        status = self.status()
        return {
            "set_version": status.versions.get("set"),
            "configuration_version": status.versions.get("configuration"),
            "published": {"refused": status.refused, "problems": list(status.problems)},
        }

    def _read_versions(self) -> dict[str, int]:
        """The versions in use. What is damaged, the capture names when it reads its files."""
        found = {}
        for kind in KINDS:
            with suppress(NetwatchError):
                current = published_store(self._folder, kind).read_state().current
                if current is not None:
                    found[kind] = current.version
        return found

    def _examine(self, kind: str, folder: Path) -> list[Problem]:
        if kind == "configuration":
            return examine_configuration(self._path, folder)
        return check_set(folder) or examine_set(self._path, folder)

    async def _tell(self, applied: Applied) -> None:
        """Tell the log and the centre, which keeps it until its database has it."""
        self._versions = self._read_versions()
        if applied.state == "rejected":
            self._report(f"the centre's publication is refused: {_sentence(applied)}")
        elif self._told != (applied.kind, applied.version):
            self._report(f"{applied.kind} {applied.version} of the centre is applied")
        self._told = (applied.kind, applied.version)
        now = time.time_ns()
        envelope = Envelope(
            sensor=self._sensor,
            kind="applied",
            sequence=0,
            sent=now,
            version=__version__,
            id=f"{applied.kind}-{applied.version}-{applied.state}-{now}",
            body=applied.body(),
        )
        jetstream = self._client.jetstream(timeout=10)
        await jetstream.publish(subject(self._sensor, "applied"), envelope.encode())


def _sentence(applied: Applied) -> str:
    """Why a bundle was refused, in one line."""
    reason = applied.reason[:300]
    if not reason.startswith(applied.kind):
        version = f" {applied.version}" if applied.version else ""
        reason = f"{applied.kind}{version}: {reason}"
    return f"{reason} ({applied.refusal})"
