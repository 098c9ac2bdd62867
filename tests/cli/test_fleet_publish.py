"""``netwatch fleet publish``: what is examined, signed and kept, for which no server is needed."""

import argparse
import json
from pathlib import Path

import pytest
from support.fleet_bundles import CONFIGURATION
from support.sets import signatures

from netwatch.cli import CommandParser, _common_options, fleet_publish
from netwatch.cli.group import Group
from netwatch.config.fleet_section import FleetOptions, ServerOptions
from netwatch.core.errors import ConfigError
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.publications import open_publications

pytest.importorskip("nkeys")


class Site:
    """A centre with one sensor, and a folder for what is published."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "centre"
        self.sensors = place / "sensors"
        self.sensors.mkdir()
        self.config = place / "centre.yaml"
        self.config.write_text(
            'version: 1\nfleet: {centre: "nats://127.0.0.1:4222", server: {folder: centre}}\n'
        )
        server = ServerOptions(folder=self.folder)
        folder = CentreFolder(FleetOptions("nats://127.0.0.1:4222", server=server))
        folder.prepare()
        folder.enrol("ghent-1")

    def run(self, *arguments: str) -> int:
        parser = CommandParser(prog="netwatch")
        groups = parser.add_subparsers()
        group = Group(
            groups, [_common_options()], "fleet", help="x", description="x", epilog=""
        )  # fmt: skip
        fleet_publish.add(group)
        args = parser.parse_args(["fleet", "publish", "-c", str(self.config), *arguments])
        assert isinstance(args, argparse.Namespace)
        return int(args.func(args))

    def write(self, text: str, name: str = "netwatch.yaml") -> str:
        path = self.sensors / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def problems(self, *arguments: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.run(*arguments)
        return str(caught.value).replace(f"{self.sensors.parent}/", "")

    def listing(self) -> list[tuple[str, str, int, list[str]]]:
        return [
            (
                each.bundle.kind,
                each.bundle.audience,
                each.bundle.manifest.version,
                sorted(each.bundle.files()),
            )
            for each in open_publications(self.folder).listing()
        ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_configuration_is_published_with_the_files_that_it_names(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(
        "id,mac,ip,hostname,owner,class\npc-7,,10.20.0.7,,Ann,service\n", "lists/devices.csv"
    )
    app = signatures(site.sensors.parent / "s") / "apps" / "clips.yaml"
    site.write(app.read_text(), "own/clips.yaml")
    site.write("not published", "own/notes.txt")
    site.write("not published", "secret.txt")
    path = site.write(
        CONFIGURATION.replace("[tiktok]", "[tiktok, clips]")
        + "devices: {inventory: lists/devices.csv}\nsignatures: [builtin, own]\n"
    )
    assert site.run(path, "--dry-run") == 0
    assert "configuration: valid, 3 files" in capsys.readouterr().out
    assert site.listing() == []
    assert site.run(path) == 0
    assert "published configuration 1 (" in capsys.readouterr().out
    names = ["lists/devices.csv", "netwatch.yaml", "own/clips.yaml"]
    assert site.listing() == [("configuration", "all", 1, names)]


def test_versions_and_audiences_are_listed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.run("--list") == 0
    assert capsys.readouterr().out == "nothing was published yet\n"
    folder = str(signatures(site.sensors.parent / "signatures"))
    site.run(folder, "--to", "ghent-1", "--expires", "30d")
    site.run(folder)
    capsys.readouterr()
    assert site.run("--list", "--format", "jsonl") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["kind"], each["version"], each["to"]) for each in records] == [
        ("set", 1, "ghent-1"),
        ("set", 2, "all"),
    ]
    site.run("--list")
    shown = capsys.readouterr().out
    assert "sensor ghent-1" in shown
    assert "all sensors" in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("outputs: []\n", "sensors/netwatch.yaml:2: 'outputs' cannot be published"),
        ("devices: {inventory: ../centre.yaml}\n", "yaml:2: expected a path below"),
        ("devices: {inventory: /etc/passwd}\n", "yaml:2: expected a path below"),
        ("devices: {inventory: link.csv}\n", "leads out of the folder of this file"),
        ("devices:\n  leases:\n  - {path: /var/lib/x}\n", "yaml:4: expected a path"),
        ("signatures: [none/]\n", "sensors/netwatch.yaml:2: sensors/none cannot be read"),
        ("signatures: ['a b.yaml']\n", "'a b.yaml' cannot be published"),
        ("bans:\n - {pack: no-such}\n", "expected the id of a shipped ban, found 'no-such'"),
        ("networks: 7\n", "sensors/netwatch.yaml:2: 'networks': expected a list"),
        ("a: [\n", "sensors/netwatch.yaml:"),
    ],
)  # fmt: skip
def test_what_does_not_load_is_not_published(site: Site, text: str, problem: str) -> None:
    (site.sensors / "link.csv").symlink_to("/etc/hostname")
    path = site.write(f"version: 1\n{text}")
    assert problem in site.problems(path)
    assert site.listing() == []


def test_a_set_with_mistakes_is_not_published(site: Site) -> None:
    folder = signatures(site.sensors / "signatures")
    file = folder / "apps" / "clips.yaml"
    file.write_text(file.read_text().replace("exclusive", "exklusive"))
    assert "sensors/signatures/apps/clips.yaml:6" in site.problems(str(folder))
    assert site.listing() == []


def test_set_and_configuration_are_examined_together(site: Site) -> None:
    folder = str(signatures(site.sensors.parent / "signatures"))
    path = site.write(CONFIGURATION.replace("[tiktok]", "[clips]"))
    # The shipped signatures have no such app, the set has.
    assert "clips" in site.problems(path)
    site.run(path, folder)
    assert [each[:3] for each in site.listing()] == [("configuration", "all", 1), ("set", "all", 1)]
    # Without it, another set would leave the configuration behind that names it.
    for kind in ("apps/clips.yaml", "bans/city-clips-2023.yaml"):
        file = Path(folder, kind)
        file.write_text(file.read_text().replace("clips", "reels"))
        file.rename(file.with_name(file.name.replace("clips", "reels")))
    assert "clips" in site.problems(folder)


def test_usage(site: Site, tmp_path: Path) -> None:
    path = site.write(CONFIGURATION)
    assert "'all' or a sensor that is enrolled (ghent-1), found 'gent-1'" in site.problems(
        path, "--to", "gent-1"
    )
    assert "expected either PATH" in site.problems()
    assert "expected either PATH" in site.problems(path, "--list")
    assert "expected one configuration" in site.problems(path, path)
    site.config.write_text("version: 1\n")
    assert "which make this a centre" in site.problems(path)
