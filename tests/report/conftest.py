"""An office with an empty store, and what renders the pictures of reports."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from report.stores import Office, make_office

from netwatch.charts.render import Renderer


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = make_office(tmp_path)
    yield made
    made.catalogue.close()


@pytest.fixture(scope="session")
def renderer() -> Iterator[Renderer]:
    with Renderer() as each:
        yield each
