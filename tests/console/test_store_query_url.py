"""`store query --url`: a console gives what the store itself gives, in every format."""

import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme
from formats.test_notice import record_of
from support.asked_stores import Ran, run
from support.console_server import served
from support.console_walk import prepare
from support.consoles import copied
from support.paths import PCAPS
from support.programs_of_api import connect

from netwatch.cli import store_remote
from netwatch.console import tokens
from netwatch.console.console import Console
from netwatch.console.database import open_console
from netwatch.console.tokens import Tokens
from netwatch.core.filter_words import SORTS
from netwatch.formats.bypass import day_number
from netwatch.formats.registry import FORMATS
from netwatch.sinks.http_client import HttpClient, Response
from netwatch.store import untold
from netwatch.store.bypass_rows import JudgedDay, keep_days

URL = "https://netwatch.example:8477"


@pytest.fixture
def token(console: Console, tmp_path: Path) -> Path:
    """The file of the token of an analyst."""
    prepare(console)
    file = tmp_path / "a.token"
    file.write_text(console.tokens.add("cli", "analyst", "case 2023/17") + "\n")
    return file


def remote(token: Path | None, *arguments: str, url: str = URL) -> Ran:
    more = [] if token is None else ["--token-file", str(token)]
    return run("store", "query", *arguments, "--url", url, *more)


def local(console: Console, *arguments: str) -> Ran:
    place = ["-c", str(PCAPS / "netwatch.yaml"), "--store-path", console.store.path]
    return run("store", "query", *arguments, *place)


HIDING = "dev-7 (hidden)"
"""A device that is in no incident, and hid its lookups on a day."""


@pytest.fixture
def hiding(console: Console) -> Console:
    """The same with days on which two devices hid their lookups, whose facts are gone."""
    records = [record_of("lab-07"), record_of(HIDING)]
    keep_days(console.catalogue, {day_number(records[0]): JudgedDay(0, 12, 3)}, records)
    return console


@pytest.mark.parametrize("more", [(), ("--device", HIDING), ("--network", "hq", "--limit", "1"),
                                  ("--device", "10.20.7.7")])  # fmt: skip
@pytest.mark.parametrize("name", ["table", "jsonl", "csv"])
def test_hidden_lookups_are_those_of_the_store(
    name: str,
    more: Sequence[str],
    token: Path,
    hiding: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_remote, "PAGE", 1)
    connect(hiding, monkeypatch)
    words = ("bypasses", "--until", "2023-03-15", *more, "--format", name)
    there, here = remote(token, *words), local(hiding, *words)
    assert there.status == here.status == 0, (there.errors, here.errors)
    assert there.output == here.output
    assert ("lab-07" if "10.20.7.7" in more else HIDING) in here.output
    assert not there.errors


