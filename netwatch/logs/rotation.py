"""Which files are one log: those that were rotated, by their names and their first times.

Programs and logrotate put a number or a date into the name of a file that is full: ``dns.log.1``,
``dns.log-20261127.gz``, ``dns.00:00:00-01:00:00.log.gz`` (Zeek), ``eve-2026-11-27.json``. Files of
one folder that have the same name without these, and the same format, are one log.
"""

import re

from netwatch.capture.compression import COMPRESSIONS

_COMPRESSED = frozenset({"gz", "bz2", "xz", "zst", "lz4", *COMPRESSIONS})
_DATE = re.compile(
    r"[._-]?(?:19|20)\d\d[._-]?\d\d[._-]?\d\d(?:[T._-]?\d\d[:._-]?\d\d(?:[:._-]?\d\d)?)?(?!\d)"
)
_HOURS = re.compile(r"[._-]\d\d[:_]\d\d[:_]\d\d(?:-\d\d[:_]\d\d[:_]\d\d)?")
_EPOCH = re.compile(r"[._-]1\d{9}(?!\d)")
_NUMBER = re.compile(r"[.-]\d{1,4}(?=\.|$)")


def log_name(path: str) -> tuple[str, str]:
    """The folder of a file, and what its name is without what rotation has put into it."""
    folder, _, name = path.rpartition("/")
    parts = name.split(".")
    while len(parts) > 1 and parts[-1].lower() in _COMPRESSED:
        parts.pop()
    name = ".".join(parts)
    for each in (_DATE, _HOURS, _EPOCH, _NUMBER):
        name = each.sub("", name)
    return folder, name
