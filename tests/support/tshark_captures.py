"""Real captures that are not part of the project, as tshark and as the parsers read them."""

from pathlib import Path

import pytest
from support import tshark
from support.paths import SHARED

from netwatch.core.message import Message

CAPTURES = SHARED / "captures"


def captured(*names: str) -> pytest.MarkDecorator:
    """Run a test with the paths of these captures, and skip those that are missing."""
    paths = [
        pytest.param(
            CAPTURES / name,
            id=name,
            marks=pytest.mark.skipif(not (CAPTURES / name).exists(), reason="capture is missing"),
        )
        for name in names
    ]
    return pytest.mark.parametrize("path", paths)


def read(path: Path, display_filter: str, *fields: str) -> list[list[str]]:
    """The fields of the packets that pass the filter; several values are separated by ``;``."""
    return tshark.fields(path, fields, display_filter=display_filter, aggregator=";")


def sni_and_ja4(found: Message) -> list[str]:
    """The server names and the JA4 of a ClientHello, as tshark prints them."""
    assert found.tls is not None
    return [";".join(shown.name for shown in found.names), found.tls.ja4 or ""]
