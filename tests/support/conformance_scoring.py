"""What netwatch tells of captures of the wild, against what others read in them.

`expected.jsonl` beside the captures has a line for each: names by kind that were seen by
several tools (`required`), each with a tier, and names that a tool may tell besides
(`optional`). A kind is matched with evidence; names are compared byte by byte, whatever
escapes they are spelled in.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from support.observing import observations
from support.paths import SHARED

from netwatch.capture.files import find_captures
from netwatch.core.statistics import RunStatistics
from netwatch.engine import pipeline

CAPTURES = SHARED / "captures"
EXPECTED = CAPTURES / "expected.jsonl"

KINDS: Mapping[str, tuple[str, ...]] = {
    "dns_qry": ("dns-query", "dns-answer"),
    "dns_a": ("dns-answer",),
    "sni_tcp": ("tls-sni",),
    "sni_quic": ("quic-sni",),
    "sni_gquic": ("quic-sni",),
    "sni_dtls": ("dtls-sni",),
    "sni_other": ("tls-sni",),
    "http_host": ("http-host",),
    "http_connect": ("http-host",),
}
"""The evidence that counts for each kind; a name asked may be seen in its answer alone."""

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\([0-9]{3})")


def spelled(name: str) -> str:
    """A name as its bytes are, one character each, without the trailing dot."""
    return _ESCAPE.sub(
        lambda found: chr(int(found[1], 16) if found[1] else int(found[2])),
        name.rstrip(".").lower(),
    )


def _key(kind: str, name: str | list[str]) -> str:
    """A required name as it is compared: of an address with its name both, of the target
    of CONNECT the host."""
    if isinstance(name, list):
        return f"{spelled(name[0])} {ip_address(name[1])}"
    return spelled(name.rpartition(":")[0] if kind == "http_connect" else name)


@dataclass
class Capture:
    """One capture: what was expected of it, and what is reported."""

    name: str
    entry: dict
    reported: dict[str, set[str]] = field(default_factory=dict)
    addresses: set[str] = field(default_factory=set)
    ech: bool = False
    statistics: RunStatistics = field(default_factory=RunStatistics)

    def read(self) -> None:
        """Read the capture as ``netwatch names`` does."""
        files = find_captures([str(CAPTURES / self.name)])
        for each in observations(pipeline.names(files, self.statistics)):
            self.reported.setdefault(each.evidence, set()).add(spelled(each.name))
            self.ech = self.ech or bool(each.tls and each.tls.ech)
            if each.evidence == "dns-answer" and each.dns:
                owner = spelled((each.dns.chain or (each.name,))[-1])
                self.addresses |= {f"{owner} {address}" for address, _ in each.dns.answers}

    def asked(self, which: str, kind: str) -> Iterator[tuple[str, str]]:
        """(tier, name) of what is `required` or `optional` of a kind."""
        tiers = self.entry["evidence"].get(kind, {})
        for name in self.entry[which].get(kind, []):
            tier = "all" if isinstance(name, list) else tiers.get(name, {}).get("tier", "core")
            yield tier, _key(kind, name)

    def found(self, kind: str) -> set[str]:
        """What is reported that counts for a kind."""
        if kind == "dns_a":
            return self.addresses
        return set().union(*(self.reported.get(evidence, ()) for evidence in KINDS[kind]))

    def known(self) -> set[str]:
        """Every name that anyone saw in this capture, in any way."""
        names: set[str] = set()
        for kinds in (self.entry["required"], self.entry["optional"]):
            for kind, values in kinds.items():
                for value in values:
                    texts = value if isinstance(value, list) else [value]
                    names |= {spelled(text) for text in texts}
                    names |= {_key(kind, value)} if kind == "http_connect" else set()
        return names


@dataclass(frozen=True)
class Score:
    """Required names of a kind and tier, and those that are reported."""

    kind: str
    tier: str
    asked: int
    found: int


def read_all() -> list[Capture]:
    """Every capture of the list, read."""
    captures = []
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        captures.append(Capture(entry["file"], entry))
        captures[-1].read()
    return captures


def scores(captures: list[Capture]) -> list[Score]:
    """Recall by kind and tier."""
    asked: Counter[tuple[str, str]] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    for capture in captures:
        for kind in KINDS:
            there = capture.found(kind)
            for tier, name in capture.asked("required", kind):
                asked[kind, tier] += 1
                found[kind, tier] += name in there
    return [Score(*key, asked[key], found[key]) for key in sorted(asked)]


def missed(captures: list[Capture], which: str) -> Counter[tuple[str, str]]:
    """How many names of each capture and kind are not reported: `which` is ``required`` or
    ``optional``."""
    return Counter(
        (capture.name, kind)
        for capture in captures
        for kind in KINDS
        for _, name in set(capture.asked(which, kind))
        if name not in capture.found(kind) and "\ufffd" not in name
    )


def alone(captures: list[Capture]) -> Counter[tuple[str, str]]:
    """How many names of each capture and evidence nobody else saw in it."""
    return Counter(
        (capture.name, evidence)
        for capture in captures
        for evidence, names in capture.reported.items()
        for _ in names - capture.known()
    )


def reported(captures: list[Capture]) -> Counter[str]:
    """How many different names of each capture are reported, by evidence."""
    return Counter(
        evidence
        for capture in captures
        for evidence, names in capture.reported.items()
        for _ in names
    )
