"""The C constants of the packet loop and their Python twins are the same numbers."""

import re

from support.paths import ROOT

from netwatch import protocols
from netwatch.capture import block
from netwatch.core.flow import NAME_STATUSES
from netwatch.core.message import LEARNING_SOURCES
from netwatch.dissect.loop import layout
from netwatch.dissect.loop.layout import ANOMALIES
from netwatch.dissect.loop.prefilter import EVIDENCE


def constants(prefix: str = "") -> dict[str, int]:
    return {name: value for name, value in vars(layout).items() if name.startswith(prefix or "")}


def numbers(prefix: str) -> dict[str, int]:
    """Constants with a prefix, by the rest of their names as records spell it."""
    found = constants(f"{prefix}_").items()
    return {name.removeprefix(f"{prefix}_").lower().replace("_", "-"): each for name, each in found}


def test_both_files_have_the_same_constants() -> None:
    source = (ROOT / "netwatch" / "dissect" / "loop" / "layout.pxd").read_text(encoding="utf-8")
    found = re.findall(r"(?m)^    ([A-Z_0-9]+) = ([0-9<> ]+)$", source)
    in_c = {name: eval(value) for name, value in found}
    numbers_alone = {name: each for name, each in constants().items() if isinstance(each, int)}
    in_python = {name: each for name, each in numbers_alone.items() if name.isupper()}
    assert in_c == in_python
    assert len(in_c) == len(found) > 150


def test_constants_with_a_name_elsewhere_are_its_places() -> None:
    assert list(numbers("ANOMALY").items()) == [(name, at) for at, name in enumerate(ANOMALIES)]
    assert list(numbers("NAMES").items()) == [(name, at) for at, name in enumerate(EVIDENCE)]
    for name, at in numbers("NAME").items():
        assert NAME_STATUSES[at] == name
    assert numbers("LEARN") == {
        name: 1 << bit
        for bit, name in enumerate(LEARNING_SOURCES)
        if name in ("dhcp", "mdns", "arp")
    }
    for name, at in constants("RECORD_").items():
        assert getattr(block, name.removeprefix("RECORD_")) == at


def test_kinds_are_those_of_the_protocol_table() -> None:
    own = {"OPENING", "ANSWER", "MORE", "FRAGMENT", "TUNNEL_FRAGMENT", "CLOCK"}
    kinds = {name.removeprefix("KIND_"): each for name, each in constants("KIND_").items()}
    assert {each for name, each in kinds.items() if name not in own} == protocols.PROTOCOLS.keys()
    for name, number in kinds.items():
        if name not in own:
            assert getattr(protocols, name) == number


def test_words_do_not_overlap() -> None:
    for prefix, size, pairs in (
        ("FLOW", layout.FLOW_WORDS, 2 * ["EXPECTED", "BYTES", "MACS", "NAMED", "ACKED"]),
        ("ENTRY", layout.ENTRY_WORDS, []),
    ):
        words = numbers(prefix)
        del words["words"]
        assert len(set(words.values())) == len(words)
        # They fill whole lines of the processor's cache, the last one perhaps not to its end.
        assert size % 8 == 0
        assert size - 8 <= max(words.values()) < size
        assert {words[name.lower()] + 1 for name in pairs}.isdisjoint(words.values())
