"""What all tests share: their fixtures, what programs that they start can import, and how long
hypothesis looks."""

import os

from hypothesis import HealthCheck, settings
from support.paths import PCAPS, ROOT

pytest_plugins = ["support.delivery_fixtures"]

# Programs that tests start import the same helpers, by the paths that pytest has of pyproject.toml.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests"), str(PCAPS)])

settings.register_profile(
    "netwatch",
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # where a change is let in or not, the same code gets the same answer twice
    derandomize="CI" in os.environ,
)
settings.load_profile("netwatch")
