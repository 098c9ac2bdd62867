"""The man pages: complete, in the form that groff and mandoc expect, the same in every run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs_generator import commands
from docs_generator.configuration_keys import CONFIGURATION_KEYS
from manual_generator import configuration, roff
from manual_generator.epilogs import Example, read_epilog
from support.paths import ROOT
from support.programs import needs

from netwatch.cli import COMMANDS
from netwatch.sinks.registry import SINKS


def pages(manual: Path) -> list[Path]:
    return sorted((manual / "man").rglob("*.?"))


def words(page: Path) -> str:
    """The words of a page without requests, fonts and escapes."""
    text = page.read_text(encoding="ascii").replace("\\\n", "")
    text = re.sub(r"^\.(?:RS|RE|EX|EE|TP|PP|br).*\n|^\.\w+ ", "", text, flags=re.MULTILINE)
    for escape, char in (("\\fB", ""), ("\\fI", ""), ("\\fR", ""), ("\\-", "-"), ("\\(aq", "'")):
        text = text.replace(escape, char)
    return " ".join(text.split())


def test_there_is_a_page_for_each_command_and_one_for_the_configuration(manual: Path) -> None:
    expected = {"netwatch.1", "netwatch.yaml.5", *(f"netwatch-{name}.1" for name in COMMANDS)}
    assert {page.name for page in pages(manual)} == expected
    assert all(page.parent.name == f"man{page.suffix[1:]}" for page in pages(manual))


def test_the_first_page_has_every_exit_status(manual: Path) -> None:
    page = (ROOT / "docs" / "reference" / "exit-status.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^- (\d+): (\w+)", page, re.MULTILINE))
    assert {"0", "1", "2", "3", "130", "141"} == set(listed)
    shown = words(manual / "man" / "man1" / "netwatch.1")
    for status, first in listed.items():
        assert re.search(rf"\b{status} {first}\b", shown), status


@needs("mandoc")
def test_mandoc_finds_nothing(manual: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", *pages(manual)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs("groff")
def test_groff_has_no_warning(manual: Path) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", *pages(manual)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--deliver-timeout" in done.stdout  # with hyphens that can be copied
    assert "s3://…" in done.stdout


@needs("mandoc")
def test_apropos_finds_a_command_by_what_it_does(manual: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(manual / "man", tmp_path / "man"))
    makewhatis = shutil.which("makewhatis", path="/usr/sbin:/usr/bin")
    if makewhatis is None:
        pytest.skip("makewhatis is not installed")
    subprocess.run([makewhatis, folder], check=True, timeout=60)
    found = subprocess.run(
        ["mapropos", "-M", folder, "violations"], capture_output=True, text=True, timeout=60
    ).stdout
    assert {line.split("(")[0] for line in found.splitlines()} == {"netwatch-live", "netwatch-scan"}


def test_the_page_of_a_command_has_every_option(manual: Path) -> None:
    for path, parser in commands.parsers().items():
        text = words(manual / "man" / "man1" / f"netwatch-{path.split()[0]}.1")
        assert commands.synopsis(parser).replace("…", "\\[2026]") in text.replace("[u", "["), path
        for option in commands.options(parser):
            assert ", ".join(commands.spellings(option)).replace("…", "\\[u2026]") in text, path


def test_the_page_of_the_configuration_has_every_key_and_type_of_output(manual: Path) -> None:
    page = (manual / "man/man5/netwatch.yaml.5").read_text()
    for section in CONFIGURATION_KEYS:
        if section.path.startswith("outputs"):
            continue
        _, _, rest = page.partition(f'.SS "{roff.escape(configuration.title(section))}"\n')
        keys = re.findall(r"^\.TP\n\\fB(.*)\\fR$", rest.partition("\n.S")[0], re.MULTILINE)
        assert keys == [roff.escape(key.name) for key in section.keys], section.path
    assert re.findall(r'"outputs\[\], type (\w+)"', page) == list(SINKS)


def test_the_same_day_gives_the_same_bytes(manual: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "packaging" / "manual.py", tmp_path],
        check=True,
        timeout=60,
        env={"SOURCE_DATE_EPOCH": "1679270400", "PYTHONHASHSEED": "7", "LC_ALL": "C"},
    )
    for page in pages(manual):
        assert page.read_bytes() == (tmp_path / page.relative_to(manual)).read_bytes()
        assert " 2023-03-20 " in page.read_text().splitlines()[0]
    for name in ("bash/netwatch", "zsh/_netwatch", "fish/netwatch.fish"):
        assert (manual / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (".so /etc/passwd", r"\&.so /etc/passwd"),
        ("'quoted'", r"\(aqquoted\(aq"),
        (r"a\fBb", r"a\efBb"),
        ("the key `tls.ca` of [a page](tls.md#ca)", r"the key \fBtls.ca\fR of a page"),
        ("`live -i`, é", r"\fBlive \-i\fR, \[u00E9]"),
    ],
)
def test_text_is_never_a_request(text: str, source: str) -> None:
    assert roff.prose(text) == [source]


def test_an_epilog_is_read_in_its_parts() -> None:
    epilog = read_epilog(
        "examples:\n  netwatch a          what it does\n  netwatch b --c \\\n    --d\n\n"
        "Some text,\nin two lines.\n\n"
        "signals:\n  SIGHUP   read\n           again\n\n"
        "exit status of a: 0 done; 1 not; 2 usage; or\nconfiguration\n"
    )
    assert epilog.examples == (
        Example(("netwatch a",), "what it does"),
        Example(("netwatch b --c \\", "  --d"), ""),
    )
    assert epilog.paragraphs == ("Some text,\nin two lines.",)
    assert [(each.title, each.rows) for each in epilog.listings] == [
        ("signals", (("SIGHUP", "read again"),)),
        (
            "exit status of a",
            (("0", "done"), ("1", "not"), ("2", "usage; or configuration")),
        ),
    ]


def test_a_list_of_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="SIGHUP"):
        read_epilog("signals:\n  SIGHUP\n")
