import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netwatch.core.errors import Problem
from netwatch.core.user_yaml import Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.rules import signature as signature_module
from netwatch.rules.grade import Marks, marks
from netwatch.rules.rule_names import name_fault
from netwatch.rules.signature import (
    MAX_ALIASES,
    MAX_SOURCES,
    Alias,
    Asn,
    Signature,
    read_signature,
)

GOOD = """\
app: clips
name: Clips & Co
vendor: maker
category: video
domains:
  - {suffix: clips.example, role: exclusive, sources: [one, two]}
  - {host: p16-clips.cdn.example, role: cdn, sources: [one]}
  - {glob: "p16-*.clips.example", role: vendor, sources: [seen]}
asns: [{number: 64496, name: MAKER}]
tests: {match: [WWW.clips.example.], ignore: [notclips.example]}
"""


def read(text: str, file: str = "apps/clips.yaml") -> tuple[Signature | None, list[Problem]]:
    problems = Problems()
    mapping = parse_yaml(text, file, problems, rows_of="domains")
    signature = read_signature(mapping, file, problems) if mapping is not None else None
    return signature, sorted(problems.found)


def test_a_signature_becomes_values() -> None:
    signature, problems = read(GOOD)
    assert not problems
    assert signature
    assert signature.app.name == "Clips & Co"
    assert [(rule.kind, rule.name, rule.role, rule.line) for rule in signature.rules] == [
        ("suffix", "clips.example", "exclusive", 6),
        ("host", "p16-clips.cdn.example", "cdn", 7),
        ("glob", "p16-*.clips.example", "vendor", 8),
    ]
    assert signature.rules[0].sources == ("one", "two")
    assert signature.rules[0].match.rule == "suffix clips.example"
    assert signature.asns == (Asn(64496, "MAKER"),)
    assert [(each.name, each.wanted, each.line) for each in signature.examples] == [
        ("www.clips.example", True, 10),
        ("notclips.example", False, 10),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("name: Clips & Co", "nmae: Clips", 1, "needs 'name'"),
        ("vendor: maker", "vendor: Maker Inc", 3, "expected a-z, 0-9"),
        ("category: video", "category: Video", 4, "expected a-z, 0-9"),
        ("app: clips", "app: clips\nup: 1", 2, "unknown key 'up'"),
        ("app: clips", "app: clips\napp: clips", 2, "duplicate key 'app'"),
        ("app: clips", "app: Clips", 1, "expected a-z, 0-9"),
        ("app: clips", "app: other", 1, "expected the file name other.yaml"),
        ("role: exclusive", "role: mine", 6, "expected one of exclusive, vendor, embed, cdn"),
        ("role: exclusive, ", "", 6, "needs 'role'"),
        ("sources: [one, two]", "sources: []", 6, "needs 'sources'"),
        (", sources: [one, two]", "", 6, "needs 'sources'"),
        ("sources: [one, two]", "sources: one", 6, "expected a list, found 'one'"),
        ("{suffix: clips.example", "{suffixes: clips.example", 6, "one of suffix, host or glob"),
        (
            "{suffix: clips.example",
            "{suffix: clips.example, host: a.example",
            6,
            "found host and suffix",
        ),
        ("sources: [one, two]", "source: one, sources: [two]", 6, "unknown key 'source'"),
        ("role: exclusive,", "role: exclusive, confidence: confirmed,", 6, "probable, possible"),
        ("role: exclusive,", "role: exclusive, verified: perhaps,", 6, "expected true or false"),
        ("role: exclusive,", "role: exclusive, embed_reachable: 1,", 6, "expected true or false"),
        ("asns: [", "aliases: [net]\nasns: [", 9, "CDN tail 'net' is a single label"),
        ("asns: [", "aliases: [A.net]\nasns: [", 9, "CDN tail 'A.net' has capitals"),
        ("asns: [", "aliases: [a.net, b.net, a.net]\nasns: [", 9, "duplicate CDN tail a.net"),
        ("asns: [", "aliases: edgesuite.net\nasns: [", 9, "expected a list"),
        ("number: 64496", "number: AS64496", 9, "expected 1 to 4294967295"),
        ("number: 64496, ", "", 9, "needs 'number'"),
        ("number: 64496", "number: 0", 9, "expected 1 to 4294967295"),
        (", name: MAKER", "", 9, "needs 'name'"),
        ("match: [", "matches: [", 10, "unknown key 'matches'"),
        ("tests: {", "tests: [", 10, "not valid YAML"),
    ],
)
def test_a_mistake_is_reported_with_its_line(old: str, new: str, line: int, expected: str) -> None:
    assert old in GOOD
    _, problems = read(GOOD.replace(old, new, 1))
    assert any(each.line == line and expected in each.message for each in problems), problems


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", marks()),
        ("confidence: possible, ", marks("possible")),
        ("verified: false, ", marks(verified=False)),
        ("embed_reachable: true, ", marks(embed_reachable=True)),
        (
            "confidence: probable, verified: false, embed_reachable: true, ",
            marks("probable", verified=False, embed_reachable=True),
        ),
        ("embed_reachable: false, verified: true, ", marks()),
    ],
)
def test_a_rule_has_marks(written: str, expected: Marks) -> None:
    signature, problems = read(GOOD.replace("sources: [one, two]", f"{written}sources: [one]"))
    assert (signature and signature.rules[0].marks, problems) == (expected, [])


