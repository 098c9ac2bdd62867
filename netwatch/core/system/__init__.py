"""What differs between Linux, macOS, FreeBSD and Windows, one module for each concern.

No other module uses what one of them lacks, except those of `POSIX_ONLY` and `LINUX_ONLY`, which
commands that run on Windows (on macOS, on FreeBSD) do not import; `tests/systems` verifies both.
"""

POSIX_ONLY = (
    "netwatch.capture.interfaces",
    "netwatch.capture.privileges",
    "netwatch.cli.doctor",
    "netwatch.cli.fleet",
    "netwatch.console",
    "netwatch.engine.facts_process",
    "netwatch.engine.fact_sinks",
    "netwatch.engine.live_facts",
    "netwatch.engine.writer_host",
    "netwatch.fleet",
    "netwatch.live",
    "netwatch.logs.live",
    "netwatch.updates.repository",
)
"""Packages and modules that need what Windows does not have: fork(2), signals, Unix sockets."""

LINUX_ONLY = ("netwatch.capture.ring_source",)
"""Modules that need what only Linux has: AF_PACKET, eventfd(2)."""
