import csv
import io

import pytest
from hypothesis import given
from support.made_records import ALERT, BARE, FULL_ALERT
from support.observing import batch_of
from support.siem import hostile_records, one_line, unescaped

from netwatch.coverage.counts import Coverage
from netwatch.formats import jsonl
from netwatch.formats.csv import ALERT_COLUMNS as COLUMNS
from netwatch.formats.registry import FORMATS, OBSERVATION_FORMATS, RENDERERS

SIEM = ("ecs", "ocsf", "eve", "cef", "leef", "gelf")


@pytest.mark.parametrize("name", FORMATS)
def test_writers_and_outputs_render_the_same_lines(name: str) -> None:
    out = io.StringIO()
    writer = FORMATS[name].writer(out)
    writer.begin("alerts")
    writer.alert(ALERT)
    writer.alert(FULL_ALERT)
    writer.end()
    lines = out.getvalue().splitlines()
    if name == "table":
        assert name not in RENDERERS
        return
    sent = [RENDERERS[name](jsonl.alert_record(alert)) for alert in (ALERT, FULL_ALERT)]
    assert lines[-2:] == sent
    assert len(lines) == (3 if name == "csv" else 2)


@pytest.mark.parametrize("name", [name for name in SIEM if name not in OBSERVATION_FORMATS])
def test_formats_for_alerts_only_reject_observations(name: str) -> None:
    with pytest.raises(ValueError, match="alerts only"):
        FORMATS[name].writer(io.StringIO()).observations(batch_of(BARE))


@pytest.mark.parametrize("name", SIEM)
def test_formats_for_siems_cannot_express_coverage(name: str) -> None:
    out = io.StringIO()
    assert not FORMATS[name].writer(out).coverage(Coverage().report(0, {}), everything=False)
    assert out.getvalue() == ""


@given(hostile_records(FULL_ALERT))
def test_hostile_text_cannot_shift_csv_columns(record) -> None:
    line = one_line(RENDERERS["csv"](record))
    (row,) = csv.reader([line], strict=True)
    assert len(row) == len(COLUMNS)
    assert row[COLUMNS.index("verdict")] == "exempt"
    owner = row[COLUMNS.index("device_owner")].removeprefix("'")
    assert unescaped(owner) == unescaped(record["device"]["owner"]).removeprefix("'")
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
