"""The command line as a whole: help, wrong usage, errors and exit statuses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.captures import pcap
from support.office import CONFIG, DURING, capture, configured, one_hello
from support.paths import PCAPS
from support.traffic import mixed

from netwatch import __version__
from netwatch.cli import COMMANDS, build_parser, main

Captured = pytest.CaptureFixture[str]


def usage(arguments: list[str]) -> int:
    """The status with which argparse ends the program."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "netwatch", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def test_version(capsys: Captured) -> None:
    assert usage(["--version"]) == 0
    assert capsys.readouterr().out == f"netwatch {__version__}\n"


WORDS = list(COMMANDS)


@pytest.mark.parametrize("word", WORDS)
def test_the_help_of_a_command_has_examples(word: str, capsys: Captured) -> None:
    assert usage([word, "--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "examples:" in captured.out
    assert f"netwatch {word} " in captured.out


def test_netwatch_alone_says_what_to_try(capsys: Captured) -> None:
    assert main([]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert len(captured.out.splitlines()) < 10
    assert max(map(len, captured.out.splitlines())) < 80
    assert {"demo", "scan", "init", "live", "help"} == {
        line.split()[1] for line in captured.out.splitlines() if line.startswith("  netwatch ")
    }


@pytest.mark.parametrize("words", [["scan"], ["store", "query"], ["policy"], []])
def test_help_prints_the_help_of_a_command(words: list[str], capsys: Captured) -> None:
    assert usage([*words, "--help"]) == 0
    expected = capsys.readouterr().out
    assert usage(["help", *words]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_top_level_help_lists_all_commands(flag: str, capsys: Captured) -> None:
    assert usage([flag]) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "exit status:" in text
    for word in WORDS:
        assert f"\n    {word}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explode"], "unknown command 'explode'"),
        (["scna"], "unknown command 'scna'; did you mean 'scan'?"),
        (["scan", "x.pcap", "--formt", "jsonl"], "'--formt'; did you mean '--format'?"),
        (["scan", "--formt"], "unknown option '--formt'; did you mean '--format'?"),
        (["scan", "x.pcap", "--jbos=2"], "unknown option '--jbos'; did you mean '--jobs'?"),
        (["store", "query", "flows", "--sinse", "2023-03-01"], "did you mean '--since'?"),
        (["--versoin"], "unknown option '--versoin'; did you mean '--version'?"),
        (["scan", "x.pcap", "--format", "jsnl"], "found 'jsnl'; did you mean 'jsonl'?"),
        (["scan", "x.pcap", "--only", "log"], "found 'log'; did you mean 'logs'?"),
        (["store", "query", "flow"], "found 'flow'; did you mean 'flows'?"),
        (["completion", "bsh"], "found 'bsh'; did you mean 'bash'?"),
        (["store", "qury"], "unknown command 'qury'; did you mean 'query'?"),
        (["help", "scna"], "unknown command 'scna'; did you mean 'scan'?"),
        (["scan"], "PATH"),
        (["names"], "PATH"),
        (["scan", "x.pcap", "--no-such"], "--no-such"),
        (["scan", "x.pcap", "--format", "xml"], "xml"),
        (["names", "x.pcap", "--fail-on", "violation"], "--fail-on"),
        (["scan", "x.pcap", "--fail-on", "exempt"], "exempt"),
        (["scan", "x.pcap", "--jobs", "0"], "--jobs: expected a number from 1 to 256, found '0'"),
        (["scan", "x.pcap", "--jobs", "257"], "257"),
        (["scan", "x.pcap", "--jobs", "two"], "two"),
        (["scan", "x.pcap", "--jobs", "²"], "²"),
        (["scan", "x.pcap", "-c"], "-c"),
    ],
)
def test_wrong_usage_ends_with_status_2(
    arguments: list[str], message: str, capsys: Captured
) -> None:
    assert usage(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert re.fullmatch(
        r"netwatch: .+(; see 'netwatch.* --help'|; did you mean '.+'\?)\n", captured.err
    )


@pytest.mark.parametrize("command", ["scan", "names", "live", "doctor"])
def test_an_unknown_option_before_a_command_points_to_its_help(
    command: str, capsys: Captured
) -> None:
    assert usage(["--no-such", command]) == 2
    expected = f"netwatch: unknown option '--no-such'; see 'netwatch {command} --help'\n"
    assert capsys.readouterr().err == expected


def test_options_may_precede_the_command(tmp_path: Path, capsys: Captured) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    place = configured(tmp_path)
    outs = []
    for arguments in (
        ["-q", "-c", place, "--format", "jsonl", "scan", path],
        ["scan", path, "-q", "-c", place, "--format", "jsonl"],
        ["-q", "-c", place, "--format", "jsonl", "scan", "--", path],
    ):
        assert main(arguments) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1] == outs[2] != ""
    assert main(["-c", place, "policy", "check"]) == 0
    assert capsys.readouterr().out.startswith(f"{place}: valid")


@pytest.mark.parametrize("word", ["tiktok", "TikTok", "TIKTOK"])
def test_an_app_is_found_in_upper_and_lower_case(word: str, capsys: Captured) -> None:
    assert main(["signatures", "show", word]) == 0
    assert capsys.readouterr().out.startswith("tiktok: TikTok (bytedance, ")


def test_an_app_is_found_by_its_name(capsys: Captured) -> None:
    assert main(["signatures", "show", "qq / qzone"]) == 0
    assert capsys.readouterr().out.startswith("qq: QQ / Qzone")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["schema", "alert"], ["signatures", "show", "qq"]])
