"""Files of one version of the format have the same columns."""

import hashlib

from netwatch.store import tables

FINGERPRINTS = {
    1: "b8d43fd1a08ea7d0",
    2: "7760e17954fd6e1b",
    3: "4abe23bd5614c601",
    4: "4abe23bd5614c601",  # another meaning of the number of a flow
    5: "73bc57e2800dbae6",
    6: "81b458f23a0660c1",
    7: "0bcabe5284eadc13",
    8: "0c3b0779c524aaf9",
}
"""Of each version of the format, what its columns hash to."""


def _fingerprint() -> str:
    """A hash of all that decides what is in a file: columns in their order, types, nulls, and by
    what rows are divided into files. Titles are documentation."""
    lines = [f"buckets {tables.BUCKETS}"]
    for table, columns in tables.FACTS.items():
        lines += [f"{table} {each.name} {each.kind} {each.nullable}" for each in columns]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def test_other_columns_have_another_version() -> None:
    """A file says by which version it was written, and a reader trusts that: without a new version
    an older netwatch would take a file with a further column for a whole one, and this one would
    look for the column in older files."""
    assert FINGERPRINTS.get(tables.FORMAT_VERSION) == _fingerprint(), (
        f"the columns of store/tables.py are not those of format {tables.FORMAT_VERSION}: raise"
        " FORMAT_VERSION, make readers fill in what older files do not have (or say in the change"
        " log that older stores are not read), and add the new version here with"
        f" {_fingerprint()!r}; the line of an older version is never changed"
    )


def test_no_version_is_left_out() -> None:
    assert sorted(FINGERPRINTS) == list(range(1, tables.FORMAT_VERSION + 1))
