"""Stores of every kind, empty."""

from pathlib import Path

import pytest

from netwatch.store.options import StoreOptions


@pytest.fixture(params=["folder", "folder, postgresql", "s3, postgresql"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    """A folder with SQLite, a folder with PostgreSQL, and a bucket with PostgreSQL."""
    place, _, database = request.param.partition(", ")
    path = request.getfixturevalue("s3_url") if place == "s3" else str(tmp_path / "store")
    catalogue = request.getfixturevalue("postgres_url") if database else ""
    return StoreOptions(path, catalogue)