def test_rules_with_the_same_marks_share_them() -> None:
    rows = "".join(
        f"  - {{suffix: d{n}.example, role: exclusive, verified: false, sources: [a]}}\n"
        for n in range(2)
    )
    signature, _ = read(HEAD + rows)
    assert signature
    assert signature.rules[0].marks is signature.rules[1].marks


def test_an_app_has_cdn_tails() -> None:
    signature, problems = read(GOOD + "aliases:\n  - edgesuite.net\n  - c.footprint.net\n")
    assert not problems
    assert signature
    assert signature.aliases == (
        Alias("edgesuite.net", "apps/clips.yaml", 12),
        Alias("c.footprint.net", "apps/clips.yaml", 13),
    )


def test_an_app_has_a_limited_number_of_cdn_tails() -> None:
    tails = ", ".join(f"t{number}.net" for number in range(MAX_ALIASES + 1))
    signature, problems = read(f"{GOOD}aliases: [{tails}]\n")
    assert signature
    assert len(signature.aliases) == MAX_ALIASES
    assert [each.message for each in problems] == [
        "'aliases': expected at most 64 CDN tails, found 65"
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("decide: yes, ", "'decide'"),
        ("decide: short, ", "expected a reason of 10 to 300 letters"),
        ("decide: '            ', ", "expected a reason of 10 to 300 letters"),
        (f"decide: {'x' * 301}, ", "expected a reason of 10 to 300 letters"),
    ],
)
def test_a_decision_has_a_reason(written: str, expected: str) -> None:
    signature, problems = read(GOOD.replace("sources: [one, two]", f"{written}sources: [one]"))
    assert [expected in each.message for each in problems] == [True]
    assert signature
    assert [each.line for each in problems] == [signature.rules[0].line]


def test_rules_sources_and_examples_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = ", ".join(f"t{number}" for number in range(MAX_SOURCES + 1))
    _, problems = read(GOOD.replace("[one, two]", f"[{tags}]"))
    assert [each.message for each in problems] == ["'sources': expected at most 64 tags, found 65"]
    monkeypatch.setattr(signature_module, "MAX_EXAMPLES", 1)
    signature, problems = read(
        HEAD + "  - {suffix: a.example, role: cdn, sources: [a]}\n"
        "tests: {match: [a.example], ignore: [b.example]}\n"
    )
    assert signature
    assert len(signature.examples) == 1
    assert [each.message for each in problems] == ["'tests': expected at most 1 names, found 2"]
    monkeypatch.setattr(signature_module, "MAX_RULES", 1)
    signature, problems = read(HEAD + 2 * "  - {suffix: a.example, role: cdn, sources: [a]}\n")
    assert signature is None
    assert [str(each) for each in problems] == [
        "apps/clips.yaml:5: 'domains': expected at most 1 names, found 2"
    ]


def test_all_mistakes_are_reported_at_once() -> None:
    _, problems = read(
        "app: clips\ndomains:\n  - {suffix: A.example, role: x}\n  - word\nextra: 1\n"
    )
    expected = "\n".join(str(each) for each in problems)
    for part in ("'name'", "'vendor'", "'category'", "capitals", "'role'", "'sources'", "'extra'"):
        assert part in expected
    assert "apps/clips.yaml:4: expected a domain as a mapping" in expected


def test_no_domain_is_a_mistake() -> None:
    head = GOOD.partition("domains:")[0]
    _, problems = read(head + "domains: []\n")
    assert ["expected at least one name" in each.message for each in problems] == [True]
    _, problems = read(head)
    assert ["needs 'domains'" in each.message for each in problems] == [True]


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("suffix", "Clips.example", "expected clips.example"),
        ("suffix", "clips.example.", "expected clips.example"),
        ("suffix", "bücher.example", "xn--bcher-kva.example"),
        ("suffix", "a\u200b.example", "A-label"),
        ("suffix", "*.clips.example", "expected a glob"),
        ("host", "p*.clips.example", "expected a glob"),
        ("glob", "clips.example", "expected a host"),
        ("glob", "*.*", "registrable domain"),
        ("glob", "clips.*", "registrable domain"),
        ("glob", "*.example", "registrable domain"),
        ("glob", "a.*ips.example", "registrable domain"),
        ("suffix", "https://clips.example", "is not a host name"),
        ("suffix", "clips.example:443", "is not a host name"),
        ("suffix", "a..example", "is not a host name"),
        ("suffix", ".clips.example", "is not a host name"),
        ("suffix", "-a.example", "is not a host name"),
        ("suffix", "a-.example", "is not a host name"),
        ("suffix", f"{'a' * 64}.example", "is not a host name"),
        ("suffix", ".".join(["abcdefg"] * 32), "at most 253"),
        ("suffix", "xn--0.example", "expected a valid A-label"),
        ("suffix", "example", "single label"),
        ("host", "192.0.2.7", "is an address"),
        ("suffix", "", "is not a host name"),
        ("suffix", "clips.example\n", "is not a host name"),
    ],
)
def test_a_name_that_cannot_match_is_rejected(kind: str, name: str, expected: str) -> None:
    assert expected in name_fault(name, kind)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("suffix", "clips.example"),
        ("host", "_srv.a-b--c.clips.example"),
        ("suffix", "xn--bcher-kva.example"),
        ("glob", "*.clips.example"),
        ("glob", "p*-x*.*.clips.example"),
        ("suffix", f"{'a' * 63}.example"),
        ("suffix", ("abcdefg." * 31) + "abcde"),
    ],
)
def test_a_valid_name_is_accepted(kind: str, name: str) -> None:
    assert name_fault(name, kind) == ""


