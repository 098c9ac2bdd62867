"""The examples of the guide to the Python API run, and give what the page shows."""

import doctest
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import PCAPS, ROOT

PAGE = (ROOT / "docs/guides/python.md").read_text(encoding="utf-8")
PROGRAM = ROOT / "tests/api/programs/devices.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sample captures at the path that the examples use."""
    (tmp_path / "pcaps").symlink_to(PCAPS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_give_what_the_page_shows(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 9
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "python.md", "python.md", 0)
    runner = doctest.DocTestRunner()
    said: list[str] = []
    assert runner.run(test, out=said.append) == doctest.TestResults(0, len(test.examples)), said
    assert len(test.examples) > 25
    assert list((folder / "build" / "names").glob("*.parquet"))


def test_the_program_of_the_page_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = re.findall(r"program tests/\S+ -->\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert shown == PROGRAM.read_text(encoding="utf-8")  # which `make lint` checks
    for paths, status in ((["pcaps"], 0), (["pcaps", "none.pcap"], 1)):
        monkeypatch.setattr(sys, "argv", ["devices.py", *paths])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(PROGRAM), run_name="__main__")
        assert ended.value.code == status
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 1
        assert all(line.count(",") == 2 for line in lines)


def test_arguments_of_the_functions_are_described() -> None:
    import inspect

    import netwatch

    described = set(re.findall(r"`(\w+)=", PAGE.partition("### Arguments")[2].partition("## ")[0]))
    there = {
        each.name
        for function in (netwatch.scan, netwatch.names, netwatch.match)
        for each in inspect.signature(function).parameters.values()
    }
    assert described == there - {"paths", "config", "name"}


def test_signatures_are_found_in_a_checkout_that_is_not_installed() -> None:
    code = (
        "import sys; sys.meta_path = [each for each in sys.meta_path"
        " if 'editable' not in repr(each).lower()]\n"
        "import netwatch; print(netwatch.match('www.tiktok.com').app.id)"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == "tiktok\n", found.stderr
