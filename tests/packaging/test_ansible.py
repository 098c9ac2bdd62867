"""The Ansible role: clean, and on a machine with systemd it makes a sensor that reports, from a
signed repository, and changes nothing when it runs again."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.booted_system import BootedSystem, booted
from support.built_packages import LATER, BuiltPackages
from support.namespaces import Namespace, namespace, needs_namespaces
from support.office import one_hello
from support.packaging_modules import packaging_modules
from support.paths import ROOT
from support.programs import needs
from support.signing_key import signing_key
from support.system_root import SystemRoot, service_root
from support.waiting import wait_until

(repository,) = packaging_modules("repository")

ROLE = ROOT / "packaging" / "ansible"

CONFIG = """\
version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}]
bans: [{pack: be-fed-tiktok-2023}]
"""

PLAYBOOK = """\
- name: Set up netwatch
  hosts: all
  roles: [netwatch]
  vars:
    netwatch_parts: [sensor]
    netwatch_repository: file:///srv/repository
    netwatch_repository_key: /srv/repository/netwatch.asc
    netwatch_config: /srv/sensor.yaml
    netwatch_interfaces: [mirror]
"""


@needs("ansible-lint")
def test_the_role_is_clean() -> None:
    done = subprocess.run(
        ["ansible-lint", "--offline", "--nocolor", "--profile=production",
         "site.yml", "inventory.yml", "roles/netwatch"],
        cwd=ROLE, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    # It passes without having read anything, too.
    read = re.search(r"0 failure\(s\), 0 warning\(s\) on (\d+) files", done.stdout + done.stderr)
    assert read is not None, done.stdout + done.stderr
    assert int(read[1]) >= len([*ROLE.rglob("*.yml")])


@pytest.fixture
def prepared(packages: BuiltPackages) -> Iterator[tuple[SystemRoot, Namespace, str]]:
    """A system with Ansible, a repository with the packages, and a configuration to copy."""
    with service_root() as root, namespace() as network, signing_key() as key:
        root.run("apt-get", "update", "-q")
        install = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
        root.run(*install, "ansible-core", "python3-apt")
        # A machine that was booted has no network: neither would its usual sources answer.
        for path in (root.path / "etc/apt").glob("sources.list*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (root.path / "etc/apt/sources.list.d").mkdir()
        lists = root.path / "var/lib/apt/lists"
        shutil.rmtree(lists)
        (lists / "partial").mkdir(parents=True)
        served = root.path / "srv/repository"
        repository.make(packages.folder, served, key, "file:///srv/repository")
        shutil.copytree(ROLE / "roles", root.path / "srv/roles")
        (root.path / "srv/sensor.yaml").write_text(CONFIG)
        (root.path / "srv/site.yml").write_text(PLAYBOOK)
        network.pair("wire", "mirror")
        yield root, network, key


def play(system: BootedSystem) -> str:
    """Run the playbook; what it says at the end."""
    command = ("ansible-playbook", "-i", "localhost,", "-c", "local", "site.yml")
    done = system.run("sh", "-c", f"cd /srv && {' '.join(command)}")
    return done.stdout.rpartition("PLAY RECAP")[2]


@pytest.mark.packages
@needs("apt-get", "createrepo_c", "dpkg-deb", "gpg", "mmdebstrap", "nsenter", "reprepro", "rpmsign")
@needs_namespaces
def test_a_sensor_from_the_repository(
    prepared: tuple[SystemRoot, Namespace, str], packages: BuiltPackages
) -> None:
    root, network, key = prepared
    with booted(root, network) as system:
        said = play(system)
        assert "failed=0" in said
        assert "changed=0" not in said
        assert system.unit("netwatch.service")["ActiveState"] == "active"
        again = play(system)
        assert "failed=0" in again
        assert "changed=0" in again

        alerts = root.path / "var/log/netwatch/alerts.jsonl"
        (frame,) = [frame for _, frame in one_hello("2026-11-25T10:00:00+01:00").frames]
        sender = network.sender("wire")
        sender.send(frame)
        sender.close()
        wait_until(lambda: alerts.exists() and alerts.read_text(), "the alert was written")
        assert json.loads(alerts.read_text().splitlines()[0])["app"]["id"] == "tiktok"

        # A later version comes with the upgrades of the system, and changes no file of the site.
        repository.make(packages.later, root.path / "srv/repository", key, "file:///srv/repository")
        system.run("apt-get", "update", "-q")
        system.run("apt-get", "upgrade", "-q", "-y")
        shown = system.run("dpkg-query", "-W", "-f", "${Version}", "netwatch").stdout
        assert shown == f"{LATER}-1"
        assert root.read("etc/netwatch/netwatch.yaml") == CONFIG
        assert "changed=0" in play(system)

        # Removed, data and changed files stay; purged, they go.
        system.run("apt-get", "remove", "-q", "-y", "netwatch")
        assert alerts.exists()
        assert not Path(root.path / "usr/bin/netwatch").exists()
