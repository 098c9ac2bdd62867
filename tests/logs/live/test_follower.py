"""Logs are followed through rotation and truncation, and continued after a restart."""

import contextlib
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.logs.live import follower
from netwatch.logs.live.follower import Follower


class Reader:
    """Follows arguments, and keeps what was read and saved."""

    def __init__(self, *arguments: Path | str) -> None:
        self.arguments = [str(argument) for argument in arguments]
        self.now = 0.0
        self.saved: dict[str, str] = {}
        self.records: list[bytes] = []
        self.numbers: list[int] = []
        self.unread: list[str] = []
        self.nul_runs = 0
        self.kept = 0
        self.follower = Follower(self.arguments, {}, self.now)

    def read(self, most: int = 1_000_000, seconds: float = 1.0) -> list[bytes]:
        """Read what there is, at most so many chunks; the new records."""
        before = len(self.records)
        self.now += seconds
        while most > 0 and (ready := self.follower.poll(self.now)):
            chunks = [chunk for log in ready if (chunk := log.read()) is not None]
            if not chunks:
                break
            for chunk in chunks:
                self.records += chunk.records
                self.numbers += range(chunk.first, chunk.first + len(chunk.records))
                self.unread += chunk.unread
                self.nul_runs += chunk.nul_runs
            most -= 1
        return self.records[before:]

    def save(self) -> None:
        """Save the positions, and what came of them."""
        for key, text in self.follower.take_positions().items():
            if text is None:
                self.saved.pop(key, None)
            else:
                self.saved[key] = text
        self.kept = len(self.records)

    def crash(self) -> None:
        """End without saving what was read last, and start again."""
        del self.records[self.kept :], self.numbers[self.kept :]
        self.follower.close()
        self.follower = Follower(self.arguments, self.saved, self.now)

    def restart(self) -> None:
        """End properly, and start again."""
        self.save()
        self.crash()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "dns.log"


@pytest.fixture
def start() -> Iterator[Callable[..., Reader]]:
    readers: list[Reader] = []

    def begin(*arguments: Path | str) -> Reader:
        readers.append(Reader(*arguments))
        return readers[-1]

    yield begin
    for reader in readers:
        reader.follower.close()


Start = Callable[..., Reader]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_existing_file_is_read_from_its_end(log: Path, start: Start) -> None:
    append(log, "old 1\nold 2\nhal")
    reader = start(log)
    assert reader.read() == []
    append(log, "f\nnew\n")
    assert reader.read() == [b"half", b"new"]
    assert reader.numbers == [3, 4]


def test_later_file_is_read_from_its_beginning(log: Path, start: Start) -> None:
    reader = start(log)
    assert reader.read() == []
    assert reader.follower.unreadable == {
        str(log): "there is no such file; it is read once it appears"
    }
    append(log, "one\r\ntwo\n")
    assert reader.read() == [b"one", b"two"]
    assert reader.follower.unreadable == {}


