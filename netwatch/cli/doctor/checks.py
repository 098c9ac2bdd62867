"""The table of checks of ``netwatch doctor``: one module for each concern, one row for each check.

A check whose part is not configured gives no finding. The configuration is checked first, so that a
later check of a part with mistakes says nothing more.
"""

from netwatch.cli.doctor import (
    capture,
    centre,
    configuration,
    console,
    fleet,
    languages,
    outputs,
    store,
    updates,
)
from netwatch.cli.doctor.finding import Check

CHECKS: tuple[Check, ...] = (
    capture.check_packet_loop,
    capture.check_privileges,
    capture.check_interfaces,
    capture.check_logs,
    configuration.check,
    updates.check,
    store.check,
    console.check,
    fleet.check,
    centre.check,
    outputs.check,
    languages.check,
)
"""All checks, in the order in which they are made."""
