"""Lists of JSON, whose elements are the records of a log."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs import SAMPLES, items_of

from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.logs import json_lists
from netwatch.logs.json_lists import ListError, file_elements
from netwatch.logs.recognise import recognise

LIST = SAMPLES / "nfdump-json" / "flows.json"


def elements(data: bytes) -> list[bytes | None]:
    """What a file with these bytes has."""
    return list(file_elements(io.BytesIO(data)))


GOOD = [{"a": 'x"{}[]\\', "b": [1, 2.5]}, {}, {"c": None, "d": "ü"}]


@pytest.mark.parametrize("indent", [None, 0, 4])
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_elements(indent: int | None, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "_PIECE", piece)
    text = json.dumps(GOOD, indent=indent, ensure_ascii=False).encode()
    found = elements(text + b"\n" + text)
    assert [json.loads(each or b"") for each in found] == GOOD * 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'[{"a":1},\n{"b":"x\n},\n{"c":3}]', [b'{"a":1}', None, b'{"c":3}']),
        (b'[{"a":{"b":1}},{"c":3}]', [None, b'{"c":3}']),
        (b'[{"a":1},17,{"c":3},{"d":4}]', [b'{"a":1}', None, b'{"d":4}']),
        (b'[{"a":"%s"},{"c":3}]' % bytes([120] * (1 << 17)), [None, b'{"c":3}']),
        (b'[{"a":1},{"b":"x\n}]', [b'{"a":1}', None]),
    ],
    ids=["quote", "nested", "no object", "long", "last"],
)
@pytest.mark.parametrize("piece", [997, 1 << 16])
def test_damage_is_counted_and_the_next_element_read(
    text: bytes, found: list[bytes | None], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "_PIECE", piece)
    assert elements(text) == found


@pytest.mark.parametrize("text", [b'[{"a":1},{"b":', b'[{"a":1}', b'[{"a":1},', b'[{"a":"x\n'])
def test_a_list_that_is_cut(text: bytes) -> None:
    with pytest.raises(ListError, match="within a list"):
        elements(text)


@pytest.mark.parametrize("text", [b"[] 1", b"{}", b'[{"a":1}]]'])
def test_what_is_no_list(text: bytes) -> None:
    with pytest.raises(ListError, match="no list"):
        elements(text)


@given(st.text('[]{}",\\\n a1:').map(str.encode))
def test_any_bytes(text: bytes) -> None:
    try:
        found = elements(b"[{" + text)
    except ListError:
        return
    assert all(each is None or each.startswith(b"{") for each in found)


@pytest.mark.parametrize("piece", [1, 5, 1 << 16])
def test_words_instead_of_elements(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "_PIECE", piece)
    assert elements(b"[\nNo matching flows\n\n]\n") == [b"No matching flows"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[\nNo matching flows\n\n]\n", "nfdump-json"),
        ("No matching flows\n", "nfdump"),
        (
            "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
            "No matching flows\n",
            "nfdump",
        ),
    ],
)
def test_a_file_without_flows_is_read(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "quiet"
    path.write_text(text)
    assert recognise(CaptureFile(str(path))).format == name
    statistics = RunStatistics()
    assert items_of(path, name, statistics=statistics) == []
    assert not statistics.unread
    assert not statistics.unread_records


def test_flows_before_a_cut_are_read_and_the_cut_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flows.json"
    path.write_bytes(LIST.read_bytes()[:-300])
    assert recognise(CaptureFile(str(path))).format == "nfdump-json"
    statistics = RunStatistics()
    assert items_of(path, "nfdump-json", statistics=statistics)
    assert statistics.unread == [f"{path}: cannot be read on: it ends within a list"]
    path.write_bytes(LIST.read_bytes().replace(b'"proto" : 6', b'"proto : 6', 1))
    statistics = RunStatistics()
    assert items_of(path, "nfdump-json", statistics=statistics)
    assert statistics.unread_records == {(str(path), "record-damaged"): 1}


def test_times_of_nfdump_1_6_have_milliseconds_without_zeros(tmp_path: Path) -> None:
    text = LIST.read_text().replace('"first"', '"t_first"').replace('"last"', '"t_last"')
    text = text.replace(':00.000"', ':00.0"').replace(':01.020"', ':01.20"')
    path = tmp_path / "flows.json"
    path.write_text(text)
    old, new = items_of(path, "nfdump-json"), items_of(LIST, "nfdump-json")
    assert recognise(CaptureFile(str(path))).format == "nfdump-json"
    assert '.20"' in text
    assert [each.entry for each in old] == [each.entry for each in new]
