from pathlib import Path

import pytest
from support.fleet_bundles import Centre
from support.sets import shipped_again  # noqa: F401 - a fixture


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path / "centre")
