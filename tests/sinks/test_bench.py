import subprocess
import sys

import pytest
from support.documents import ROOT, rows
from support.examples import only_long
from support.programs import require_programs


@pytest.mark.parametrize("receiver", ["rsyslog", only_long("bulk"), only_long("file")])
def test_the_bench_delivers_all_and_prints_a_row(receiver):
    if receiver == "rsyslog":
        require_programs("rsyslogd")
    command = [sys.executable, str(ROOT / "bench" / "delivery.py"), "--alerts", "300"]
    done = subprocess.run(
        [*command, "--receiver", receiver], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    ((name, *figures),) = rows(done.stdout)
    assert name == receiver
    assert all(float(figure.replace(",", "")) >= 0 for figure in figures)
    assert len(figures) == 5
