"""Captures of the wild, where they are at hand: nothing breaks, and little is missed."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from netwatch import jobs, pipeline, wire
from netwatch.capture.files import find
from netwatch.tally import Tally

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
EXPECTED = CAPTURES / "expected.jsonl"

pytestmark = pytest.mark.skipif(not EXPECTED.exists(), reason="the captures are not at hand")

KINDS = {
    "dns_qry": ("dns-query", "dns-answer"),
    "sni_tcp": ("tls-sni",),
    "sni_quic": ("quic-sni",),
    "http_host": ("http-host",),
}
"""The kinds of `expected.jsonl` and the evidence that counts for each: the name asked may
be seen in the answer alone."""

FLOOR = {"dns_qry": 415, "sni_tcp": 128, "sni_quic": 66, "http_host": 56}
"""Names of the core tier that have to be found."""

Found = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def found() -> Found:
    """The names of each capture by evidence."""
    names: Found = {}
    for path in sorted(CAPTURES.glob("*.pcap*")):
        tally = Tally()
        seen: defaultdict[str, set[str]] = defaultdict(set)
        for each in pipeline.names(find([str(path)]), tally):
            seen[each.evidence].add(each.name)
        assert tally.unread == [], path.name
        assert tally.packets > 0, path.name
        names[path.name] = dict(seen)
    assert len(names) > 100
    return names


def wanted() -> list[tuple[str, str, str]]:
    """(kind, capture, name) of every name that the core tier asks for."""
    asked = []
    for line in EXPECTED.read_text().splitlines():
        entry = json.loads(line)
        for kind in KINDS:
            tiers = entry["evidence"].get(kind, {})
            asked += [
                (kind, entry["file"], name.rstrip(".").lower())
                for name in entry["required"].get(kind, [])
                if tiers.get(name, {}).get("tier", "core") == "core"
            ]
    return asked


def test_the_names_of_the_core_are_found(found: Found) -> None:
    hit: Counter[str] = Counter()
    missed = []
    for kind, capture, name in wanted():
        if any(name in found[capture].get(evidence, ()) for evidence in KINDS[kind]):
            hit[kind] += 1
        else:
            missed.append((kind, capture, name))
    assert all(hit[kind] >= floor for kind, floor in FLOOR.items()), (hit, missed)


def test_several_workers_read_the_same() -> None:
    captures = list(wire.captures(find([str(CAPTURES)]), continuous=False))
    one, two = Tally(), Tally()
    alone = [(each.source, each.packet, each.name) for each in jobs.names(captures, one)]
    both = [(each.source, each.packet, each.name) for each in jobs.names(captures, two, 2)]
    assert alone == both
    assert one == two
    assert {Path(path).suffix for path in one.skipped} <= {".md", ".jsonl", ".py"}
