"""Errors reach another process as they were raised."""

import pickle
from pathlib import Path

import pytest

from netwatch.core.errors import ConfigError, Incomplete, NetwatchError, ParseError, Problem
from netwatch.core.owned_database import ForeignFileError, OtherVersionError
from netwatch.inventory.lease_table import LeaseSyntaxError
from netwatch.sinks.base import UnavailableError
from netwatch.store.database import KIND

PROBLEM = Problem("netwatch.yaml", 3, 0, "unknown key")


@pytest.mark.parametrize(
    "error",
    [
        NetwatchError("a text"),
        ConfigError([PROBLEM, PROBLEM]),
        ForeignFileError(Path("/var/lib/store"), "is a symbolic link"),
        OtherVersionError(Path("/var/lib/store"), KIND, 99),
        ParseError("dns-cut"),
        Incomplete(7),
        LeaseSyntaxError(3, "expected a date"),
        UnavailableError("busy", 3.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error: NetwatchError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
