"""The path of a store is shown, and used, without ``..``."""

from pathlib import Path

import pytest

from netwatch import config
from netwatch.cli import main
from netwatch.store.options import plain_path


def test_dots_are_followed_as_the_file_system_does(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    assert plain_path(f"{tmp_path}/far/../store") == f"{tmp_path}/store"
    assert plain_path(f"{tmp_path}/link/../store") == f"{tmp_path}/far/store"
    assert plain_path(f"{tmp_path}/link/store") == f"{tmp_path}/link/store"


@pytest.mark.parametrize("url", ["s3://bucket/a/../b", "memory://x/../y"])
def test_a_url_stays(url: str) -> None:
    assert plain_path(url) == url


def test_status_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").mkdir()
    site = tmp_path / "etc" / "netwatch.yaml"
    site.write_text("version: 1\nstore: {path: ../var/store}\n")
    assert config.load_store(str(site)).path == f"{tmp_path}/var/store"  # type: ignore[union-attr]
    from netwatch.store.opening import open_catalogue
    from netwatch.store.options import StoreOptions

    open_catalogue(StoreOptions(f"{tmp_path}/var/store"), create=True).close()
    assert main(["store", "status", "-c", str(site)]) == 0
    assert capsys.readouterr().out.startswith(f"store {tmp_path}/var/store (")
    monkeypatch.chdir(tmp_path / "etc")
    assert main(["store", "status", "--store-path", "../var/store"]) == 0
    assert capsys.readouterr().out.startswith(f"store {tmp_path}/var/store (")
