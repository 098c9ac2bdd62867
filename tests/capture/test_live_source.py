"""What all sources have that never end by themselves. The table of live sources, and what each of
them keeps to.
"""

import sys

import pytest
from support.namespaces import needs_namespaces

from netwatch.capture import block as live
from netwatch.core.errors import CaptureError


def test_notes_are_the_last_ones() -> None:
    notes = live.RecentNotes()
    for number in range(live.MAX_NOTES + 10):
        notes.append(str(number))
    assert len(notes) == live.MAX_NOTES
    assert (notes[0], notes[-1]) == ("10", str(live.MAX_NOTES + 9))


OF_INTERFACES = [name for name in live.LIVE_SOURCES if name != "sflow"]
"""The sources that capture from interfaces; what sFlow samples comes over a socket."""


@needs_namespaces
@pytest.mark.parametrize("name", OF_INTERFACES)
def test_every_source_is_one(name: str) -> None:
    source = live.LIVE_SOURCES[name](["lo"], promiscuous=False)
    assert source.name == "lo"
    assert source.size is None
    assert source.notes == []
    source.stop()
    source.stop()
    counts = [block.count for block in source.blocks()]
    assert source.received == sum(counts)
    assert (source.dropped, source.freezes, source.events) == (0, 0, {})
    source.close()
    source.close()
    assert list(source.blocks()) == []


@pytest.mark.parametrize("name", OF_INTERFACES)
def test_every_source_explains_its_refusal(name: str) -> None:
    with pytest.raises(CaptureError, match="none0: no such interface; expected one of"):
        live.LIVE_SOURCES[name](["none0"])


@pytest.mark.parametrize(("system", "name"), [("linux", "ring"), ("darwin", "scapy")])
def test_the_default_source(monkeypatch: pytest.MonkeyPatch, system: str, name: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert live.default_source() == name
    assert name in live.LIVE_SOURCES
