"""Files that a user names, and the content of YAML files: each value with its line, and the
mistakes in them.

Configuration, signatures and bans are all checked with these classes, so that mistakes are reported
alike: file, line, what was expected, what was found, and the most similar known word. Mistakes are
collected: a `Problems` object is passed along, and the caller that started the reading raises
`ConfigError` if it is not empty. `netwatch.core.yaml_reader` parses the files.

A file name may lead to anything: a folder, a device that never ends, a pipe that nobody writes to.
So a file is opened without waiting, it must be a regular file or a pipe (shells give a pipe for
``<(command)``), and size and waiting time are limited.

Configuration, signatures, keys, inventories and secrets decide what netwatch does, and so does
everyone who can write to them. So such a file is refused if its group or everybody may write to it,
as by OpenSSH and sudo, with the command that fixes it; its owner's private group may, as on systems
whose umask is 002. A file found in the current folder without being named must also belong to root
or to the user of this process. Windows has no such permissions, and nothing is refused there.
"""

import datetime
import os
import re
import shlex
import stat
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.system.files import (
    O_CLOEXEC,
    O_NONBLOCK,
    has_private_group,
    is_root_or_own,
    others_may_write,
    user_id,
)
from netwatch.core.text import quantity

MAX_SIMILAR_WORDS = 10_000
"""Known words among which to look for one similar to a wrong one, at most."""

MAX_SIMILAR_LENGTH = 256
"""Characters of a wrong word for which to look for a similar one, at most."""

MAX_MESSAGE = 1000
"""Characters of a message about a mistake."""

MAX_SHOWN = 80
"""Characters of a value that a message shows."""

T = TypeVar("T")

MAX_FILE_BYTES = 256 << 20
"""Bytes of a user's file, at most. A million domains or devices take some 90 MB."""

MAX_PIPE_SECONDS = 10.0
"""How long a pipe may take until its writer has closed it, in s."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CHUNK = 1 << 20

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

Tell = Callable[[Path], None]

_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)


class YamlMapping(dict[str, Any]):
    """A YAML mapping with its first line, and in `lines` the line of each key. `written` has the
    original text of values that are not text (numbers, dates)."""

    __slots__ = ("line", "lines", "written")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}
        self.written: dict[str, str] = {}


class YamlSequence(list[Any]):
    """A YAML sequence with its first line, and in `lines` the line of each item."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines = array("L")


