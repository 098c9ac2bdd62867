"""The rpm: what it says of itself; installed, upgraded and erased by rpm in a system.

The system is one of Debian, which has no database of rpm, so the relations to other packages are
not resolved (``--nodeps``) but compared with what they have to be. Everything else is rpm's: owners
from the file, its scripts in the system, files that were changed.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.built_packages import LATER, BuiltPackages, package
from support.paths import ROOT
from support.programs import needs
from support.system_root import SystemRoot, differences, service_root

pytestmark = [pytest.mark.packages, needs("mmdebstrap", "rpm", "unshare")]

CONFIGURATION = "etc/netwatch/netwatch.yaml"


def rpm(*words: str, under: tuple[str, ...] = ()) -> str:
    """What rpm prints."""
    done = subprocess.run([*under, "rpm", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Scripts that fail are a warning to rpm.
    assert "scriptlet failed" not in done.stderr, done.stderr
    return done.stdout


def in_system(root: SystemRoot, *words: str) -> str:
    """Run rpm on the packages of a system. Its scripts see the processes, as systemd-tmpfiles
    has to."""
    alone = [] if words[0] == "-q" else ["--nodeps"]
    script = 'mount -t proc proc "$0/proc" && exec "$@"'
    under = ("unshare", "--mount", "sh", "-c", script, str(root.path))
    return rpm("--root", str(root.path), *alone, *words, under=under)


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
