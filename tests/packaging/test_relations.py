"""No upgrade removes a package: of `netwatch` alone, or of both in one command as the page has it.

apt simulates it with packages that have our relations and no files, so this needs no root and takes
less than a second. `make test-packages` does the same with the packages themselves.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.programs import needs

OLD, NEW = "0.1.0", "0.2.0~rc1"
NAMES = ("netwatch", "netwatch-console")

CODE = """
import json, sys
from pathlib import Path
from unittest.mock import MagicMock

# Of the extra `release`, and not asked for anything here.
for name in ("dynamic", "elffile", "gnuversions"):
    sys.modules[f"elftools.elf.{name}"] = MagicMock()
sys.modules["elftools"] = sys.modules["elftools.elf"] = MagicMock()
from linux import contents, nfpm
from linux.environment import Interpreter

link = nfpm.Entry("/usr/bin/netwatch", "../lib/netwatch/bin/netwatch", "symlink")
libraries = MagicMock()
libraries.debian.return_value = libraries.rpm.return_value = []
contents._service = contents._manual = lambda *_: []
contents._environment = lambda *_: [link]
folder = Path(sys.argv[1])
stage = contents.Stage(folder, Interpreter(sys.executable, (3, 13), "x86_64"), 0)
for version in sys.argv[2:]:
    for make in (contents.netwatch_contents, contents.console_contents):
        package = make(stage, folder, version, libraries)
        for form in nfpm.FORMATS:
            print(json.dumps([form, nfpm._config(package, form)]))
"""

Configurations = Mapping[tuple[str, str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Configurations:
    """What nfpm is told of both packages in two versions, by format, name and version."""
    command = [sys.executable, "-c", CODE, str(tmp_path_factory.mktemp("stage")), OLD, NEW]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "packaging")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {(form, each["name"], each["version"]): each for form, each in found}


Simulate = Callable[..., Sequence[str]]


@pytest.fixture
def simulate(described: Configurations, tmp_path: Path) -> Simulate:
    """What apt would do to a system with packages of the old version, for files of the new one:
    ``Inst netwatch``, ``Remv netwatch-console``."""

    def simulated(installed: Sequence[str], files: Sequence[str]) -> Sequence[str]:
        control = {key: _control(value) for key, value in described.items() if key[0] == "deb"}
        status = tmp_path / "status"
        status.write_text(
            "\n".join(
                f"{control['deb', name, OLD]}Status: install ok installed\n" for name in installed
            )
        )
        debs = []
        for name in files:
            folder = tmp_path / name
            (folder / "DEBIAN").mkdir(parents=True)
            (folder / "DEBIAN" / "control").write_text(control["deb", name, NEW])
            debs.append(str(tmp_path / f"{name}.deb"))
            subprocess.run(["dpkg-deb", "-b", str(folder), debs[-1]], check=True, stdout=-3)
        options = {
            "APT::Architecture": "amd64",
            "Debug::NoLocking": "1",
            "Dir::Cache": str(tmp_path),
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": str(tmp_path),
            "Dir::State::status": str(status),
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        done = subprocess.run(
            ["apt-get", "-s", *words, "install", *debs], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return sorted(set(re.findall(r"^(?:Inst|Remv) \S+", done.stdout, re.MULTILINE)))

    return simulated


def _control(package: Mapping[str, Any]) -> str:
    """The control file, with relations between our packages alone."""
    relations = {
        key.capitalize(): ", ".join(each for each in package.get(key, ()) if "netwatch" in each)
        for key in ("depends", "replaces", "conflicts", "breaks", "suggests")
    }
    lines = [f"{key}: {value}\n" for key, value in relations.items() if value]
    return (
        f"Package: {package['name']}\nVersion: {package['version']}-1\nArchitecture: amd64\n"
        f"Maintainer: nobody <nobody@example.org>\nDescription: none\n{''.join(lines)}"
    )


@needs("apt-get", "dpkg-deb")
@pytest.mark.parametrize("files", [NAMES[:1], NAMES], ids=["netwatch", "both"])
@pytest.mark.parametrize("installed", [NAMES[:1], NAMES], ids=["netwatch", "both"])
def test_an_upgrade_removes_nothing(
    simulate: Simulate, installed: Sequence[str], files: Sequence[str]
) -> None:
    assert simulate(installed, files) == [f"Inst {name}" for name in files]


def test_a_console_needs_a_netwatch_as_new_as_itself(described: Configurations) -> None:
    assert f"netwatch (>= {NEW}-1)" in described["deb", "netwatch-console", NEW]["depends"]
    assert f"netwatch >= {NEW}-1" in described["rpm", "netwatch-console", NEW]["depends"]


@pytest.mark.parametrize(("name", "other"), [NAMES, NAMES[::-1]])
def test_a_library_may_go_from_one_package_to_the_other(
    described: Configurations, name: str, other: str
) -> None:
    assert described["deb", name, NEW]["replaces"] == [f"{other} (<< {NEW}-1)"]
    # To rpm this would mean to remove the other package.
    assert "replaces" not in described["rpm", name, NEW]


def test_the_page_upgrades_both_in_one_command() -> None:
    page = (ROOT / "docs" / "guides" / "install.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^sudo apt install \./netwatch_0\.2\.0.*$", page, re.MULTILINE)
    assert "netwatch-console_0.2.0" in command


def test_a_spawned_process_does_not_run_the_command_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It imports the file that was started. A centre's processes each started another centre."""
    text = (ROOT / "packaging" / "linux" / "contents.py").read_text()
    launcher = text.partition('_LAUNCHER = f"""')[2].partition('"""')[0]
    runs = []
    monkeypatch.setattr("netwatch.cli.main", lambda: runs.append(1))
    exec(launcher, {"__name__": "__mp_main__"})
    assert runs == []
    with pytest.raises(SystemExit):
        exec(launcher, {"__name__": "__main__"})
    assert runs == [1]


@pytest.mark.parametrize("name", NAMES)
def test_documentation_is_marked_for_rpm(described: Configurations, name: str) -> None:
    for form, kinds in {"deb": {None}, "rpm": {"doc"}}.items():
        entries = described[form, name, NEW]["contents"]
        found = {each.get("type") for each in entries if "/usr/share/doc/" in each["dst"]}
        assert found - {"dir"} == kinds


def test_a_link_has_its_mode_from_no_file_of_the_machine(described: Configurations) -> None:
    for form in ("deb", "rpm"):
        entries = described[form, "netwatch", NEW]["contents"]
        (link,) = (each for each in entries if each.get("type") == "symlink")
        assert link["file_info"]["mode"] == 0o777
