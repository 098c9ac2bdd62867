"""The systemd units: valid, in a sandbox, and with options that exist."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT
from support.programs import needs

from netwatch.capture.interfaces import CAPTURE_NICENESS
from netwatch.cli import build_parser
from netwatch.live.aggregator import STOP_TIMEOUT, WORKER_SILENCE_LIMIT
from netwatch.live.resources import DRAIN_TIMEOUT, FINAL_WRITE_TIMEOUT

UNIT = ROOT / "packaging" / "netwatch.service"
LOGS = ROOT / "packaging" / "netwatch-logs.conf"
TEXT = UNIT.read_text(encoding="utf-8")
FLEET_UNITS = ("netwatch-console.service", "netwatch-centre.service")
GUIDE = (ROOT / "docs" / "guides" / "mirror-port.md").read_text(encoding="utf-8")

needs_systemd_analyze = needs("systemd-analyze")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60
    )


def settings(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", TEXT, re.MULTILINE)


def test_the_unit_has_the_priority_of_a_capture_that_root_starts() -> None:
    assert settings("Nice") == [str(CAPTURE_NICENESS)]


@needs_systemd_analyze
def test_systemd_verifies_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # An existing program in a path without spaces.
    unit.write_text(TEXT.replace("/opt/netwatch/bin/netwatch", shutil.which("true") or ""))
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(TEXT.replace("/opt/netwatch/bin/netwatch", "/none/netwatch"))
    assert "not executable" in analyze("verify", "--man=no", str(unit)).stderr


@needs_systemd_analyze
def test_the_exposure_level_is_the_documented_one(tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", str(UNIT))
    (level,) = re.findall(r"Overall exposure level for netwatch\.service: ([\d.]+)", done.stdout)
    (documented,) = re.findall(r"exposure level of ([\d.]+)", GUIDE)
    # The weights differ a little between versions of systemd.
    assert abs(float(level) - float(documented)) <= 0.3
    assert float(level) < 2


def test_the_command_and_its_options_exist() -> None:
    (line,) = settings("ExecStart")
    words = shlex.split(line.replace("$INTERFACES", "eth1 eth2").replace("$OPTIONS", ""))
    assert words[0] == "/opt/netwatch/bin/netwatch"
    args = build_parser().parse_args(words[1:])
    assert args.interface == ["eth1", "eth2"]
    assert args.output == "${LOGS_DIRECTORY}/alerts.jsonl"


def test_it_has_one_capability_and_sufficient_timeouts() -> None:
    assert settings("AmbientCapabilities") == settings("CapabilityBoundingSet") == ["CAP_NET_RAW"]
    assert settings("User") == ["netwatch"]
    assert settings("Type") == ["notify"]
    (stop,) = settings("TimeoutStopSec")
    assert float(stop) > STOP_TIMEOUT + DRAIN_TIMEOUT + FINAL_WRITE_TIMEOUT
    (watchdog,) = settings("WatchdogSec")
    assert float(watchdog) > WORKER_SILENCE_LIMIT


@needs_systemd_analyze
def test_systemd_verifies_the_unit_that_reads_logs(tmp_path: Path) -> None:
    drop_in = tmp_path / f"{UNIT.name}.d" / "logs.conf"
    drop_in.parent.mkdir()
    program = shutil.which("true") or ""
    for path, text in ((tmp_path / UNIT.name, TEXT), (drop_in, LOGS.read_text(encoding="utf-8"))):
        path.write_text(text.replace("/opt/netwatch/bin/netwatch", program))
    done = analyze("verify", "--man=no", str(tmp_path / UNIT.name))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_that_reads_logs_exists() -> None:
    command = LOGS.read_text(encoding="utf-8").rpartition("ExecStart=")[2].splitlines()[0]
    words = [
        word
        for word in shlex.split(command.replace("$LOGS", "u.log syslog+udp://:5514"))[1:]
        if not word.startswith("$OPTIONS")
    ]
    args = build_parser().parse_args(words)
    assert args.paths == ["u.log", "syslog+udp://:5514"]


@needs_systemd_analyze
@pytest.mark.parametrize("name", FLEET_UNITS)
def test_systemd_verifies_the_units_of_console_and_centre(name: str, tmp_path: Path) -> None:
    text = (UNIT.parent / name).read_text(encoding="utf-8")
    unit = tmp_path / name
    unit.write_text(text.replace("/opt/netwatch/bin/netwatch", shutil.which("true") or ""))
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")
    done = analyze("security", "--offline=true", str(unit))
    (level,) = re.findall(rf"Overall exposure level for {name}: ([\d.]+)", done.stdout)
    # That of the unit that captures.
    assert float(level) < 1.6


@pytest.mark.parametrize("name", FLEET_UNITS)
def test_the_commands_of_console_and_centre_exist(name: str) -> None:
    text = (UNIT.parent / name).read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    args = build_parser().parse_args(shlex.split(command)[1:])
    assert args.config == "/etc/netwatch/netwatch.yaml"
    # The store belongs to the user that captures.
    assert re.findall(r"^User=(.*)$", text, re.MULTILINE) == settings("User")
