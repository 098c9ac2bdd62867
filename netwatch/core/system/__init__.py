"""The differences between Linux, macOS, FreeBSD and Windows, one module for each concern.

No other module uses what one of them lacks, except `POSIX_ONLY` and `LINUX_ONLY` modules, which
commands that run on Windows (on macOS, on FreeBSD) do not import; `tests/systems` verifies both.
"""

POSIX_ONLY = (
    "netwatch.capture.interfaces",
    "netwatch.cli.doctor",
    "netwatch.cli.fleet",
    "netwatch.console",
    "netwatch.engine.facts_process",
    "netwatch.engine.fact_sinks",
    "netwatch.engine.live_facts",
    "netwatch.fleet",
    "netwatch.live",
    "netwatch.logs.live",
)
"""Packages and modules that need something Windows lacks: fork(2), signals, Unix sockets."""

LINUX_ONLY = ("netwatch.capture.ring_source",)
"""Modules that need something only Linux has: AF_PACKET, eventfd(2)."""