def test_half_written_line_waits(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\ntw")
    assert reader.read() == [b"one"]
    append(log, "o")
    assert reader.read() == []
    append(log, "\n")
    assert reader.read() == [b"two"]


def test_byte_order_mark_is_no_part_of_a_line(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "\ufeffone\n")
    assert reader.read() == [b"one"]


def test_runs_of_nul_bytes_are_skipped(log: Path, start: Start) -> None:
    """Power was lost while the program wrote; then it went on behind a hole."""
    reader = start(log)
    append(log, "one\ncut o" + "\0" * 600 + "two\n" + "\0" * 4 + "three\n")
    assert reader.read() == [b"one", b"two", b"three"]
    append(log, "\0" * 3_000_000)
    assert reader.read() == []
    append(log, "four\ncut o" + "\0" * 3_000_000 + "five\n")
    assert reader.read() == [b"four", b"five"]
    assert reader.numbers == [1, 2, 3, 4, 5]
    assert reader.nul_runs == 4
    assert reader.unread == []


def test_file_truncated_under_a_program_that_goes_on(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    assert reader.read() == [b"one"]
    with log.open("r+b") as file:
        file.truncate(0)
        file.seek(1_000_000)
        file.write(b"two\n")
    assert reader.read() == [b"two"]
    assert reader.nul_runs == 1


def test_renamed_file_is_followed_while_the_program_writes_to_it(log: Path, start: Start) -> None:
    reader = start(log)
    with log.open("w") as old:
        print("one", file=old, flush=True)
        assert reader.read() == [b"one"]
        log.rename(log.with_name("dns.log.1"))
        print("two", file=old, flush=True)
        append(log, "four\n")
        print("three", file=old, flush=True)
        assert sorted(reader.read()) == [b"four", b"three", b"two"]
        assert reader.records[:3] == [b"one", b"two", b"three"]
        print("late", end="", file=old, flush=True)
    assert reader.read() == []
    assert reader.read(seconds=61) == []
    # Nothing is added any more: a line without an end is a line.
    assert reader.read(seconds=61) == [b"late"]
    assert reader.follower.events == {"log-rotated": 1}


def test_deleted_file_is_read_to_its_end(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    assert reader.read() == [b"one"]
    append(log, "two\n")
    log.unlink()
    append(log, "three\n")
    assert reader.read() == [b"two", b"three"]


def test_truncated_file_is_read_from_its_beginning(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\ntwo\n")
    reader.read()
    log.write_text("three\n")
    assert reader.read() == [b"three"]
    assert reader.numbers == [1, 2, 1]
    assert reader.follower.events == {"log-truncated": 1}


def test_truncation_is_noticed_whatever_the_size(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    reader.read()
    os.truncate(log, 0)
    append(log, "1st\n")
    os.utime(log, (1, 1))
    assert reader.read() == [b"1st"]
    os.truncate(log, 0)
    append(log, "two\nthree\n")
    assert reader.read() == [b"two", b"three"]


def test_rest_of_a_truncated_file_is_read_from_its_copy(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    reader.read()
    append(log, "two\n")
    shutil.copy(log, log.with_name("dns.log.1"))
    os.truncate(log, 0)
    append(log, "three\n")
    assert reader.read() == [b"two", b"three"]


def test_restart_continues(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    reader.read()
    reader.restart()
    append(log, "two\n")
    assert reader.read() == [b"two"]
    assert reader.numbers == [1, 2]


def test_crash_repeats_what_was_not_saved(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    reader.read()
    reader.save()
    append(log, "two\n")
    assert reader.read() == [b"two"]
    reader.crash()
    assert reader.read() == [b"two"]


@pytest.mark.parametrize("by_copy", [False, True])
def test_rotations_while_nothing_runs(log: Path, start: Start, by_copy: bool) -> None:
    reader = start(log)
    append(log, "one\n")
    reader.read()
    reader.save()
    for number, line in enumerate(("two", "three", "four")):
        append(log, f"{line}\n")
        os.utime(log, ns=(0, number * 10**9))
        for old in (2, 1):
            if (path := log.with_name(f"dns.log.{old}")).exists():
                path.rename(log.with_name(f"dns.log.{old + 1}"))
        if by_copy:
            shutil.copy2(log, log.with_name("dns.log.1"))
            os.truncate(log, 0)
        else:
            log.rename(log.with_name("dns.log.1"))
    append(log, "five\n")
    reader.crash()
    assert reader.read() == [b"two", b"three", b"four", b"five"]


def test_compressed_file_is_a_gap(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    reader.read()
    reader.save()
    log.rename(log.with_name("dns.log.1.gz"))
    append(log, "two\n")
    reader.crash()
    assert reader.read() == [b"two"]
    assert reader.follower.events == {"log-gap": 1}
    assert "is gone" in reader.follower.notes[0]


def test_reused_inode_is_another_file(log: Path, start: Start) -> None:
    reader = start(log)
    append(log, "one\n")
    reader.read()
    reader.save()
    # The number of the inode stays the same, as if a file system had given it to a new file.
    log.write_text("other\nlonger\n")
    reader.crash()
    assert reader.read() == [b"other", b"longer"]


def test_folder_gives_new_files(tmp_path: Path, start: Start) -> None:
    append(tmp_path / "conn.log", "before\n")
    reader = start(tmp_path)
    append(tmp_path / "dns.log", "one\n")
    append(tmp_path / "conn.log", "after\n")
    (tmp_path / "dns.log.2.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / ".hidden").write_text("hidden\n")
    assert sorted(reader.read(seconds=2)) == [b"after", b"one"]
    (tmp_path / "dns.log").rename(tmp_path / "dns-20261127.log")
    append(tmp_path / "dns.log", "two\n")
    assert reader.read(seconds=2) == [b"two"]
    reader.save()
    append(tmp_path / "ssl.log", "three\n")
    reader.crash()
    # What appeared while nothing ran is new, too.
    assert reader.read(seconds=2) == [b"three"]


def test_pattern_gives_files_named_by_date(tmp_path: Path, start: Start) -> None:
    reader = start(tmp_path / "query-*.log")
    for day in (26, 27):
        append(tmp_path / f"query-202611{day}.log", f"{day}\n")
    append(tmp_path / "other.log", "other\n")
    assert reader.read(seconds=2) == [b"26", b"27"]
    reader.save()
    (tmp_path / "query-20261126.log").unlink()
    for _ in range(3):
        reader.read(seconds=70)
    reader.save()
    assert not any("20261126" in key for key in reader.saved)


def test_too_long_line_is_skipped(log: Path, start: Start) -> None:
    reader = start(log)
    with log.open("w") as file:
        file.write("one\n" + "x" * 3_000_000)
        file.flush()
        assert reader.read() == [b"one"]
        reader.restart()
        file.write("y\nthree\n")
    assert reader.read() == [b"three"]
    assert reader.numbers == [1, 3]
    assert reader.unread == ["line-too-long"]


def test_too_many_files_are_said(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "MAX_LOGS", 3)
    for number in range(5):
        (tmp_path / f"log{number}x").touch()
    reader = start(tmp_path)
    assert len(list(reader.follower.logs)) == 3
    assert "not read" in reader.follower.notes[0]


def test_pipe_is_no_log(log: Path, start: Start) -> None:
    os.mkfifo(log)
    reader = start(log)
    assert reader.read() == []
    assert reader.follower.unreadable == {str(log): "it is no regular file"}


class Program:
    """A program that writes a log, and a rotation of it, with times that are far apart."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.written: list[bytes] = []
        self.clock = 0
        self.file = log.open("ab", buffering=0)
        self.partial = b""
        self.is_begun = False

    def write(self, count: int, is_whole: bool) -> None:
        lines = [b"line %d" % (len(self.written) + number) for number in range(count)]
        self.written += lines
        data = self.partial + b"".join(line + b"\n" for line in lines)
        self.partial = b"" if is_whole else data[-3:]
        self.file.write(data[: len(data) - len(self.partial)])
        self.touch()

    def touch(self) -> None:
        self.clock += 1
        os.utime(self.file.fileno(), ns=(0, self.clock * 10**9))

    def shift(self) -> None:
        for number in range(20, 0, -1):
            path = self.log.with_name(f"dns.log.{number}")
            if path.exists():
                path.rename(self.log.with_name(f"dns.log.{number + 1}"))

    def rotate_by_rename(self, lines_between: int) -> None:
        self.shift()
        self.log.rename(self.log.with_name("dns.log.1"))
        self.write(lines_between, True)
        self.file.close()
        self.file = self.log.open("ab", buffering=0)
        self.touch()

    def rotate_by_copy(self) -> None:
        self.write(0, True)
        self.shift()
        shutil.copy2(self.log, self.log.with_name("dns.log.1"))
        os.ftruncate(self.file.fileno(), 0)
        self.touch()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("rename"), st.integers(0, 3)),
        st.tuples(st.just("copy")),
        st.tuples(st.just("read"), st.integers(1, 3)),
        st.tuples(st.just("save")),
        st.tuples(st.just("crash")),
    ),
    max_size=30,
)


def begin(program: Program, reader: Reader) -> None:
    """Write the first line of a file, and read it."""
    program.write(1, True)
    reader.read()
    reader.save()
    program.is_begun = True


def run(step: tuple[object, ...], program: Program, reader: Reader, seconds: float) -> None:
    """Make one step."""
    match step:
        case ("write", int(count), bool(is_whole)):
            program.write(count, is_whole)
        case ("rename", int(between)):
            program.rotate_by_rename(between)
            program.is_begun = False
        case ("copy",):
            # A copy of a file of which nothing was read is not recognised.
            if not program.is_begun:
                begin(program, reader)
            program.rotate_by_copy()
            begin(program, reader)
        case ("read", int(most)):
            reader.read(most, seconds=seconds)
        case ("save",):
            reader.save()
        case ("crash",):
            reader.crash()


@examples(60, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_nothing_is_lost_or_repeated(
    steps: list[tuple[object, ...]], random_: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        program = Program(Path(folder, "dns.log"))
        ends.callback(lambda: program.file.close())
        reader = Reader(program.log)
        ends.callback(lambda: reader.follower.close())
        begin(program, reader)
        for step in steps:
            run(step, program, reader, random_.choice([0.1, 1.0, 30.0]))
        program.write(1, True)
        reader.read()
        events = reader.follower.events
    assert sorted(reader.records) == sorted(program.written)
    assert not events["log-gap"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_text_in_utf_16(encoding: str, log: Path, start: Start) -> None:
    """As PowerShell and some programs of Windows write it. A line may end within a character, and
    bytes of two characters may look like a line feed."""
    reader = start(log)
    lines = [f"{number} \u0a00\u0a0a caf\xe9 \U0001f600\r\n" for number in range(40)]
    data = "".join(["\ufeff", *lines]).encode(encoding)
    expected = [line.strip("\r\n").encode() for line in lines]
    picks = random.Random(7)
    at = 0
    while at < len(data):
        more = picks.randrange(1, 90)
        with log.open("ab") as file:
            file.write(data[at : at + more])
        at += more
        reader.read()
        if picks.random() < 0.3:
            reader.crash() if picks.random() < 0.3 else reader.restart()
    reader.read()
    assert reader.records == expected
    assert reader.numbers == list(range(1, 41))
    (followed,) = reader.follower.logs
    (file,) = followed.files
    before = file.before(200).splitlines()
    assert before == expected[-len(before) :]
    assert len(before) > 2
    log.rename(log.with_name("dns.log.1"))
    with log.with_name("dns.log.1").open("ab") as old:
        old.write("last \u0a00".encode(encoding))
    log.write_bytes("\ufefffirst\n".encode(encoding))
    for _ in range(3):
        reader.read(seconds=100)
    assert reader.records[40:] == [b"first", "last \u0a00".encode()]


def test_what_is_there_in_utf_16_is_left_out(log: Path, start: Start) -> None:
    log.write_bytes("old\nolder\n\u0a00".encode("utf-16"))
    reader = start(log)
    with log.open("ab") as file:
        file.write("new\n".encode("utf-16-le"))
    assert reader.read() == ["\u0a00new".encode()]
    assert reader.numbers == [3]


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("rotations", [1, 2])
def test_copy_of_a_file_of_which_nothing_was_read(
    is_running: bool, rotations: int, log: Path, start: Start
) -> None:
    """It was empty when it was looked at, and is written, copied and truncated before the next
    look, or while nobody looks. An older file beside it was read before."""
    log.with_name("dns.log.9").write_text("older\n")
    os.utime(log.with_name("dns.log.9"), (1, 1))
    log.touch()
    reader = start(log)
    reader.read()
    reader.save()
    for number in range(rotations, 0, -1):
        log.write_text(f"written {number}\n")
        shutil.copyfile(log, log.with_name(f"dns.log.{number}"))
        os.truncate(log, 0)
    log.write_text("new\n")
    if not is_running:
        reader.crash()
    reader.read()
    assert reader.records == [*[f"written {n}".encode() for n in range(rotations, 0, -1)], b"new"]
    reader.restart()
    reader.read()
    assert reader.records[rotations:] == [b"new"]
