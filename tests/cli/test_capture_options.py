"""How the command line says how logs are read."""

import argparse
from datetime import UTC, datetime, timedelta

import pytest
from support.made_log import made_formats

from netwatch.cli.capture_options import add_log_options, log_options


def options(*arguments):
    parser = argparse.ArgumentParser()
    add_log_options(parser)
    return log_options(parser.parse_args(arguments))


def offset(zone):
    return zone.utcoffset(datetime(2026, 1, 1))


def test_the_options_of_logs():
    with made_formats():
        found = options("--as", "made", "--year", "2026", "--only", "logs")
    assert (found.format, found.year, found.zone, found.only) == ("made", 2026, None, "logs")


@pytest.mark.parametrize(
    ("text", "hours"),
    [("UTC", 0), ("Z", 0), ("Europe/Brussels", 1), ("+01:00", 1), ("-0530", -5.5)],
)
def test_zones(text, hours):
    assert offset(options(f"--timezone={text}").zone) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--as", "nothing"], "--as: expected one of adguard, "),
        (["--as", "suricata-ev"], "found 'suricata-ev'; did you mean '"),
        (["--year", "26"], "expected a year from 1990 to 2100, found '26'"),
        (["--timezone", "Mars/Base"], "+01:00, found 'Mars/Base'"),
        (["--timezone", "+25:00"], "+01:00, found '+25:00'"),
        (["--timezone", "../../etc/passwd"], "expected a time zone like Europe/Brussels"),
        (["--only", "packets"], "invalid choice"),
    ],
)
def test_what_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit):
        options(*arguments)
    assert said in capsys.readouterr().err


def test_utc_needs_no_database_of_zones():
    assert options("--timezone", "UTC").zone is UTC
