"""Whatever netwatch asks of a server on its own ends in time: updates, captures, sign-in.

The limits are scaled down; the servers are real ones that send a byte now and then, so that no
single read times out.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.drips import DRIPS, dripping
from support.sets import Publisher

from netwatch.capture import http_file, remote_file
from netwatch.capture.http_requests import ask, body_of
from netwatch.capture.remote_file import TransientError
from netwatch.config import load
from netwatch.config.console_section import OidcOptions
from netwatch.console.oidc import ProviderClient, ProviderError
from netwatch.core import exchange
from netwatch.core.errors import CaptureError
from netwatch.core.exchange import CAPTURES, PROVIDER, UPDATES, WHOLE_UPDATE, Exchange, Limits
from netwatch.live.config_update import UpdateChecker
from netwatch.rules.load import use_builtin
from netwatch.updates.set_format import SetError
from netwatch.updates.update import update

SHORT = Limits(30, 30, 0.2, 30, 1024, 0.2)
"""As the real ones, but for the headers and the pace."""

HEADS = ("nothing", "status line", "headers")
NO_ANSWER = "no answer within 0.2 s"
TOO_SLOW = "the server sends less than 1,024 bytes a second"


def reason(what: str) -> str:
    return NO_ANSWER if what in HEADS else TOO_SLOW


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    yield Publisher(tmp_path)
    use_builtin(None)


@pytest.mark.parametrize("limits", [UPDATES, CAPTURES, PROVIDER, WHOLE_UPDATE])
def test_every_exchange_has_an_end(limits: Limits) -> None:
    assert math.isfinite(limits.total)


@pytest.mark.parametrize("what", DRIPS)
def test_an_update_from_a_server_that_drips_is_refused(
    what: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.updates.client.UPDATES", SHORT)
    with dripping(what) as url, pytest.raises(SetError) as refused:
        update(publisher.options(), url)
    assert "it answers too slowly" in str(refused.value)
    assert reason(what) in str(refused.value)
    assert "name another mirror as 'updates: url'" in str(refused.value)


@pytest.mark.parametrize(
    ("one", "whole", "expected"),
    [(0.2, 30, "not complete after 0.2 s"), (30, 0.2, "not complete after 0.2 s")],
)
def test_one_file_and_the_whole_update_have_limits(
    one: float, whole: float, expected: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.updates.client.UPDATES", Limits(one))
    monkeypatch.setattr("netwatch.updates.client.WHOLE_UPDATE", Limits(whole))
    with dripping("body") as url, pytest.raises(SetError, match=expected):
        update(publisher.options(), url)


def test_after_a_slow_server_another_one_is_asked(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is free again, although the update was cut."""
    publisher.publish()
    monkeypatch.setattr("netwatch.updates.client.UPDATES", SHORT)
    with dripping("headers") as url, pytest.raises(SetError):
        update(publisher.options(), url)
    assert update(publisher.options(), str(publisher.folder)).outcome == "installed"


def test_live_counts_a_slow_server_as_a_failure(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("netwatch.updates.client.UPDATES", SHORT)
    site = tmp_path / "netwatch.yaml"
    site.write_text("version: 1\nnetworks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]\n")
    config = load(str(site))
    notes: list[object] = []
    checker = UpdateChecker(str(site), lambda: config, reload=lambda: None, emit=notes.append)
    with dripping("body") as url:
        checker.check(publisher.options(url))
    assert checker.status().failures == 1
    assert TOO_SLOW in checker.status().problem
    assert len(notes) == 1


@pytest.mark.parametrize("what", DRIPS)
def test_a_capture_from_a_server_that_drips_is_an_error(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.capture.http_requests.CAPTURES", SHORT)
    with dripping(what) as url, pytest.raises(TransientError, match=reason(what)):
        for _ in body_of(ask(f"{url}a.pcap", {})):
            pass


def test_a_capture_is_given_up_after_some_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.http_requests.CAPTURES", Limits(30, answer=0.05))
    monkeypatch.setattr(remote_file, "ATTEMPTS", 2)
    monkeypatch.setattr(remote_file, "FIRST_PAUSE", 1e-6)
    gave_up = pytest.raises(
        CaptureError, match=r"no answer within 0.05 s, given up after 2 attempt"
    )
    with dripping("headers") as url, gave_up:
        http_file.open_url(f"{url}a.pcap", None)


@pytest.mark.parametrize("what", ["headers", "body"])
def test_a_provider_that_drips_holds_nobody(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.console.oidc.PROVIDER", Limits(0.2))
    with dripping(what) as url:
        client = ProviderClient(OidcOptions(url.rstrip("/"), "netwatch", None, {}))
        with pytest.raises(ProviderError, match=r"not complete after 0\.2 s"):
            client.discovered()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock of exchanges."""
    now = [1000.0]
    monkeypatch.setattr(exchange, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_a_slow_reader_is_not_taken_for_a_slow_server(clock: Callable[[float], None]) -> None:
    made = Exchange(Limits(total=100, pace=10, pace_seconds=10))
    made.begin_body()
    for _ in range(5):
        clock(1000)
        with made.going_on():
            assert made.time_left() > 0
            clock(1)
            made.count(1)


def test_a_fast_beginning_is_no_credit_for_later(clock: Callable[[float], None]) -> None:
    made = Exchange(Limits(total=1e6, pace=10, pace_seconds=10, is_short=False))
    made.begin_body()
    with made.going_on():
        made.count(1 << 30)
        for _ in range(10):
            assert made.time_left() > 0
            clock(1)
            made.count(1)
        with pytest.raises(TimeoutError, match="less than 10 bytes a second"):
            made.time_left()


def test_the_inner_of_two_exchanges_cannot_extend_the_outer(clock: Callable[[float], None]) -> None:
    outer, inner = Exchange(Limits(5)), Exchange(Limits(50))
    with outer.going_on(), inner.going_on():
        assert inner.time_left() == 5
        clock(6)
        with pytest.raises(TimeoutError, match="not complete after 5 s"):
            inner.time_left()
    assert outer.expired
