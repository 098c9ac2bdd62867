"""A running capture gets newer sets: checks in a thread, reloads without a gap, failures."""

import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from messages import query
from support.captures import Frames
from support.frames import ETHERNET, udp
from support.live import Capture, Pipe
from support.namespaces import namespace, needs_namespaces
from support.office import DURING, one_hello
from support.ports import free_port
from support.sets import Publisher, served, shipped_again  # noqa: F401 - a fixture
from support.waiting import TIMEOUT, wait_until

from netwatch.config import Config, load
from netwatch.live import config_update
from netwatch.live.config_update import UpdateChecker, prepare, update_status
from netwatch.live.events import Event, Note
from netwatch.updates.update import update
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.snapshot import Snapshot, UpdateStatus

CONFIG = """\
version: 1
networks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]
bans: [{pack: city-clips-2023}]
updates: {url: "URL", root: root.json, folder: sets, every: 1m}
"""


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A publisher whose first set is installed."""
    made = Publisher(tmp_path)
    made.publish("one.example")
    update(made.options(), str(made.folder))
    return made


@pytest.fixture
def url(publisher: Publisher) -> Iterator[str]:
    with served(publisher.folder) as found:
        yield found


def configured(publisher: Publisher, url: str) -> Path:
    path = publisher.place / "netwatch.yaml"
    path.write_text(CONFIG.replace("URL", url))
    return path


def frames(name: str, seed: int) -> Frames:
    return sorted(one_hello(DURING, name=name, seed=seed).frames)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Capture]]:
    """Starts a capture, which is killed at the end of the test."""
    with ExitStack() as stack:

        def start(*arguments: str) -> Capture:
            capture = Capture(tmp_path, *arguments)
            stack.callback(capture.kill)
            return capture

        yield start


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path / "pipe")


def fetch(address: str, page: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{address}/{page}", timeout=TIMEOUT) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def test_a_newer_set_is_installed_and_used(
    publisher: Publisher, url: str, pipe: Pipe, launch: Callable[..., Capture]
) -> None:
    site, address = configured(publisher, url), f"127.0.0.1:{free_port()}"
    live = launch(
        *("--source", "file", "-i", str(pipe.path), "-c", str(site), "--metrics", address)
    )
    live.wait_for_log("started on")
    pipe.open()
    pipe.send(frames("www.one.example", 1))
    live.wait_for_records(1)
    (opened,) = live.records()
    assert opened["versions"]["set"]["version"] == 1
    wait_until(lambda: "netwatch_set_version 1.0" in fetch(address, "metrics"))
    publisher.publish("two.example")
    # A changed interval has it checked at once.
    site.write_text(site.read_text().replace("1m", "2m"))
    live.wait_for_log("installed set 2 (")
    wait_until(lambda: "netwatch_set_version 2.0" in fetch(address, "metrics"))
    pipe.send(frames("www.two.example", 2))
    pipe.send(frames("www.clips.example", 3))
    metrics = fetch(address, "metrics")
    assert "netwatch_update_failures_total 0.0" in metrics
    assert "netwatch_update_last_success_timestamp_seconds" in metrics
    assert "netwatch_set_expiry_timestamp_seconds" in metrics
    pipe.close()
    assert live.wait() == 0
    (closed,) = live.closed()
    assert closed["id"] == opened["id"]
    assert closed["names"] == ["www.clips.example", "www.one.example", "www.two.example"]
    assert closed["versions"]["set"]["version"] == 2
    assert closed["versions"]["signatures"] != opened["versions"]["signatures"]


def test_failures_are_told_and_end_nothing(
    publisher: Publisher, url: str, pipe: Pipe, launch: Callable[..., Capture], tmp_path: Path
) -> None:
    forged = Publisher(tmp_path / "other")
    forged.publish("evil.example")
    with served(forged.folder) as wrong:
        site, address = configured(publisher, wrong), f"127.0.0.1:{free_port()}"
        live = launch(
            *("--source", "file", "-i", str(pipe.path), "-c", str(site), "--metrics", address)
        )
        live.wait_for_log("no update of the signatures: ")
        pipe.open()
        assert "(forged)" in live.log()
        wait_until(lambda: "netwatch_update_failures_total 1.0" in fetch(address, "metrics"))
    pipe.send(frames("www.one.example", 1))
    live.wait_for_records(1)
    # A good server again.
    publisher.publish("two.example")
    site.write_text(CONFIG.replace("URL", url))
    live.wait_for_log("installed set 2 (")
    pipe.close()
    assert live.wait() == 0
    assert live.closed()[0]["names"] == ["www.one.example"]


@needs_namespaces
@pytest.mark.alone
def test_sets_are_replaced_under_load_without_a_gap(
    publisher: Publisher, launch: Callable[..., Capture]
) -> None:
    """Lookups are sent while each of several sets is installed, and each of them is counted."""
    site = configured(publisher, "https://127.0.0.1:1/")
    site.write_text(site.read_text().replace(", every: 1m", ""))
    with namespace() as place:
        place.pair("out", "in", mtu=9000)
        with place.entered():
            live = launch("-i", "in", "-c", str(site))
        sender = place.sender("out")
        sent = 0
        try:
            live.wait_for_log("started on in")
            for number in range(2, 5):
                publisher.publish(f"n{number}.example")
                update(publisher.options(), str(publisher.folder))
                if number > 2:  # the first one is found by looking at the files
                    live.process.send_signal(signal.SIGHUP)

                def is_reloaded(number: int = number) -> bool:
                    nonlocal sent
                    name = query(sent & 0xFFFF, "www.clips.example", "A")
                    sender.send(ETHERNET.frame(udp(name)))
                    sent += 1
                    return live.log().count(" reloaded: ") >= number - 1

                wait_until(is_reloaded, interval=0.002)
            assert live.stop() == 0
        finally:
            sender.close()
    opened, *_, closed = live.records()
    assert closed["counts"]["lookups"] == sent > 8
    assert opened["versions"]["set"]["version"] == 1
    assert closed["versions"]["set"]["version"] == 4
    assert "dropped" not in live.log()


class Checked:
    """A checker in this process, with what it told."""

    def __init__(self, path: Path) -> None:
        self.config = load(str(path))
        self.events: list[Event] = []
        self.reloads = 0
        self.checker = UpdateChecker(
            str(path), lambda: self.config, reload=self._reload, emit=self.events.append
        )

    def _reload(self) -> None:
        self.reloads += 1

    def texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


def test_a_check_is_made_again_after_the_interval(
    publisher: Publisher, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_update, "POLL_INTERVAL", 0.01)
    checked = Checked(configured(publisher, url))
    options = checked.config.updates
    assert options is not None
    short = SimpleNamespace(
        options=publisher.options(url, every=50_000_000), installed=options.installed, held=None
    )
    checked.config = SimpleNamespace(updates=short, installed=None)  # type: ignore[assignment]
    checked.checker.start()
    try:
        wait_until(lambda: checked.checker.status().last_check is not None)
        assert checked.reloads == 0
        publisher.publish("two.example")
        wait_until(lambda: checked.reloads == 1)
    finally:
        checked.checker.stop()
    assert checked.texts()[0].startswith("installed set 2 (")


def test_a_set_that_the_configuration_cannot_use_stays_out(publisher: Publisher, url: str) -> None:
    site = configured(publisher, url)
    checked = Checked(site)
    files: dict[str, bytes] = {
        "apps/other.yaml": b"app: other\nname: Other\nvendor: maker\ncategory: video\n"
        b"domains: [{suffix: other.example, role: exclusive, sources: [observed]}]\n",
        "bans/other.yaml": b"id: other\nauthority: City\napps: [other]\nfrom: 2023-01-01\n",
    }
    publisher.publish(files=files)
    assert checked.config.updates is not None
    checked.checker.check(checked.config.updates.options)
    assert "city-clips-2023" in checked.texts()[0]
    assert checked.checker.status().failures == 1
    assert checked.reloads == 0
    installed = load(str(site)).installed
    assert installed is not None
    assert installed.version == 1


def test_an_unexpected_error_is_told_too(
    publisher: Publisher, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(config_update, "update", fail)
    checked = Checked(configured(publisher, url))
    assert checked.config.updates is not None
    checked.checker.check(checked.config.updates.options)
    assert checked.texts() == ["no update of the signatures: RuntimeError: out of luck"]
    assert checked.checker.status().problem == "RuntimeError: out of luck"


def test_without_the_extra_a_capture_with_checks_does_not_start(
    publisher: Publisher, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tuf.ngclient", None)
    config = load(str(configured(publisher, url)))
    with pytest.raises(Exception, match=r"pip install '.*\[updates\]'"):
        prepare(config)
    path = configured(publisher, url)
    path.write_text(path.read_text().replace(", every: 1m", ""))
    prepare(load(str(path)))


def _troubles(**fields: Any) -> list[str]:
    now = time.time()
    status = UpdateStatus(**{"interval": 3600.0, **fields})
    snapshot = Snapshot(now, now - 100_000, "0", last_packet=now, updates=status)
    return [each.message for each in troubles(snapshot, Thresholds()) if each.kind == "updates"]


def test_health_tells_of_an_expired_set_and_of_checks_that_fail() -> None:
    now = time.time()
    assert _troubles(version=1, expires=now + 10, last_check=now) == []
    (expired,) = _troubles(version=7, expires=now - 10, last_check=now)
    assert expired.startswith("set 7 expired 10 s ago")
    assert _troubles(problem="no route", last_check=now - 3 * 3600 + 60) == []
    (failing,) = _troubles(problem="no route", last_check=now - 3 * 3600 - 60)
    assert failing.endswith(": no route")
    assert _troubles(problem="", last_check=now - 9 * 3600) == []


def test_the_status_of_a_configuration_without_updates(tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text("version: 1\n")
    assert update_status(load(str(path))) == UpdateStatus()


def test_expired_sets_stay_in_use_with_a_note(publisher: Publisher, url: str) -> None:
    state = publisher.options().folder / "state.json"
    config: Config = load(str(configured(publisher, url)))
    assert config.notes == ()
    content = json.loads(state.read_text())
    content["current"]["expires"] = "2024-01-01T00:00:00Z"
    state.write_text(json.dumps(content))
    config = load(str(configured(publisher, url)))
    assert config.notes == (
        "set 1 has expired at 2024-01-01T00:00:00Z: it stays in use, but its publisher does not"
        " vouch for it any more",
    )
    assert update_status(config).expires == pytest.approx(1704067200)
