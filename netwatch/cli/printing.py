"""How commands print: the only place from which text reaches standard output and standard error.

Every line goes through `netwatch.core.text.escaped`, because any of them may contain a file name,
a name from a packet, a value of the configuration or the text of an exception.
"""

import contextlib
import io
import sys
from collections.abc import Mapping
from typing import Any

from netwatch.core.text import ESCAPE_UNENCODABLE, escaped


def print_line(text: str = "") -> None:
    """Print one line of a result on standard output."""
    print(escaped(text))


def print_record(record: Mapping[str, Any]) -> None:
    """Print a record on standard output, as one line of JSON."""
    from netwatch.formats.values import json_line

    print(json_line(record))


def print_message(text: str) -> None:
    """Print one line on standard error. Nothing fails where that was closed, and nothing is
    printed: without a file `print` would write to standard output."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):
        print(escaped(text), file=sys.stderr)


def escape_unencodable() -> None:
    """Let standard output and standard error escape what their encoding does not have, as
    `escaped` does, where Python would fail. Inside JSON the escape is read back unchanged."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE_UNENCODABLE)
