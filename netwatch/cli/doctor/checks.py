"""The table of checks of ``netwatch doctor``: one module for each concern, one row for each check.

A check whose part is not configured gives no finding. The configuration is checked first, so that a
later check of a part with mistakes says nothing more.
"""

from netwatch.cli.doctor import (
    centre,
    configuration,
    console,
    fleet,
    languages,
    store,
    updates,
)
from netwatch.cli.doctor.finding import Check

CHECKS: tuple[Check, ...] = (
    configuration.check_packet_loop,
    configuration.check_privileges,
    configuration.check_interfaces,
    configuration.check_logs,
    configuration.check,
    updates.check,
    store.check,
    console.check,
    fleet.check,
    centre.check,
    configuration.check_outputs,
    languages.check,
)
"""All checks, in the order in which they are made."""
