"""The guide shows what the command prints."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.paths import PCAPS, ROOT

GUIDE = ROOT / "docs" / "guides" / "rejudge.md"
SHOWN = re.compile(r"<!-- output of: (.*?) -->\n```\n(.*?)```", re.S)


def test_the_guide_shows_what_the_command_prints(
    run: Callable[..., str], sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    store = ("--store-path", str(tmp_path / "store"))
    run("scan", "-q", "-c", sample, *store, str(PCAPS))
    shown = SHOWN.findall(GUIDE.read_text(encoding="utf-8"))
    assert shown
    for command, output in shown:
        assert run(*command.split(), *store) == output
