"""A store whose clients are sealed: what is readable without the key, identifying, and erasing."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pyarrow import parquet
from support.erasable import HOST, ID, IP_, MAC, OTHER_IP, OWNER, mentions, write_files

from netwatch.cli import main
from netwatch.privacy import PseudonymKey, pseudonym, write_new_key

PRIVACY = "privacy: {pseudonyms: [personal], key: {file: a.key}}\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed")
    write_files(folder)
    write_new_key(folder / "a.key")
    with (folder / "netwatch.yaml").open("a") as stream:
        stream.write(PRIVACY)
    before = Path.cwd()
    os.chdir(folder)
    try:
        arguments = ["scan", "-q", "--store", "--coverage", "--format", "jsonl"]
        assert main([*arguments, "-o", "alerts.jsonl", "day.pcap"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(template, tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    return tmp_path / "case"


def key(name: str = "a.key") -> PseudonymKey:
    return PseudonymKey.of(Path(name).read_text().strip())


def journal() -> list[tuple[str, dict[str, str]]]:
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        rows = database.execute("SELECT action, detail FROM journal ORDER BY id").fetchall()
    return [(action, json.loads(detail)) for action, detail in rows]


def test_the_catalogue_and_claims_say_nothing_of_her(folder: Path) -> None:
    assert mentions(folder / "store" / "catalogue.sqlite", folder / "store" / "claim") == []
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        rows = database.execute("SELECT ip, mac, pseudonym, sealed FROM client WHERE class IS NOT"
                                " NULL").fetchall()  # fmt: skip
    assert len(rows) >= 3
    assert all(ip is mac is None and pseudonym and sealed for ip, mac, pseudonym, sealed in rows)
    assert pseudonym(key(), "byod", IP_) in {row[2] for row in rows}


def scanned(folder: Path, network_class: str, device_class: str) -> list[tuple[str, bytes]]:
    """Scan into a new store with her device and her network of these classes; the addresses and
    sealed values of all clients."""
    text = Path("netwatch.yaml").read_text().replace("class: personal", f"class: {network_class}")
    Path("netwatch.yaml").write_text(text.replace("path: store", "path: other"))
    inventory = Path("devices.csv").read_text()
    Path("devices.csv").write_text(inventory.replace(",personal", f",{device_class}"))
    assert main(["scan", "-q", "--store", "--coverage", "--format", "jsonl", "-o", "alerts.jsonl",
                 "day.pcap"]) == 0  # fmt: skip
    with closing(sqlite3.connect("other/catalogue.sqlite")) as database:
        return database.execute("SELECT ip, sealed FROM client").fetchall()


def test_the_class_of_the_inventory_decides_in_another_network(folder: Path) -> None:
    """A personal device in a service network is sealed, its neighbours are not."""
    clients = scanned(folder, "service", "personal")
    assert pseudonym(key(), "byod", ID) in Path("alerts.jsonl").read_text()
    assert mentions(folder / "alerts.jsonl", folder / "other" / "catalogue.sqlite",
                    folder / "other" / "claim") == []  # fmt: skip
    assert OTHER_IP in {ip for ip, _ in clients}
    # What others say of her is theirs; her own facts do not say who she is.
    hidden = {row[0] for row in numbers("sealed IS NOT NULL")}
    for path in sorted((folder / "other").rglob("*.parquet")):
        for row in parquet.read_table(path).to_pylist():
            text = json.dumps(row, default=repr)
            assert row["client"] not in hidden or not [w for w in (IP_, MAC, OWNER) if w in text]


def numbers(condition: str) -> list[tuple[int]]:
    with closing(sqlite3.connect("other/catalogue.sqlite")) as database:
        return database.execute(f"SELECT number FROM client WHERE {condition}").fetchall()


def test_a_device_of_another_class_in_such_a_network_is_not_hidden(folder: Path) -> None:
    """The server of a network of visitors is called by its address, its neighbours are not."""
    clients = scanned(folder, "personal", "infrastructure")
    assert {ip for ip, _ in clients if ip} == {IP_}
    assert all(sealed for ip, sealed in clients if not ip)
    assert OTHER_IP not in (folder / "other" / "catalogue.sqlite").read_text("latin-1")


def test_modes_of_files(folder: Path, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        assert main(["scan", "-q", "--store-path", str(tmp_path / "new"), "day.pcap"]) == 0
        place = ["--store-path", str(tmp_path / "new")]
        assert main(["store", "erase", "--yes", "--device", IP_, *place]) == 0
    finally:
        os.umask(mask)
    found = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert len(found) > 4
    for path in found:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_pseudonym_is_taken_back_and_the_journal_says_who_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    record = next(
        found
        for line in Path("alerts.jsonl").read_text().splitlines()
        if "device" in (found := json.loads(line)) and pseudonym(key(), "byod", ID) in line
    )
    name = record["device"]["id"]
    command = ["store", "identify", name, "--reason", "case 12"]
    assert main([*command, "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "network": "byod",
        "identity": ID,
        "ips": [IP_],
        "macs": [MAC],
        "hostname": HOST,
        "owner": OWNER,
        "sensors": [record["sensor"]["name"]],
    }
    assert main(command) == 0
    assert f"owner      {OWNER}" in capsys.readouterr().out
    assert journal() == [("identify", {"pseudonym": name, "reason": "case 12"})] * 2


def test_an_address_of_a_network_is_found_without_the_store(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = pseudonym(key(), "byod", "10.30.200.1")
    assert main(["store", "identify", name, "--reason", "x", "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["identity"] == "10.30.200.1"


def test_the_journal_is_written_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = pseudonym(PseudonymKey.of("x" * 32), "byod", IP_)
    assert main(["store", "identify", other, "--reason", "x"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "which is not in the configuration" in captured.err
    assert [action for action, _ in journal()] == ["identify"]


def test_a_key_that_was_replaced_still_reads(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = pseudonym(key(), "byod", ID)
    write_new_key(folder / "b.key")
    text = Path("netwatch.yaml").read_text()
    replaced = "privacy: {pseudonyms: [personal], key: {file: b.key}, previous: [{file: a.key}]}\n"
    Path("netwatch.yaml").write_text(text.replace(PRIVACY, replaced))
    assert main(["store", "identify", old, "--reason", "x", "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["identity"] == ID
    assert main(["scan", "-q", "--format", "jsonl", "day.pcap"]) == 0
    assert pseudonym(key("b.key"), "byod", ID) in capsys.readouterr().out


@pytest.mark.parametrize("what", ["ip", "id", "pseudonym", "pseudonym of the address", "MAC"])
def test_erasing_finds_her_by_the_key(folder: Path, what: str) -> None:
    device = {
        "ip": IP_,
        "id": ID,
        "MAC": MAC,
        "pseudonym": pseudonym(key(), "byod", ID),
        "pseudonym of the address": pseudonym(key(), "byod", IP_),
    }[what]
    names = [pseudonym(key(), "byod", each) for each in (ID, IP_, MAC)]
    assert main(["store", "erase", "--yes", "--device", device]) == 0
    assert mentions(folder / "store") == []
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        said = "\n".join(database.iterdump())
        clients = database.execute("SELECT count(*) FROM client").fetchone()[0]
    assert not [name for name in names if name in said]
    assert pseudonym(key(), "byod", OTHER_IP) in said
    assert clients >= 2


def test_without_the_key_only_what_is_under_the_pseudonym_goes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = pseudonym(key(), "byod", ID)
    Path("netwatch.yaml").write_text(Path("netwatch.yaml").read_text().replace(PRIVACY, ""))
    assert main(["store", "erase", "--yes", "--device", name]) == 0
    assert "only what is stored under it can be erased" in capsys.readouterr().err
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        assert name not in "\n".join(database.iterdump())


def test_what_no_key_reads_is_said_to_stay(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["store", "erase", "--yes", "--device", "10.9.9.9"]
    assert main(command) == 1
    assert "stays" not in capsys.readouterr().err
    write_new_key(folder / "b.key")
    text = Path("netwatch.yaml").read_text()
    Path("netwatch.yaml").write_text(text.replace("a.key", "b.key"))
    assert main(command) == 1
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        (count,) = database.execute("SELECT count(sealed) FROM client").fetchone()
    said = f"no key of the configuration reads {count} clients of the store: what is stored of the"
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
@pytest.mark.parametrize("records", ["observations", "flows"])
def test_queries_show_the_pseudonym_of_the_address(
    folder: Path, form: str, records: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["store", "query", records, "--format", form]) == 0
    said = capsys.readouterr().out
    assert pseudonym(key(), "byod", OTHER_IP) in said
    assert OTHER_IP not in said
    assert MAC not in said
    assert "1:" not in said or form == "table"  # a Community ID is a hash of the address


def test_a_query_for_a_pseudonym_gives_the_client_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    hers, others = pseudonym(key(), "byod", IP_), pseudonym(key(), "byod", OTHER_IP)
    command = ["store", "query", "observations", "--format", "jsonl", "--device"]
    assert main([*command, hers]) == 0
    clients = {json.loads(line)["client"]["ip"] for line in capsys.readouterr().out.splitlines()}
    assert clients == {hers}
    # What the inventory knows has a pseudonym of its own in alerts, which is no client's.
    assert main([*command, pseudonym(key(), "byod", ID)]) == 0
    assert others not in capsys.readouterr().out
