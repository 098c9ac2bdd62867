"""A scan says the same with a catalogue from the cache, in one process and in several."""

from pathlib import Path

import pytest
from support.paths import PCAPS

from netwatch.cli import main
from netwatch.core import yaml_reader


def test_alerts_are_the_same_with_and_without_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    captures = sorted(map(str, PCAPS.glob("*.pcap")))
    words = ["scan", "-c", str(PCAPS / "netwatch.yaml"), "--format", "jsonl", *captures]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def alerts(*options: str) -> str:
        assert main([*words, *options]) == 0
        return capsys.readouterr().out

    without = alerts()
    assert without.count("\n") > 5
    monkeypatch.setenv("NETWATCH_CACHE", "")
    assert alerts() == without
    assert len([*tmp_path.glob("netwatch/*.catalogue")]) == 1
    # From now on nothing may be parsed, in the processes of the jobs either.
    monkeypatch.setattr(yaml_reader, "decode_yaml", None)
    assert alerts() == without
    assert alerts("--jobs", "2") == without
