"""Fixtures of the tests that take minutes."""

import random

import pytest


@pytest.fixture
def random_source(pytestconfig: pytest.Config) -> random.Random:
    """Random numbers from the seed of the run (``--hypothesis-seed``), which `make test-long`
    prints."""
    return random.Random(int(pytestconfig.getoption("--hypothesis-seed") or 0))
