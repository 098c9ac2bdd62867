"""The sdist and the wheel of this project contain what their users need, and run."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.build_project import Project, unpacked
from support.interpreted import SOURCES
from support.paths import PCAPS, ROOT

LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "site", "out"),
    *("*.egg-info", "*.so"),
)
"""What a clone does not have. The generated C is copied: translating all of it takes long."""

TREES = {
    "netwatch": ("*.py", "*.pxd", "*.h", "*.json", "py.typed"),
    "signatures": ("*.py", "*.yaml"),
    "packaging": ("*",),
    "docs": ("*.*",),
    "tests": ("*.py", "*.txt", "*.hex"),
    "pcaps": ("*.*",),
    "bench": ("*.py",),
}
"""Folders of the sdist and the files in them."""

DIGEST = "packaging/translated.sha256"
"""What says of which sources the C in an sdist was made. A source tree has none."""


MANUAL = ("man1/netwatch.1", "man5/netwatch.yaml.5")
"""The man pages of the test. `make wheels` writes the real ones, which tests of the manual read."""


def files(root: Path, folder: str, patterns: tuple[str, ...]) -> set[str]:
    """The files of a folder that match one of the patterns, relative to the root."""
    found = {path for pattern in patterns for path in (root / folder).rglob(pattern)}
    return {
        path.relative_to(root).as_posix()
        for path in found
        if path.is_file() and "__pycache__" not in path.parts and "out" not in path.parts
    }


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sdist, built in one path with a space and unpacked in another."""
    folder = tmp_path_factory.mktemp("distributions")
    shutil.copytree(ROOT, folder / "a clone", ignore=LEFT_OUT)
    for page in MANUAL:
        (folder / "manual" / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / "manual" / page).write_text(".TH NETWATCH 1\n", encoding="ascii")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NETWATCH_MANUAL", str(folder / "manual"))
        made = Project(folder / "a clone").build("build_sdist")
    return unpacked(made, folder / "an sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Project) -> Path:
    """A wheel from the sdist, without Cython and without a C compiler."""
    return sdist.build("build_wheel", cython=False, compiler="false")


def test_the_sdist_contains_every_source(sdist: Project) -> None:
    for folder, patterns in TREES.items():
        expected = files(ROOT, folder, patterns)
        assert expected
        made = {DIGEST, *(f"packaging/man/{page}" for page in MANUAL)}
        assert files(sdist.root, folder, patterns) - made == expected - {DIGEST}, folder
    names = {path.name for path in sdist.root.iterdir()}
    assert {
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "Makefile",
        "README.md",
        "pyproject.toml",
        "setup.py",
    } <= names


def test_the_sdist_contains_the_generated_c(sdist: Project) -> None:
    generated = {Path(source).with_suffix(".c").relative_to(ROOT) for source in SOURCES.values()}
    for path in (*generated, Path("netwatch/_cyutility.c")):
        assert (sdist.root / path).exists(), path
    assert sdist.requires("get_requires_for_build_wheel", cython=False) == []


def test_the_wheel_contains_the_package_and_its_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = ("*.json", "*.po", "*.html", "*.css", "*.js", "*.svg", "py.typed")
    expected = files(ROOT, "netwatch", ("*.py", *data))
    expected |= {f"netwatch/{name}" for name in files(ROOT, "signatures", TREES["signatures"])}
    shared = "netwatch_bans-0.1.0.data/data/share"
    expected.add(f"{shared}/netwatch/netwatch.service")
    expected |= {f"{shared}/man/{page}" for page in MANUAL}
    samples = ("*.pcap", "devices.csv", "netwatch.yaml")
    expected |= {f"netwatch/{name}" for name in files(ROOT, "pcaps", samples)}
    expected.add("netwatch/rules/common_zones.yaml")
    # Why it is interpreted.
    expected.add("netwatch/not-compiled.txt")
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_wheel_runs_without_cython_and_says_that_it_is_interpreted(
    wheel: Path, sdist: Project, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    command = ["names", "--format", "jsonl", str(PCAPS / "dns-over-tcp.pcap")]
    code = f"import sys\nfrom netwatch.cli import main\nsys.exit(main({command!r}))"
    done = Project(installed).run(code, cython=False)
    assert done.returncode == 0, done.stderr
    compiled = subprocess.run(
        [sys.executable, "-m", "netwatch", *command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == compiled.stdout
    assert done.stdout.count("\n") > 5
