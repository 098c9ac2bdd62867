"""A catalogue from its compiled bytes is the one that was read."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import App
from netwatch.rules.catalog import Catalog
from netwatch.rules.compiled import UnpackError, pack, unpack
from netwatch.rules.explain import explain_name
from netwatch.rules.grade import marks
from netwatch.rules.lint import lint
from netwatch.rules.load import load_signatures
from netwatch.rules.signature import Alias, Asn, Example, Rule, Signature

_LABELS = st.sampled_from(["a", "ab", "video", "chat", "www", "xvideo", "p16-1"])
_ZONES = st.sampled_from(["com", "co.uk", "video.com", "chat.net", "akamaized.net"])
_NAMES = st.builds(
    lambda labels, zone: ".".join([*labels, zone]),
    st.lists(_LABELS, min_size=1, max_size=3),
    _ZONES,
)
_GLOBS = st.builds(
    lambda front, label, zone: f"{front}*.{label}.{zone}", st.sampled_from(["", "p", "a*b"]),
    _LABELS, _ZONES,
)  # fmt: skip
_RULE_NAMES = st.one_of(
    st.tuples(st.sampled_from(["host", "suffix"]), _NAMES), st.tuples(st.just("glob"), _GLOBS)
)
_MARKS = st.builds(
    marks, st.sampled_from([None, "probable", "possible"]), st.booleans(), st.booleans(),
    st.booleans(),
)  # fmt: skip
_FILES = st.sampled_from(["a.yaml", "dir/b.yaml", "\udcff\u202e.yaml"])
_DECISIONS = st.sampled_from(["", "its own", "ü, \n"])
_SOURCES = st.lists(st.sampled_from(["v2fly", "hagezi", "ü, \n"]), min_size=1, max_size=2)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    keys = draw(st.lists(_RULE_NAMES, unique=True, max_size=25))
    signatures = []
    for number, app_id in enumerate(["video", "chat", "third"]):
        app = App(app_id, draw(st.sampled_from(["Name", "\ud800 name"])), "acme", "video")
        rules = tuple(
            Rule(
                kind,  # type: ignore[arg-type]
                name,
                app,
                draw(st.sampled_from(["exclusive", "vendor", "embed", "cdn"])),
                tuple(draw(_SOURCES)),
                draw(_FILES),
                draw(st.integers(1, 100_000)),
                draw(_MARKS),
                draw(_DECISIONS),
            )
            for kind, name in keys[number::3]
        )
        tails = draw(st.lists(st.sampled_from(["edgesuite.net", "video.com"]), unique=True))
        names = draw(st.lists(_NAMES, max_size=3))
        signatures.append(
            Signature(
                app,
                rules,
                (Asn(64500 + number % 2, "AS"),),
                tuple(Example(name, draw(st.booleans()), draw(_FILES), 7) for name in names),
                draw(_FILES),
                3,
                (bytes([192, 0, 2, number]), bytes(15) + bytes([number])),
                tuple(Alias(tail, "a.yaml", 9) for tail in tails),
            )
        )
    return Catalog(signatures, "0123456789ab")


def packed_bytes(catalog: Catalog) -> bytes:
    """A packed catalogue as one."""
    return b"".join(pack(catalog))


@examples(200)
@given(catalogs(), st.lists(_NAMES, max_size=8), st.lists(st.text("abvideo.chtnm", max_size=30)))
def test_a_compiled_catalogue_gives_the_same_answers(
    catalog: Catalog, names: list[str], texts: list[str]
) -> None:
    compiled = unpack(packed_bytes(catalog))
    asked = [*names, *texts, *(f"x.{name}.edgesuite.net" for name in names)]
    asked += [rule.name.replace("*", "z") for rule in catalog.rules()]
    for name in asked:
        assert compiled.match(name) == catalog.match(name)
        assert [*compiled.hits(name)] == [*catalog.hits(name)]
        assert explain_name(compiled, name) == explain_name(catalog, name)
    assert [*compiled.rules()] == [*catalog.rules()]
    assert compiled.zones() == catalog.zones()
    assert {*compiled.encoded_zones()} == {*catalog.encoded_zones()}
    assert lint(compiled) == lint(catalog)
    assert dict(compiled.signatures) == dict(catalog.signatures)
    assert (compiled.version, compiled.complete) == (catalog.version, True)
    assert compiled.apps_by_address()[bytes([192, 0, 2, 1])] == catalog.signatures["chat"].app
    assert compiled.apps_by_address() == catalog.apps_by_address()
    words = [(1, "vendor:acme"), (2, "vidoe")]
    problems, expected = Problems(), Problems()
    assert compiled.resolve_apps(words, "f", problems) == catalog.resolve_apps(words, "f", expected)
    assert problems.found == expected.found
    assert packed_bytes(compiled) == packed_bytes(catalog)


def test_a_rule_is_made_when_it_is_found_and_once(shipped_catalog: Catalog) -> None:
    compiled = unpack(packed_bytes(shipped_catalog))
    first, again = (next(compiled.matching_rules("www.tiktok.com")) for _ in range(2))
    assert first is again
    assert first == next(shipped_catalog.matching_rules("www.tiktok.com"))


def test_the_shipped_catalogue_survives_another_process(shipped_catalog: Catalog) -> None:
    compiled = pickle.loads(pickle.dumps(unpack(packed_bytes(shipped_catalog))))
    assert dict(compiled.signatures) == dict(shipped_catalog.signatures)
    assert {*compiled.encoded_zones()} == {*shipped_catalog.encoded_zones()}
    assert lint(compiled) == lint(shipped_catalog)


def test_rules_of_an_app_are_a_sequence(shipped_catalog: Catalog) -> None:
    rules = unpack(packed_bytes(shipped_catalog)).signatures["zoom"].rules
    expected = tuple(shipped_catalog.signatures["zoom"].rules)
    assert (len(rules), rules[0], rules[-1]) == (len(expected), expected[0], expected[-1])
    assert rules == expected
    assert rules[1:] == expected[1:]
    assert rules != expected[1:]


def test_an_empty_catalogue_has_no_zone() -> None:
    compiled = unpack(packed_bytes(Catalog([], "0")))
    assert (compiled.encoded_zones(), compiled.zones(), [*compiled.rules()]) == (
        [],
        frozenset(),
        [],
    )


def test_bytes_that_are_no_catalogue_are_refused(write: Callable[..., Path]) -> None:
    catalog = load_signatures([write("video", "suffix: video.com, role: exclusive")], Path())
    packed = packed_bytes(catalog)
    for size in range(len(packed)):
        with pytest.raises(UnpackError):
            unpack(packed[:size])
    with pytest.raises(UnpackError):
        unpack(packed + b"\0")
    wrong_source = packed[:-12] + bytes([9]) + packed[-11:]
    with pytest.raises(UnpackError, match="a number of a table"):
        unpack(wrong_source)
