"""The checks of a sensor and of a centre, with a centre that runs on loopback and one that does
not."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.diagnosed import brief, files, findings, of
from support.fleet_centre import CentreProcess, running_centre
from support.ports import free_port
from support.programs import require_programs

from netwatch.cli.doctor import fleet
from netwatch.config import load
from netwatch.core.installing import install_command
from netwatch.fleet import access, centre_folder
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.connection import write_credentials
from netwatch.fleet.spool import SpoolWriter
from netwatch.store.fleet_sensors import applied, enrolled, heard
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

pytest.importorskip("nats")
pytest.importorskip("nkeys")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentreProcess]:
    require_programs("nats-server")
    with running_centre(tmp_path_factory.mktemp("fleet"), "ghent-1") as process:
        yield process


def as_sensor(url: str, name: str = "ghent-1", more: str = "") -> str:
    return (
        f'fleet: {{sensor: {name}, centre: "{url}", credentials: {name}.creds,'
        f" spool: {{path: spool, max_bytes: 16M}}, published: published{more}}}\n"
    )


def as_centre(port: int, more: str = "") -> str:
    return (
        f'fleet: {{centre: "tls://127.0.0.1:{port}", server: {{listen: "127.0.0.1:{port}",'
        f" folder: centre, max_bytes: 64M{more}}}}}\nstore: {{path: store}}\n"
    )


@pytest.fixture
def stopped(tmp_path: Path) -> str:
    """The configuration of a centre in `tmp_path` that does not run, with its keys and the
    credentials of a sensor."""
    text = as_centre(free_port())
    (tmp_path / "netwatch.yaml").write_text(f"version: 1\n{text}")
    options = load(str(tmp_path / "netwatch.yaml")).fleet
    assert options is not None
    folder = CentreFolder(options)
    folder.prepare()
    write_credentials(tmp_path / "ghent-1.creds", folder.enrol("ghent-1"))
    return text


def test_no_part_of_a_fleet(tmp_path: Path) -> None:
    assert findings(fleet.check, tmp_path, "") == []
    assert findings(fleet.check_centre, tmp_path, "") == []


def test_a_sensor_that_is_well(running: CentreProcess, tmp_path: Path) -> None:
    shutil.copy(running.folder / "ghent-1.creds", tmp_path)
    found = findings(fleet.check, tmp_path, as_sensor(running.url))
    assert brief(found) == ["ok credentials", "ok centre", "ok spool", "ok published",
                            "ok published"]  # fmt: skip
    assert "answers; the clocks differ by" in of(found, "centre").text
    assert not (tmp_path / "spool").exists()
    seed = next(line for line in (tmp_path / "ghent-1.creds").read_text().splitlines()
                if line.startswith("seed:"))  # fmt: skip
    assert seed.split()[1] not in repr(found)


def test_a_clock_that_is_off(
    running: CentreProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(running.folder / "ghent-1.creds", tmp_path)
    monkeypatch.setattr(fleet, "CLOCK_SECONDS", 0.0)
    assert of(findings(fleet.check, tmp_path, as_sensor(running.url)), "centre").level == "warn"
    assert fleet._offset(10**10, {"received": 6 * 10**9, "sent": 6 * 10**9}, 10**10) == 4


def test_a_sensor_that_the_centre_does_not_know(running: CentreProcess, tmp_path: Path) -> None:
    options = load(str(running.configuration)).fleet
    assert options is not None
    other = tmp_path / "other"
    shutil.copytree(running.folder / "centre", other, ignore=shutil.ignore_patterns("jetstream"))
    assert options.server is not None
    folder = CentreFolder(options)
    folder.path = other
    write_credentials(tmp_path / "liege-1.creds", folder.enrol("liege-1"))
    found = findings(fleet.check, tmp_path, as_sensor(running.url, "liege-1"))
    assert of(found, "centre").level == "bad"
    # The client may notice that the server has closed before it reads why.
    assert re.search("refuses these credentials|Broken pipe|reset", of(found, "centre").text)


def test_a_centre_that_does_not_answer(tmp_path: Path, stopped: str) -> None:
    url = f"tls://127.0.0.1:{free_port()}"
    found = findings(fleet.check, tmp_path, as_sensor(url))
    assert brief(found)[:3] == ["warn credentials", "ok credentials", "bad centre"]
    assert "is it the same centre under another name?" in found[0].todo
    assert "Connection refused" in of(found, "centre").text


@pytest.mark.parametrize("days", [-1, 5])
def test_an_authority_that_ends(tmp_path: Path, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "AUTHORITY_DAYS", days)
    (tmp_path / "netwatch.yaml").write_text(f"version: 1\n{as_centre(free_port())}")
    options = load(str(tmp_path / "netwatch.yaml")).fleet
    assert options is not None
    folder = CentreFolder(options)
    folder.prepare()
    write_credentials(tmp_path / "ghent-1.creds", folder.enrol("ghent-1"))
    found = findings(fleet.check, tmp_path, as_sensor(options.centre))
    assert of(found, "credentials").level == ("bad" if days < 0 else "warn")


def test_credentials_that_others_can_read(tmp_path: Path, stopped: str) -> None:
    (tmp_path / "ghent-1.creds").chmod(0o644)
    found = findings(fleet.check, tmp_path, as_sensor("tls://127.0.0.1:4222"))
    assert brief(found)[0] == "bad credentials"
    assert "chmod 600 restricts it" in found[0].text
    assert "centre" not in [each.subject for each in found]


def test_a_spool_that_fills(tmp_path: Path, stopped: str) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    for _ in range(3):
        writer.put("observation", 5, bytes(3 << 20))
    before = files(tmp_path / "spool")
    found = findings(fleet.check, tmp_path, as_sensor("tls://127.0.0.1:4222"))
    assert of(found, "spool").level == "warn"
    assert "3 files, 9.4 MB of 16.8 MB" in of(found, "spool").text
    assert files(tmp_path / "spool") == before


def test_what_was_published_and_altered(tmp_path: Path, stopped: str) -> None:
    (tmp_path / "published" / "set").mkdir(parents=True)
    found = findings(fleet.check, tmp_path, as_sensor("tls://127.0.0.1:4222"))
    (damaged,) = (each for each in found if each.level == "bad" and each.subject == "published")
    assert "expected a folder of netwatch's sets" in damaged.text


def test_a_centre_that_is_well(running: CentreProcess, tmp_path: Path) -> None:
    text = running.configuration.read_text().removeprefix("version: 1\n")
    text = text.replace("path: store", f"path: {running.folder}/store")
    text = text.replace("folder: centre", f"folder: {running.folder}/centre, max_bytes: 64M")
    found = findings(fleet.check_centre, tmp_path, text)
    assert brief(found[:-1]) == ["ok nats-server", "ok centre", "ok centre TLS", "ok authority",
                                 "ok server", "ok stream"]  # fmt: skip
    assert found[-1].subject == "sensors"
    assert of(found, "server").text.endswith("1 sensor enrolled")


def test_a_centre_that_does_not_run_is_left_as_it_is(tmp_path: Path, stopped: str) -> None:
    before = files(tmp_path / "centre")
    found = findings(fleet.check_centre, tmp_path, stopped)
    assert of(found, "server").level == "bad"
    assert of(found, "server").todo == ("netwatch fleet centre starts it",)
    assert of(found, "sensors").level == "warn"
    assert files(tmp_path / "centre") == before
    assert not (tmp_path / "store").exists()


def test_a_centre_that_was_never_started(tmp_path: Path) -> None:
    found = findings(fleet.check_centre, tmp_path, as_centre(free_port()))
    assert "warn centre" in brief(found)
    assert not (tmp_path / "centre").exists()


def test_a_centre_without_a_store(tmp_path: Path) -> None:
    text = as_centre(free_port()).partition("store:")[0]
    assert brief(findings(fleet.check_centre, tmp_path, text))[0] == "bad centre"


def test_keys_that_others_can_read(tmp_path: Path, stopped: str) -> None:
    (tmp_path / "centre" / "centre.seed").chmod(0o640)
    found = of(findings(fleet.check_centre, tmp_path, stopped), "keys")
    assert (found.level, found.todo[0][:9]) == ("bad", "chmod 600")


def test_a_server_that_is_not_installed(
    tmp_path: Path, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netwatch.fleet import server

    monkeypatch.setattr(server, "PROGRAM", "nats-server-that-is-not-there")
    assert of(findings(fleet.check_centre, tmp_path, stopped), "nats-server").level == "bad"


def test_a_disk_without_room_for_the_stream(
    tmp_path: Path, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centre_folder, "BUCKET_BYTES", 10**18)
    assert of(findings(fleet.check_centre, tmp_path, stopped), "stream").level == "warn"


def test_sensors_that_are_silent_or_reject(tmp_path: Path, stopped: str) -> None:
    now = round(datetime.now(UTC).timestamp() * 1e9)
    with open_catalogue(StoreOptions(str(tmp_path / "store")), create=True) as catalogue:
        for name in ("ghent-1", "liege-1", "namur-1"):
            enrolled(catalogue, name, now)
        heard(catalogue, "ghent-1", now, {"state": "running"})
        heard(catalogue, "liege-1", now - 3600 * 10**9, {"state": "stopped"})
        applied(catalogue, "ghent-1", "set", "7", "applied", "", now - 2)
        applied(catalogue, "ghent-1", "set", "8", "rejected", "forged", now - 1)
    found = of(findings(fleet.check_centre, tmp_path, stopped), "sensors")
    assert found.level == "warn"
    assert found.text == (
        "3 sensors; applied: set 7; namur-1 is not heard, ghent-1 rejects the set 8"
    )


def test_what_is_not_installed_is_said(
    tmp_path: Path, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "nkeys", None)
    for check, text in (
        (fleet.check_centre, stopped),
        (fleet.check, as_sensor("tls://127.0.0.1:1")),
    ):
        (found,) = findings(check, tmp_path, text)
        assert f"{install_command('fleet')}" in found.text