def test_days_that_nobody_has_judged_are_told_of(
    token: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(console, monkeypatch)
    ran = remote(token, "bypasses")
    assert "not judged yet; run 'netwatch store compact' where it is kept" in ran.errors
    assert ran.output == ""


def test_days_with_too_many_flows_are_told_of(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untold, "MAX_ROWS", 1)
    ran = local(console, "bypasses")
    assert ran.status == 0
    assert "were not looked at (too many flows)" in ran.errors


@pytest.mark.parametrize(
    "arguments",
    [
        *(("incidents", "--format", name) for name in FORMATS),
        *(("cases", "--format", name) for name in ("table", "jsonl", "csv")),
        *(("coverage", "--format", name) for name in ("table", "jsonl", "csv")),
        *(("coverage", "--hours", "--since", "2023-03-20", "--until", "2023-03-21", "--format",
           name) for name in ("table", "jsonl", "csv")),
        ("coverage", "--network", "byod", "--device", "phone-007", "--format", "csv"),
        ("coverage", "--device", "10.20.1.21", "--format", "csv"),
        ("coverage", "--network", "hq"),
        ("incidents", "--since", "2023-03-20", "--until", "2023-03-20", "--limit", "2"),
        ("incidents", "--app", "tiktok", "--app", "wechat", "--verdict", "violation"),
        ("incidents", "--name", "*tiktok*", "--network", "hq", "--network", "byod"),
        ("incidents", "--device", "ws-021", "--format", "jsonl"),
        *((records, f"--sort={sort}", "--limit", "9", "--format", "jsonl")
          for records in ("incidents", "cases") for sort in SORTS),
        ("incidents", "--app", "vendor:bytedance", "--limit", "7", "--format", "jsonl"),
        ("coverage", "--hours", "--limit", "3", "--format", "jsonl"),
    ],
)  # fmt: skip
def test_it_prints_what_the_store_gives(
    arguments: Sequence[str], token: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_remote, "PAGE", 4 if "--hours" not in arguments else 500)
    asked = connect(console, monkeypatch)
    there, here = remote(token, *arguments), local(console, *arguments)
    assert there.status == here.status == 0, (there.errors, here.errors)
    assert there.output == here.output
    assert here.output
    assert asked


def test_it_writes_to_a_file(
    token: Path, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(console, monkeypatch)
    file = tmp_path / "found.csv"
    assert remote(token, "incidents", "--format", "csv", "-o", str(file)).output == ""
    assert file.read_text() == local(console, "incidents", "--format", "csv").output


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("incidents", "--app", "tictok"), 2, f"{URL}: --app: expected an app"),
        (("incidents", "--since", "soon"), 2, f"{URL}: --since: expected a time"),
        (("incidents", "--sort", "app"), 2, "--sort: expected one of severity, -severity"),
        (("incidents", "--device", "phone-07"), 2, "did you mean 'phone-027'?"),
        (("observations",), 2, "--url has no observations"),
        (("flows",), 2, "--url has no flows"),
        (("incidents", "--store-path", "x"), 2, "--url asks a console"),
        (("incidents", "--hours"), 2, "--hours applies to coverage"),
        (("incidents", "--ban", "x", "--verdict", "y"), 2, "--verdict: expected one of"),
    ],
)
def test_words_that_are_refused(
    arguments: Sequence[str],
    status: int,
    said: str,
    token: Path,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(console, monkeypatch)
    ran = remote(token, *arguments)
    assert (ran.status, ran.output) == (status, "")
    assert said in ran.errors
    assert all(line.startswith("netwatch: ") for line in ran.errors.splitlines())


def test_tokens_that_are_refused(
    token: Path, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(console, monkeypatch)
    secret = token.read_text().strip()
    assert "netwatch tokens add" in remote(None, "incidents").errors
    other = tmp_path / "other.token"
    other.write_text(console.tokens.add("other", "admin", "health"))
    refused = remote(other, "incidents")
    assert refused.status == 2
    assert f"netwatch: {URL}: The role of this token may not ask for this; " in refused.errors
    for text in ("", "two words", "é"):
        other.write_text(text)
        assert "expected the token" in remote(other, "incidents").errors
    assert "cannot be read" in remote(tmp_path / "none", "incidents").errors
    for url in ("http://netwatch.example", "http://192.0.2.1:8477/"):
        assert "sent in the clear; use https" in remote(token, "incidents", url=url).errors
    assert remote(token, "incidents", url="http://127.0.0.1:8477").status == 0
    for url in ("netwatch.example", "ftp://x", "https://", "https://x:0", "https://u:p@x", "x?y"):
        ran = remote(token, "incidents", url=url)
        assert ran.status == 2
        assert "expected an address like" in ran.errors
        assert "u:p" not in ran.errors
    assert secret not in refused.errors
    assert (
        "--token-file needs --url"
        in run("store", "query", "incidents", "--token-file", str(token)).errors
    )


def test_a_busy_console_is_asked_again(
    token: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(console, monkeypatch)
    pauses: list[float] = []
    clock = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(tokens, "MAX_REQUESTS", 2)
    monkeypatch.setattr(store_remote, "PAGE", 10)
    monkeypatch.setattr(store_remote.time, "sleep", sleep)
    console.token_rate = tokens.RequestRate(lambda: clock[0])
    found = remote(token, "incidents", "--format", "jsonl")
    assert found.output == local(console, "incidents", "--format", "jsonl").output
    assert pauses
    assert set(pauses) == {61.0}
    clock[0] = -1e9
    refused = remote(token, "incidents")
    assert refused.status == 1
    assert "too many requests with this token; try again later" in refused.errors


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"records": 1, "next": null}', b'{"records": [{}]}',
     b'{"records":[1,2],"next":3}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_another_server_is_found_out(
    body: bytes, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Response(200, body, {})
    monkeypatch.setattr(HttpClient, "request", lambda *_: answer)
    ran = remote(token, "coverage", "--format", "jsonl")
    assert ran.status == 1
    assert f"netwatch: {URL}: the answer is not one of the API; " in ran.errors


def test_it_asks_a_served_console_over_tls(sample_store: Path, tmp_path: Path) -> None:
    """A certificate of an unknown authority is refused; so is a console that does not run."""
    store = copied(sample_store, tmp_path)
    with contextlib.closing(open_console(store)) as database:
        secret = Tokens(database).add("cli", "analyst", "case 2023/17")
    token, ca = tmp_path / "a.token", trustme.CA()
    token.write_text(secret)
    certificate, key, authority = (tmp_path / name for name in ("c.pem", "k.pem", "ca.pem"))
    issued = ca.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(authority)
    files = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    query = ("incidents", "--format", "jsonl")
    with served("--store-path", store.path, *files) as console:
        there = run("store", "query", *query, "--url", console.address, "--token-file", str(token),
                    "--ca", str(authority))  # fmt: skip
        assert there.status == 0, there.errors
        refused = remote(token, *query, url=console.address)
        assert refused.status == 1
        assert "certificate" in refused.errors
        assert "--ca" in refused.errors
        console.process.send_signal(signal.SIGTERM)
        console.process.wait()
        gone = remote(token, *query, url=console.address)
        assert gone.status == 1
        assert gone.errors.startswith(f"netwatch: {console.address}: ")
        assert "; is the console running" in gone.errors
    here = run("store", "query", *query, "-c", str(PCAPS / "netwatch.yaml"), "--store-path",
               store.path)  # fmt: skip
    assert there.output == here.output
