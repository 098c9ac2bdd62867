import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from netwatch.cli import CommandParser, signatures
from netwatch.core.errors import ConfigError, Problem
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import load_signatures

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, shipped_catalog: Catalog) -> SimpleNamespace:
    """What the configuration gives: the shipped catalogue, unless a test says otherwise."""
    fake = SimpleNamespace(
        load_catalog=lambda path: shipped_catalog, load_updates=lambda path: None
    )
    monkeypatch.setitem(sys.modules, "netwatch.config", fake)  # type: ignore[arg-type]
    return fake


@pytest.fixture
def run(config: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> Run:
    common = CommandParser(add_help=False)
    common.add_argument("-c", dest="config")
    parser = CommandParser(prog="netwatch")
    signatures.add(parser.add_subparsers(), [common])

    def _run(*words: str) -> tuple[int, str, str]:
        args = parser.parse_args(["signatures", *words])
        code = args.func(args)
        return (code, *capsys.readouterr())

    return _run


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def lines_of(out: str, start: str) -> list[list[str]]:
    """The cells of the lines that begin like this."""
    return [re.split("  +", line) for line in out.splitlines() if line.startswith(start)]


def test_list_shows_each_app_in_a_line(run: Run, shipped_catalog: Catalog) -> None:
    code, out, err = run("list")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["APP", "NAME", "VENDOR", "CATEGORY", "RULES"]
    assert len(lines) == len(shipped_catalog.signatures) + 1
    zoom = next(line for line in lines if line.startswith("zoom "))
    assert zoom.split() == ["zoom", "Zoom", "zoom", "meetings", "25"]
    assert len({len(line) for line in lines}) == 1


def test_list_as_jsonl(run: Run) -> None:
    found = records(run("list", "--format", "jsonl")[1])
    app = {"id": "zoom", "name": "Zoom", "vendor": "zoom", "category": "meetings"}
    assert {"app": app, "rules": 25} in found


def test_show_prints_rules_and_bans(run: Run) -> None:
    code, out, _ = run("show", "zoom")
    assert code == 0
    assert out.startswith("zoom: Zoom (zoom, meetings)\n")
    assert lines_of(out, "suffix zoom.us ") == [["suffix zoom.us", "exclusive", "probable"]]
    because = "because of embed_reachable; sources: v2fly, nextdns, ndpi, acl4ssr, ddg-radar"
    assert f"  {because}\n" in out
    assert "AS30103  Zoom Video Communications, Inc\n" in out
    assert out.endswith("bans: tw-gov-zoom-2020\n")


def test_show_as_jsonl(run: Run) -> None:
    (found,) = records(run("show", "--format", "jsonl", "deepseek")[1])
    assert found["app"]["id"] == "deepseek"
    rule = {
        "rule": "host chat.deepseek.com",
        "role": "exclusive",
        "grade": "confirmed",
        "grade_reasons": ["the domain is this app's own (role exclusive): confirmed"],
        "sources": ["v2fly", "adguard", "public-code"],
    }
    assert rule in found["domains"]
    assert "us-ny-deepseek-2025" in found["bans"]


@pytest.mark.parametrize(
    ("app", "expected"),
    [("tiktock", "did you mean 'tiktok'"), ("vendor:bytedance", "expected an app id")],
)
def test_show_of_an_unknown_app_is_a_usage_error(run: Run, app: str, expected: str) -> None:
    code, out, err = run("show", app)
    assert (code, out) == (2, "")
    assert expected in err


def test_match_prints_app_file_and_reason(run: Run) -> None:
    code, out, _ = run("match", "Im-API.TikTokV.com.")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "im-api.tiktokv.com: tiktok (TikTok), exclusive, by glob im*.tiktokv.com"
    assert "tiktok.yaml:" in lines[1]
    assert "v2fly" in lines[2]
    grade = "  grade    confirmed: the domain is this app's own (role exclusive): confirmed"
    assert lines[3] == grade
    assert "more specific than suffix tiktokv.com (tiktok, exclusive)" in lines[4]


def test_match_of_a_name_that_no_rule_matches(run: Run) -> None:
    code, out, _ = run("match", "tiktok.com", "nottiktok.com")
    assert code == 1
    assert "nottiktok.com: no rule matches\n" in out
    assert "only the end of the label 'nottiktok'" in out


def test_match_as_jsonl(run: Run) -> None:
    code, out, _ = run("match", "--format", "jsonl", "byteoversea.com", "x.example")
    taken, missed = records(out)
    assert code == 1
    assert (taken["app"]["id"], taken["rule"]) == ("bytedance-infra", "suffix byteoversea.com")
    assert (taken["role"], taken["grade"]) == ("vendor", "possible")
    assert taken["grade_reasons"] == [
        "several apps of the vendor use the domain (role vendor): probable",
        "pages or other apps call the domain too (embed_reachable): at most possible",
    ]
    assert taken["line"] > 0
    assert missed == {"name": "x.example", "why": "no rule has a similar name"}


def test_grades_are_shown_with_their_reasons(
    run: Run, config: SimpleNamespace, write: Callable[..., Path]
) -> None:
    path = write(
        "clips",
        "suffix: clips.example, role: exclusive, verified: false, embed_reachable: true",
        "suffix: b.example, role: vendor, confidence: possible",
        rest="aliases: [edgesuite.net, c.footprint.net]\n",
    )
    catalog = load_signatures([path], Path("/"))
    config.load_catalog = lambda path: catalog
    _, out, _ = run("show", "clips")
    lines = out.splitlines()
    reasons = [
        (line.split()[-1], lines[number + 1])
        for number, line in enumerate(lines)
        if line.startswith("suffix")
    ]
    assert [grade for grade, _ in reasons] == ["probable", "possible"]
    assert "because of embed_reachable, verified: false; sources: " in reasons[0][1]
    assert "because of confidence: possible; sources: " in reasons[1][1]
    assert "CDN tails of its zones: edgesuite.net, c.footprint.net\n" in out
    (shown,) = records(run("show", "--format", "jsonl", "clips")[1])
    assert shown["aliases"] == ["edgesuite.net", "c.footprint.net"]
    (found,) = records(run("match", "--format", "jsonl", "a.clips.example.edgesuite.net")[1])
    assert found["rule"] == "suffix clips.example"
    assert found["grade"] == "probable"
    assert found["grade_reasons"] == [
        "the domain is this app's own (role exclusive): confirmed",
        "pages or other apps call the domain too (embed_reachable): at most probable",
        "the owner of the domain is not confirmed (verified: false): at most probable",
    ]
    assert found["why"] == (
        "the name is below clips.example.edgesuite.net:"
        " zone clips.example under the CDN tail edgesuite.net"
    )


def test_the_configuration_decides_the_catalogue(
    run: Run, config: SimpleNamespace, write: Callable[..., Path]
) -> None:
    catalog = load_signatures([write("clips", "suffix: clips.example, role: exclusive")], Path("/"))
    asked: list[str | None] = []

    def load_catalog(path: str | None) -> Catalog:
        asked.append(path)
        return catalog

    config.load_catalog = load_catalog
    assert run("match", "-c", "n.yaml", "a.clips.example")[0] == 0
    assert run("match", "tiktok.com")[0] == 1
    assert asked == ["n.yaml", None]


@pytest.mark.parametrize("command", ["lint", "test"])
def test_the_shipped_files_pass(run: Run, shipped_catalog: Catalog, command: str) -> None:
    code, out, err = run(command)
    assert (code, out) == (0, "")
    assert f"{len(shipped_catalog.signatures)} apps" in err
    assert "no problems" in err
    assert run(command, "builtin") == (code, out, err)


def test_lint_reports_all_mistakes_with_file_and_line(run: Run, write: Callable[..., Path]) -> None:
    path = write(
        "clips",
        "suffix: akamaized.net, role: cdn",
        "suffix: Clips.com, role: exclusive",
        rest="tests: {match: [clips.example]}\n",
    )
    code, out, err = run("lint", str(path))
    assert code == 2
    assert [line.partition(": ")[0] for line in out.splitlines()] == [
        f"{path}:6",
        f"{path}:7",
        f"{path}:8",
    ]
    assert err == "netwatch: 1 app, 1 rule, 3 problems\n"


def test_test_checks_only_the_examples(run: Run, write: Callable[..., Path]) -> None:
    path = write(
        "clips", "suffix: akamaized.net, role: cdn", rest="tests: {ignore: [a.akamaized.net]}\n"
    )
    code, out, err = run("test", str(path.parent))
    assert code == 2
    assert "must not match" in out
    assert err == "netwatch: 1 app, 1 example name, 1 problem\n"


def test_own_files_are_checked_together_with_the_shipped_ones(
    run: Run, write: Callable[..., Path]
) -> None:
    path = write("clips", "suffix: tiktok.com, role: exclusive", vendor="maker")
    assert run("lint", str(path))[0] == 0
    code, out, _ = run("lint", "builtin", str(path))
    assert code == 2
    assert f"{path}:6: suffix tiktok.com also matches" in out


def test_lint_reports_mistakes_in_the_configuration(run: Run, config: SimpleNamespace) -> None:
    def load_catalog(path: str | None) -> Catalog:
        raise ConfigError([Problem("n.yaml", 3, 0, "is wrong")])

    config.load_catalog = load_catalog
    code, out, _ = run("lint")
    assert (code, out) == (2, "n.yaml:3: is wrong\n")


@pytest.mark.parametrize("words", [["--help"], ["match", "--help"], ["lint", "--help"]])
def test_help_teaches_by_examples(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 0
    assert "examples:\n  netwatch signatures" in capsys.readouterr().out


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(content: bytes) -> None:
        stream = SimpleNamespace(buffer=io.BytesIO(content))
        monkeypatch.setattr(sys, "stdin", stream)

    return give


def test_match_reads_names_from_standard_input(
    run: Run, standard_input: Callable[[bytes], None]
) -> None:
    lines = [f"n{number}.tiktok.com\n".encode() for number in range(5_000)]
    standard_input(
        b"# names\n\n  WWW.TikTok.com. \r\n\xff.example\n" + b"".join(lines) + b"zoom.us"
    )
    code, out, err = run("match", "--format", "jsonl", "bytedance.com", "-", "nottiktok.com")
    found = records(out)
    assert (code, err) == (1, "")
    assert [record["name"] for record in found[:4]] == [
        "bytedance.com",
        "www.tiktok.com",
        "\\255.example",
        "n0.tiktok.com",
    ]
    assert [record["name"] for record in found[-3:]] == [
        "n4999.tiktok.com",
        "zoom.us",
        "nottiktok.com",
    ]
    assert {record.get("rule") for record in found[3:-2]} == {"suffix tiktok.com"}
    standard_input(b"")
    assert run("match", "-") == (0, "", "")


def test_match_names_lines_of_standard_input_that_are_too_long(
    run: Run, standard_input: Callable[[bytes], None]
) -> None:
    longest = b"a." * 2_046 + b"zoom"
    assert len(longest) == signatures.MAX_LINE
    lines = [b"zoom.us", b"a" * 100_000, longest, b"a" * 4_097, b"b" * 4_097, b"zoom.us"]
    standard_input(b"\n".join(lines))
    code, out, err = run("match", "--format", "jsonl", "-")
    assert [len(record["name"]) for record in records(out)] == [7, 4_096, 7]
    assert code == 2
    assert err.splitlines() == [
        f"netwatch: standard input:{line}: expected a name of at most 4,096 bytes,"
        " found a longer line"
        for line in (2, 4, 5)
    ]
