from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fleet_bundles import Centre

from netwatch.rules.load import use_builtin


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path / "centre")


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    """What `builtin` stands for is chosen for a whole thread."""
    yield
    use_builtin(None)
