"""Shared by all tests: fixtures, the import path of started programs, the hypothesis profile, and a
check that compiled modules are up to date."""

import gc
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.examples import USUAL
from support.interpreted import stale
from support.paths import PCAPS, ROOT
from support.programs import require_programs
from support.shown_logs import pytest_runtest_logfinish, pytest_runtest_makereport  # noqa: F401

MEMORY = Path("/dev/shm")
ROOM = 6 << 30
"""Bytes that have to be free there, which are far more than the tests need."""


def is_roomy(place: Path) -> bool:
    """Whether a folder is in memory, and the machine has room for what the tests write."""
    if not sys.platform.startswith("linux") or not os.access(place, os.W_OK):
        return False
    found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    return bool(found) and min(int(found[1]) << 10, shutil.disk_usage(place).free) >= ROOM


pytest_plugins = [
    "support.browsers",
    "support.delivery_fixtures",
    "support.http_captures",
    "support.s3_faults",
    "support.clouds",  # it imports the one before
    "support.store_servers",
]

# Programs that tests start import the same helpers as the tests, whose path pytest sets.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests"), str(PCAPS)])

# A database waits for the disk at each commit. What tests write is in memory where there is room.
if is_roomy(MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Nothing is left in the home of the user.
os.environ["NETWATCH_CACHE"] = "off"

READ_ANEW = frozenset({"config", "core", "inventory", "packaging", "rules", "test_config.py"})
"""The folders and files whose tests read signatures and configurations anew each time: what they
test is the reading. All others keep what they read, as users do: it takes two thirds of the CPU
time of a short scan."""

_CACHE = tempfile.TemporaryDirectory(prefix="cache-of-tests-")  # goes with this process
_OTHER_CACHE = os.environ.get("XDG_CACHE_HOME")

# What a property is tested with is the same in every run, so that a change that breaks one is the
# change that is tested. `make test-long` loads the other profile, whose examples are random.
_OPTIONS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("netwatch", max_examples=USUAL, derandomize=True, **_OPTIONS)
settings.register_profile(
    "long", max_examples=int(os.environ.get("NETWATCH_EXAMPLES", "10000")), **_OPTIONS
)
settings.load_profile("netwatch")


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker of `support.programs`."""
    config.addinivalue_line("markers", "needs(*programs): skip where one of these does not work")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from what is collected here, which stays until the end: it would
    look through it again and again, now and in the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state of a user, for which no test may use that of who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Turn the cache on or off, and skip a test whose programs do not work here, before its
    fixtures start any."""
    is_cached = item.path.relative_to(Path(__file__).parent).parts[0] not in READ_ANEW
    os.environ["NETWATCH_CACHE"] = "on" if is_cached else "off"
    if place := _CACHE.name if is_cached else _OTHER_CACHE:
        os.environ["XDG_CACHE_HOME"] = place
    else:
        os.environ.pop("XDG_CACHE_HOME", None)
    for mark in item.iter_markers("needs"):
        require_programs(*mark.args)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that take minutes, unless they are asked for by name."""
    left = {name for name in ("long", "packages") if name not in config.option.markexpr}
    kept, left_out = [], []
    for item in items:
        is_left = any(mark.name in left for mark in item.iter_markers())
        (left_out if is_left else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


def pytest_sessionstart() -> None:
    """Refuse to test compiled modules that were built from an older source."""
    if names := stale():
        raise pytest.UsageError(
            f"{len(names)} compiled modules are older than their source, such as {names[0]};"
            " run: make build"
        )
