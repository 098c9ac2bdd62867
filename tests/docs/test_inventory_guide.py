"""The units of the guide to the inventory, and what it says of the files that are written."""

import re
import shutil
import subprocess
from pathlib import Path

from support.paths import ROOT
from support.programs import needs

from netwatch.inventory.registered import MARKER
from netwatch.refresh.run import SERIES

GUIDE = (ROOT / "docs" / "guides" / "inventory.md").read_text(encoding="utf-8")


@needs("systemd-analyze")
def test_systemd_verifies_the_units(tmp_path: Path) -> None:
    units = re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", GUIDE, re.DOTALL)
    assert [name for name, _ in units] == ["netwatch-inventory.service", "netwatch-inventory.timer"]
    for name, text in units:
        # An existing program in a path without spaces.
        program = shutil.which("true") or ""
        (tmp_path / name).write_text(text.replace("/opt/netwatch/bin/netwatch", program))
    paths = [str(tmp_path / name) for name, _ in units]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_files_are_called_and_begin_as_the_guide_says() -> None:
    assert f"`{SERIES}-2023-03-20.csv`" in GUIDE
    assert f"``{MARKER.partition(', ')[0]}``" in GUIDE
