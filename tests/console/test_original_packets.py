"""Packets of an incident without an evidence capture: cut out of the captures that were read."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest
from support.asked_stores import run
from support.consoles import NAMES, PASSWORD, Visitor
from support.paths import PCAPS

from netwatch.config import Config
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.explain import stored
from netwatch.explain.sources import packet_places
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.options import StoreOptions

CAPTURE = "five-kinds.pcap"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture, and a store that has read it without writing evidence captures."""
    folder = tmp_path_factory.mktemp("read")
    shutil.copy(PCAPS / CAPTURE, folder)
    done = run("scan", "-c", str(PCAPS / "netwatch.yaml"), "--store-path", str(folder / "store"),
               "--quiet", str(folder / CAPTURE))  # fmt: skip
    assert done.status == 0, done.errors
    return folder


@pytest.fixture
def capture(folder: Path) -> Iterator[Path]:
    yield folder / CAPTURE
    (folder / CAPTURE).unlink(missing_ok=True)
    shutil.copy(PCAPS / CAPTURE, folder)


@pytest.fixture
def console(folder: Path, sample_config: Config) -> Iterator[Console]:
    with Console(sample_config, StoreOptions(str(folder / "store")), ConsoleOptions()) as console:
        if not console.accounts.count():
            console.accounts.add(NAMES["analyst"], "analyst", PASSWORD)
        yield console


@pytest.fixture
def visitor(console: Console) -> Visitor:
    visitor = Visitor(console)
    assert visitor.sign_in(NAMES["analyst"]).status_code == 303
    return visitor


def test_they_are_those_that_the_evidence_names(
    console: Console, visitor: Visitor, capture: Path
) -> None:
    with capture.open("rb") as stream:
        original = [data for _, data in dpkt.pcap.Reader(stream)]
    rows = incident_page(console.catalogue, IncidentFilter(), size=100).rows
    assert len(rows) > 3
    for row in rows:
        page = f"/incidents/{row.id}"
        assert f'href="{page}/packets.pcapng"' in visitor.open(page).text
        content = visitor.get(f"{page}/packets.pcapng").content
        named = {each["packet"] for each in json.loads(row.record)["evidence"]}
        places = packet_places(content)
        assert [place for place in places if place] == [
            (str(capture), number) for number in sorted(named)
        ]
        (capture.parent / "cut.pcapng").write_bytes(content)
        with (capture.parent / "cut.pcapng").open("rb") as stream:
            found = [data for _, data in dpkt.pcapng.Reader(stream)]
        assert found == [original[number - 1] for number in sorted(named)]
        entry = list(console.audit.entries())[-1]
        assert entry.action == "export"
        assert row.id in entry.subject
        assert json.loads(entry.detail)["cut out of"][0]["file"] == str(capture)


@pytest.mark.parametrize("what", ["changed", "shorter", "gone", "a link", "large", "slow"])
def test_another_file_gives_none(
    what: str,
    console: Console,
    visitor: Visitor,
    capture: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = incident_page(console.catalogue, IncidentFilter(), size=1).rows[0]
    content = bytearray(capture.read_bytes())
    if what == "changed":
        content[-1] ^= 1
        capture.write_bytes(content)
    elif what == "shorter":
        capture.write_bytes(content[:-1])
    elif what == "gone":
        capture.unlink()
    elif what == "a link":
        capture.unlink()
        capture.symlink_to(PCAPS / CAPTURE)
    elif what == "large":
        monkeypatch.setattr(stored, "MAX_BYTES", len(content) - 1)
    else:
        monkeypatch.setattr(stored, "MAX_SECONDS", -1.0)
    page = visitor.open(f"/incidents/{row.id}").text
    assert ("packets.pcapng" in page) == (what in ("changed", "slow"))
    rows = console.audit.verify().rows
    answer = visitor.get(f"/incidents/{row.id}/packets.pcapng")
    assert answer.status_code == 404
    assert "captures" in answer.text
    assert console.audit.verify().rows == rows
