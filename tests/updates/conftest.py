from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sets import Publisher

from netwatch.rules.load import use_builtin


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    """What `builtin` stands for is chosen for a whole thread."""
    yield
    use_builtin(None)
