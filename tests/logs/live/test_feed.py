"""What files and senders say comes as one feed, in order of time."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waiting import wait_until

from netwatch.core.statistics import RunStatistics
from netwatch.logs import LogOptions
from netwatch.logs.live.feed import LogFeed
from netwatch.logs.live.receivers import Receivers
from netwatch.logs.live.source import parse
from netwatch.logs.log_files import LogItem
from netwatch.logs.records import LogName

NOW = int(time.time())


def unbound(name: str, at: int = NOW, device: str = "10.0.0.12") -> str:
    """A line of Unbound."""
    return f"[{at}] unbound[1:0] info: {device} {name}. A IN NOERROR 0.012 0 60\n"


class Feed:
    """A feed, and the names that came out of it."""

    def __init__(self, *arguments: str | Path, saved: dict[str, str] | None = None) -> None:
        texts = [str(argument) for argument in arguments]
        self.receivers = Receivers([parse(text) for text in texts if "://" in text])
        self.statistics = RunStatistics()
        paths = [text for text in texts if "://" not in text]
        self.feed = LogFeed(paths, self.receivers, LogOptions(), self.statistics, saved or {})
        self.items: list[LogItem] = []

    def until(self, *names: str) -> None:
        """Read until these names have come, and nothing else is there."""

        def is_all() -> bool:
            self.items += self.feed.read(0.01)
            return len(self.items) >= len(names) and not self.feed.is_behind

        wait_until(is_all, lambda: f"{names}, not {self.names}")
        assert self.names == list(names)

    @property
    def names(self) -> list[str]:
        """The names so far."""
        return [item.entry.name for item in self.items if isinstance(item.entry, LogName)]


@pytest.fixture
def start() -> Iterator[Callable[..., Feed]]:
    feeds: list[Feed] = []

    def begin(*arguments: str | Path, **more: dict[str, str]) -> Feed:
        feeds.append(Feed(*arguments, **more))
        return feeds[-1]

    yield begin
    for feed in feeds:
        feed.feed.close()


Start = Callable[..., Feed]


def test_files_that_are_behind_are_read_in_order_of_time(tmp_path: Path, start: Start) -> None:
    feed = start(tmp_path / "one.log", tmp_path / "two.log")
    hours = range(0, 10, 2)
    for name, more in (("one", 0), ("two", 1)):
        lines = [unbound(f"{name}{at}.example.org", NOW - 36000 + (at + more) * 60) for at in hours]
        (tmp_path / f"{name}.log").write_text("".join(lines))
    expected = [f"{name}{at}.example.org" for at in hours for name in ("one", "two")]
    feed.until(*expected)
    assert [item.line for item in feed.items if item.source.endswith("one.log")] == [1, 2, 3, 4, 5]


def test_file_that_is_no_log_holds_nothing_up(tmp_path: Path, start: Start) -> None:
    feed = start(tmp_path)
    (tmp_path / "notes.txt").write_text("some notes\n")
    (tmp_path / "unbound.log").write_text(unbound("one.example.org"))
    feed.until("one.example.org")
    assert feed.feed.unreadable == {}
    assert feed.feed.notes == []


def test_named_file_that_is_no_log_is_said(tmp_path: Path, start: Start) -> None:
    feed = start(tmp_path / "log")
    (tmp_path / "log").write_text("what is this\n" * 10_000)
    wait_until(lambda: feed.feed.read(0.01) or feed.feed.notes)
    (reason,) = feed.feed.unreadable.values()
    assert "--as names one" in reason


@pytest.mark.parametrize("nuls", [4, 100, 200_000])
def test_log_that_begins_with_nul_bytes_is_read(nuls: int, tmp_path: Path, start: Start) -> None:
    """Also after a restart: its format is recognised by what is behind them."""
    log = tmp_path / "log"
    log.write_text("\0" * nuls + unbound("one.example.org"))
    saved = {f"argument:{log}": ""}
    first = start(log, saved=saved)
    first.until("one.example.org")
    assert first.statistics.anomalies == {"log-nul-bytes": 1}
    saved |= {key: text for key, text in first.feed.take_positions().items() if text is not None}
    with log.open("a") as file:
        file.write(unbound("two.example.org"))
    second = start(log, saved=saved)
    second.until("two.example.org")
    assert (second.feed.unreadable, second.feed.notes) == ({}, [])


def test_file_that_is_not_there_is_said_until_it_is(tmp_path: Path, start: Start) -> None:
    log = tmp_path / "log"
    feed = start(log)
    assert feed.feed.notes == [f"{log}: there is no such file; it is read once it appears"]
    assert list(feed.feed.unreadable) == [str(log)]
    log.write_text(unbound("one.example.org"))
    feed.until("one.example.org")
    assert feed.feed.unreadable == {}
    assert feed.feed.notes[-1] == f"{log}: is read now"


def test_short_file_of_no_known_format_is_a_trouble(tmp_path: Path, start: Start) -> None:
    feed = start(tmp_path / "log")
    (tmp_path / "log").write_text("what is this\n" * 30)
    wait_until(lambda: feed.feed.read(0.01) or "--as" in "".join(feed.feed.unreadable.values()))
    (tmp_path / "log").write_text(unbound("one.example.org") * 3)
    feed.until(*["one.example.org"] * 3)
    assert feed.feed.unreadable == {}


def test_records_of_the_future_are_not_read(tmp_path: Path, start: Start) -> None:
    feed = start(tmp_path / "log")
    later = unbound("later.example.org", NOW + 200_000)
    (tmp_path / "log").write_text(later + unbound("now.example.org"))
    feed.until("now.example.org")
    assert feed.statistics.unread_records == {(str(tmp_path / "log"), "time-in-future"): 1}


def test_context_is_read_again_and_counted_once(tmp_path: Path, start: Start) -> None:
    log = tmp_path / "log"
    first = start(log)
    log.write_text(unbound("one.example.org") + unbound("two.example.org"))
    first.until("one.example.org", "two.example.org")
    saved = {key: text for key, text in first.feed.take_positions().items() if text is not None}
    log.write_text(log.read_text() + unbound("three.example.org"))
    second = start(log, saved=saved)
    context = [item.entry.name for item in second.feed.context()]
    assert context == ["one.example.org", "two.example.org"]
    second.until("three.example.org")
    assert second.statistics.records == 1


def test_header_far_before_the_position_is_known(tmp_path: Path, start: Start) -> None:
    log = tmp_path / "dns.log"
    fields = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto query qtype_name rcode_name"
    types = "time string addr port addr port enum string string string"
    header = "#separator \\x09\n#path\tdns\n"
    header += "#fields\t" + fields.replace(" ", "\t") + "\n#types\t" + types.replace(" ", "\t")

    def row(name: str) -> str:
        values = (f"{NOW}.5", "C1", "10.0.0.12", "5353", "10.0.0.53", "53", "udp", name, "A", "-")
        return "\t".join(values) + "\n"

    log.write_text(header + "\n" + row("old.example.org") * 20_000)
    feed = start(log)
    feed.feed.context()
    with log.open("a") as file:
        file.write(row("new.example.org"))
    feed.until("new.example.org")
    assert feed.items[0].line == 20_005


def send(port: int, *messages: str) -> None:
    """Send messages as datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message.encode(), ("127.0.0.1", port))


