"""The address claims of a store as they were read from packets, those that are sealed as far as a
key reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netwatch.privacy.sealing import SealedError, Sealing, is_sealed
from netwatch.store.fact_removal import FactRemoval


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """Who is said to use `addresses` at a time (ns). `mac` and `hostname` are empty where the claim
    has none."""

    time: int
    mac: str
    hostname: str
    addresses: tuple[str, ...]


def claim_record(claim: bytes, sealing: Sealing | None) -> dict[str, Any]:
    """The JSON of the column ``claim``; empty where no key reads it, and where it is none."""
    try:
        if is_sealed(claim):
            if sealing is None:
                return {}
            claim = sealing.unseal_claim(claim)
        record = json.loads(claim)
    except (SealedError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def stored_claims(facts: FactRemoval, sealing: Sealing | None) -> Iterator[StoredClaim]:
    """All claims, as far as they can be read. Raises `NetwatchError`."""
    for file in facts.catalogue.files("claim"):
        table = facts.read(file, ["time", "claim"])
        for time, claim in zip(*(column.to_pylist() for column in table.columns), strict=True):
            record = claim_record(claim, sealing)
            addresses = record.get("addresses") or [record.get("address")]
            yield StoredClaim(
                time,
                record.get("mac") or "",
                record.get("hostname") or "",
                tuple(each for each in addresses if each),
            )
