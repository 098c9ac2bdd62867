"""Sets of signatures and bans in local repositories, for tests of updates."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from netwatch.rules.load import use_builtin
from netwatch.updates.options import UpdateOptions
from netwatch.updates.repository import KeyFolder, Repository
from netwatch.updates.set_format import Manifest
from netwatch.updates.update import read_examined

DAY = timedelta(days=1)

APP = """\
app: clips
name: Clips
vendor: maker
category: video
domains:
  - {suffix: clips.example, role: exclusive, sources: [observed]}
  - {suffix: NAME, role: exclusive, sources: [observed]}
tests: {match: [www.clips.example, NAME], ignore: [notclips.example]}
"""
BAN = """\
id: city-clips-2023
authority: City of Example
apps: [clips]
forbids: [service]
from: 2023-01-01
timezone: UTC
legal_basis: Decision 1
severity: SEVERITY
sources: ["https://example.org/decision"]
"""


def signatures(folder: Path, name: str = "one.example", severity: str = "high") -> Path:
    """A folder of signatures: one app, of which a name can be chosen, and one ban on it."""
    for kind, file, text in (
        ("apps", "clips.yaml", APP.replace("NAME", name)),
        ("bans", "city-clips-2023.yaml", BAN.replace("SEVERITY", severity)),
    ):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / file).write_text(text)
    return folder


class Publisher:
    """A publisher whose files are below `place`; `root` is the root for subscribers."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder, self.keys = place / "repository", KeyFolder(place / "keys")
        self.root = place / "root.json"
        shutil.copy(Repository(self.folder, self.keys).create(), self.root)

    def publish(
        self,
        name: str = "one.example",
        *,
        severity: str = "high",
        ago: timedelta = timedelta(),
        life: timedelta = 90 * DAY,
        timestamp_life: timedelta = 14 * DAY,
        release: str = "0.1.0",
        files: dict[str, bytes] | None = None,
    ) -> Manifest:
        """Publish the next set, as it would have been `ago`; `files` are not examined."""
        if files is None:
            files = read_examined(signatures(self.place / "signatures", name, severity))
        return self.repository(ago).publish(files, life, timestamp_life, release)

    def repository(self, ago: timedelta = timedelta()) -> Repository:
        """The repository, at a time before now."""
        return Repository(self.folder, self.keys, datetime.now(UTC) - ago)

    def copy(self, name: str) -> Path:
        """A copy of the repository as it is now."""
        return Path(shutil.copytree(self.folder, self.place / name))

    def options(self, url: str = "", every: int = 0) -> UpdateOptions:
        """The options of a subscriber."""
        return UpdateOptions(url, self.root, every, self.place / "sets")


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL at which a server on loopback has `folder`."""
    handler = partial(_Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    """What `builtin` stands for is chosen for a whole thread."""
    yield
    use_builtin(None)
