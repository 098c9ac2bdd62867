"""The records of a Windows event log (EVTX), each as a JSON object.

The package ``evtx`` reads them. A damaged record is skipped; where one follows the other, or the
package fails as a whole, the rest of the file is not read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netwatch.core.errors import CaptureError
from netwatch.core.installing import install_command

MAGIC = b"ElfFile\0"
"""The first bytes of an event log."""

MAX_DAMAGED = 1000
"""Damaged records one after the other, after which the file is not read on."""

MAX_RECORD = 1 << 20
"""Characters of a record as JSON; a longer one is skipped."""


def events(path: Path, shown: str) -> Iterator[bytes | None]:
    """The records of the file at `path`, None for each that cannot be read. `shown` is its name in
    messages. Raises `CaptureError` where the package is missing, or the file is none."""
    try:
        import evtx
    except ImportError:
        raise CaptureError(
            f"{shown}: is a Windows event log; reading it requires the package evtx"
            f" ({install_command('logs')})"
        ) from None
    try:
        found = evtx.PyEvtxParser(str(path), number_of_threads=1).records_json()
    except Exception as error:
        raise CaptureError(f"{shown}: cannot be read as a Windows event log: {error}") from None
    damaged = 0
    while damaged < MAX_DAMAGED:
        try:
            record: dict[str, Any] | None = next(found, None)
        except RuntimeError:
            damaged += 1
            yield None
            continue
        except BaseException as error:
            # What the Rust code did not expect; it is no Exception.
            if type(error).__name__ != "PanicException":
                raise
            raise CaptureError(f"{shown}: cannot be read on: {error}") from None
        if record is None:
            return
        damaged = 0
        text = str(record["data"])
        yield text.encode("utf-8", "surrogatepass") if len(text) <= MAX_RECORD else None
    raise CaptureError(f"{shown}: {MAX_DAMAGED} records one after the other are damaged")
