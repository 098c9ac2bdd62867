"""No message, log line or record shows the password of a URL."""

import json

import pytest

from netwatch.cli import main
from netwatch.cli.printing import print_line, print_message
from netwatch.core.secret_urls import without_secrets
from netwatch.formats.log_line import LOG_FORMATS, log_line
from netwatch.store.options import StoreOptions

PLACE = "postgresql://ann:s3cret@db.example:5432/netwatch"
SHOWN = "postgresql://db.example:5432/netwatch"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (PLACE, SHOWN),
        (f"{PLACE}: no such server", f"{SHOWN}: no such server"),
        ("s3://key:a/b+c@bucket/store", "s3://bucket/store"),
        ("https://token@host/a", "https://host/a"),
        ("postgresql://ann@db/netwatch", "postgresql://ann@db/netwatch"),
        ("write to ann@example.org: at 10:00", "write to ann@example.org: at 10:00"),
        ("nats://host:4222, mail to ann@example.org", "nats://host:4222, mail to ann@example.org"),
        ("https://host/a?sig=abc&part=2", "https://host/a?sig=***&part=2"),
    ],
)
def test_what_is_secret_is_left_out(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_whatever_is_printed_or_logged_has_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(PLACE)
    print_message(f"{PLACE}: refused")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{SHOWN}\n", f"{SHOWN}: refused\n")
    assert all("s3cret" not in log_line(PLACE, 0, form) for form in LOG_FORMATS)
    assert StoreOptions(PLACE).shown == SHOWN


@pytest.mark.parametrize(
    "command",
    [
        ["store", "status"],
        ["store", "status", "--format", "jsonl"],
        ["store", "sql", "tables"],
        ["store", "verify"],
        ["store", "erase", "--device", "x", "--yes"],
        ["store", "query", "incidents"],
        ["rejudge"],
        ["report", "--from", "2023-03-01", "--to", "2023-03-02", "-o", "report.json"],
        ["explain", "0"],
        ["users", "list"],
        ["serve"],
        ["scan", "-q", "none.pcap"],
    ],
)
def test_no_command_shows_the_password_of_a_store(
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert main([*command, "--store-path", PLACE]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.err
    assert "s3cret" not in json.dumps([captured.out, captured.err])
