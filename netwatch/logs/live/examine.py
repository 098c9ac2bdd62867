"""Says of what a user wants to follow or receive whether that is possible, and what it is."""

import os
import time
from functools import partial
from pathlib import Path
from typing import BinaryIO

from netwatch.core.errors import NetwatchError
from netwatch.logs.following.followed_database import FollowedDatabase
from netwatch.logs.following.follower import Follower
from netwatch.logs.live.written import recognised, recognised_database
from netwatch.logs.log_stream import read_head
from netwatch.logs.receiving.address import is_receiver, parse
from netwatch.logs.receiving.receivers import Receivers
from netwatch.logs.recognise import NEITHER, SAMPLE_BYTES
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.sqlite_rows import MAGIC

_MOMENT = 0.25
"""Seconds in which a database that was written has become quiet."""

Examined = tuple[bool, str, tuple[str, ...]]
"""Whether it is in order, a sentence on that, and what to do about it."""


def examine(argument: str) -> Examined:
    """What can be said of one PATH of ``live --source logs``. A receiver listens for a moment."""
    if is_receiver(argument):
        try:
            Receivers([parse(argument)]).close()
        except NetwatchError as error:
            return False, str(error).removeprefix(f"{argument}: "), ()
        return True, "logs can be received here", ()
    follower = Follower([argument], {}, 0.0)
    try:
        paths = [log.path for log in follower.logs]
    finally:
        follower.close()
    if paths != [argument]:
        return _several(argument, paths)
    return _file(argument)


def _several(argument: str, paths: list[str]) -> Examined:
    """A folder or a pattern: each log that is recognised in it."""
    try:
        if Path(argument).is_dir():
            os.listdir(argument)  # noqa: PTH208
    except OSError as error:
        return False, f"cannot be read: {error.strerror}", (_grant(argument),)
    found = [(path, _file(path)) for path in paths]
    known = [f"{Path(path).name}: {text}" for path, (is_ok, text, _) in found if is_ok]
    text = "; ".join(known) if known else "has no log yet; files that appear are read"
    return True, text, ()


def _read_at(file: BinaryIO, size: int, at: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _file(path: str) -> Examined:
    try:
        with Path(path).open("rb") as file:
            head = read_head(partial(_read_at, file), SAMPLE_BYTES)
    except FileNotFoundError:
        return False, "there is no such file; it is read once it appears", ()
    except OSError as error:
        return False, f"cannot be read: {error.strerror}", (_grant(path),)
    if head.startswith(MAGIC):
        try:
            database = FollowedDatabase(path)
        except OSError as error:
            return False, f"cannot be read: {error.strerror}", ()
        found = recognised_database(database, None)
        if found == NEITHER:
            time.sleep(_MOMENT)
            found = recognised_database(database, None)
        database.close()
        if found == NEITHER:
            return (
                True,
                "a database that is being written; it is read as soon as that has ended",
                (),
            )
    else:
        found = recognised(head, None)
    if found.format is not None:
        return True, f"a log of {LOG_FORMATS[found.format].title}", ()
    if not head:
        return True, "is empty so far", ()
    if found.is_capture:
        return False, "is a capture, which --source file reads", ()
    return False, found.doubt or found.hint or "is no log of a format that netwatch knows", ()


def _grant(path: str) -> str:
    """How to let a user read a file."""
    try:
        group = Path(path).group()
    except (OSError, KeyError):
        group = "adm"
    return f"add the user to the group of the file: usermod -aG {group} USER"
