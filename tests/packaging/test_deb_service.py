"""The deb on a machine with systemd: installed, started, upgraded, removed and purged."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.booted_system import BootedSystem, booted
from support.built_packages import LATER, BuiltPackages, package
from support.namespaces import Namespace, namespace, needs_namespaces
from support.office import TIKTOK, one_hello
from support.programs import needs
from support.system_root import differences, service_root
from support.waiting import wait_until

pytestmark = [
    pytest.mark.packages,
    needs("dpkg-deb", "mmdebstrap", "nsenter", "unshare"),
    needs_namespaces,
]

UNIT = "netwatch.service"
ALERTS = "var/log/netwatch/alerts.jsonl"
SETTINGS = "INTERFACES=mirror\n"


@dataclass(frozen=True)
class Machine:
    """A running system whose interface `mirror` gets what is sent to `wire`."""

    system: BootedSystem
    network: Namespace
    packages: BuiltPackages

    def install(self, folder: Path) -> None:
        """Install the deb of a folder; everything else that it needs is there."""
        deb = package(folder, "netwatch", "deb")
        target = self.system.root.path / "var/tmp" / deb.name
        target.write_bytes(deb.read_bytes())
        self.system.run("apt-get", "install", "-q", "-y", f"/var/tmp/{deb.name}")
        target.unlink()

    def main_pid(self) -> int:
        """The process of the service as systemd knows it; 0 where it does not run."""
        return int(self.system.unit(UNIT)["MainPID"])

    def visit(self) -> None:
        """A device contacts a banned app; returns when the alert was written."""
        wire = one_hello("2026-11-25T10:00:00+01:00")
        (frame,) = [frame for _, frame in wire.frames]
        sender = self.network.sender("wire")
        before = len(self.alerts())
        sender.send(frame)
        sender.close()
        wait_until(lambda: len(self.alerts()) > before, lambda: self.journal())

    def alerts(self) -> list[dict[str, object]]:
        """What the service has reported."""
        path = self.system.root.path / ALERTS
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def journal(self) -> str:
        """What the service has logged."""
        return self.system.run("journalctl", "-u", UNIT, "--no-pager", "-n", "40").stdout


@pytest.fixture
def machine(packages: BuiltPackages) -> Iterator[Machine]:
    with service_root() as root, namespace() as network:
        network.pair("wire", "mirror")
        with booted(root, network) as system:
            yield Machine(system, network, packages)


def test_from_installation_to_purge(machine: Machine) -> None:
    system = machine.system
    before = system.root.listing()

    # Installed: there, and neither enabled nor started.
    machine.install(machine.packages.folder)
    assert system.run("systemctl", "is-enabled", UNIT, check=False).stdout.strip() == "disabled"
    assert machine.main_pid() == 0
    system.run("systemd-analyze", "verify", UNIT)

    # Started: in the sandbox of the unit, as its user with its capability, and it reports.
    edited = system.root.path / "etc/netwatch/netwatch.yaml"
    edited.write_text(edited.read_text() + "search_suffixes: [corp.example]\n")
    (system.root.path / "etc/default/netwatch").write_text(SETTINGS)
    system.run("systemctl", "enable", "--now", UNIT)
    first = machine.main_pid()
    status = system.run("cat", f"/proc/{first}/status").stdout
    (users,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
    user = int(system.run("id", "-u", "netwatch").stdout)
    assert users == [str(user)] * 4
    assert user > 0
    machine.visit()
    (alert,) = machine.alerts()
    assert alert["status"] == "open"
    assert TIKTOK in str(alert["names"])

    # Upgraded: the service runs again, with the files that were edited and the state that it had.
    machine.install(machine.packages.later)
    shown = system.run("dpkg-query", "-W", "-f=${Version} ${Status}", "netwatch").stdout
    assert shown == f"{LATER}-1 install ok installed"
    second = machine.main_pid()
    assert second not in (0, first)
    assert edited.read_text().endswith("search_suffixes: [corp.example]\n")
    assert (system.root.path / "etc/default/netwatch").read_text() == SETTINGS
    statuses = [each["status"] for each in machine.alerts()]
    assert statuses == ["open", "closed"]
    machine.visit()

    # Rotated: logrotate accepts the file of the package, and the service writes into a new file.
    system.run("logrotate", "--force", "/etc/logrotate.d/netwatch")
    assert system.root.path.joinpath(f"{ALERTS}.1").exists()

    # Removed: stopped, and everything that the administrator and the service wrote is kept.
    system.run("apt-get", "remove", "-q", "-y", "netwatch")
    assert system.unit(UNIT)["ActiveState"] in ("inactive", "failed")
    assert not system.root.path.joinpath("usr/lib/netwatch").exists()
    assert edited.exists()
    assert system.root.path.joinpath(f"{ALERTS}.1").exists()
    assert system.root.path.joinpath("var/lib/netwatch").is_dir()

    # Purged: nothing is left.
    system.run("apt-get", "purge", "-q", "-y", "netwatch")
    assert differences(before, system.root.listing()) == []
    assert system.run("id", "netwatch", check=False).returncode != 0
    assert list(system.root.path.joinpath("var/lib/dpkg/info").glob("netwatch*")) == []


def test_an_unused_service_is_not_started_by_an_upgrade(machine: Machine) -> None:
    machine.install(machine.packages.folder)
    machine.install(machine.packages.later)
    assert machine.main_pid() == 0
    assert machine.system.unit(UNIT)["ActiveState"] == "inactive"
