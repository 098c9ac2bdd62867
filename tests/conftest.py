"""What all tests share: the crafting modules on the path, and how long hypothesis looks."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "netwatch",
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # where a change is let in or not, the same code gets the same answer twice
    derandomize="CI" in os.environ,
)
settings.load_profile("netwatch")
