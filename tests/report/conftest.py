"""An office with an empty store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from report.stores import Office, make_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = make_office(tmp_path)
    yield made
    made.catalogue.close()
