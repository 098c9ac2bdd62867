"""What `netwatch scan --store` keeps of the sample captures, in every kind of store."""

import contextlib
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netwatch.cli import main

CONFIGURATION = """version: 1
networks:
  - {{name: hq, cidrs: [10.20.1.0/24], class: service}}
  - {{name: labs, cidrs: [10.0.0.0/8], class: service}}
devices: {{inventory: devices.csv}}
bans:
  - {{id: our-rule, authority: City, apps: [tiktok], forbids: [service]}}
store: {store}
"""
INVENTORY = """id,ip,mac,hostname,owner,class
lab-21,10.20.5.21,,lab-21.corp.example,M. Curie,service
"""


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    status: int
    output: str
    errors: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The output as JSON lines."""
        return [json.loads(line) for line in self.output.splitlines()]


def run(*arguments: str) -> Ran:
    """Run netwatch in this process."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = main([*arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Ran(status, output.getvalue(), errors.getvalue())


@dataclass(frozen=True)
class AskedStore:
    """A store with a configuration that names it, and what `scan` printed while it was filled."""

    config: str
    path: str
    scanned: str
    covered: str

    def ask(self, *arguments: str) -> Ran:
        """Run a subcommand of ``netwatch store``."""
        return run("store", *arguments, "-c", self.config)

    def sql(self, query: str, *arguments: str) -> list[dict[str, Any]]:
        """The rows of a query, which may take longer than people would wait."""
        ran = self.ask("sql", query, "--format", "jsonl", "--timeout", "600", *arguments)
        assert ran.status == 0, ran.errors
        return ran.records

    def copied(self, folder: Path) -> "AskedStore":
        """A copy of this one, which is in a folder, that a test may change."""
        path = str(shutil.copytree(self.path, folder / "kept"))
        config = Path(shutil.copy(self.config, folder))
        config.write_text(config.read_text().replace(self.path, path))
        shutil.copy(Path(self.config).with_name("devices.csv"), folder)
        return replace(self, config=str(config), path=path)


def filled_store(
    folder: Path, path: str, catalogue: str, captures: Sequence[str | Path]
) -> AskedStore:
    """Scan captures into a new store; the configuration is written to `folder`."""
    store = {"path": path, **({"catalogue": catalogue} if catalogue else {})}
    config = folder / "netwatch.yaml"
    config.write_text(CONFIGURATION.format(store=json.dumps(store)))
    (folder / "devices.csv").write_text(INVENTORY)
    arguments = ["-q", *map(str, captures), "-c", str(config), "--format", "jsonl", "--coverage"]
    ran = run("scan", "--store", *arguments)
    assert ran.status == 0, ran.errors
    lines = ran.output.splitlines(keepends=True)
    return AskedStore(str(config), path, "".join(lines[:-1]), lines[-1])
