"""The unit that systemd runs a live capture by: sound, in a sandbox, with options that
there are."""

import argparse
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT

from netwatch.cli import live

UNIT = ROOT / "packaging" / "netwatch.service"
TEXT = UNIT.read_text(encoding="utf-8")
LIVE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="not installed: systemd-analyze"
)


def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60
    )


def settings(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", TEXT, re.MULTILINE)


@analyze
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # a program that is there, in a path without spaces
    unit.write_text(TEXT.replace("/opt/netwatch/bin/netwatch", shutil.which("true") or ""))
    done = asked("verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(TEXT.replace("/opt/netwatch/bin/netwatch", "/none/netwatch"))
    assert "not executable" in asked("verify", "--man=no", str(unit)).stderr


@analyze
def test_its_exposure_is_what_is_told(tmp_path: Path) -> None:
    done = asked("security", "--offline=true", str(UNIT))
    (level,) = re.findall(r"Overall exposure level for netwatch\.service: ([\d.]+)", done.stdout)
    (told,) = re.findall(r"exposure level of ([\d.]+)", LIVE)
    # Versions of systemd weigh a little differently.
    assert abs(float(level) - float(told)) <= 0.3
    assert float(level) < 2


def test_its_command_is_one_that_there_is() -> None:
    (line,) = settings("ExecStart")
    words = shlex.split(line.replace("$INTERFACES", "eth1 eth2").replace("$OPTIONS", ""))
    assert words[0] == "/opt/netwatch/bin/netwatch"
    top = argparse.ArgumentParser()
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-c", "--config")
    live.add(top.add_subparsers(), [common])
    args = top.parse_args(words[1:])
    assert args.interface == ["eth1", "eth2"]
    assert args.output == "${LOGS_DIRECTORY}/alerts.jsonl"


def test_it_has_one_right_and_gives_the_keeper_time() -> None:
    assert settings("AmbientCapabilities") == settings("CapabilityBoundingSet") == ["CAP_NET_RAW"]
    assert settings("User") == ["netwatch"]
    assert settings("Type") == ["notify"]
    (stop,) = settings("TimeoutStopSec")
    from netwatch.live.aggregator import ENDING
    from netwatch.live.run import DRAIN, LAST_WORDS

    assert float(stop) > ENDING + DRAIN + LAST_WORDS
    (watchdog,) = settings("WatchdogSec")
    from netwatch.live.aggregator import DEAF

    assert float(watchdog) > DEAF
