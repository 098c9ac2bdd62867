"""``netwatch schema`` prints what is shipped."""

import json

import pytest

from netwatch.cli import main
from netwatch.formats.schemas import SCHEMAS


@pytest.mark.parametrize("name", SCHEMAS)
def test_prints_a_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == f"urn:netwatch:{name}:1"


def test_lists_the_records(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schema", "flows"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in SCHEMAS)
