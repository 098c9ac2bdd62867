"""Which devices a set would have accused that the set in use did not: ``python -m
netwatch.rejudge.newly_accused``, in a process of its own.

A signature proves who made a set, and lint that its names are not everybody's. Neither shows that
by a mistake, or through somebody with a publisher's keys, half of an organisation is accused. The
store does: it is judged again with the set, and the devices that would now have a violation are
counted. What differs even without the set, because the configuration has changed, does not count.
Judging takes much memory and CPU time, so `netwatch.updates.update` runs this alongside a capture.
"""

import contextvars
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from netwatch.config import Config, load
from netwatch.core.errors import NetwatchError
from netwatch.core.system.kernel import limit_memory, yield_to_others
from netwatch.core.text import escaped
from netwatch.rejudge.again import Again
from netwatch.store.database import FILE
from netwatch.store.options import StoreOptions

MEMORY_LIMIT = 4 << 30
"""The memory limit of the process, in bytes."""

NICE = 10
"""The niceness of the process, relative to a capture."""

_DAY = 86_400 * 10**9

Accused = frozenset[tuple[str, str, str]]
"""Devices with a new violation: the network and the id of the device, and the id of the app."""


def newly_accused(path: str | None, folder: Path, days: int, most: int) -> dict[str, object]:
    """How many devices in the last `days` the set in `folder` would have accused, judged with the
    configuration at `path`: ``devices``, and the number for each of the ``apps``. Up to `most` of
    them may be accused even without the set. Raises `NetwatchError`."""
    context = contextvars.copy_context()
    with_set = context.run(load, path, candidate=folder)
    store = with_set.store
    if store is None or not _has_store(store):
        return _counted(frozenset())
    since = time.time_ns() - days * _DAY
    accused = _accused(store, with_set, since)
    if len(_devices(accused)) > most:
        without = contextvars.copy_context().run(load, path)
        accused -= _accused(store, without, since)
    return _counted(accused)


def _has_store(store: StoreOptions) -> bool:
    """Whether anything has been stored yet."""
    return bool(store.catalogue) or "://" in store.path or (Path(store.path) / FILE).exists()


def _accused(store: StoreOptions, config: Config, since: int) -> Accused:
    found = set()
    with Again(store, config, since=since) as again:
        for difference in again.differences():
            before, after = difference.difference.before, difference.difference.after
            if after is None or after["verdict"] != "violation":
                continue
            if before is None or before["verdict"] != "violation":
                device = after["device"]["id"]
                found.add((after["network"]["name"], device, after["app"]["id"]))
    return frozenset(found)


def _devices(accused: Accused) -> set[tuple[str, str]]:
    return {(network, device) for network, device, _ in accused}


def _counted(accused: Accused) -> dict[str, object]:
    apps: Mapping[str, int] = Counter(app for _, _, app in accused)
    return {"devices": len(_devices(accused)), "apps": dict(apps)}


def main() -> int:
    """Answer on standard output as JSON. If that is not possible, exit with status 1 and the reason
    as the last line on standard error."""
    path, folder, days, most = sys.argv[1:]
    yield_to_others(NICE)
    limit_memory(MEMORY_LIMIT)
    try:
        counted = newly_accused(path or None, Path(folder), int(days), int(most))
    except (NetwatchError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "it needs too much memory"
        sys.stderr.write(f"{escaped(reason)}\n")
        return 1
    sys.stdout.write(json.dumps(counted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
