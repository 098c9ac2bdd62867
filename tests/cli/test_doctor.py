"""``netwatch doctor`` reports each problem together with what to do about it."""

import os
from pathlib import Path

import pytest
from support.namespaces import namespace, needs_namespaces
from support.office import configured
from support.paths import PCAPS

from netwatch.capture import block as live
from netwatch.capture import framing, interfaces
from netwatch.cli import main
from netwatch.core import installing
from netwatch.dissect.loop import loop


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    status = main(["doctor", *words])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, captured.out.splitlines()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (framing, loop):
        monkeypatch.setattr(module, "COMPILED", True)


@needs_namespaces
@pytest.mark.usefixtures("compiled")
def test_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = doctor(capsys, "-i", "lo", "-c", configured(tmp_path))
    assert status == 0
    assert {line[:5] for line in lines} == {"ok   "}
    assert "ok   packet loop   compiled" in lines
    assert "ok   privileges    CAP_NET_RAW: interfaces can be opened" in lines
    assert any(
        line.startswith("ok   lo            capture works (ring): LINKTYPE 1") for line in lines
    )
    assert f"ok   configuration {tmp_path}/netwatch.yaml: no mistakes" in lines


@needs_namespaces
def test_interfaces_that_are_up_are_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with namespace() as net:
        net.pair("in0", "out0")
        net.ip("link", "set", "out0", "down")
        with net.entered():
            _, every = doctor(capsys, "-c", configured(tmp_path))
            status, named = doctor(capsys, "-i", "out0", "-i", "none0")
    tried = {line[5:19].strip(): line[:4].strip() for line in every}
    assert (tried["lo"], tried["in0"]) == ("ok", "ok")
    assert "out0" not in tried
    assert status == 1
    assert "bad  out0          capture works, but the interface is down" in named
    assert " " * 19 + "ip link set out0 up" in named
    assert any(line.startswith("bad  none0         no such interface; expected") for line in named)


@needs_namespaces
def test_no_interface_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with namespace() as net:
        net.ip("link", "set", "lo", "down")
        with net.entered():
            status, lines = doctor(capsys, "-c", configured(tmp_path))
    assert status == 1
    assert "bad  interfaces    no interface is up" in lines


@needs_namespaces
def test_without_privileges(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interfaces, "_capabilities", lambda: {"CapEff": 0, "CapPrm": 0})
    os.seteuid(65534)
    try:
        status, lines = doctor(capsys, "-i", "lo")
    finally:
        os.seteuid(0)
    assert status == 1
    at = lines.index(
        "bad  privileges    CAP_NET_RAW is missing: no interface can be opened; grant it by one of"
    )
    assert lines[at + 1].strip().startswith("setcap cap_net_raw=ep /")
    assert "bad  lo            cannot be tried without CAP_NET_RAW" in lines


def test_an_interpreted_packet_loop(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "COMPILED", False)
    status, lines = doctor(capsys, "-i", "lo")
    assert status == 1
    assert "bad  packet loop   interpreted, a hundred times slower than compiled" in lines


def test_why_the_packet_loop_is_interpreted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cause = tmp_path / "not-compiled.txt"
    cause.write_text("fatal error: Python.h:\x1b No such file or directory\n")
    monkeypatch.setattr(installing, "_CAUSE", cause)
    monkeypatch.setattr(loop, "COMPILED", False)
    shown = "fatal error: Python.h:\\u001b No such file or directory"
    _, lines = doctor(capsys, "-i", "lo")
    (at,) = [number for number, line in enumerate(lines) if "packet loop" in line]
    assert lines[at].endswith(f"interpreted, a hundred times slower than compiled: {shown}")
    assert "gcc libc6-dev python3-dev" in lines[at + 1]
    assert main(["names", "--format", "jsonl", str(PCAPS / "http-host.pcap")]) == 0
    assert (
        f"therefore slow ({shown}); to compile it, install a C compiler" in capsys.readouterr().err
    )


def test_every_mistake_in_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("version: 2\nnets: []\n")
    status, lines = doctor(capsys, "-i", "lo", "-c", str(file))
    assert status == 1
    assert "bad  configuration 2 mistakes:" in lines
    assert sum(line.strip().startswith(f"{file}:") for line in lines) == 2


@needs_namespaces
def test_other_systems(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "default_source", lambda: "scapy")
    monkeypatch.setattr(interfaces, "interface_names", list)
    _, lines = doctor(capsys, "-i", "lo")
    assert "ok   lo            capture works (scapy)" in lines


def test_a_secret_that_is_not_set_is_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETWATCH_TEST_TOKEN", raising=False)
    output = '{type: http, url: "https://127.0.0.1:9/", token: {env: NETWATCH_TEST_TOKEN}}'
    place = tmp_path / "netwatch.yaml"
    place.write_text(f"version: 1\noutputs:\n  - {output}\n")
    status, lines = doctor(capsys, "-c", str(place))
    assert status == 1
    at = next(n for n, line in enumerate(lines) if line.startswith("bad  configuration"))
    assert lines[at].endswith("1 mistake:")
    assert "the environment variable NETWATCH_TEST_TOKEN is not set" in lines[at + 1]
