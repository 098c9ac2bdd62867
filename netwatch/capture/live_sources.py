"""The live sources by their names."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import cast

from netwatch.capture.live_source import LiveSource


def _ring(interfaces: Sequence[str], **options: object) -> LiveSource:
    return cast(
        LiveSource,
        importlib.import_module("netwatch.capture.ring_source").RingSource(interfaces, **options),
    )


def _scapy(interfaces: Sequence[str], **options: object) -> LiveSource:
    return cast(
        LiveSource,
        importlib.import_module("netwatch.capture.scapy_source").PortableSource(
            interfaces, **options
        ),
    )


Opener = Callable[..., LiveSource]
"""Takes the names of interfaces and the options of the source; raises `CaptureError`."""

SOURCES: dict[str, Opener] = {"ring": _ring, "scapy": _scapy}
"""The live sources by the name that users give them. Their modules are imported when they
are asked for: one is of Linux alone, the other takes long."""


def usual() -> str:
    """The source that is taken where none is named."""
    return "ring" if sys.platform == "linux" else "scapy"
