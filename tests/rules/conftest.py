import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.paths import ROOT

from netwatch.rules.catalog import Catalog
from netwatch.rules.load import BUILTIN, load_signatures

SIGNATURES = ROOT / "signatures"

HEAD = "app: {app}\nname: {app}\nvendor: {vendor}\ncategory: video\n"


@pytest.fixture(autouse=True)
def _shipped_from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    _ship_the_checkout(monkeypatch)


@pytest.fixture(scope="session")
def shipped_catalog() -> Catalog:
    with pytest.MonkeyPatch.context() as monkeypatch:
        _ship_the_checkout(monkeypatch)
        return load_signatures([BUILTIN], Path())


def _ship_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("load", "bans"):
        monkeypatch.setattr(
            importlib.import_module(f"netwatch.rules.{module}"), "shipped", lambda: SIGNATURES
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache that is on."""
    monkeypatch.delenv("NETWATCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "netwatch"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a signature file of one app; its domains start in line 6."""

    def _write(
        app: str, *domains: str, vendor: str = "", folder: str = "mine", rest: str = ""
    ) -> Path:
        path = tmp_path / folder / f"{app}.yaml"
        path.parent.mkdir(exist_ok=True)
        lines = "".join(f"  - {{{domain}, sources: [test]}}\n" for domain in domains)
        head = HEAD.format(app=app, vendor=vendor or app)
        path.write_text(f"{head}domains:\n{lines}{rest}", encoding="utf-8")
        return path

    return _write
