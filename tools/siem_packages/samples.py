"""The alerts of the sample captures: what packages are tested with, here and at their receivers."""

import contextlib
import functools
import io

from netwatch.cli import main
from siem_packages.tables import ROOT

SENSOR = "sensor-1"
"""The name of the sensor in the samples, which otherwise has that of the machine."""


@functools.cache
def lines(form: str) -> tuple[str, ...]:
    """The alerts that ``netwatch scan`` gives of pcaps/ in a format, one a line."""
    output = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(output):
        status = main(["scan", "-q", "-c", "pcaps/netwatch.yaml", "--format", form, "pcaps"])
    if status != 0:
        raise RuntimeError(f"scan of the sample captures: exit status {status}")
    return tuple(output.getvalue().splitlines())
