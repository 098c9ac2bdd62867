"""Rules of Suricata, indicators of Zeek, protocols of nDPI: names, what is no name, bad lines."""

import subprocess
from pathlib import Path

import pytest
from support.exported import example
from support.programs import needs
from support.sensor_lists import NDPI, SURICATA, ZEEK

from netwatch.core.names import NameList
from netwatch.exports.export_format import EXPORTS
from netwatch.lists.findings import MAX_LINE
from netwatch.lists.reader import read_list


def read(text: str, format: str | None = None) -> NameList:
    return read_list("list", format, text.encode())


def names(listing: NameList) -> list[str]:
    return [f"{listed.kind} {listed.name}" for listed in listing.names]


def test_suricata() -> None:
    listing = read(SURICATA)
    assert listing.format == "suricata"
    assert names(listing) == [
        "suffix acme.example",
        "suffix video.example",
        "host www.host.example",
        "host size.example",
        "suffix old.example",
        "suffix quic.example",
        "suffix loose.example",
        "suffix zone.example",
        r"pattern /^p16-[a-z]+\.cdn\.example$/i",
        "pattern two*.example",
        "suffix lines.example",
    ]
    assert [f"{each.kind} {each.name}" for each in listing.exceptions] == [
        "suffix ok.zone.example",
        "suffix passed.example",
    ]
    assert listing.names[1].attributes == (r"Acme hello\; at the end", "sid:1000002")
    assert listing.names[-1].line == 17
    assert listing.skipped == {
        "a content without endswith, read as a domain": 1,
        "a rule with a condition besides the name": 1,
        "a rule without a buffer of names": 2,
        "a disabled rule": 1,
    }
    assert listing.bad_lines == 0


@pytest.mark.parametrize(
    "line",
    [
        "alert dns any any -> any any",
        'alert dns any any -> any any (dns.query; content:"acme.example"; sid:1',
        'alert dns any any (dns.query; content:"acme.example"; endswith; sid:1;)',
        'alert dns any any -> any any (dns.query content:"acme.example"; endswith; sid:1; =;)',
        "alert dns any any -> any any (dns.query; \\",
        "alert dns any any -> any any (msg:x; \\\n" + f"{'y' * 100}; \\\n" * (MAX_LINE // 100),
    ],
)
def test_a_broken_rule_is_named(line: str) -> None:
    listing = read(f"{line}\n", "suricata")
    assert not listing.names
    assert listing.bad_lines >= 1
    assert listing.problems[0].line == 1


def test_a_rule_that_repeats_its_arrow_takes_no_time() -> None:
    listing = read("alert " + "a -> " * 13_000 + "\n", "suricata")
    assert listing.bad_lines == 1


@needs("suricata")
def test_suricata_accepts_the_rules(tmp_path: Path) -> None:
    # The old form is refused by newer versions; the path of the log must exist.
    rules = [line for line in SURICATA.splitlines(keepends=True) if "http_host" not in line]
    (tmp_path / "own.rules").write_text("".join(rules), encoding="utf-8")
    text = "%YAML 1.1\n---\nvars: {address-groups: {HOME_NET: any, EXTERNAL_NET: any}}\n"
    (tmp_path / "suricata.yaml").write_text(text, encoding="utf-8")
    words = ["suricata", "-T", "-c", "suricata.yaml", "-S", "own.rules", "-l", "."]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_exported_rules_are_read_back(tmp_path: Path) -> None:
    """The reader has the names of what netwatch itself exports for both sensors."""
    _, export = example(tmp_path, ("exclusive",))
    rules = {(rule.kind, rule.name) for rule in export.selection.rules if rule.kind != "glob"}
    suricata = read(EXPORTS["suricata"].text(export))
    assert suricata.format == "suricata"
    assert {(each.kind, each.name) for each in suricata.names if each.kind != "pattern"} == rules
    zeek = read(EXPORTS["zeek-intel"].text(export))
    assert zeek.format == "zeek-intel"
    assert {each.name for each in zeek.names} == set(export.selection.names)
    assert (suricata.bad_lines, zeek.bad_lines) == (0, 0)


def test_zeek_intel() -> None:
    listing = read(ZEEK)
    assert listing.format == "zeek-intel"
    assert names(listing) == ["host acme.example", "host www.acme.example"]
    assert listing.names[0].attributes == ("ours", "Acme, the video app")
    assert listing.skipped == {
        "an indicator of the type ADDR": 1,
        "an indicator of the type URL": 1,
        "an indicator of a type that a package of Zeek adds": 1,
    }
    assert [problem.line for problem in listing.problems] == [8]


def test_indicators_need_the_line_of_their_fields() -> None:
    listing = read("acme.example\tIntel::DOMAIN\tours\n")
    assert listing.format == "zeek-intel"
    assert (len(listing.names), listing.bad_lines) == (0, 1)
    assert "expected a line #fields" in str(listing.problems[0])


def test_ndpi() -> None:
    listing = read(NDPI)
    assert listing.format == "ndpi"
    assert names(listing) == [
        "suffix acme.example",
        "suffix cdn.acme.example",
        "pattern acme",
        "suffix chat.example",
    ]
    assert listing.names[3].attributes == ("AcmeChat",)
    assert listing.skipped == {
        "a rule of ports": 2,
        "a rule of addresses": 2,
        "a packet filter": 1,
        "a setting of risks": 2,
    }
    assert [problem.line for problem in listing.problems] == [10, 11]
