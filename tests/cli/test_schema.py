"""``netwatch schema`` prints what is shipped."""

import json

import pytest

from netwatch.cli import main
from netwatch.formats.registry import FILE_SCHEMAS, SCHEMAS


@pytest.mark.parametrize("name", SCHEMAS)
def test_prints_a_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == f"urn:netwatch:{name}:1"


@pytest.mark.parametrize("name", [*FILE_SCHEMAS, *SCHEMAS])
def test_prints_the_schema_for_a_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--for", name]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == f"urn:netwatch:{name}:1"


@pytest.mark.parametrize("arguments", [[], ["alert", "--for", "config"], ["--for", "flows"]])
def test_takes_one_name(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schema", *arguments])
    assert ended.value.code == 2


def test_lists_the_records(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schema", "flows"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in SCHEMAS)
