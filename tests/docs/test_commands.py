"""The commands that pages show exist, with these options, and print what the page shows."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from support.asked_stores import run
from support.documents import DOCS, pages
from support.paths import PCAPS, ROOT

from netwatch.cli import build_parser

NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]+?) -->\n+$")
"""A mark before a block whose commands are left out, with the reason."""

FENCE = re.compile(r"^```(?:sh|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = {"|", "||", "&&", ";", ">", "<", ">>", "2>", "&", "2>&1"}
WRAPPERS = {"sudo", "$", "time"}


def commands(page: Path) -> list[list[str]]:
    """The words of each command of netwatch in the blocks of a page, without the shell's."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in FENCE.finditer(text):
        if NOT_RUN.search(text[: block.start()]):
            continue
        for line in block["text"].replace("\\\n", " ").splitlines():
            found += [words for words in _simple(line) if words]
    return found


def _simple(line: str) -> list[list[str]]:
    """The commands of netwatch in a line."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    reader.whitespace_split = True
    try:
        words = list(reader)
    except ValueError:
        return []
    found: list[list[str]] = []
    here: list[str] = []
    for word in [*words, ";"]:
        if word in SHELL:
            while here and (here[0] in WRAPPERS or re.fullmatch(r"[A-Z_]+=.*", here[0])):
                here = here[1:]
            if here and (here[0] == "netwatch" or here[0].endswith("/netwatch")):
                found.append(here[1:])
            here = []
        else:
            here.append(word)
    return found


WITH_COMMANDS = [page for page in pages() if commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_pages_are_understood(page: Path) -> None:
    parser = build_parser()
    for words in commands(page):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
            parser.parse_args(words)
        assert said.getvalue() == "", words


READING = {("bans", "list"), ("bans", "show"), ("policy", "explain"), ("schema",)}
READING |= {("scan",), ("names",), ("signatures", "match"), ("signatures", "show")}
"""Commands that change nothing."""

GENERATED = re.compile(r"^<!-- generated: .*?^<!-- end -->$", re.MULTILINE | re.DOTALL)


def runnable() -> list[list[str]]:
    """The commands that change nothing and name only files of the repository.

    Those in generated parts are run when the part is generated.
    """
    found = {}
    for page in WITH_COMMANDS:
        generated = "".join(GENERATED.findall(page.read_text(encoding="utf-8")))
        for words in commands(page):
            named = [word for word in words[1:] if "/" in word or re.search(r"\.\w+$", word)]
            files = [word for word in named if "://" not in word and not _is_name(word)]
            reads = {tuple(words[:1]), tuple(words[:2])} & READING
            writes = {"-o", "--output", "--store", "--evidence", "--deliver", "-"} & {*words}
            there = all((ROOT / file).exists() for file in files)
            local = there and (files or words[0] not in ("scan", "names"))
            if reads and not writes and local and " ".join(words) not in generated:
                found[tuple(words)] = words
    return list(found.values())


def _is_name(word: str) -> bool:
    return "/" not in word and not re.search(r"\.(pcap|pcapng|ya?ml|log|csv|jsonl)$", word)


@pytest.mark.parametrize("words", runnable(), ids=" ".join)
def test_commands_of_pages_work(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    if "-c" not in words and words[0] in ("bans", "policy", "scan"):
        words = [*words, "-c", "pcaps/netwatch.yaml"]
    ran = run(*words)
    assert ran.status in (0, 3), ran.errors


def test_many_commands_are_checked() -> None:
    assert sum(len(commands(page)) for page in WITH_COMMANDS) > 120
    assert len(WITH_COMMANDS) > 25


def test_a_wrong_option_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nsudo netwatch scan --no-such-option x.pcap | head -1 # why\n```\n")
    assert commands(page) == [["scan", "--no-such-option", "x.pcap"]]
    page.write_text("<!-- not run: it needs a network -->\n\n```sh\nnetwatch live\n```\n")
    assert commands(page) == []


def test_the_report_of_the_guide_is_that_of_the_samples(tmp_path: Path) -> None:
    page = (DOCS / "guides" / "report.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(be-fed-.*?)^```$", page, re.MULTILINE | re.DOTALL)
    source = ["-c", str(PCAPS / "netwatch.yaml"), "--store-path", str(tmp_path / "store")]
    assert run("scan", "-q", str(PCAPS), *source).status == 0
    told = run("report", "--from", "2023-03-01", "--to", "2023-08-31", *source)
    assert told.status == 0, told.errors
    printed = " ".join(told.output.split())
    sentences = [part for part in re.split(r"…|\n  (?=\S)", shown) if part.strip()]
    assert len(sentences) >= 5
    for sentence in sentences:
        assert " ".join(sentence.split()) in printed