def test_programs_in_one_stream_are_told_apart(start: Start) -> None:
    feed = start("syslog+udp://:0")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = f"<30>1 {stamp} resolver"
    query = "1 10.0.0.12/53000 query[A] www.example.org from 10.0.0.12"
    send(
        feed.receivers.ports[0],
        f"{head} sshd 7 - - Connection closed by 10.0.0.9",
        f"{head} dnsmasq 9 - - {query}",
        f"{head} dnsmasq 9 - - 1 10.0.0.12/53000 reply www.example.org is 203.0.113.7",
    )
    wait_until(lambda: feed.items.extend(feed.feed.read(0.01)) or len(feed.names) == 2)
    assert set(feed.names) == {"www.example.org"}
    assert {item.line for item in feed.items} == {2, 3}
    assert feed.feed.tables["log_senders"][0] == 2


def test_other_programs_are_counted(start: Start) -> None:
    feed = start("syslog+udp://:0")
    port = feed.receivers.ports[0]
    for _ in range(3):
        send(port, *[f"<30>Nov 27 10:00:0{n % 10} host sshd[7]: closed" for n in range(100)])
        feed.feed.read(0.01)
    wait_until(lambda: feed.feed.read(0.01) or feed.feed.events["records-of-others"] == 100)
    assert feed.statistics.unread_records == {}


def test_time_without_a_zone_is_said(start: Start) -> None:
    feed = start("syslog+udp://:0")
    query = "1 10.0.0.12/53000 query[A] www.example.org from 10.0.0.12"
    stamp = time.strftime("%b %e %H:%M:%S", time.gmtime())
    send(feed.receivers.ports[0], *[f"<30>{stamp} resolver dnsmasq[9]: {query}"] * 2)
    wait_until(lambda: feed.items.extend(feed.feed.read(0.01)) or len(feed.items) == 2)
    assert {item.assumed for item in feed.items} == {("time-zone",)}
    assert "times without a zone are read as UTC" in feed.feed.notes[0]
