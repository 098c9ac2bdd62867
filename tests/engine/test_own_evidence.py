"""A folder that has evidence of its own captures and logs is read as if it had none."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from craft import Wire
from support.captures import enhanced, interface, section
from support.frames import ETHERNET, udp
from support.office import DURING, FAR, SERVICE, capture, configured, hello, lookup

from netwatch.capture.not_read import is_own_evidence
from netwatch.cli import main

LINE = "1680510600.000 200 10.20.1.9 TCP_TUNNEL/200 4408 CONNECT www.tiktok.com:443 - HIER_DIRECT/203.0.113.7 -\n"  # noqa: E501 - as Squid writes it
Run = Callable[..., tuple[list[dict], str]]
AddProof = Callable[[], list[Path]]


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture and a log."""
    made = tmp_path_factory.mktemp("captures")
    wire = Wire(DURING, 1)
    lookup(wire, SERVICE)
    hello(wire, SERVICE, FAR)
    capture(made / "office.pcap", wire)
    (made / "access.log").write_text(LINE)
    return made


@pytest.fixture(scope="module")
def proof(without: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their evidence."""
    place = tmp_path_factory.mktemp("proof")
    options = ["--evidence", str(place / "proof"), "-q", "-o", str(place / "told")]
    assert main(["scan", "-c", configured(place), *options, str(without)]) == 0
    return place / "proof"


@pytest.fixture
def folder(without: Path, tmp_path: Path) -> Path:
    """A capture and a log, below which `add_proof` puts their evidence."""
    return shutil.copytree(without, tmp_path / "captures")


@pytest.fixture
def add_proof(proof: Path, folder: Path) -> AddProof:
    def add() -> list[Path]:
        return sorted(shutil.copytree(proof, folder / "proof").iterdir())

    return add


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    config = configured(tmp_path)

    def _run(command: str, *args: object) -> tuple[list[dict], str]:
        options = ["-c", config] if command == "scan" else []
        assert main([command, *options, "--format", "jsonl", *map(str, args)]) == 0
        captured = capsys.readouterr()
        return [json.loads(line) for line in captured.out.splitlines()], captured.err

    return _run


@pytest.mark.parametrize(
    ("options", "compressed"), [([], True), (["--continuous"], False), (["--jobs", "2"], True)]
)
def test_a_folder_with_its_own_evidence(
    run: Run, folder: Path, add_proof: AddProof, compressed: bool, options: list[str]
) -> None:
    alone, _ = run("scan", folder)
    assert len(alone) == 2
    written = add_proof()
    assert {each.suffix for each in written} == {".pcapng", ".lines"}
    if compressed:
        for each in written:
            each.with_name(f"{each.name}.gz").write_bytes(gzip.compress(each.read_bytes()))
            each.unlink()
    again, summary = run("scan", folder, *options)
    assert again == alone
    (skipped,) = (line for line in summary.splitlines() if line.startswith("skipped"))
    assert "evidence that netwatch wrote" in skipped
    assert all(each.name in skipped for each in written)
    assert "1 capture, " in summary


def test_names_of_a_folder_with_evidence(run: Run, folder: Path, add_proof: AddProof) -> None:
    alone, _ = run("names", folder)
    add_proof()
    assert run("names", folder)[0] == alone


def test_evidence_that_is_named_is_read(run: Run, folder: Path, add_proof: AddProof) -> None:
    alone, _ = run("scan", folder)
    written = add_proof()
    for paths in (written, [f"{folder}/proof/*"]):
        found, summary = run("scan", *paths)
        assert {each["id"] for each in found} == {each["id"] for each in alone}
        assert "skipped" not in summary


def test_lines_are_evidence_whatever_format_is_named(run: Run, folder: Path) -> None:
    alone, _ = run("scan", folder, "--as", "squid", "--only", "logs")
    run("scan", folder, "--evidence", folder / "proof")
    assert run("scan", folder, "--as", "squid", "--only", "logs")[0] == alone


@pytest.mark.parametrize("order", ["<", ">"])
def test_captures_of_others_are_read(run: Run, folder: Path, order: str) -> None:
    """Another program's capture has no comment, or another one."""
    packet = ETHERNET.frame(udp(b"x"))
    blocks = section(order) + interface(order=order) + enhanced(packet, 1, order=order)
    assert not is_own_evidence(blocks)
    (folder / "other.pcapng").write_bytes(blocks)
    (folder / "notes.log").write_text(f"# netwatch 1\n# incident report\n{LINE}")
    _, summary = run("scan", folder)
    assert "2 captures, " in summary
    assert "log files (squid 2)" in summary
    assert "skipped" not in summary
