"""What was loaded before a capture is enough for its records, in every format."""

import codecs
import re
import subprocess
import sys

import pytest
from support.paths import ROOT

from netwatch.formats.registry import FORMATS
from netwatch.live.run import CODECS

PROGRAM = """
import io, sys
from dataclasses import replace
from support.alerts import ALERT
from netwatch.formats.registry import FORMATS
from netwatch.live.run import preload

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


def test_every_codec_that_is_used_is_loaded() -> None:
    named = re.compile(
        r'(?:(?:de|en)code\(|encoding=|: )"((?:utf|latin|ascii|idna|unicode_)[\w-]*)"'
    )
    used = {
        codecs.lookup(name).name
        for path in (ROOT / "netwatch").rglob("*.py")
        for name in named.findall(path.read_text(encoding="utf-8"))
    }
    assert {"utf-8-sig", "utf-16-le", "ascii"} <= used
    assert used <= {codecs.lookup(name).name for name in CODECS}
