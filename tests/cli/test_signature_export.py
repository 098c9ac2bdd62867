"""``netwatch signatures export`` as a command."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.exported import CONFIGURATION, write_example
from support.paths import PCAPS

from netwatch.cli import main
from netwatch.exports.export_format import EXPORTS

DAY = ["--date", "2026-11-27"]
SAMPLES = ["-c", str(PCAPS / "netwatch.yaml")]
OFFICE = str(PCAPS / "office-day.pcap")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration of one ban, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    write_example(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    return main(["signatures", "export", *words])


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", [name for name in EXPORTS if name != "nftables"])
def test_the_only_ban_is_exported(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--as", form, *DAY) == 0
    printed = capsys.readouterr()
    assert "video.example" in printed.out
    assert "our-rule: 3 rules of 1 app for" in printed.err
    assert ("glob p16-*.cdn.example" in printed.err) == (EXPORTS[form].fits["glob"] != "exact")
    assert EXPORTS[form].lost in printed.err


def test_the_file_is_written_as_a_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--as", "rpz", "-o", "x.rpz", "-q", *DAY) == 0
    written = (folder / "x.rpz").read_text()
    assert capsys.readouterr() == ("", "")
    assert run("--as", "rpz", *DAY) == 0
    assert capsys.readouterr().out == written
    assert not list(folder.glob(".x.rpz*"))
    assert run("--as", "rpz", "-o", "no/x.rpz", *DAY) == 1
    assert "no/x.rpz: cannot be written" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_the_day_is_that_of_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert run("--as", "rpz") == 0
    printed = capsys.readouterr().out
    assert "for 2023-11-14T22:13:20Z" in printed
    assert " 1700000000 3600 " in printed
    assert run("--as", "rpz", *DAY) == 0
    assert "for 2026-11-27T00:00:00Z" in capsys.readouterr().out
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    assert run("--as", "rpz") == 2
    assert "SOURCE_DATE_EPOCH: expected seconds since 1970" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_apps_and_roles_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--as", "adguard", "--app", "vendor:acme", "--role", "exclusive,vendor") == 0
    printed = capsys.readouterr().out
    assert "||vendor.example^" in printed
    assert "! apps: shop, video; roles: exclusive, vendor" in printed
    assert "ban:" not in printed


def test_a_shipped_ban_needs_no_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ban = ["--ban", "tw-gov-tiktok-2022"]
    assert run("--as", "squid", *ban, "--app", "douyin") == 0
    printed = capsys.readouterr().out
    assert "acl netwatch_tw_gov_tiktok_2022 dstdomain .douyin.com\n" in printed
    assert "tiktok.com\n" not in printed
    assert run("--as", "squid", *ban, "--app", "wechat") == 2
    assert "the ban tw-gov-tiktok-2022 does not name wechat" in capsys.readouterr().err


def test_a_ban_not_in_force_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--as", "rpz", "--date", "2027-01-01") == 0
    assert "the ban was in force until 2026-12-31" in capsys.readouterr().err
    for day, expected in (
        ("2023-01-01", "is in force only from 2023-03-10"),
        ("2023-11-01", "is not in force, between two of its periods"),
        ("2026-12-31", ""),
    ):
        assert run("--as", "rpz", "--date", day) == 0
        printed = capsys.readouterr().err
        assert expected in printed
        assert ("note: the ban" in printed) == bool(expected)
    two = CONFIGURATION + "  - {pack: be-fed-deepseek-2025}\n"
    write_example(folder, two.replace("[signatures]", "[signatures, builtin]"))
    assert run("--as", "rpz") == 2
    assert "several bans or none: our-rule, be-fed-deepseek-2025" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rpz", "--ban", "our-rul"], "found 'our-rul'; did you mean 'our-rule'?"),
        (["rpz", "--app", "vidio"], "found unknown app 'vidio'; did you mean 'video'?"),
        (["rpz", "--asns"], "--addresses and --asns are for nftables; rpz has names"),
        (["nftables"], "addresses, which go stale and may be shared"),
        (["nftables", "--asns"], "--asns needs geoip.asn in the configuration"),
    ],
)
def test_mistakes(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--as", *words) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rpz", "--role", "exclusive,all"], "expected some of exclusive, vendor, embed, cdn"),
        (["rpz", "--date", "27.11.2026"], "expected a day as YYYY-MM-DD"),
        (["zone"], "expected one of rpz, "),
    ],
)
def test_usage(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--as", *words)
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err


def test_a_preview_takes_the_place_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.rules"
    words = ["--as", "suricata", *SAMPLES, *DAY, "--preview", OFFICE]
    assert run(*words, "--format", "jsonl", "-o", str(file), "-q") == 0
    summary, *names = records(capsys.readouterr().out)
    assert file.read_text().startswith("# netwatch: names for Suricata")
    assert summary["record"] == "summary"
    assert summary["devices"]["app"] == summary["devices"]["stopped"] > 4
    found = {each["name"]: each for each in names}
    assert found["www.tiktok.com"]["result"] == "stopped"
    # A news page loads it; the look-alikes of the sample are not in the report at all.
    assert found["analytics.tiktok.com"]["result"] == "innocent"
    assert found["analytics.tiktok.com"]["role"] == "embed"
    assert not any("example" in name or "nottiktok" in name for name in found)
    assert run(*words) == 0
    table = capsys.readouterr().out
    assert "analytics.tiktok.com" in table
    assert "stopped, though not a name of the apps in these roles" in table
    assert "alert" not in table


def test_a_preview_of_a_store_is_that_of_its_capture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    assert main(["scan", *SAMPLES, OFFICE, "--store-path", store, "-q", "-o", "/dev/null"]) == 0
    words = ["--as", "rpz", *SAMPLES, "--format", "jsonl", "-q", "--preview"]
    assert run(*words, OFFICE) == 0
    of_capture = capsys.readouterr().out
    assert run(*words, store) == 0
    assert capsys.readouterr().out == of_capture


def test_a_preview_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    log = Path(__file__).parents[1] / "logs" / "samples" / "dnsmasq" / "extra.log"
    assert run("--as", "rpz", "--format", "jsonl", "-q", "--preview", str(log)) == 0
    summary, *names = records(capsys.readouterr().out)
    assert summary["devices"]["stopped"] == 1
    assert {each["name"]: each["result"] for each in names}["www.tiktok.com"] == "stopped"


def test_traffic_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "no.pcap")
    assert run("--as", "rpz", *SAMPLES, "-q", "--preview", missing) == 1
    printed = capsys.readouterr()
    assert "no.pcap" in printed.err
    assert printed.out.startswith("0 observations")


def test_addresses_come_from_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--as", "nftables", *SAMPLES, *DAY, "--addresses", str(PCAPS)]
    assert run(*words) == 0
    printed = capsys.readouterr()
    assert "table inet netwatch_be_fed_tiktok_2023 {" in printed.out
    assert "seen of " in printed.out
    assert "left out: " in printed.err
    # Neither the filter's address nor one of the own network is a server of the app.
    assert "10.20." not in printed.out
    assert "0.0.0.0" not in printed.out
