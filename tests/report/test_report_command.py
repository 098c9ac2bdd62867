"""``netwatch report`` as a user runs it, on a store of the sample captures."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.paths import PCAPS

from netwatch.charts import render
from netwatch.cli import main
from netwatch.core.installing import install_command
from netwatch.report import files, page

CONFIG = str(PCAPS / "netwatch.yaml")
DAYS = ["--from", "2023-03-01", "--to", "2023-04-30"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("report") / "store")
    captures = [str(PCAPS / name) for name in ("office-day.pcap", "lease-moves.pcap")]
    scan = [
        "scan",
        "-q",
        "-c",
        CONFIG,
        "--store-path",
        path,
        "--format",
        "jsonl",
        "-o",
        "/dev/null",
    ]
    assert main([*scan, *captures]) == 0
    return path


def run(store: str, *more: str) -> int:
    return main(["report", "-c", CONFIG, "--store-path", store, *more])


def test_without_a_file_the_answer_is_printed(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, *DAYS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"be-fed-tiktok-2023: (Violated|Inconclusive) \(not readable: ", lines[0])
    assert run(store, *DAYS, "--lang", "de") == 0
    assert "nicht lesbar" in capsys.readouterr().out


def test_all_three_files_and_their_signature(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(tmp_path / "report.key")
    assert main(["report", "--new-key", key]) == 0
    html, document = str(tmp_path / "report.html"), str(tmp_path / "report.pdf")
    assert run(store, *DAYS, "--lang", "nl", "-o", html, "-o", document, "--sign", key) == 0
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["schema"] == "netwatch.report/1"
    assert record["pseudonyms"] is True
    assert "ws-021" not in (tmp_path / "report.json").read_text()
    assert "ws-021" not in Path(html).read_text()
    assert 'lang="nl"' in Path(html).read_text()
    content = Path(document).read_bytes()
    assert content.startswith(b"%PDF-1.7")
    assert len(content) < 1_000_000
    capsys.readouterr()
    assert main(["report", "--verify", document, "--key", f"{key}.pub"]) == 0
    assert "report.html, report.json, report.pdf: as signed at" in capsys.readouterr().out
    Path(html).write_text("other")
    assert main(["report", "--verify", html, "--key", f"{key}.pub"]) == 3
    assert "report.html was changed" in capsys.readouterr().out


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PDF with one file attached, of a page that wants to load and attach another one."""
    folder = tmp_path_factory.mktemp("pdf")
    secret = folder / "secret.txt"
    secret.write_text("never to be attached")
    rows = "".join(f"<tr><td>{number}</td></tr>" for number in range(50))
    text = f'<html lang=en><title>t</title><img alt="x" src="{secret.as_uri()}">'
    text += f'<link rel=attachment href="{secret.as_uri()}" title=x>'
    text += f"<body><h1>Report</h1><table>{rows}</table>"
    files.write_pdf(text, {"incidents.csv": "a,b\r\n'=1+1,2\r\n"}, folder / "report.pdf")
    return folder / "report.pdf"


@pytest.mark.needs("pdfinfo", "pdfdetach")
def test_a_pdf_is_tagged_and_has_the_rest_of_long_tables_attached(
    document: Path, tmp_path: Path
) -> None:
    output = document
    said = subprocess.run(["pdfinfo", output], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Tagged: +yes", said)
    meta = subprocess.run(["pdfinfo", "-meta", output], capture_output=True, text=True, check=True)
    assert "pdfuaid" in meta.stdout
    attached = ["pdfdetach", "-saveall", "-o", str(tmp_path), str(output)]
    subprocess.run(attached, check=True)
    assert [each.name for each in tmp_path.iterdir()] == ["incidents.csv"]
    assert (tmp_path / "incidents.csv").read_bytes() == b"a,b\r\n'=1+1,2\r\n"


def test_a_pdf_loads_nothing(document: Path) -> None:
    assert len(re.findall(rb"/Type /EmbeddedFile\b", document.read_bytes())) == 1


def test_a_pdf_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MEMORY_LIMIT", 120 << 20)
    with pytest.raises(Exception, match=r"report\.pdf: the PDF|Pango"):
        files.write_pdf("<p>text</p>" * 20_000, {}, tmp_path / "report.pdf")


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        files, "_WORKER", ["sh", "-c", f"cat >/dev/null; exit {files.NO_LIBRARY}", "sh"]
    )
    with pytest.raises(Exception, match="apt install libpango"):
        files.write_pdf("", {}, tmp_path / "report.pdf")


@pytest.mark.parametrize(
    ("module", "missing", "expected"),
    [
        (page, "jinja2", "a report as a page needs an extra"),
        (render, "vl_convert", "pictures need an extra"),
        (files, "weasyprint", "a report as PDF needs an extra"),
    ],
)
def test_an_extra_that_is_missing_is_named(
    store: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    missing: str,
    expected: str,
) -> None:
    find = module.importlib.util.find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name == missing else find(name, *rest),
    )
    assert run(store, *DAYS, "-o", str(tmp_path / "r.pdf")) == 2
    assert f"{expected}: {install_command('report')}" in capsys.readouterr().err


def test_naming_devices_is_written_to_the_journal(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = str(tmp_path / "store")
    shutil.copytree(store, copy)
    output = tmp_path / "report.json"
    assert run(copy, *DAYS, "--devices", "-o", str(output)) == 0
    assert "ws-021" in output.read_text()
    from netwatch.store.opening import open_catalogue
    from netwatch.store.options import StoreOptions

    with (
        open_catalogue(StoreOptions(copy)) as catalogue,
        catalogue.database.reading() as connection,
    ):
        rows = connection.exec_driver_sql("SELECT action, detail FROM journal").all()
    assert [tuple(row) for row in rows] == [
        ("identify", '{"report":"2023-03-01 to 2023-04-30","bans":"all"}')
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --from DAY and --to DAY"),
        (["--from", "2023-03-02", "--to", "2023-03-01"], "--to: expected a day from 2023-03-02 on"),
        (["--from", "1066-01-01", "--to", "2023-03-01"], "expected years from 1971 to 2260"),
        (["--from", "1990-01-01", "--to", "2023-03-01"], "expected at most 10 years"),
        ([*DAYS, "-o", "report.doc"], "expected a name that ends with .html, .pdf or .json"),
        ([*DAYS, "--sign", "k"], "--sign: expected --output too"),
        ([*DAYS, "--ban", "be-fed-tiktok"], "did you mean"),
    ],
)
def test_mistakes_are_said(
    store: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(store, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_store_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path / "none"), *DAYS) == 1
    assert "there is no store" in capsys.readouterr().err
