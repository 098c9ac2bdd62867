"""A set that would have accused many devices of the last 30 days is held back until somebody says
yes."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from craft import Host, Wire
from support.office import FAR, capture, hello
from support.sets import Publisher, shipped_again, signatures  # noqa: F401 - a fixture

from netwatch.cli import main
from netwatch.config import load
from netwatch.live.config_update import UpdateChecker, update_status
from netwatch.live.events import Event, Note
from netwatch.rejudge.newly_accused import newly_accused
from netwatch.rules.load import use_builtin
from netwatch.updates.set_format import SetError
from netwatch.updates.store import SetStore
from netwatch.updates.update import update, weigh
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.metrics import METRICS
from netwatch.watch.snapshot import Snapshot

Run = Callable[..., str]

CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service}]
bans: [{pack: city-clips-2023}]
updates: {url: "file://REPOSITORY", root: root.json, folder: sets, ask_above: 2, every: 1h}
store: {path: store}
"""
CLIENTS = 3


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A publisher whose first set is installed."""
    made = Publisher(tmp_path)
    made.publish("one.example")
    update(made.options(), str(made.folder))
    return made


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store. Yesterday three devices contacted two.example, of which the set in use does not
    speak; one of them contacted one.example as well. A fourth did 40 days ago."""
    place = tmp_path_factory.mktemp("stored")
    publisher = Publisher(place)
    publisher.publish("one.example")
    update(publisher.options(), str(publisher.folder))
    path = place / "netwatch.yaml"
    path.write_text(CONFIG.replace("REPOSITORY", str(publisher.folder)))
    for name, days, clients in (("old", 40, [CLIENTS]), ("new", 1, range(CLIENTS))):
        wire = Wire((datetime.now(UTC) - timedelta(days=days)).isoformat(), 3)
        for number in clients:
            client = Host(f"10.20.1.{number + 1}", f"02:00:00:20:01:0{number + 1}")
            hello(wire, client, FAR, "www.two.example")
            wire.wait(5)
            if not number:
                hello(wire, client, FAR, "www.one.example")
        pcap = capture(place / f"{name}.pcap", wire)
        assert main(["scan", "-q", "-c", str(path), "-o", os.devnull, "--store", pcap]) == 0
    use_builtin(None)
    return place / "store"


@pytest.fixture
def site(publisher: Publisher, stored: Path, tmp_path: Path) -> str:
    """A configuration with a copy of the store."""
    shutil.copytree(stored, tmp_path / "store")
    path = tmp_path / "netwatch.yaml"
    path.write_text(CONFIG.replace("REPOSITORY", str(publisher.folder)))
    return str(path)


def in_use(publisher: Publisher) -> int:
    current = SetStore(publisher.options().folder).read_state().current
    assert current is not None
    return current.version


def test_devices_of_the_last_days_are_counted_that_the_set_alone_accuses(
    site: str, tmp_path: Path
) -> None:
    folder = signatures(tmp_path / "candidate", "two.example")
    counted = {"devices": CLIENTS, "apps": {"clips": CLIENTS}}
    assert newly_accused(site, folder, 30, 2) == counted
    assert newly_accused(site, folder, 30, 1000) == counted
    assert newly_accused(site, folder, 60, 2)["devices"] == CLIENTS + 1
    folder = signatures(tmp_path / "candidate", "three.example")
    assert newly_accused(site, folder, 30, 0) == {"devices": 0, "apps": {}}


def test_what_the_configuration_changed_does_not_count_against_a_set(
    site: str, tmp_path: Path
) -> None:
    path = Path(site)
    mine = "app: mine\nname: Mine\nvendor: mine\ncategory: video\ndomains:\n"
    mine += "  - {suffix: two.example, role: exclusive, sources: [observed]}\n"
    (tmp_path / "mine.yaml").write_text(mine)
    ban = "{id: ours, authority: City, apps: [mine], forbids: [service], from: 2023-01-01}"
    text = path.read_text().replace("bans: [", f"bans: [{ban}, ")
    path.write_text(f"{text}signatures: [builtin, mine.yaml]\n")
    folder = signatures(tmp_path / "candidate", "three.example")
    assert newly_accused(site, folder, 30, 2) == {"devices": 0, "apps": {}}


