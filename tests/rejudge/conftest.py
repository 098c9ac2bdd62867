"""Commands as a user runs them, on a store of the test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.office import configured
from support.paths import PCAPS

from netwatch.cli import main


@pytest.fixture
def office(tmp_path: Path) -> str:
    """The configuration of the office."""
    return configured(tmp_path)


@pytest.fixture
def sample() -> str:
    """The configuration of the sample captures."""
    return str(PCAPS / "netwatch.yaml")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that has to end with a `status`; its output."""

    def _run(*arguments: str, status: int = 0) -> str:
        capsys.readouterr()
        found = main(list(arguments))
        captured = capsys.readouterr()
        assert found == status, captured.err
        return captured.out

    return _run
