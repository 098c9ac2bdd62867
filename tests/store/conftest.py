"""Stores of both kinds of folder and of catalogue, empty."""

from pathlib import Path

import pytest
from support.postgres_server import new_catalogue

from netwatch.store.options import StoreOptions


@pytest.fixture(params=["folder", "s3, postgresql"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    """A folder with SQLite, and a bucket with PostgreSQL. Files and catalogue know nothing of each
    other; a folder with PostgreSQL is what tests of erasing and rejudging have besides."""
    place, _, database = request.param.partition(", ")
    path = request.getfixturevalue("s3_url") if place == "s3" else str(tmp_path / "store")
    catalogue = ""
    if database:
        catalogue = new_catalogue(request.getfixturevalue("postgres_server"))
    return StoreOptions(path, catalogue)
