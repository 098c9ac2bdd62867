"""Print how netwatch compares on captures of the wild: ``python tests/conformance/report.py``.

With ``--write`` the page goes to ``bench/conformance.md``. The captures are no part of the
project; they are looked for in ``shared/captures`` beside it.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable

from support import conformance_scoring as scoring
from support.conformance_differences import ALONE, LEFT, MISSED, Differences
from support.paths import ROOT

PAGE = ROOT / "bench" / "conformance.md"

WORDS = {
    "dns_qry": "DNS name asked",
    "dns_a": "DNS name with its address",
    "sni_tcp": "TLS server name",
    "sni_quic": "QUIC server name",
    "sni_gquic": "Google QUIC server name",
    "sni_dtls": "DTLS server name",
    "sni_other": "TLS server name",
    "http_host": "HTTP host",
    "http_connect": "HTTP target of CONNECT",
}
TIERS = {
    "all": "",
    "core": "plain",
    "encap": "in tunnels",
    "hard": "hard to reach",
}


SITUATIONS = re.compile(r"<!-- situations -->.*?<!-- /situations -->", re.DOTALL)
"""The part of the page that ``bench/situations.py`` writes, which stays as it is."""


def page(captures: list[scoring.Capture]) -> str:
    """The whole page."""
    situations = SITUATIONS.search(PAGE.read_text(encoding="utf-8"))
    assert situations is not None, f"{PAGE} has no part for the situations"
    packets = sum(capture.statistics.packets for capture in captures)
    reported = scoring.reported(captures)
    only = Counter[str]()
    for (_, evidence), number in scoring.alone(captures).items():
        only[evidence] += number
    agree = sum(capture.ech == capture.entry["ech"] for capture in captures)
    lines = [
        "# Conformance",
        "",
        "How netwatch compares with tshark 4.4, Suricata 7.0, nDPI 4.2 and a search for raw bytes",
        f"on {len(captures)} captures with {packets:,} packets from the test data of nDPI,"
        " suricata-verify, Zeek, JA4 and",
        "Arkime. The captures are not part of the project. This page is written by",
        "`make report-conformance`; the tests compare netwatch with it where the captures are",
        "available.",
        "",
        "## Recall",
        "",
        "Names that tshark read in clear and well-formed packets, or that two of the others saw:",
        "each must be reported, with the evidence of its kind.",
        "",
        "| kind | where | expected | reported | |",
        "| --- | --- | ---: | ---: | ---: |",
        *(
            f"| {WORDS[each.kind]} | {TIERS[each.tier]} | {each.asked} | {each.found} "
            f"| {100 * each.found / each.asked:.1f} % |"
            for each in scoring.scores(captures)
        ),
        "",
        "netwatch and tshark agree on the presence of the ECH extension in"
        f" {agree} of {len(captures)} captures.",
        "",
        "Not reported:",
        "",
        *table(MISSED, WORDS),
        "",
        "## Precision",
        "",
        "Distinct names that netwatch reports for each capture, by evidence, and how many of them",
        "no other tool reports for that capture in any way.",
        "",
        "| evidence | reported | by netwatch only |",
        "| --- | ---: | ---: |",
        *(f"| `{each}` | {reported[each]} | {only[each]} |" for each in sorted(reported)),
        "",
        "Reported by netwatch only:",
        "",
        *table(ALONE, {}),
        "",
        "## What only one tool reports",
        "",
        "Names that only one tool sees, and those that were decrypted, quoted in ICMP or",
        "malformed, need not be reported. Most are; these are not, after a look at the packets:",
        "",
        *table(LEFT, WORDS),
        "",
        "## Situations with known answers",
        "",
        situations[0],
        "",
    ]
    return "\n".join(lines)


def table(differences: Differences, words: dict[str, str]) -> Iterable[str]:
    """Rows of names, kinds with their captures, and reason; those of one reason together."""
    yield "| names | kind and capture | why |"
    yield "| ---: | --- | --- |"
    reasons = dict.fromkeys(reason for _, reason in differences.values())
    for reason in reasons:
        places: dict[str, list[str]] = {}
        number = 0
        for (capture, kind), (count, other) in differences.items():
            if other == reason:
                places.setdefault(words.get(kind, f"`{kind}`"), []).append(f"`{capture}`")
                number += count
        where = "; ".join(f"{kind} in {', '.join(names)}" for kind, names in places.items())
        yield f"| {number} | {where} | {reason} |"


def main() -> None:
    if not scoring.EXPECTED.exists():
        sys.exit(f"no captures in {scoring.CAPTURES}")
    text = page(scoring.read_all())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