class Problems:
    """The mistakes found so far in the files of one command."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, file: str, line: int, message: str, column: int = 0) -> None:
        """Add a mistake; `message` says what was expected and what was found. Long messages are cut
        in the middle."""
        if len(message) > MAX_MESSAGE:
            half = MAX_MESSAGE // 2
            message = f"{message[:half]} … {message[-half:]}"
        self.found.append(Problem(file, line, column, message))

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with all mistakes, ordered by file and line, if there are any."""
        if self.found:
            raise ConfigError(sorted(set(self.found)))


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint that names the known word most similar to `word`; empty if none is similar, or if the
    search would take long because there are too many words or `word` is too long."""
    words = sorted(islice(known, MAX_SIMILAR_WORDS + 1))
    if len(words) > MAX_SIMILAR_WORDS or len(word) > MAX_SIMILAR_LENGTH:
        return ""
    import difflib  # not at the top: most files have no mistake

    near = difflib.get_close_matches(word, words, 1, cutoff)
    return f"; did you mean '{near[0]}'?" if near else ""


def describe(value: Any) -> str:
    """A value found in a file, as shown in messages."""
    if value is None:
        return "nothing"
    if isinstance(value, YamlMapping):
        return "a mapping"
    if isinstance(value, YamlSequence):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if len(text) > MAX_SHOWN:
        return f"'{text[:MAX_SHOWN]}…' ({len(text):,} characters)"
    return f"'{text}'"


class Fields:
    """The keys of one mapping, read one at a time; keys that were never read are mistakes.

    Each method that reads a key returns the default if the key is absent or its value is wrong. A
    wrong value is added to the problems with its line. `what` is the name of the mapping in
    messages.
    """

    def __init__(self, mapping: YamlMapping, file: str, problems: Problems, what: str) -> None:
        self.mapping = mapping
        self.file = file
        self.problems = problems
        self.what = what
        self._read: set[str] = set()

    def line_of(self, key: str | None = None) -> int:
        """The line of `key`, or the first line of the mapping if the key is absent."""
        return self.mapping.lines.get(key or "", self.mapping.line)

    def add_problem(self, key: str | None, message: str) -> None:
        """Add a mistake at `key`, or at the mapping as a whole."""
        self.problems.add(self.file, self.line_of(key), message)

    def add_mismatch(self, key: str, expected: str) -> None:
        """Add a mistake: the value of `key` is not what was expected."""
        found = describe(self.mapping.get(key))
        self.add_problem(key, f"'{key}': expected {expected}, found {found}")

    def has(self, key: str) -> bool:
        """Whether the key is present, even with an empty value."""
        return key in self.mapping

    def is_set(self, key: str) -> bool:
        """Whether the key has a value. An empty one means the default."""
        return self.mapping.get(key) is not None

    def value(self, key: str, required: str = "") -> Any:
        """The parsed value; `required` is what is expected if it is absent."""
        self._read.add(key)
        value = self.mapping.get(key)
        if value is None and required:
            place = key if key in self.mapping else None
            message = f"{self.what} needs '{key}': expected {required}, found nothing"
            self.add_problem(place, message)
        return value

    def text(self, key: str, default: str = "", required: str = "") -> str:
        """A string that is not blank. A number or a date is taken as written."""
        value = self.value(key, required)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float, datetime.date)):
            self.add_mismatch(key, "text")
            return default
        return self.mapping.written.get(key, str(value)).strip() or default

    def choice(self, key: str, choices: Iterable[str], default: T, required: str = "") -> Any | T:
        """One of the words in `choices`."""
        words = list(choices)
        value = self.value(key, required)
        if value is None:
            return default
        if value not in words:
            hint = did_you_mean(str(value), words)
            expected = f"one of {', '.join(words)}"
            self.add_problem(key, f"'{key}': expected {expected}, found {describe(value)}{hint}")
            return default
        return value

    def date(self, key: str) -> datetime.date | None:
        """A date, YYYY-MM-DD, also in quotes."""
        value = self.value(key)
        if value is None:
            return None
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value
        if isinstance(value, str) and _DAY.fullmatch(value):
            with suppress(ValueError):
                return datetime.date.fromisoformat(value)
        self.add_mismatch(key, "a date as YYYY-MM-DD")
        return None

    def sequence(self, key: str, required: str = "") -> list[tuple[int, Any]]:
        """A sequence as (line, item) pairs, empty if the key is absent."""
        return list(self.items(key, required))

    def items(self, key: str, required: str = "") -> Iterator[tuple[int, Any]]:
        """Like `sequence`, but one pair at a time, for long sequences."""
        value = self.value(key, required)
        if value is None:
            return iter(())
        if not isinstance(value, YamlSequence):
            self.add_mismatch(key, "a list")
            return iter(())
        return zip(value.lines, value, strict=True)

    def texts(self, key: str, required: str = "") -> list[tuple[int, str]]:
        """A sequence of strings as (line, text) pairs."""
        found = []
        for line, item in self.sequence(key, required):
            if isinstance(item, str) and item.strip():
                found.append((line, item.strip()))
            else:
                message = f"'{key}': expected a list of texts, found {describe(item)}"
                self.problems.add(self.file, line, message)
        return found

    def build_each(self, key: str, build: Callable[["Fields"], T | None], what: str) -> list[T]:
        """The results of `build` for each mapping in a sequence, without those that are None."""
        built = []
        for line, item in self.items(key):
            result = self.build_item(line, item, build, what)
            if result is not None:
                built.append(result)
        return built

    def build_item(
        self, line: int, item: Any, build: Callable[["Fields"], T | None], what: str
    ) -> T | None:
        """The result of `build` for an item of a sequence, which must be a mapping."""
        if isinstance(item, YamlMapping):
            return build(Fields(item, self.file, self.problems, what))
        message = f"expected {what} as a mapping (key: value), found {describe(item)}"
        self.problems.add(self.file, line, message)
        return None

    def nested(self, key: str, what: str) -> "Fields | None":
        """The fields of the mapping under `key`."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, YamlMapping):
            self.add_mismatch(key, "a mapping (key: value)")
            return None
        return Fields(value, self.file, self.problems, what)

    def reject_unknown(self) -> None:
        """Add a problem for every key that was not read."""
        for key in self.mapping:
            if key not in self._read:
                known = ", ".join(sorted(self._read))
                hint = did_you_mean(key, self._read)
                found = f"unknown key {describe(key)} in {self.what}"
                self.add_problem(key, f"{found}: expected one of {known}{hint}")