def test_a_full_disk_names_what_was_written(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "netwatch", *arguments]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    expected = b"netwatch: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_an_unknown_option_of_a_subcommand_points_to_its_help(capsys: Captured) -> None:
    assert usage(["outputs", "test", "--no-such"]) == 2
    expected = "netwatch: unknown option '--no-such'; see 'netwatch outputs test --help'\n"
    assert capsys.readouterr().err == expected


def test_an_option_may_be_cut_short_as_before(tmp_path: Path, capsys: Captured) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    assert main(["names", path, "--form", "csv", "-q"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_the_full_parser_has_the_options_of_every_command() -> None:
    args = build_parser().parse_args(["live", "-i", "eth1", "--fanout", "2"])
    assert (args.interface, args.fanout) == (["eth1"], 2)


def test_options_may_precede_and_follow_the_paths(tmp_path: Path, capsys: Captured) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    outs = []
    for arguments in (["-q", "--format", "csv", path], [path, "--format=csv", "-q"]):
        assert main(["names", *arguments]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]
    assert outs[0].count("\n") == 2


def test_every_mistake_in_the_configuration_is_reported_with_file_and_line(
    tmp_path: Path, capsys: Captured
) -> None:
    text = CONFIG.replace("class: guest", "class: gest").replace("forbids", "forbid")
    place = configured(tmp_path, text)
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    assert main(["scan", path, "-c", place]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    guest = 1 + text[: text.index("class: gest")].count("\n")
    forbid = 1 + text[: text.index("forbid:")].count("\n")
    assert any(
        line.startswith(f"netwatch: {place}:{guest}: ") and "guest" in line for line in lines
    )
    assert any(
        line.startswith(f"netwatch: {place}:{forbid}: ") and "forbids" in line for line in lines
    )


@pytest.mark.parametrize("place", ["missing.yaml", "."])
def test_a_configuration_that_cannot_be_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    assert main(["scan", path, "-c", place]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"netwatch: {place}: ")


def test_the_configuration_in_the_working_directory_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    configured(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    assert main(["scan", path, "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    assert '"id":"our-rule"' in captured.out
    assert "built-in" not in captured.err


def test_an_interrupt_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netwatch.engine.jobs.names", interrupted)
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    target = tmp_path / "out"
    assert main(["names", path, "-o", str(target)]) == 130
    assert capsys.readouterr().err == "netwatch: interrupted\n"
    assert not target.exists()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "big.pcap"
    path.write_bytes(pcap(mixed().frames * 200))
    arguments = [sys.executable, "-m", "netwatch", "names", str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


@pytest.mark.parametrize(
    "command",
    [["scan", "--coverage", "five-kinds.pcap"], ["signatures", "list"], ["policy", "check"]],
)
def test_a_reader_that_is_gone_before_the_first_line_is_none_either(command: list[str]) -> None:
    """The library that makes tables would end the program with status 1."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "netwatch", *command],
            stdout=writer,
            stderr=subprocess.PIPE,
            cwd=PCAPS,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_as_a_module_with_standard_input(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    done = run("names", "-", "--format", "jsonl", stdin=Path(path).read_bytes())
    assert done.returncode == 0
    assert b'"source":"-"' in done.stdout
    assert done.stdout.count(b"\n") == 1
    assert b"1 capture, 1 packet, " in done.stderr


def test_standard_input_that_is_no_capture() -> None:
    for stdin in (b"", b"no capture at all"):
        done = run("names", "-", stdin=stdin)
        assert done.returncode == 1
        assert done.stdout == b""
        assert done.stderr.startswith(b"netwatch: -: ")
        assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    command = [sys.executable, "-m", "netwatch", "names", path]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    expected = b"netwatch: standard output: cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_a_file_that_cannot_grow_is_named(tmp_path: Path) -> None:
    path = tmp_path / "big.pcap"
    path.write_bytes(pcap(mixed().frames * 50))
    target = tmp_path / "out.jsonl"
    script = 'ulimit -f 1; trap "" XFSZ; exec "$@"'
    command = [sys.executable, "-m", "netwatch", "names", str(path), "--format", "jsonl"]
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command, "-o", str(target)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        f"netwatch: {target}: cannot be written: File too large\n".encode(),
    )
    assert not target.exists()


def closed(streams: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run netwatch with streams closed, such as ``2>&-``."""
    call = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, "-m", "netwatch", *arguments]
    return subprocess.run(call, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["scan", "names", "live"])
def test_without_standard_error_only_records_are_printed(tmp_path: Path, command: str) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    source = ("--source", "file", "-i", path) if command == "live" else (path,)
    done = closed("2>&- <&-", command, *source, "--format", "jsonl")
    assert done.returncode == 0
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert b"www.tiktok.com" in done.stdout


@pytest.mark.parametrize("command", ["scan", "names", "live"])
def test_without_standard_output_records_need_a_file(tmp_path: Path, command: str) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    source = ("--source", "file", "-i", path) if command == "live" else (path,)
    done = closed(">&-", command, *source, "-q")
    expected = b"netwatch: standard output is closed; -o writes the records to a file\n"
    assert (done.returncode, done.stderr) == (1, expected)
    target = tmp_path / "out"
    done = closed(">&-", command, *source, "-q", "-o", str(target))
    assert (done.returncode, done.stderr) == (0, b"")
    assert "www.tiktok.com" in target.read_text()


@pytest.mark.parametrize(
    "url", ["https://www.tiktok.com/@some?lang=en", "quic://user@www.tiktok.com:443", "x://[1"]
)
def test_the_host_of_a_url_is_matched(url: str, capsys: Captured) -> None:
    status = main(["signatures", "match", url])
    text = capsys.readouterr().out
    assert (status, text.startswith("www.tiktok.com: tiktok ")) in [(0, True), (1, False)]
    assert (status == 0) == ("tiktok" in url)
