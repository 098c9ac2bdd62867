"""Can the outbox be written, and every receiver be reached?"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from netwatch.cli.doctor.finding import Finding, bad, ok
from netwatch.core.errors import NetwatchError


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """The outputs of the configuration; the centre of a fleet is one of a sensor."""
    from concurrent.futures import ThreadPoolExecutor

    from netwatch.config import load_fleet, load_outputs
    from netwatch.core.errors import ConfigError
    from netwatch.delivery import attempt
    from netwatch.fleet.sensor import with_centre

    try:
        outputs, outbox = load_outputs(args.config)
        outputs = with_centre(outputs, load_fleet(args.config), args.config or "")
    except ConfigError:
        # The check of the configuration has reported it.
        return
    if not outputs:
        return
    yield _outbox(outbox.folder)
    # In parallel, so that a receiver that hangs does not delay the others.
    with ThreadPoolExecutor(len(outputs)) as pool:
        results = pool.map(attempt.check_connection, outputs)
        for output, (is_ok, text) in zip(outputs, results, strict=True):
            yield Finding(f"output {output.name}", "ok" if is_ok else "bad", text)


def _outbox(folder: Path) -> Finding:
    """Can the outbox be written, and by nobody else?"""
    from netwatch.core.owned_database import identify
    from netwatch.delivery.outbox_file import FILE, KIND, folder_warning

    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return bad("outbox", f"{folder}: no permission to write to {existing}")
    try:
        identify(folder / FILE, KIND)
    except NetwatchError as error:
        return bad("outbox", str(error))
    if warning := folder_warning(folder):
        return bad("outbox", warning)
    return ok("outbox", f"{folder} can be written")
