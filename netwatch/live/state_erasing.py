"""Erases the open incidents of a person from the state file of a live capture.

A capture that runs has its file locked and its incidents in memory, so it has to be stopped first.
"""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import transaction
from netwatch.live.state_file import KIND

_LOCK_TIMEOUT = 5.0


def erase_open_incidents(path: Path, mentions: Callable[[Any], bool]) -> int:
    """Erase the incidents whose text mentions a person; how many. Nothing happens where there is no
    state file. Raises `NetwatchError` where a capture is using it, and for another file."""
    condition = owned_database.identify(path, KIND)
    if condition == "missing":
        return 0
    if condition == "damaged":
        raise NetwatchError(f"the state file {path} is damaged: delete it")
    try:
        with closing(owned_database.connect(path, _LOCK_TIMEOUT)) as database:
            database.execute("PRAGMA secure_delete = ON")
            with transaction(database):
                hers = [
                    (number,)
                    for number, text in database.execute("SELECT number, state FROM incident")
                    if mentions(_readable(json.loads(text)))
                ]
                database.executemany("DELETE FROM incident WHERE number = ?", hers)
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        if owned_database.is_busy(error):
            raise NetwatchError(
                f"the state file {path} is in use: stop the live capture, erase again, and start it"
            ) from None
        raise NetwatchError(f"the state file {path}: {error}") from None
    except ValueError as error:
        raise NetwatchError(f"the state file {path} cannot be read: {error}") from None
    return len(hers)


def _readable(state: Any) -> Any:
    """The state of an incident with packed addresses, which are in hexadecimal digits, as text."""
    from netwatch.core.addresses import ip_text, mac_text

    found = [state]
    for contact in state["contacts"]:
        observation = contact["observation"]
        for name in ("client_ip", "server_ip"):
            packed = bytes.fromhex(observation.get(name) or "")
            if len(packed) in (4, 16):
                found.append(ip_text(packed))
        if observation.get("client_mac"):
            found.append(mac_text(bytes.fromhex(observation["client_mac"])))
    return found
