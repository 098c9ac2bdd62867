"""Nothing that a user names and nothing in a file steers the terminal or forges a line."""

import ast
import contextlib
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.office import CONFIG, DURING, capture, configured, one_hello
from support.paths import PCAPS, ROOT

from netwatch.cli import main, printing

NAME = "x\x1b[31m\u202e\nnetwatch: forged\r\udcff"
"""A file name: an escape sequence, an override of the direction, a line that looks like ours,
and a byte that is not UTF-8."""

ESCAPED = r"x\u001b[31m\u202e\u000anetwatch: forged\u000d\udcff"
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


IN_PROCESS = {"names", "outputs", "policy", "scan", "schema", "signatures"}
"""Commands that leave nothing behind in the process that calls them."""


def run(
    *arguments: str | Path, cwd: Path, stdin: bytes = b"", **environment: str
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of netwatch. Both have to be text of
    harmless lines."""
    words = [*map(str, arguments)]
    if words[0] in IN_PROCESS and not stdin and not environment:
        status, out, err = _called(words, cwd)
    else:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        done = subprocess.run(
            [sys.executable, "-m", "netwatch", *words],
            cwd=cwd, input=stdin, capture_output=True, timeout=60, check=False, env=environ,
        )  # fmt: skip
        status, out, err = done.returncode, done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err
    for line in (*out.split("\n"), *err.split("\n")):
        assert not {unicodedata.category(char) for char in line} & HARMFUL, line
    assert not any(line.startswith("netwatch: forged") for line in (out + err).split("\n"))
    return status, out, err


def _called(words: list[str], cwd: Path) -> tuple[int, str, str]:
    """The same in this process, whose streams encode as those of a process do: only standard error
    takes what is not UTF-8."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors, write_through=True)
        for errors in ("strict", "backslashreplace")
    )
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(words)
        except SystemExit as ended:
            status = int(ended.code or 0)
    out.flush()
    err.flush()
    return status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a capture, a damaged one and a file that is no capture, all of which have
    hostile names."""
    good = capture(tmp_path / "good", one_hello(DURING))
    shutil.move(good, tmp_path / f"{NAME}.pcap")
    whole = (tmp_path / f"{NAME}.pcap").read_bytes()
    (tmp_path / f"{NAME}.cut.pcap").write_bytes(whole[:-3])
    (tmp_path / f"{NAME}.bad.pcap").write_bytes(b"not a capture")
    (tmp_path / f"{NAME}.txt").write_bytes(b"neither")
    return tmp_path


@pytest.mark.parametrize("format_", ["table", "jsonl", "csv", "ecs"])
@pytest.mark.parametrize("command", ["scan", "names"])
def test_hostile_file_names_in_records_and_summary(
    command: str, format_: str, folder: Path
) -> None:
    status, out, err = run(command, ".", "-v", "--format", format_, cwd=folder)
    assert status == 1
    assert f"netwatch: ./{ESCAPED}.bad.pcap: is not a capture" in err
    assert f"netwatch: ./{ESCAPED}.cut.pcap: packet 1 at byte 24 is truncated" in err
    assert f"neither captures nor logs: ./{ESCAPED}.txt" in err
    if format_ in ("jsonl", "ecs"):
        for line in out.splitlines():
            json.loads(line)
    if (command, format_) == ("names", "jsonl"):
        sources = [json.loads(line)["source"] for line in out.splitlines()]
        assert sources == ["./" + NAME.replace("\udcff", "\\udcff") + ".pcap"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", NAME),
        ("names", f"{NAME}*"),
        ("scan", "-c", NAME, "."),
        ("scan", "-o", f"{NAME}/x", "."),
        ("scan", f"--{NAME}", "."),
        ("scan", "--jobs", NAME, "."),
        ("scan", "--evidence", f"{NAME}.pcap", "."),
        ("live", "--source", "file", "-i", NAME, "--no-view"),
        ("live", "--source", "file", "-i", f"{NAME}.bad.pcap", "--no-view"),
        ("signatures", "show", NAME),
        ("signatures", "match", NAME),
        ("signatures", "match", "--format", "jsonl", NAME),
        ("signatures", "lint", NAME),
        ("signatures", "test", f"{NAME}.txt"),
        ("policy", "check", "-c", NAME),
        ("policy", "explain", "--device", NAME, "--name", "a", "--time", "2023-01-01"),
        ("policy", "explain", "--device", "10.0.0.1", "--name", NAME, "--time", "2023-01-01"),
        ("policy", "explain", "--device", "10.0.0.1", "--name", "a", "--time", NAME),
        ("outputs", "status", NAME),
        ("doctor", "-i", NAME),
        ("doctor", "-c", NAME),
        ("schema", NAME),
        (NAME,),
    ],
)
def test_hostile_arguments(arguments: Sequence[str], folder: Path) -> None:
    status, out, err = run(*arguments, cwd=folder)
    assert status in (0, 1, 2)
    assert out or err


def in_yaml(text: str) -> str:
    return json.dumps(text.replace("\udcff", ""))


@pytest.mark.parametrize("format_", ["table", "jsonl"])
def test_hostile_values_of_a_configuration(format_: str, folder: Path) -> None:
    name = in_yaml(NAME)
    configuration = CONFIG.replace("name: hq", f"name: {name}").replace(
        "legal_basis: Decision 2023/12 art. 3", f"legal_basis: {name}"
    )
    configuration = configuration.replace("id: our-rule", f"id: {name}")
    configuration = configuration.replace("ban: our-rule", f"ban: {name}")
    configuration += f"outputs: [{{name: {name}, type: file, path: {name}}}]\n"
    configured(folder, configuration)
    for arguments in (
        ("policy", "check", "--format", format_),
        ("outputs", "status", "--format", format_),
        ("outputs", "test", "--format", format_),
        ("signatures", "list", "--format", format_),
        ("signatures", "match", "www.tiktok.com", "--format", format_),
        ("scan", f"{NAME}.pcap", "--format", format_),
    ):
        _, out, err = run(*arguments, cwd=folder)
        assert out or err
        if format_ == "jsonl":
            for line in out.splitlines():
                json.loads(line)


def test_mistakes_in_a_configuration_are_one_line_each(folder: Path) -> None:
    configured(folder, CONFIG.replace("class: service", f"class: {in_yaml(NAME)}", 1))
    status, _, err = run("policy", "check", cwd=folder)
    assert status == 2
    assert all(line.startswith("netwatch: netwatch.yaml:") for line in err.splitlines())
    assert r"found 'x\u001b[31m\u202e\u000anetwatch: forged\u000d'" in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_the_characters_of_a_name(encoding: str, folder: Path) -> None:
    source = capture(folder / "zürich-抖音.pcap", one_hello(DURING))
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "netwatch", "names", source, "--format", "jsonl"]
    done = subprocess.run(
        command, capture_output=True, timeout=60, check=True, env={**os.environ, **environment}
    )
    assert json.loads(done.stdout.decode(encoding))["source"] == source


def test_the_progress_bar_does_not_pass_file_names_on(folder: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "netwatch", "scan", ".", "-o", "out"]
    with subprocess.Popen(command, cwd=folder, stderr=theirs, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # EIO: the other end is closed
            pass
        process.wait(timeout=60)
    os.close(ours)
    assert b"reading" in shown  # the bar was shown
    assert b"forged" in shown  # in the messages below it
    assert b"\x1b[31m\xe2\x80\xae" not in shown
    assert not any(line.startswith(b"netwatch: forged") for line in shown.splitlines())


def test_only_one_module_prints() -> None:
    """A command that prints by itself would bypass the escaping."""
    printing = []
    for path in sorted((ROOT / "netwatch").rglob("*.py")):
        text = path.read_text()
        if not re.search(r"\b(print|write|warn)\(", text):
            continue
        for node in ast.walk(ast.parse(text)):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "sys.stderr.write", "sys.stdout.write", "warnings.warn"):
                printing.append(f"{path.relative_to(ROOT)} {name}")
    assert printing == [
        "netwatch/cli/completion.py sys.stdout.write",  # a text of our own
        "netwatch/cli/printing.py print",
        "netwatch/cli/printing.py print",
        "netwatch/cli/printing.py print",
        "netwatch/cli/printing.py print",
        "netwatch/cli/printing.py print",
        "netwatch/cli/schema.py sys.stdout.write",  # a text of our own
        "netwatch/console/period_reports.py sys.stderr.write",  # it escapes what it writes
        "netwatch/rejudge/newly_accused.py sys.stdout.write",  # to the process that started it
        "netwatch/rejudge/newly_accused.py sys.stderr.write",  # it escapes what it writes
        "netwatch/report/files.py print",  # to the process that started it
        "netwatch/store/database.py sys.stderr.write",  # it escapes what it writes
        "netwatch/store/opening.py sys.stderr.write",  # it escapes what it writes
    ]


def test_lines_in_batches_are_those_that_are_printed_one_at_a_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = [f"line {number} \u202e\x1b[31m" for number in range(1500)]
    with printing.Lines() as lines:
        for text in texts:
            lines.line(text)
            lines.record({"name": text})
    batched = capsys.readouterr().out
    for text in texts:
        printing.print_line(text)
        printing.print_record({"name": text})
    assert batched == capsys.readouterr().out
    assert "\x1b" not in batched


def test_lines_before_an_interruption_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printing.Lines()
    with lines:
        lines.line("before")
        assert capsys.readouterr().out == ""
        lines.__exit__(KeyboardInterrupt)
    assert capsys.readouterr().out == "before\n"


OF_PEOPLE = (
    ("bans", "list"),
    ("bans", "review"),
    ("bans", "show", "be-fed-tiktok-2023"),
    ("policy", "check", "-c", str(PCAPS / "netwatch.yaml")),
    (
        "policy",
        "explain",
        "-c",
        str(PCAPS / "netwatch.yaml"),
        "--device",
        "10.20.5.21",
        "--name",
        "a.tiktok.com",
    ),
    ("signatures", "match", "www.tiktok.com"),
    ("signatures", "show", "tiktok"),
)


@pytest.mark.parametrize("words", OF_PEOPLE, ids=" ".join)
def test_lines_for_people_fit_the_terminal(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a word that is wider on its own, as a URL, is wider than the terminal."""
    assert main(list(words)) == 0
    pipe = capsys.readouterr().out
    monkeypatch.setattr("netwatch.cli.printing.terminal_width", lambda _: 80)
    assert main(list(words)) == 0
    narrow = capsys.readouterr().out
    wide = [line for line in narrow.splitlines() if len(line) > 80]
    assert all(len(line.split()) <= 2 for line in wide), wide
    assert narrow == pipe or max(map(len, pipe.splitlines())) > 80
    assert sorted("".join(narrow.split())) == sorted("".join(pipe.split()))
