"""Results in a ledger, written again by somebody who should not."""

import hashlib
from dataclasses import replace

from netwatch.cluster.result_file import (
    MAGIC,
    Entry,
    Head,
    Written,
    read_entries,
    read_head,
    write_entries,
    write_result,
)
from netwatch.cluster.storage import Storage
from netwatch.incidents.scan import entry_order
from netwatch.incidents.spill import PARTITIONS, partition_of


def _entries(storage: Storage, name: str) -> tuple[Head, list[list[Entry]]]:
    """What a result has, whoever wrote it."""
    first = storage.read(name)
    size = int.from_bytes(first[len(MAGIC) : len(MAGIC) + 8])
    packed = first[len(MAGIC) + 8 + 32 :][:size]
    head = read_head(storage, Written(name, hashlib.sha256(packed).hexdigest()))
    gap = 30 * 60 * 10**9
    return head, [list(read_entries(storage, head, part, gap)) for part in range(PARTITIONS)]


def accuse(storage: Storage, name: str, person: str) -> None:
    """Write a result again, well-formed, with all contacts as those of another device."""
    head, parts = _entries(storage, name)
    made: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    for entries in parts:
        for key, incident in entries:
            incident.become(replace(incident.first_contact.device, id=person, owner=person))
            changed = (person, *key[1:])
            made[partition_of(changed)].append((changed, incident))
    ordered = [sorted(entries, key=entry_order) for entries in made]
    rest = head.of, head.statistics, head.coverage, head.senders
    write_result(storage, name, *rest, ordered, write_entries)
    assert any(made)
