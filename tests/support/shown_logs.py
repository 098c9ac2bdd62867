"""Shows what programs have logged if the test that started them fails, whatever it waited for."""

from collections.abc import Generator
from pathlib import Path

import pytest

SHOWN = 4000
"""Characters of a log, its last ones."""

_logs: list[Path] = []


def show_log(path: Path) -> None:
    """Show this file if the test that runs now fails."""
    if path not in _logs:
        _logs.append(path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs to the report of a failure."""
    report = yield
    if report.failed:
        for path in _logs:
            if path.exists():
                text = path.read_text(encoding="utf-8", errors="replace")
                report.sections.append((f"log {path.name}", text[-SHOWN:]))
    return report


def pytest_runtest_logfinish() -> None:
    """Forget them with the test."""
    _logs.clear()
