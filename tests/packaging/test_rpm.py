"""The rpm: what it says of itself; installed, upgraded and erased by rpm in a system.

The system is one of Debian, which has no database of rpm, so the relations to other packages are
not resolved (``--nodeps``) but compared with what they have to be, or a package of the test claims
what the system has. Everything else is that of rpm and dnf: owners from the file, scripts in the
system, files that were changed.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.booted_system import booted
from support.built_packages import LATER, BuiltPackages, package
from support.namespaces import namespace, needs_namespaces
from support.office import one_hello
from support.packaging_modules import packaging_modules
from support.paths import ROOT
from support.programs import needs
from support.signing_key import signing_key
from support.system_root import SystemRoot, differences, service_root
from support.waiting import wait_until

(repository,) = packaging_modules("repository")

pytestmark = [pytest.mark.packages, needs("mmdebstrap", "rpm", "unshare")]

CONFIGURATION = "etc/netwatch/netwatch.yaml"

HAS_PROC = ("unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec "$@"')
"""Runs a command, after the folder of a system whose scripts see the processes, as
systemd-tmpfiles has to."""


def rpm(*words: str, under: tuple[str, ...] = ()) -> str:
    """What rpm prints."""
    done = subprocess.run([*under, "rpm", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Scripts that fail are a warning to rpm.
    assert "scriptlet failed" not in done.stderr, done.stderr
    return done.stdout


def in_system(root: SystemRoot, *words: str) -> str:
    """Run rpm on the packages of a system."""
    alone = [] if words[0] == "-q" else ["--nodeps"]
    return rpm("--root", str(root.path), *alone, *words, under=(*HAS_PROC, str(root.path)))


@pytest.fixture
def root() -> Iterator[SystemRoot]:
    with service_root() as made:
        yield made


@pytest.fixture(scope="module")
def built(packages: BuiltPackages) -> str:
    return str(package(packages.folder, "netwatch", "rpm"))


@pytest.fixture(scope="module")
def later(packages: BuiltPackages) -> str:
    return str(package(packages.later, "netwatch", "rpm"))


def test_files_are_where_the_system_expects_them(built: str) -> None:
    paths = rpm("-qpl", built).splitlines()
    expected = {
        *("/usr/bin/netwatch", "/usr/lib/systemd/system/netwatch.service", "/etc/netwatch"),
        *("/usr/lib/sysusers.d/netwatch.conf", "/usr/lib/tmpfiles.d/netwatch.conf"),
        *("/etc/netwatch/netwatch.yaml", "/etc/default/netwatch", "/etc/logrotate.d/netwatch"),
        *("/usr/share/man/man1/netwatch.1.gz", "/usr/share/man/man5/netwatch.yaml.5.gz"),
        "/usr/share/bash-completion/completions/netwatch",
        "/usr/share/zsh/site-functions/_netwatch",
        "/usr/share/fish/vendor_completions.d/netwatch.fish",
        "/usr/share/doc/netwatch/copyright",
    }
    assert expected <= set(paths)
    # Erasing removes no folder that no package has.
    assert {"/usr/lib/netwatch", "/usr/lib/netwatch/bin", "/usr/share/doc/netwatch"} <= set(paths)
    # Folders of the system belong to its own packages.
    assert not {"/usr", "/usr/bin", "/usr/lib", "/etc", "/usr/share"} & set(paths)
    assert set(rpm("-qpc", built).splitlines()) == {
        "/etc/netwatch/netwatch.yaml", "/etc/default/netwatch", "/etc/logrotate.d/netwatch"
    }  # fmt: skip


def test_it_requires_its_python_and_the_glibc_of_its_modules(built: str) -> None:
    required = rpm("-qp", "--requires", built).splitlines()
    assert {"/usr/bin/python3.13", "shadow-utils", "systemd"} <= set(required)
    (glibc,) = [each for each in required if each.startswith("libc.so.6(GLIBC_")]
    assert tuple(map(int, glibc.split("_")[1].split(")")[0].split("."))) <= (2, 28)


@needs("rpmlint")
@pytest.mark.parametrize("name", ["netwatch", "netwatch-console"])
def test_rpmlint_finds_only_what_has_a_reason(packages: BuiltPackages, name: str) -> None:
    config = ROOT / "packaging" / "linux" / "rpmlint.toml"
    built = package(packages.folder, name, "rpm")
    done = subprocess.run(
        ["rpmlint", "--config", config, built], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " 0 errors, 0 warnings," in done.stdout, done.stdout


def test_installed_upgraded_and_erased(root: SystemRoot, built: str, later: str) -> None:
    before = root.listing()
    in_system(root, "-i", built)
    assert in_system(root, "-V", "netwatch") == ""
    show = ("stat", "-c", "%A %U %G")
    assert root.run(*show, f"/{CONFIGURATION}").stdout == "-rw-r----- root netwatch\n"
    assert root.run(*show, "/var/lib/netwatch").stdout == "drwxr-x--- netwatch netwatch\n"
    as_user = ("setpriv", "--reuid=netwatch", "--regid=netwatch", "--init-groups")
    done = root.run(*as_user, "netwatch", "policy", "check", "-c", f"/{CONFIGURATION}")
    assert "valid" in done.stdout

    # A later version: users, files and service are as before.
    in_system(root, "-U", later)
    assert in_system(root, "-q", "netwatch").startswith(f"netwatch-{LATER}-1")
    assert root.run(*show, f"/{CONFIGURATION}").stdout == "-rw-r----- root netwatch\n"
    assert root.run("netwatch", "--version").stdout.startswith("netwatch ")

    # Nothing was changed and nothing was written, so nothing is left.
    in_system(root, "-e", "netwatch")
    assert differences(before, root.listing()) == []


def test_what_was_changed_and_written_is_kept(root: SystemRoot, built: str, later: str) -> None:
    in_system(root, "-i", built)
    changed = root.path / CONFIGURATION
    changed.write_text(changed.read_text() + "search_suffixes: [corp.example]\n")
    text = changed.read_text()
    state = root.path / "var/lib/netwatch/live.sqlite"
    state.write_bytes(b"state")
    in_system(root, "-U", later)
    assert changed.read_text() == text
    in_system(root, "-e", "netwatch")
    assert changed.with_suffix(".yaml.rpmsave").read_text() == text
    assert state.read_bytes() == b"state"
    assert not (root.path / "usr/lib/netwatch").exists()
    # What is left belongs to somebody.
    assert root.run("id", "-u", "netwatch").stdout.strip().isdigit()


def test_a_running_service_is_told(root: SystemRoot, built: str, later: str) -> None:
    """With a `systemctl` that only notes what it is asked: rpm runs scripts in the system of a
    folder, where nothing was booted. That the service itself starts again, the test of the deb
    shows."""
    calls = root.path / "var/tmp/calls"
    fake = root.path / "usr/local/bin/systemctl"
    fake.write_text('#!/bin/sh\necho "$*" >>/var/tmp/calls\n')
    fake.chmod(0o755)
    real = root.path / "usr/bin/systemctl"
    real.unlink()
    real.symlink_to("../local/bin/systemctl")
    (root.path / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    in_system(root, "-i", built)
    assert _taken(calls) == ["--system daemon-reload"]
    in_system(root, "-U", later)
    assert "try-restart netwatch.service" in _taken(calls)
    in_system(root, "-e", "netwatch")
    assert _taken(calls)[0] == "--no-reload disable --now netwatch.service"


def _taken(calls: Path) -> list[str]:
    """The calls since the last time."""
    lines = calls.read_text().splitlines()
    calls.unlink()
    return lines


@needs("createrepo_c", "dnf", "dpkg-deb", "gpg", "reprepro", "rpmbuild", "rpmsign")
@needs_namespaces
def test_dnf_from_the_signed_repository_to_an_alert(
    root: SystemRoot, packages: BuiltPackages, tmp_path: Path
) -> None:
    in_system(root, "-i", str(_system_package(packages.folder, tmp_path)))
    before = root.listing()
    served = tmp_path / "repository"
    with signing_key() as key, namespace() as network:
        repository.make(packages.folder, served, key, f"file://{served}")
        _dnf(root, tmp_path, "install", "netwatch-console")  # which requires the other
        network.pair("wire", "mirror")
        with (root.path / "etc/default/netwatch").open("a") as file:
            file.write("INTERFACES=mirror\n")
        alerts = root.path / "var/log/netwatch/alerts.jsonl"
        with booted(root, network) as system:
            assert "TikTok" in system.run("netwatch", "demo", "/srv/demo").stdout
            system.run("systemctl", "enable", "--now", "netwatch")
            (frame,) = [frame for _, frame in one_hello("2026-11-25T10:00:00+01:00").frames]
            sender = network.sender("wire")
            sender.send(frame)
            sender.close()
            wait_until(lambda: alerts.exists() and alerts.read_text(), "the alert was written")
            system.run("systemctl", "disable", "--now", "netwatch")
        assert json.loads(alerts.read_text().splitlines()[0])["app"]["id"] == "tiktok"

        repository.make(packages.later, served, key, f"file://{served}")
        _dnf(root, tmp_path, "upgrade")
        assert in_system(root, "-q", "netwatch-console").startswith(f"netwatch-console-{LATER}-1")
        _dnf(root, tmp_path, "remove", "netwatch-console", "netwatch")
    # Data, a changed file, the user that owns them, and what the first boot and dnf have written.
    kept = {
        *("etc/default/netwatch", "var/lib/netwatch", "var/log/netwatch", "srv/demo"),
        *("etc/group", "etc/gshadow", "etc/passwd", "etc/shadow"),
        *("etc/.updated", "var/.updated", "etc/dnf", "var/lib/dnf"),
    }
    left = [line.partition(":")[0] for line in differences(before, root.listing())]
    assert [each for each in left if not each.startswith(tuple(kept))] == [], left
    assert alerts.exists()


def _system_package(folder: Path, made: Path) -> Path:
    """A package that claims what packages require and the system has."""
    names = {
        line.split(" ")[0]
        for path in folder.glob("*.rpm")
        for line in rpm("-qp", "--requires", str(path)).splitlines()
        if not line.startswith(("netwatch", "rpmlib"))
    }
    spec = made / "system.spec"
    spec.write_text(
        "Name: system\nVersion: 1\nRelease: 1\nSummary: What there is\nLicense: MIT\n"
        f"BuildArch: noarch\nProvides: {' '.join(sorted(names))}\n"
        "%description\nWhat there is\n%files\n"
    )
    places = ("--define", f"_topdir {made}/build", "--define", f"_rpmdir {made}")
    subprocess.run(["rpmbuild", "--quiet", *places, "-bb", spec], check=True)
    return made / "noarch" / "system-1-1.noarch.rpm"


def _dnf(root: SystemRoot, folder: Path, *words: str) -> None:
    """Run dnf on a system, with the file of the repository that users download."""
    (folder / "dnf.conf").touch()
    (folder / "log").mkdir(exist_ok=True)
    places = {"reposdir": "repository", "cachedir": "cache", "logdir": "log", "persistdir": "state"}
    options = [f"--setopt={name}={folder / place}" for name, place in places.items()]
    command = ["dnf", "-y", "-c", folder / "dnf.conf", f"--installroot={root.path}", *options]
    done = subprocess.run(
        [*HAS_PROC, root.path, *command, "--releasever=1", "--refresh", *words],
        capture_output=True, text=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scriptlet failed" not in done.stdout + done.stderr, done.stdout + done.stderr
