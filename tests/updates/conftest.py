from pathlib import Path

import pytest
from support.sets import Publisher, shipped_again  # noqa: F401 - a fixture


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)
