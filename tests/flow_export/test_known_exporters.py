"""The exporters that a configuration names."""

from pathlib import Path

import pytest

from netwatch.config import load
from netwatch.core.errors import ConfigError
from netwatch.flow_export.known_exporters import ARRIVAL, Exporters, clock_words

HEAD = "version: 1\nbans: []\nnetworks: []\n"
SECOND = 1_000_000_000


def exporters(folder: Path, *entries: str) -> Exporters | None:
    path = folder / "netwatch.yaml"
    path.write_text(HEAD + "exporters:\n" + "".join(f"  - {each}\n" for each in entries))
    return load(str(path)).exporters


def test_none_are_known_unless_some_are_named(tmp_path: Path) -> None:
    (tmp_path / "netwatch.yaml").write_text(HEAD)
    assert load(str(tmp_path / "netwatch.yaml")).exporters is None
    (tmp_path / "netwatch.yaml").write_text(HEAD + "exporters: []\n")
    nobody = load(str(tmp_path / "netwatch.yaml")).exporters
    assert nobody is not None
    assert nobody.of("192.0.2.1") is None


def test_the_most_specific_range_says_who_it_is(tmp_path: Path) -> None:
    found = exporters(
        tmp_path,
        "{address: 192.0.2.0/24, name: branch, sampling: 100}",
        "{address: 192.0.2.7, name: core, clock: arrival}",
        '{address: "2001:db8::/32"}',
    )
    assert found is not None
    core, branch, other = (
        found.of(each) for each in ("192.0.2.7", "192.0.2.8", "2001:db8::7%eth0")
    )
    assert core is not None
    assert (core.name, core.sampling, core.clock) == ("core", None, ARRIVAL)
    assert branch is not None
    assert (branch.name, branch.sampling, branch.clock) == ("branch", 100, None)
    assert other is not None
    assert other.name == ""
    assert found.of("::ffff:192.0.2.7") is core
    assert found.of("198.51.100.1") is None


@pytest.mark.parametrize(
    ("written", "offset"), [("2h", 7200), ("+90s", 90), ("-1d", -86_400), ("-30m", -1800)]
)
def test_how_far_a_clock_is_ahead(tmp_path: Path, written: str, offset: int) -> None:
    found = exporters(tmp_path, f"{{address: 192.0.2.7, clock: {written}}}")
    assert found is not None
    known = found.of("192.0.2.7")
    assert known is not None
    assert known.clock == offset * SECOND


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: core}", ":5: an exporter needs 'address': expected an address or a range like"),
        ("{address: router-1}", ":5: 'address': expected an address or a range like 10.0.0.1"),
        ("{address: 192.0.2.7/24}", "behind its prefix; did you mean '192.0.2.0/24'?"),
        ("{address: 192.0.2.7, clock: arival}", "found 'arival'; did you mean 'arrival'?"),
        ("{address: 192.0.2.7, clock: 2w}", ":5: 'clock': expected 'arrival', or how far"),
        ("{address: 192.0.2.7, sampling: 0}", ":5: 'sampling': expected an integer from 1 to"),
        ("{address: 192.0.2.7, sampling: 1:100}", ":5: 'sampling': expected an integer"),
        (
            "{address: 192.0.2.7, adress: 192.0.2.8}",
            ":5: unknown key 'adress' in an exporter: expected one of address, clock, name,"
            " sampling; did you mean 'address'?",
        ),
        ("192.0.2.7", ":5: expected an exporter as a mapping (key: value), found '192.0.2.7'"),
    ],
)
def test_mistakes(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        exporters(tmp_path, entry)
    assert message in str(error.value)


def test_an_address_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":6: duplicate 'address' \(first on line 5\)"):
        exporters(tmp_path, "{address: 192.0.2.7}", "{address: 192.0.2.7/32}")


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (61 * SECOND, "61 seconds ahead"),
        (-7200 * SECOND, "2 hours behind"),
        (-3 * 86_400 * SECOND, "3 days behind"),
    ],
)
def test_how_wrong_a_clock_is_in_words(ahead: int, words: str) -> None:
    assert clock_words(ahead) == words
