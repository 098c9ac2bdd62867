"""Each sample is recognised as a log of its format, and of no other one."""

from pathlib import Path

import pytest
from support.resolver_logs import SAMPLES

from netwatch.logs.recognise import recognise_head
from netwatch.logs.registry import LOG_FORMATS

_FILES = sorted(path for path in SAMPLES.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", _FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recognised(path: Path) -> None:
    name = path.parent.name
    found = recognise_head(path.read_bytes())
    if LOG_FORMATS[name].only_if_named:
        assert (found.format, found.needs_name) == (None, True)
        assert f"--as {name}" in found.doubt
    else:
        assert (found.format, found.doubt) == (name, "")
