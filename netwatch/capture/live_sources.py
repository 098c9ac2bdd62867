"""The table of live sources."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import cast

from netwatch.capture.live_source import LiveSource
from netwatch.core.errors import CaptureError


def _require_capture() -> None:
    if sys.platform == "win32":
        raise CaptureError("to capture on an interface needs Linux, macOS or FreeBSD")


def _ring(interfaces: Sequence[str], **options: object) -> LiveSource:
    _require_capture()
    module = importlib.import_module("netwatch.capture.ring_source")
    return cast(LiveSource, module.RingSource(interfaces, **options))


def _scapy(interfaces: Sequence[str], **options: object) -> LiveSource:
    _require_capture()
    module = importlib.import_module("netwatch.capture.scapy_source")
    return cast(LiveSource, module.ScapySource(interfaces, **options))


OpenSource = Callable[..., LiveSource]
"""Opens interfaces, given their names and the options of the source. Raises `CaptureError`."""

SOURCES: dict[str, OpenSource] = {"ring": _ring, "scapy": _scapy}
"""The live sources by the name that users give them. Their modules are imported on first use: one
works on Linux only, the import of the other takes long."""


def default_source() -> str:
    """The name of the source that is used unless the user names another."""
    return "ring" if sys.platform == "linux" else "scapy"
