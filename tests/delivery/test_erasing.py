"""Erasing alerts about a person from the outbox, and forgetting that they were delivered."""

import json
from pathlib import Path
from typing import Any

from support.made_alerts import record

from netwatch.delivery import dead_letters, outbox_file
from netwatch.delivery.dead_letters import DeadLetter
from netwatch.delivery.deferred import deduplication_key
from netwatch.delivery.erasing import erase_alerts
from netwatch.delivery.outbox import OutboxDatabase
from netwatch.delivery.outbox_file import FILE
from netwatch.delivery.output import OutboxOptions

HOST = "janes-phone"


def is_hers(value: Any) -> bool:
    return HOST in json.dumps(value)


def hers(number: int) -> dict[str, Any]:
    made = record(number)
    return made | {"device": made["device"] | {"hostname": HOST}}


def filled(folder: Path) -> OutboxOptions:
    options = OutboxOptions(folder)
    outbox = OutboxDatabase(options, create=True)
    outbox.put([record(1), hers(2), record(3), hers(4)])
    outbox.close()
    return options


def test_waiting_alerts_of_others_stay(tmp_path: Path) -> None:
    options = filled(tmp_path)
    assert HOST.encode() in b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    assert erase_alerts(tmp_path, is_hers).waiting == 2
    assert HOST.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    outbox = OutboxDatabase(options)
    rows = [json.loads(text) for (text,) in outbox._db.execute("SELECT record FROM alert")]
    outbox.close()
    assert [row["id"] for row in rows] == [record(1)["id"], record(3)["id"]]
    assert erase_alerts(tmp_path, is_hers).waiting == 0


def test_that_they_were_delivered_is_forgotten(tmp_path: Path) -> None:
    options = filled(tmp_path)
    keys = [deduplication_key(each) for each in (record(1), hers(2), hers(9))]
    outbox = OutboxDatabase(options)
    outbox._db.execute(
        "INSERT INTO output (name, type, format, verdict, severity, cursor, configured)"
        " VALUES ('siem', 'syslog', 'cef', 0, 0, 0, 1)"
    )
    outbox_file.remember(outbox._db, "siem", keys, 100)
    outbox.close()
    # The outbox has the second one; of the third only the store has the record.
    erase_alerts(tmp_path, is_hers, [hers(9)])
    outbox = OutboxDatabase(options)
    assert [outbox_file.is_delivered(outbox._db, "siem", key) for key in keys] == [
        True,
        False,
        False,
    ]
    outbox.close()


def test_dead_letters_of_others_stay(tmp_path: Path) -> None:
    letters = [DeadLetter("no", hers(1)), DeadLetter("no", record(2)), DeadLetter("no", None, HOST)]
    dead_letters.append(tmp_path, "siem", letters, 0.0)
    dead_letters.append(tmp_path, "mail", letters[:1], 0.0)
    assert erase_alerts(tmp_path, is_hers).dead == 3
    (line,) = dead_letters.path_of(tmp_path, "siem").read_text().splitlines()
    assert json.loads(line)["alert"]["id"] == record(2)["id"]
    assert not dead_letters.path_of(tmp_path, "mail").exists()
    dead_letters.append(tmp_path, "siem", letters[1:2], 0.0)
    assert dead_letters.count(tmp_path, "siem") == 2


def test_without_an_outbox_there_is_nothing(tmp_path: Path) -> None:
    assert erase_alerts(tmp_path / "none", is_hers).waiting == 0
    assert list(tmp_path.iterdir()) == []


def test_an_outbox_that_was_set_aside_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.damaged-1").write_text(HOST)
    (text,) = erase_alerts(tmp_path, is_hers).left
    assert "was not searched: delete it" in text