@pytest.mark.parametrize("text", ["store: {path: none}\n", ""])
def test_without_a_store_nobody_is_known_to_be_accused(
    publisher: Publisher, site: str, tmp_path: Path, text: str
) -> None:
    path = Path(site)
    path.write_text(path.read_text().replace("store: {path: store}\n", text))
    folder = signatures(tmp_path / "candidate", "two.example")
    assert newly_accused(site, folder, 30, 2) == {"devices": 0, "apps": {}}


def test_a_set_that_accuses_many_waits_for_a_yes(publisher: Publisher, site: str, run: Run) -> None:
    publisher.publish("two.example")
    record = json.loads(run("signatures", "update", "-c", site, "--format", "jsonl", status=1))
    assert (record["outcome"], record["offered"], record["devices"]) == ("held-back", 2, CLIENTS)
    assert record["set"]["version"] == in_use(publisher) == 1
    assert any("set 2 is held back" in note for note in load(site).notes)
    assert run("signatures", "update", "-c", site, "--yes").startswith("installed set 2 (")
    assert (in_use(publisher), load(site).notes) == (2, ())


def test_a_store_that_cannot_be_asked_keeps_a_set_out(
    publisher: Publisher, site: str, tmp_path: Path
) -> None:
    (tmp_path / "store" / "catalogue.sqlite").write_bytes(b"damaged" * 1000)
    folder = signatures(tmp_path / "candidate", "two.example")
    with pytest.raises(SetError, match=r"the store cannot be asked .*catalogue\.sqlite") as caught:
        weigh(site, folder, 2)
    assert "update --yes installs it without asking" in str(caught.value)


def test_a_capture_holds_a_set_back_and_says_so(publisher: Publisher, site: str) -> None:
    publisher.publish("two.example")
    events: list[Event] = []
    checker = UpdateChecker(site, lambda: load(site), reload=lambda: None, emit=events.append)
    updates = load(site).updates
    assert updates is not None
    for _ in range(2):  # the second time it is known, and neither weighed nor said again
        checker.check(updates.options)
    (note,) = [event.text for event in events if isinstance(event, Note)]
    assert note.startswith("set 2 is held back: it would have accused 3 more devices")
    assert in_use(publisher) == 1
    status = update_status(load(site))
    assert (status.failures, status.held_devices) == (0, CLIENTS)
    now = time.time()
    snapshot = Snapshot(now, now - 100, "0", last_packet=now, updates=status)
    (trouble,) = [each for each in troubles(snapshot, Thresholds()) if each.kind == "updates"]
    assert trouble.message == note
    (metric,) = [each for each in METRICS if each.name == "netwatch_set_held_devices"]
    assert list(metric.read(snapshot, Thresholds())) == [((), CLIENTS)]
    checker.check(replace(updates.options, ask_above=CLIENTS))
    assert in_use(publisher) == 2
    assert update_status(load(site)).held == ""


def test_a_centre_holds_back_what_it_would_publish(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nkeys")
    shutil.copytree(stored, tmp_path / "store")
    path = tmp_path / "centre.yaml"
    fleet = 'fleet: {centre: "nats://127.0.0.1:4222", server: {folder: centre}}\n'
    lines = [each for each in CONFIG.splitlines(True) if not each.startswith("updates")]
    (tmp_path / "root.json").write_text("{}")
    path.write_text(
        "".join([*lines, fleet]).replace("bans: [{pack: city-clips-2023}]\n", "")
        + "updates: {root: root.json, folder: sets, ask_above: 2}\n"
    )
    folder = str(signatures(tmp_path / "candidate", "two.example"))
    # A configuration without bans, as that of a centre, has the ban 'default' of the set.
    ban = Path(folder, "bans", "city-clips-2023.yaml").read_text()
    Path(folder, "bans", "default.yaml").write_text(ban.replace("city-clips-2023", "default"))

    def publish(*options: str) -> tuple[int, str]:
        status = main(["fleet", "publish", "-c", str(path), folder, *options])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    for options in ([], ["--dry-run"]):
        status, said = publish(*options)
        assert status == 1
        assert said == (
            "the set is held back: it would have accused 3 more devices of the last 30 days"
            " (clips: 3); netwatch fleet publish --yes publishes it\n"
        )
    status, said = publish("--yes")
    assert (status, said.startswith("published set 1")) == (0, True)
    signatures(tmp_path / "candidate", "three.example")
    status, said = publish()
    assert (status, said.startswith("published set 2")) == (0, True)
