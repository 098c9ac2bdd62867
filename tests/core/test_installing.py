"""What is missing is installed into the installation that runs, whatever else has its name."""

import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.paths import ROOT

from netwatch import __version__
from netwatch.core import installing
from netwatch.core.installing import install_command, install_library


def test_a_checkout_is_installed_by_its_path() -> None:
    words = shlex.split(install_command("store"))
    assert words == [sys.executable, "-m", "pip", "install", f"{ROOT}[store]"]
    assert shlex.split(install_library("gcsfs")) == [*words[:4], "gcsfs"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation without a checkout, and the folder of the wheel that it was made of."""
    place = tmp_path / "lib" / "site-packages" / "netwatch" / "core"
    place.mkdir(parents=True)
    monkeypatch.setattr(installing, "__file__", str(place / "installing.py"))
    wheels = tmp_path / "my wheels"
    wheels.mkdir()
    return wheels


def made_of(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    found = SimpleNamespace(read_text=lambda name: text if name == "direct_url.json" else None)
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: found)


def test_a_wheel_is_installed_by_its_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = installed / "netwatch_bans-0.1.0-py3-none-any.whl"
    wheel.touch()
    made_of(monkeypatch, json.dumps({"url": wheel.as_uri(), "archive_info": {}}))
    assert shlex.split(install_command("web"))[-1] == f"{wheel}[web]"
    wheel.unlink()
    assert shlex.split(install_command("web"))[-1] == f"netwatch-bans[web]=={__version__}"


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"url": 3}'])
def test_without_an_origin_it_is_the_version_that_is_installed(
    installed: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    made_of(monkeypatch, text)
    assert shlex.split(install_command("s3"))[-1] == f"netwatch-bans[s3]=={__version__}"


@pytest.mark.parametrize(("has_apt", "tool"), [(True, "apt"), (False, "dnf")])
def test_packages_of_a_system_have_a_package_for_it(
    monkeypatch: pytest.MonkeyPatch, has_apt: bool, tool: str
) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr/lib/netwatch")
    monkeypatch.setattr(Path, "exists", lambda path: has_apt or str(path) != "/usr/bin/apt")
    assert install_command("store") == f"{tool} install netwatch-console"
    assert "-m pip install" in install_command("s3")


def test_the_packages_have_what_is_said_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "packaging" / "packages.py").read_text(encoding="utf-8")
    words = ", ".join(f'"{each}"' for each in installing.CONSOLE_EXTRAS)
    assert f"CONSOLE_EXTRAS = ({words})" in text
    environment = (ROOT / "packaging" / "linux" / "environment.py").read_text(encoding="utf-8")
    assert f'PREFIX = "{installing.PACKAGED}"' in environment


def test_nothing_else_tells_to_install_a_name() -> None:
    """No message, and no page but that of the installation, names the project to an index."""
    own = ROOT / "netwatch" / "core" / "installing.py"
    sources = {*(ROOT / "netwatch").rglob("*.py"), *(ROOT / "packaging").rglob("*.py")} - {own}
    pages = {*(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "guides" / "install.md"}
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted(sources | pages)
        for line in path.read_text(encoding="utf-8").splitlines()
        if "pip install 'netwatch" in line and "/opt/netwatch/bin/pip install" not in line
    ]
    assert found == []
