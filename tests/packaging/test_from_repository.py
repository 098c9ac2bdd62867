"""A new system of Debian and the signed repository: installed, tried, configured, on a wire;
upgraded from the packages of the previous commit with its store and state; removed."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.booted_system import booted
from support.built_packages import LATER, BuiltPackages, build
from support.namespaces import Namespace, namespace, needs_namespaces
from support.office import one_hello
from support.packaging_modules import packaging_modules
from support.paths import ROOT
from support.programs import needs
from support.signing_key import signing_key
from support.system_root import SystemRoot, differences, service_root
from support.waiting import wait_until

(repository,) = packaging_modules("repository")

pytestmark = [
    pytest.mark.packages,
    needs("apt-get", "createrepo_c", "dpkg-deb", "git", "gpg", "mmdebstrap", "reprepro", "rpmsign"),
    needs_namespaces,
]

URL = "file:///srv/repository"
CONFIGURATION = "/etc/netwatch/netwatch.yaml"
ANSWERS = "\\nBE-FED\\n10.20.0.0/16\\n\\nbe-fed-tiktok-2023\\n"
LIBRARIES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")
INSTALL = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
AS_NETWATCH = ("setpriv", "--reuid=netwatch", "--regid=netwatch", "--init-groups")
DATA = ("etc/netwatch", "etc/default/netwatch", "var/lib/netwatch", "var/log/netwatch")
"""What `apt remove` keeps for the administrator."""

KEPT_BY_APT = (
    *("etc/group", "etc/gshadow", "etc/logrotate.d/netwatch", "etc/passwd", "etc/shadow"),
    "etc/systemd/system/multi-user.target.wants/netwatch.service",
)
"""What it keeps beside: a file of configuration, the user that owns the data, what was enabled."""

OF_THE_SYSTEM = ("etc/.updated", "var/.updated")


@pytest.fixture(scope="module")
def former(packages: BuiltPackages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the previous commit; NETWATCH_FORMER is a folder that has them."""
    if given := os.environ.get("NETWATCH_FORMER"):
        return Path(given)
    folder = tmp_path_factory.mktemp("former")
    found = subprocess.run(["git", "rev-parse", "HEAD~1"], cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        pytest.skip("there is no previous commit here")
    # The time of the commit is that of what is built.
    clone = ["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, folder / "commit"]
    subprocess.run(clone, check=True)
    checkout = ["git", "checkout", "--quiet", "--detach", found.stdout.strip()]
    subprocess.run(checkout, cwd=folder / "commit", check=True)
    # Its wheel is built; what it depends on is there.
    others = folder / "wheelhouse"
    shutil.copytree(packages.wheelhouse, others, ignore=lambda *_: [packages.wheel.name])
    build(folder / "packages", "--wheelhouse", str(others), program=folder / "commit")
    return folder / "packages"


@pytest.fixture
def installed(former: Path) -> Iterator[tuple[SystemRoot, Namespace, str, dict[str, str]]]:
    """A system with the former packages from a signed repository, the network and key for it, and
    what was there before."""
    with service_root() as root, namespace() as network, signing_key() as key:
        root.run("apt-get", "update", "-q")
        root.run(*INSTALL, *LIBRARIES)
        # A machine that was booted has no network: neither would its usual sources answer.
        for path in (root.path / "etc/apt").glob("sources.list*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (root.path / "etc/apt/sources.list.d").mkdir()
        shutil.rmtree(root.path / "var/lib/apt/lists")
        (root.path / "var/lib/apt/lists/partial").mkdir(parents=True)
        served = root.path / "srv/repository"
        repository.make(former, served, key, URL)
        # What the page has users type.
        shutil.copy(served / "netwatch.asc", root.path / "etc/apt/keyrings")
        shutil.copy(served / "netwatch.sources", root.path / "etc/apt/sources.list.d")
        before = root.listing()
        assert "W:" not in root.run("apt-get", "update", "-q").stderr
        root.run(*INSTALL, "netwatch", "netwatch-console")
        network.pair("wire", "mirror")
        yield root, network, key, before


def test_from_the_first_day_to_the_last(
    installed: tuple[SystemRoot, Namespace, str, dict[str, str]], packages: BuiltPackages
) -> None:
    root, network, key, before = installed
    alerts = root.path / "var/log/netwatch/alerts.jsonl"

    def statuses() -> list[str]:
        lines = alerts.read_text().splitlines() if alerts.exists() else []
        return [json.loads(line)["status"] for line in lines]

    def visit() -> None:
        (frame,) = [frame for _, frame in one_hello("2026-11-25T10:00:00+01:00").frames]
        sender, seen = network.sender("wire"), len(statuses())
        sender.send(frame)
        sender.close()
        wait_until(lambda: len(statuses()) > seen, "an alert was written")

    with booted(root, network) as system:

        def stored() -> list[dict[str, object]]:
            query = ("netwatch", "store", "query", "incidents", "--format", "jsonl")
            return [
                json.loads(line)
                for line in system.run(*AS_NETWATCH, *query).stdout.split("\n")
                if line
            ]

        shown = system.run("netwatch", "demo", "/srv/demo").stdout
        assert "TikTok" in shown
        assert (root.path / "srv/demo/netwatch.yaml").exists()

        (root.path / CONFIGURATION.lstrip("/")).unlink()
        said = system.run("sh", "-c", f"printf '{ANSWERS}' | netwatch init -o {CONFIGURATION}")
        assert f"netwatch policy check -c {CONFIGURATION}" in said.stdout
        system.run("netwatch", "policy", "check")
        with (root.path / CONFIGURATION.lstrip("/")).open("a") as file:
            file.write("store: {path: /var/lib/netwatch/store}\n")
        system.run("chgrp", "netwatch", CONFIGURATION)
        system.run("chmod", "640", CONFIGURATION)
        (root.path / "etc/default/netwatch").write_text("INTERFACES=mirror\n")
        system.run("systemctl", "enable", "--now", "netwatch")
        visit()
        assert statuses() == ["open"]

        # The state of the open incident is kept, and so is the store.
        repository.make(packages.later, root.path / "srv/repository", key, URL)
        system.run("apt-get", "update", "-q")
        # Where the shipped file has changed too, dpkg would ask which to keep.
        keep = ("-o", "Dpkg::Options::=--force-confold")
        system.run("apt-get", "upgrade", "-q", "-y", *keep)
        versions = system.run("dpkg-query", "-W", "-f", "${Version} ", "netwatch*").stdout
        assert versions.split() == [f"{LATER}-1"] * 2
        wait_until(lambda: statuses() == ["open", "closed"], "the former run has ended")
        kept = stored()
        assert [each["status"] for each in kept] == ["closed"]
        visit()
        system.run("systemctl", "stop", "netwatch")
        assert statuses() == ["open", "closed"] * 2
        assert {each["id"] for each in stored()} > {each["id"] for each in kept}
        shown = system.run("netwatch", "verify", "--help").stdout
        assert "evidence" in shown

        # Removed, only data and changed files are left; purged, nothing is.
        shutil.rmtree(root.path / "srv/demo")
        system.run("apt-get", "remove", "-q", "-y", "netwatch-console", "netwatch")
        left = left_of(before, root)
        assert [each for each in left if not each.startswith((*DATA, *KEPT_BY_APT))] == []
        assert {"var/lib/netwatch/store", "var/log/netwatch/alerts.jsonl"} <= set(left)
        system.run("apt-get", "purge", "-q", "-y", "netwatch-console", "netwatch")
        assert left_of(before, root) == []


def left_of(before: dict[str, str], root: SystemRoot) -> list[str]:
    """What is otherwise than before; without the repository, and what the first boot has written
    and every change of a user writes."""
    changed = [line.partition(":")[0] for line in differences(before, root.listing())]
    return [each for each in changed if not each.startswith(("srv/", *OF_THE_SYSTEM))]
