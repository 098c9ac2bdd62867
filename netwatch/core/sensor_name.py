"""Which texts can name a sensor of a fleet."""

import re

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

EXPECTED = "lower-case letters, digits and '-', at most 63, like brussels-1"
"""What a name looks like, for people."""


def is_sensor_name(text: str) -> bool:
    """Whether a text can name a sensor: a label of a host name in lower case."""
    return _NAME.fullmatch(text) is not None