def read_user_file(
    path: Path,
    limit: int | None = None,
    check: Callable[[os.stat_result], None] | None = None,
) -> bytes:
    """The content of a file or pipe; `limit` in bytes is `MAX_FILE_BYTES` by default. `check`
    raises `NetwatchError` if the file must not be read.

    Raises `NetwatchError` if the file does not exist, has another type, is larger, or is a pipe
    that is not closed in time; its text continues a sentence: ``cannot be read: ...``.
    """
    limit = MAX_FILE_BYTES if limit is None else limit
    try:
        descriptor = os.open(path, os.O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    except OSError as error:
        raise NetwatchError(f"cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL character, or a character that is not in the file system's encoding
        raise NetwatchError(
            "cannot be read: the name contains a NUL byte or an invalid character"
        ) from None
    try:
        status = os.fstat(descriptor)
        kind = next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), None)
        if kind:
            raise NetwatchError(f"cannot be read: expected a file, found {kind}")
        if check is not None:
            check(status)
        if status.st_size > limit:
            raise _too_large(limit)
        return _read(descriptor, limit, is_pipe=stat.S_ISFIFO(status.st_mode))
    except OSError as error:
        raise NetwatchError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def require_regular_file(path: Path) -> None:
    """For a file that a library opens: raises `NetwatchError` for anything else that it would wait
    for, such as a pipe."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NetwatchError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise NetwatchError(
            "cannot be read: the name contains a NUL byte or an invalid character"
        ) from None
    kinds = (*_KINDS, (stat.S_ISFIFO, "a pipe"))
    kind = next((words for is_kind, words in kinds if is_kind(mode)), None)
    if kind:
        raise NetwatchError(f"cannot be read: expected a file, found {kind}")


def _read(descriptor: int, limit: int, *, is_pipe: bool) -> bytes:
    chunks: list[bytes] = []
    size = 0
    end = time.monotonic() + MAX_PIPE_SECONDS
    if is_pipe:
        from netwatch.core.system.kernel import Readable  # most files are not pipes

        readable = Readable(descriptor)
    while True:
        # A pipe that has not had a writer yet reads as empty, so wait for one.
        if is_pipe and not readable.wait(end - time.monotonic()):
            seconds = quantity(int(MAX_PIPE_SECONDS), "second")
            raise NetwatchError(
                f"cannot be read: expected a pipe whose writer closes it within {seconds}"
            )
        chunk = os.read(descriptor, min(_CHUNK, limit + 1 - size))
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)


def _too_large(limit: int) -> NetwatchError:
    return NetwatchError(f"cannot be read: expected at most {limit:,} bytes, found more")


def tell_of_found(tell: Tell | None) -> None:
    """From now on call `tell`, once and in this thread, for a file that was found and read."""
    _TELL.set(tell)


def read_trusted_file(path: Path, limit: int | None = None, *, found: bool = False) -> bytes:
    """Like `read_user_file`, for a file that only its owner may write to. A `found` file, which was
    not named, must belong to root or to the user of this process."""

    def check(status: os.stat_result) -> None:
        if found and not is_root_or_own(status):
            raise NetwatchError(
                "is refused: this file was not named with -c, and it belongs to user"
                f" {status.st_uid}:"
                f" name it with -c, or chown {user_id()} {shlex.quote(str(path))}"
            )
        refuse_writable(path, status)

    content = read_user_file(path, limit, check)
    tell = _TELL.get()
    if found and tell is not None:
        tell_of_found(None)
        tell(path)
    return content


def refuse_writable(path: Path, status: os.stat_result | None = None) -> None:
    """Raises `NetwatchError` if users other than its owner may write to a file or folder. A missing
    file is fine here. The text continues a sentence."""
    if status is None:
        try:
            status = path.stat()
        except (OSError, ValueError):
            return
    everybody = bool(status.st_mode & stat.S_IWOTH)
    if others_may_write(status) and (everybody or not has_private_group(status)):
        raise NetwatchError(
            f"is refused: users other than its owner can write to it (mode"
            f" {stat.S_IMODE(status.st_mode):04o}): chmod go-w {shlex.quote(str(path))}"
        )


def foreign_owner(path: Path) -> int | None:
    """The user who owns a file, if neither root nor the user of this process."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return None if is_root_or_own(status) else status.st_uid
