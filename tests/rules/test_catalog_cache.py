"""The cache of compiled catalogues: when it is used, and whom it trusts."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from netwatch.core import yaml_reader
from netwatch.core.errors import ConfigError
from netwatch.core.user_yaml import Problems
from netwatch.rules import documents, load
from netwatch.rules.catalog import Catalog
from netwatch.rules.documents import MAX_ENTRIES, read_entry, write_entry
from netwatch.rules.load import load_signatures, read_signatures

Write = Callable[..., Path]

KEY = bytes(range(32))
CONTENT = b"what was compiled" * 50
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners, so it needs root")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are parsed, and not taken from the cache."""
    files: list[str] = []
    real = yaml_reader.decode_yaml

    def counted(raw: bytes, file: str, *rest: object, **options: object) -> object:
        files.append(Path(file).name)
        return real(raw, file, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(yaml_reader, "decode_yaml", counted)
    return files


def entry(folder: Path) -> Path:
    (path,) = folder.glob("*.catalogue")
    return path


def test_a_second_start_parses_nothing(folder: Path, write: Write, parsed: list[str]) -> None:
    path = write("video", "suffix: video.com, role: exclusive")
    first = load_signatures([path], Path())
    second = load_signatures([path], Path())
    assert parsed == ["video.yaml"]
    assert dict(second.signatures) == dict(first.signatures)
    assert second.version == first.version
    assert stat.S_IMODE(entry(folder).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_any_change_of_the_files_is_seen(folder: Path, write: Write, parsed: list[str]) -> None:
    path = write("video", "suffix: video.com, role: exclusive")
    load_signatures([path], Path())
    status = path.stat()
    path.write_text(path.read_text().replace("video.com", "vodeo.com"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    catalog = load_signatures([path], Path())
    assert catalog.match("video.com") is None
    assert catalog.match("vodeo.com") is not None
    other = path.parent.with_name("other")
    path.parent.rename(other)
    (rule,) = load_signatures([other], Path()).rules()
    assert rule.file == str(other / "video.yaml")
    assert len(parsed) == 3


def test_the_order_of_sources_and_whose_files_they_are_count(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write("video", "host: video.com, role: exclusive", folder="one").parent
    two = write("video", "host: video.com, role: embed", folder="two").parent
    for _ in range(2):
        roles = [
            [rule.role for rule in load_signatures(sources, Path()).rules()]
            for sources in ([one, two], [two, one])
        ]
        assert roles == [["embed"], ["exclusive"]]
    monkeypatch.setattr(load, "shipped", lambda: one)
    (one / "apps").mkdir()
    (one / "video.yaml").rename(one / "apps" / "video.yaml")
    copy = shutil.copytree(one, one.parent / "copy")
    for _ in range(2):
        (rule,) = load_signatures(["builtin"], Path()).rules()
        assert rule.marks.shipped
        (rule,) = load_signatures([copy], Path()).rules()
        assert not rule.marks.shipped


def test_mistakes_are_reported_each_time(folder: Path, write: Write) -> None:
    good = write("video", "suffix: video.com, role: exclusive")
    bad = write("chat", "suffix: CHAT.com, role: exclusive", "suffix: x, role: none")
    messages = []
    for _ in range(3):
        with pytest.raises(ConfigError) as caught:
            load_signatures([good.parent], Path())
        messages.append(caught.value.problems)
    assert messages[0] == messages[1] == messages[2]
    assert len(messages[0]) == 3
    assert {problem.file for problem in messages[0]} == {str(bad)}
    assert not folder.exists()


def test_mistakes_elsewhere_do_not_turn_the_cache_off(
    folder: Path, write: Write, parsed: list[str]
) -> None:
    path = write("video", "suffix: video.com, role: exclusive")
    for _ in range(2):
        problems = Problems()
        problems.add("netwatch.yaml", 1, "a mistake")
        assert read_signatures([path], Path(), problems).complete
        assert len(problems.found) == 1
    assert parsed == ["video.yaml"]


def test_a_damaged_entry_is_read_as_none_and_written_again(
    folder: Path, write: Write, parsed: list[str]
) -> None:
    path = write("video", "suffix: video.com, role: exclusive")
    load_signatures([path], Path())
    good = entry(folder).read_bytes()
    entry(folder).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    load_signatures([path], Path())
    assert parsed == ["video.yaml"] * 2
    assert entry(folder).read_bytes() == good


def test_an_entry_of_another_layout_is_parsed_again(
    folder: Path, write: Write, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("video", "suffix: video.com, role: exclusive")
    monkeypatch.setattr(load, "pack", lambda catalog: [b"\0" * 100])
    load_signatures([path], Path())
    assert load_signatures([path], Path()).match("video.com") is not None
    assert len(parsed) == 2


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_every_byte_of_an_entry_counts(folder: Path, damage: str) -> None:
    write_entry(KEY, [CONTENT])
    good = entry(folder).read_bytes()
    assert read_entry(KEY) == CONTENT
    for at in range(len(good)):
        bad = good[:at] if damage == "cut" else good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :]
        entry(folder).write_bytes(bad)
        assert read_entry(KEY) is None
    entry(folder).write_bytes(good + b"\0")
    assert read_entry(KEY) is None


def test_an_entry_under_another_name_is_not_used(folder: Path) -> None:
    write_entry(KEY, [CONTENT])
    other = bytes(32)
    entry(folder).rename(folder / f"{other.hex()}.catalogue")
    assert read_entry(other) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_may_write_is_not_used(folder: Path, mode: int) -> None:
    write_entry(KEY, [CONTENT])
    entry(folder).chmod(mode)
    assert read_entry(KEY) is None
    write_entry(KEY, [CONTENT])
    assert read_entry(KEY) == CONTENT


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(folder: Path, mode: int) -> None:
    write_entry(KEY, [CONTENT])
    folder.chmod(mode)
    assert read_entry(KEY) is None
    entry(folder).unlink()
    write_entry(KEY, [CONTENT])
    assert [*folder.iterdir()] == []


@AS_ROOT
def test_an_entry_or_a_folder_of_another_user_is_not_used(folder: Path) -> None:
    write_entry(KEY, [CONTENT])
    os.chown(entry(folder), 65534, 65534)
    assert read_entry(KEY) is None
    write_entry(KEY, [CONTENT])
    assert read_entry(KEY) == CONTENT
    os.chown(folder, 65534, 65534)
    assert read_entry(KEY) is None
    entry(folder).unlink()
    write_entry(KEY, [CONTENT])
    assert [*folder.iterdir()] == []


@AS_ROOT
def test_nothing_is_created_in_the_home_of_another_user(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(home))
    write_entry(KEY, [CONTENT])
    assert [*home.iterdir()] == []


def test_links_and_pipes_are_not_followed(folder: Path, tmp_path: Path) -> None:
    write_entry(KEY, [CONTENT])
    place = entry(folder)
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert read_entry(KEY) is None
    write_entry(KEY, [CONTENT])
    assert not place.is_symlink()
    assert read_entry(KEY) == CONTENT
    place.unlink()
    os.mkfifo(place)
    assert read_entry(KEY) is None
    place.unlink()
    place.mkdir()
    assert read_entry(KEY) is None
    write_entry(KEY, [CONTENT])
    assert [*folder.iterdir()] == [place]
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert read_entry(KEY) is None


def test_what_is_too_large_is_neither_written_nor_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_entry(KEY, [CONTENT])
    monkeypatch.setattr(documents, "MAX_ENTRY_BYTES", len(CONTENT))
    assert read_entry(KEY) is None
    write_entry(bytes(32), [CONTENT])
    assert len([*folder.iterdir()]) == 1


def test_old_entries_are_removed_and_other_files_stay(folder: Path) -> None:
    keys = [bytes([number]) * 32 for number in range(MAX_ENTRIES + 3)]
    now = time.time()
    folder.mkdir(parents=True, mode=0o700)
    other = folder / "notes.txt"
    other.touch()
    os.utime(other, (1, 1))
    unfinished = [folder / f".{KEY.hex()}.{letter * 16}.tmp" for letter in "ab"]
    for path in unfinished:
        path.touch()
    os.utime(unfinished[0], (1, 1))
    for at, key in enumerate(keys[:-1]):
        write_entry(key, [CONTENT])
        os.utime(folder / f"{key.hex()}.catalogue", (now, now - 10_000 * (len(keys) - at)))
    assert read_entry(keys[2]) == CONTENT  # is used, so it is not the oldest any more
    write_entry(keys[-1], [CONTENT])
    left = [key for key in keys if (folder / f"{key.hex()}.catalogue").exists()]
    assert left == [keys[2], *keys[-MAX_ENTRIES + 1 :]]
    assert other.exists()
    assert [path.exists() for path in unfinished] == [False, True]
    old = folder / f"{keys[-2].hex()}.catalogue"
    os.utime(old, (now, now - documents.MAX_AGE - 60))
    write_entry(keys[-1], [CONTENT])
    assert not old.exists()


@pytest.mark.parametrize("value", ["off", "OFF"])
def test_the_cache_can_be_turned_off(
    folder: Path, write: Write, value: str, monkeypatch: pytest.MonkeyPatch, parsed: list[str]
) -> None:
    monkeypatch.setenv("NETWATCH_CACHE", value)
    path = write("video", "suffix: video.com, role: exclusive")
    for _ in range(2):
        load_signatures([path], Path())
    write_entry(KEY, [CONTENT])
    assert not folder.exists()
    assert len(parsed) == 2


def test_the_folder_is_that_of_the_user(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert documents.folder_path() == folder
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(documents, "SYSTEM_FOLDER", tmp_path / "system")
    assert documents.folder_path() == Path("/home/somebody/.cache/netwatch")
    (tmp_path / "system").mkdir()
    assert documents.folder_path() == tmp_path / "system"
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert documents.folder_path() == Path("/home/somebody/.cache/netwatch")
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert documents.folder_path() is None


def _write_and_read(number: int) -> set[bytes | None]:
    seen = set()
    for turn in range(60):
        write_entry(KEY, [bytes([number]) * (1000 * (turn % 7 + 1))])
        content = read_entry(KEY)
        seen.add(content and bytes({*content}))
    return seen


def test_writers_at_the_same_time_never_show_a_part(folder: Path) -> None:
    with get_context("fork").Pool(4) as pool:
        seen = set().union(*pool.map(_write_and_read, range(1, 5), chunksize=1))
    assert seen <= {b"\x01", b"\x02", b"\x03", b"\x04"}
    assert len([*folder.iterdir()]) == 1


_LOAD = """
import os, sys
from pathlib import Path
from netwatch.rules.load import load_signatures
if len(sys.argv) > 2:
    os.environ["NETWATCH_CACHE"] = "off"
    load_signatures([sys.argv[1]], Path())  # imports what another user may not
    os.environ["NETWATCH_CACHE"] = ""
    os.setresuid(65534, 65534, 65534)
print(load_signatures([sys.argv[1]], Path()).match("video.com").app.id)
"""


@AS_ROOT
@pytest.mark.usefixtures("folder")
def test_a_read_only_folder_only_costs_time(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as place:
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        path = Path(place, "video.yaml")
        shutil.move(write("video", "suffix: video.com, role: exclusive"), path)
        path.chmod(0o644)
        Path(place).chmod(0o755)
        folder = Path(place, "netwatch")
        for mode, entries in ((0o500, 0), (0o700, 1)):
            folder.mkdir(exist_ok=True)
            os.chown(folder, 65534, 65534)
            folder.chmod(mode)
            done = subprocess.run(
                [sys.executable, "-c", _LOAD, str(path), "nobody"], capture_output=True, text=True
            )
            assert (done.stdout, done.stderr) == ("video\n", "")
            assert len([*folder.iterdir()]) == entries


@AS_ROOT
@pytest.mark.needs("unshare")
def test_a_full_disk_only_costs_time(folder: Path, write: Write) -> None:
    path = write(
        "video", *(f"suffix: v{number}.video.com, role: exclusive" for number in range(800))
    )
    text = path.read_text().replace("v0.video.com", "video.com")
    path.write_text(text)
    folder.mkdir(parents=True, mode=0o700)
    script = (
        'mount -t tmpfs -o size=16k,mode=700 tmpfs "$1" || exit 9; "$2" -c "$3" "$4" && ls -A "$1"'
    )
    words = ["sh", str(folder), sys.executable, _LOAD, str(path)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, *words], capture_output=True, text=True
    )
    if done.returncode == 9:
        pytest.skip("no tmpfs can be mounted here")
    assert (done.stdout, done.stderr) == ("video\n", "")


def test_lint_and_layers_work_on_a_cached_catalogue(folder: Path, write: Write) -> None:
    path = write("video", "suffix: video.com, role: exclusive")
    cached: Catalog = [load_signatures([path], Path()) for _ in range(2)][1]
    above = load_signatures([write("chat", "suffix: chat.com, role: exclusive")], Path())
    problems = Problems()
    both = load.with_signature(cached, above.signatures["chat"], problems)
    assert both.match("www.video.com") == cached.match("www.video.com")
    assert both.match("chat.com") is not None
    again = load.with_signature(both, cached.signatures["video"], problems)
    assert problems.found == []
    assert len([*again.rules()]) == 2
