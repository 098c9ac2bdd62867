"""What was loaded before a capture is enough for its records, in every format."""

import subprocess
import sys

import pytest
from support.paths import ROOT

from netwatch.formats.registry import FORMATS

PROGRAM = """
import io, sys
from dataclasses import replace
from support.alerts import ALERT
from netwatch.formats.registry import FORMATS
from netwatch.live.preload import preload

preload(sys.argv[1], (), from_file=False)
imported = []
sys.addaudithook(lambda event, args: imported.append(args[0]) if event == "import" else None)
writer = FORMATS[sys.argv[1]].writer(io.StringIO())
writer.begin("alerts")
writer.alert(replace(ALERT, device=replace(ALERT.device, hostname="\\u7aef\\u672b")))
writer.end()
print(*imported)
"""


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_imports_nothing_later(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == ([], "")
