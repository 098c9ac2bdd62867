"""From the deb, and from the wheel, to alerts in a system that had only the package manager; what
is in the deb, and that two builds of it are the same."""

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.built_packages import LATER, BuiltPackages, build, package
from support.paths import PCAPS, ROOT
from support.programs import needs
from support.system_root import SystemRoot, bare_root, differences, service_root

pytestmark = [pytest.mark.packages, needs("dpkg-deb", "mmdebstrap", "unshare")]

SCAN = ("scan", "-c", "/etc/netwatch/netwatch.yaml", "--format", "jsonl", "/srv/pcaps")


@pytest.fixture(scope="module")
def installed(packages: BuiltPackages) -> Iterator[SystemRoot]:
    """A bare system after the installation of the deb and a scan."""
    with bare_root() as root:
        deb = _copied(root, package(packages.folder, "netwatch", "deb"))
        with timed("deb to alert"):
            root.run("apt-get", "update", "-q")
            root.run("apt-get", "install", "-q", "-y", deb)
            done = root.run("netwatch", *SCAN)
        assert _alerts(done.stdout) == expected_alerts(root)
        yield root


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long something took, and how much of that it computed: other work delays it."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what}: {time.monotonic() - begin:.1f} s, of which {spent:.1f} s on a processor")


HALF_OF_THE_FIRST = 85_500_000
"""Bytes in /usr/lib/netwatch: it once had twice as many."""

IN_NO_PACKAGE = {"_typeshed", "botocore", "dask", "distributed"}
"""What only checkers of types and the extras `cluster` and `s3` import."""

IN_CONSOLE_PACKAGE = {
    *("aiohttp", "anyio", "argon2", "authlib", "duckdb", "fsspec", "joserfc", "nkeys", "pyarrow"),
    *("sqlalchemy", "starlette", "uvicorn", "vl_convert", "weasyprint"),
}

CONSOLE_UNITS = ("netwatch-console", "netwatch-centre")


def _copied(root: SystemRoot, package: Path) -> str:
    """Copy a package and the sample captures into a system; its path there."""
    shutil.copy(package, root.path / "srv")
    if not (root.path / "srv/pcaps").exists():
        shutil.copytree(
            PCAPS, root.path / "srv/pcaps", ignore=shutil.ignore_patterns("__pycache__", "*.yaml")
        )
    return f"/srv/{package.name}"


def _alerts(output: str) -> list[dict[str, object]]:
    """Records, without where their captures are and which build has written them."""
    records = [json.loads(line) for line in output.splitlines()]
    return [{key: each[key] for key in each if key != "sensor"} for each in records]