HEAD = "app: clips\nname: Clips\nvendor: maker\ncategory: video\ndomains:\n"
NAMES = st.sampled_from(
    [
        *("a.example", "a_b.c-d.example", "_x.example", "x_.example", "-a.example", "a-.example"),
        *("a", "example", "1.5", "1.5e-3", "1.example", "10.0.0.1", "2023-01-02", "a.b1", "a.1b"),
        *("xn--nxasmq6b.example", "xn--.example", "a.xn--nxasmq6b", "a..example", ".example"),
        *("a" * 63 + ".example", "a" * 64 + ".example", "a.example-", "a.-example", "a.ex_ample"),
        *("a." * 123 + "example", "a." * 122 + "example", "a.b." * 61 + "example", "example."),
        *("A.example", "yes", "null", "on.example", ".inf", "a.*.example", "a-*.b.example"),
    ]
) | st.text(alphabet="ab-_.1x*", min_size=1, max_size=12)
MARKS = st.sampled_from(
    [
        *("", "", "confidence: probable, ", "confidence: possible, ", "confidence: confirmed, "),
        *("verified: false, ", "verified: true, ", "verified: maybe, ", "embed_reachable: true, "),
        *("embed_reachable: 1, ", "confidence: probable, verified: false, embed_reachable: true, "),
        *("embed_reachable: true, verified: false, ", "verified: false, confidence: possible, "),
    ]
)
SOURCES = st.sampled_from(["one", "one, two", "yes", "null", "1", "1e3", "", "a-b, 2x", "One"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["host", "suffix", "glob", "sufix"]),
            NAMES,
            st.sampled_from(["exclusive", "vendor", "embed", "cdn", "mine", "yes"]),
            MARKS,
            SOURCES,
        ),
        min_size=1,
        max_size=3,
    )
)
@example([("suffix", "1.5e-3", "exclusive", "", "one")])
def test_the_usual_form_means_the_same_as_any_other(
    domains: list[tuple[str, str, str, str, str]],
) -> None:
    rows = "".join(
        f"  - {{{kind}: {name}, role: {role}, {marks}sources: [{sources}]}}\n"
        for kind, name, role, marks, sources in domains
    )
    others = "".join(
        f"  - {{{marks}role: {role}, {kind}: {name}, sources: [{sources}] , }}\n"
        for kind, name, role, marks, sources in domains
    )
    usual, other = read(HEAD + rows), read(HEAD + others)
    assert usual[0] == other[0]
    assert [str(problem) for problem in usual[1]] == [str(problem) for problem in other[1]]


def test_a_long_signature_has_all_rules_and_all_mistakes_with_their_lines() -> None:
    count = 20_000
    rows = [
        f"  - {{suffix: d{n}.example, role: exclusive, sources: [a, b]}}\n" for n in range(count)
    ]
    rows[7] = "  # a comment\n\n  - {glob: 'a-*.x.example', role: cdn, sources: [a]}\n"
    rows[9_000] = "  - {suffix: D9000.example, role: exclusive, sources: [a, b]}\n"
    rows[9_001] = "  - suffix: d9001.example\n    role: exclusiv\n    sources: [a]\n"
    rows[19_999] = "  - {suffix: d19999.example, role: exclusive, sources: [a, b], more: 1}\n"
    signature, problems = read(HEAD + "".join(rows) + "tests: {match: [d1.example, 5]}\n")
    assert signature
    assert len(signature.rules) == count - 2
    assert [(rule.name, rule.line) for rule in signature.rules[6:9]] == [
        ("d6.example", 12),
        ("a-*.x.example", 15),
        ("d8.example", 16),
    ]
    assert signature.rules[-1].line == 5 + 20_000 + 4
    assert signature.rules[0].sources is signature.rules[-2].sources
    assert [(problem.line, problem.message[:30]) for problem in problems] == [
        (9_008, "suffix 'D9000.example' has cap"),
        (9_010, "'role': expected one of exclus"),
        (20_009, "unknown key 'more' in a domain"),
        (20_010, "'match': expected a list of te"),
    ]
