"""What the benchmarks share with the tests and the sample captures.

This is the only place that extends the import path: the modules that craft packets are in
``pcaps/``, and network namespaces, ports and waiting are helpers of the tests.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""

for folder in ("tests", "pcaps"):
    if str(ROOT / folder) not in sys.path:
        sys.path.append(str(ROOT / folder))

import handshakes  # noqa: E402
import messages  # noqa: E402
from support.network_namespace import Namespace, created, missing_requirements  # noqa: E402
from support.ports import free_port, is_listening  # noqa: E402
from support.waiting import TimedOutError, wait_until  # noqa: E402

PERFORMANCE_PAGE = ROOT / "bench" / "results.md"
"""The page with the results, whose tables ``--write`` replaces."""

__all__ = [
    "PERFORMANCE_PAGE",
    "ROOT",
    "Namespace",
    "TimedOutError",
    "created",
    "free_port",
    "handshakes",
    "is_listening",
    "messages",
    "missing_requirements",
    "wait_until",
]