def expected_alerts(root: SystemRoot) -> list[dict[str, object]]:
    """What this checkout reports with the configuration of the package."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "netwatch", "scan", "-q", "--format", "jsonl"),
            *("-c", root.path / "etc/netwatch/netwatch.yaml", root.path / "srv/pcaps"),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = done.stdout.replace(f"{root.path}/", "/")
    assert "tiktok" in found
    return _alerts(found)


def test_from_the_deb_to_alerts(installed: SystemRoot) -> None:
    done = installed.run("netwatch", "--version")
    assert done.stdout.startswith("netwatch ")
    found = installed.run("netwatch", "policy", "check", "-c", "/etc/netwatch/netwatch.yaml")
    assert "valid" in found.stdout
    assert installed.run("dpkg", "--verify", "netwatch").stdout == ""
    first, _, _ = (installed.path / "etc/netwatch/netwatch.yaml").read_text().partition("\n")
    installed.run("test", "-f", first.partition("$schema=file://")[2])


@needs("lintian")
@pytest.mark.parametrize("name", ["netwatch", "netwatch-console"])
def test_lintian_finds_only_what_has_a_reason(packages: BuiltPackages, name: str) -> None:
    deb = package(packages.folder, name, "deb")
    command = ["lintian", "--allow-root", "--fail-on=error,warning", "--tag-display-limit=0", deb]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_root_writes_no_bytecode_into_usr(installed: SystemRoot) -> None:
    before = installed.listing()
    installed.run("netwatch", "signatures", "list")
    installed.run("netwatch", "doctor", "-c", "/etc/netwatch/netwatch.yaml", check=False)
    assert differences(before, installed.listing()) == []


def test_who_may_read_what(installed: SystemRoot) -> None:
    show = ("stat", "-c", "%A %U %G")
    for path, expected in {
        "/etc/netwatch": "drwxr-x--- root netwatch",
        "/etc/netwatch/netwatch.yaml": "-rw-r----- root netwatch",
        "/var/lib/netwatch": "drwxr-x--- netwatch netwatch",
        "/var/log/netwatch": "drwxr-x--- netwatch netwatch",
        "/var/cache/netwatch": "drwx------ netwatch netwatch",
        "/usr/bin/python3.13": "-rwxr-xr-x root root",
    }.items():
        assert installed.run(*show, path).stdout.strip() == expected, path
    # The service reads its configuration, and nobody else does.
    as_user = ("setpriv", "--reuid=netwatch", "--regid=netwatch", "--init-groups")
    installed.run(*as_user, "netwatch", "policy", "check", "-c", "/etc/netwatch/netwatch.yaml")
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    done = installed.run(*as_nobody, "cat", "/etc/netwatch/netwatch.yaml", check=False)
    assert "Permission denied" in done.stderr


def test_every_compiled_module_loads(installed: SystemRoot) -> None:
    """Debug symbols were removed from them, some of which patchelf had changed before."""
    code = (
        "import ctypes, pathlib, sys\n"
        "found = [p for p in pathlib.Path(sys.prefix).rglob('*.so*') if p.is_file()]\n"
        "[ctypes.CDLL(str(path)) for path in found]\n"
        "print(len(found))"
    )
    done = installed.run("/usr/lib/netwatch/bin/python3", "-c", code)
    assert int(done.stdout) > 30


def missing_libraries(root: SystemRoot) -> set[str]:
    """The libraries that netwatch names, or a module of which it names, and that are not there."""
    shutil.copy(ROOT / "tests" / "support" / "named_modules.py", root.path / "srv")
    done = root.run("/usr/lib/netwatch/bin/python3", "-IB", "/srv/named_modules.py")
    return {line.partition(".")[0] for line in done.stdout.split()}


def test_it_has_what_it_imports_and_is_small(installed: SystemRoot) -> None:
    assert missing_libraries(installed) == IN_CONSOLE_PACKAGE | IN_NO_PACKAGE
    files = (installed.path / "usr/lib/netwatch").rglob("*")
    size = sum(path.lstat().st_size for path in files if not path.is_dir())
    assert size <= HALF_OF_THE_FIRST


def test_evidence_is_read_again(installed: SystemRoot) -> None:
    """With scapy, of which much is left out, also its bytecode, which nobody writes."""
    before = installed.listing()
    installed.run("netwatch", *SCAN[:-1], "/srv/pcaps/office-day.pcap", "--evidence", "/var/tmp/e")
    done = installed.run("netwatch", "verify", "/var/tmp/e")
    assert "tiktok" in done.stdout
    changed = differences(before, installed.listing())
    assert [each for each in changed if each.startswith("usr/")] == []


def test_the_optional_libraries_of_the_base_are_there(installed: SystemRoot) -> None:
    names = "apprise, confluent_kafka, evtx, isal, jinja2, nats, tuf.api.metadata"
    installed.run("/usr/lib/netwatch/bin/python3", "-W", "ignore", "-c", f"import {names}")


def test_licences_and_documents(installed: SystemRoot) -> None:
    text = installed.read("/usr/share/doc/netwatch/copyright")
    for each in (
        "netwatch-bans 0.",
        "cryptography ",
        "orjson ",
        "scapy ",
        "apprise ",
        "Apache License",
    ):
        assert each in text, each
    assert installed.read("/usr/share/doc/netwatch/docs/reference/configuration.md")
    unit = installed.read("/usr/share/doc/netwatch/examples/netwatch-logs.conf")
    assert "/usr/bin/netwatch live" in unit


def test_the_console_package_adds_store_reports_and_console(
    packages: BuiltPackages, installed: SystemRoot
) -> None:
    deb = _copied(installed, package(packages.folder, "netwatch-console", "deb"))
    without = installed.run("netwatch", *SCAN, "--store-path", "/var/tmp/store", check=False)
    assert without.returncode == 2
    assert "a store needs an extra: apt install netwatch-console" in without.stderr
    installed.run("apt-get", "install", "-q", "-y", "--no-install-recommends", deb)
    installed.run("netwatch", *SCAN, "--store-path", "/var/tmp/store")
    done = installed.run(
        *("netwatch", "store", "sql", "--store-path", "/var/tmp/store", "--format", "csv"),
        "select count(*) as n from incident",
    )
    assert int(done.stdout.split()[-1]) == len(expected_alerts(installed))
    code = "import netwatch.console.routes, weasyprint, vl_convert, psycopg, pyarrow.parquet, nkeys"
    installed.run("/usr/lib/netwatch/bin/python3", "-W", "ignore", "-c", code)
    assert missing_libraries(installed) == IN_NO_PACKAGE
    units = [f"/usr/lib/systemd/system/{name}.service" for name in CONSOLE_UNITS]
    assert all("\nExecStart=/usr/bin/netwatch " in installed.read(unit) for unit in units)
    _upgraded(installed, packages)
    installed.run("apt-get", "purge", "-q", "-y", "netwatch-console")
    assert not any((installed.path / unit.lstrip("/")).exists() for unit in units)
    assert not (installed.path / "usr/share/doc/netwatch-console").exists()
    assert _alerts(installed.run("netwatch", *SCAN).stdout) == expected_alerts(installed)


def _upgraded(root: SystemRoot, packages: BuiltPackages) -> None:
    """Upgrade as the page has it; and, before that, netwatch alone, which keeps the console."""
    upgrade = [_copied(root, package(packages.later, "netwatch", "deb"))]
    for before in ("0.1.0-1", f"{LATER}-1"):
        root.run("apt-get", "install", "-q", "-y", "--no-install-recommends", *upgrade)
        there = root.run("dpkg-query", "-W", "netwatch", "netwatch-console").stdout
        assert there.split() == ["netwatch", f"{LATER}-1", "netwatch-console", before]
        root.run("netwatch", "store", "status", "--store-path", "/var/tmp/store")
        upgrade.append(_copied(root, package(packages.later, "netwatch-console", "deb")))


def test_two_builds_are_the_same(packages: BuiltPackages, tmp_path: Path) -> None:
    common = ("--only", "netwatch", "--wheel", str(packages.wheel))
    build(tmp_path, *common, "--wheelhouse", str(packages.wheelhouse))
    for form in ("deb", "rpm"):
        one, other = (package(folder, "netwatch", form) for folder in (packages.folder, tmp_path))
        assert one.read_bytes() == other.read_bytes(), form


def test_from_the_wheel_to_alerts(packages: BuiltPackages) -> None:
    with service_root() as root:
        wheel = _copied(root, packages.wheel)
        shutil.copytree(packages.wheelhouse, root.path / "srv/wheels")
        (root.path / "etc/netwatch").mkdir()
        program = "/opt/netwatch/bin/netwatch"
        with timed("wheel to alert"):
            root.run("python3.13", "-m", "venv", "/opt/netwatch")
            root.run(
                *("/opt/netwatch/bin/pip", "install", "-q", "--no-index"),
                *("--find-links", "/srv/wheels", wheel),
            )
            root.run(program, "init", "--yes", "-o", "/etc/netwatch/netwatch.yaml")
            done = root.run(program, *SCAN)
        assert _alerts(done.stdout) == expected_alerts(root)
