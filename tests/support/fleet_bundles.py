"""A centre that publishes, and a sensor that applies, without a server between them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.sets import signatures

from netwatch.core.errors import Problem
from netwatch.fleet.access import open_signing_key, read_public_key
from netwatch.fleet.publications import Publications, Published
from netwatch.fleet.published_feed import Applier
from netwatch.updates.update import check_set, read_examined

CONFIGURATION = """\
version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service}
bans:
  - {id: b, authority: X, apps: [tiktok], forbids: [service], from: 2023-01-01, timezone: UTC,
     legal_basis: L, severity: high}
"""


def examine(kind: str, folder: Path) -> Sequence[Problem]:
    return check_set(folder) if kind == "set" else []


class Centre:
    """A centre whose files are below `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.key = open_signing_key(place / "keys")
        self.publications = Publications(place / "published", self.key)

    def set_files(self, name: str = "one.example") -> dict[str, bytes]:
        return read_examined(signatures(self.place / "signatures", name))

    def publish_set(
        self,
        name: str = "one.example",
        audience: str = "all",
        *,
        ago: timedelta = timedelta(),
        life: timedelta = timedelta(days=90),
        release: str = "0.1.0",
    ) -> Published:
        """Publish the next set, as it would have been `ago`."""
        now = datetime.now(UTC) - ago
        files = self.set_files(name)
        return self.publications.publish("set", audience, files, life, release, now)

    def publish_configuration(
        self, text: str = CONFIGURATION, audience: str = "all", **files: str
    ) -> Published:
        """Publish the next configuration; `files` are by their names without the suffix .csv."""
        content = {"netwatch.yaml": text, **{f"{name}.csv": each for name, each in files.items()}}
        data = {name: each.encode() for name, each in content.items()}
        return self.publications.publish("configuration", audience, data, release="0.1.0")

    def applier(self, sensor: str = "ghent-1", folder: str = "sensor") -> Applier:
        """The applier of a sensor that was enrolled here."""
        keys = read_public_key(self.key.public)
        return Applier(sensor, self.place / folder, keys, examine)
