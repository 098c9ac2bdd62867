"""Values of options that both `netwatch signatures publish` and `netwatch fleet publish` have."""

import argparse
import re
from datetime import timedelta

MAX_DAYS = 3650
"""The most days for which something can be signed."""


def days(text: str) -> timedelta:
    """A number of days, like ``90d``."""
    match = re.fullmatch(r"([1-9]\d{0,3})d", text)
    if not match or int(match[1]) > MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1d to {MAX_DAYS}d")
    return timedelta(days=int(match[1]))


def release(text: str) -> str:
    """A release of netwatch, like ``1.2.0``."""
    if not re.fullmatch(r"\d{1,6}\.\d{1,6}(\.\d{1,6})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a release like 1.2.0")
    return text
