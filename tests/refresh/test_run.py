"""A refresh of the inventory: what it writes, and what it leaves as it was."""

import fcntl
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.netbox import TOKEN, device, interface, serving_netbox

from netwatch.cli import main
from netwatch.config import load, load_refresh
from netwatch.core.addresses import parse_mac
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.user_yaml import Problems
from netwatch.inventory.inventory_file import read_inventory, read_inventory_folder
from netwatch.inventory.registered import MARKER
from netwatch.live.config_update import fingerprint
from netwatch.refresh import run
from netwatch.refresh.run import Refreshed, refresh

SECOND = 10**9
HOUR = 3600 * SECOND
NOON = int(datetime(2023, 3, 20, 12, tzinfo=UTC).timestamp()) * SECOND
LDIF = "dn: CN={0},DC=city,DC=example\nobjectClass: computer\nname: {0}\ndescription: {1}\n\n"


class Place:
    """A folder with a configuration whose inventory is refreshed from LDIF."""

    def __init__(self, folder: Path, inventory: str, more: str = "") -> None:
        self.folder = folder
        self.configuration = folder / "netwatch.yaml"
        self.source = folder / "computers.ldif"
        self.configuration.write_text(
            f"version: 1\ndevices:\n  inventory: {inventory}\n{more}  sources:\n"
            "    - {type: directory, path: computers.ldif, owner: description}\n"
        )

    def register(self, *names: str) -> None:
        """Let the directory have these computers, ``NAME`` or ``NAME=OWNER``."""
        pairs = (name.partition("=") for name in names)
        self.source.write_text("".join(LDIF.format(name, owner) for name, _, owner in pairs))

    def refresh(self, now: int, **how: bool) -> Refreshed:
        options = load_refresh(str(self.configuration))
        assert options is not None
        return refresh(options, now, **how)

    def at(self, time: int) -> list[str]:
        """The devices, as ``NAME=OWNER``, at a time."""
        options = load_refresh(str(self.configuration))
        assert options is not None
        problems = Problems()
        read = read_inventory_folder if options.is_folder else read_inventory
        entries = read(options.path, problems, timezone=options.timezone)
        problems.raise_if_any()
        found = {entry.id for entry in entries}
        known = (entries.with_id(name, time) for name in found)
        return sorted(f"{entry.id}={entry.owner or ''}" for entry in known if entry)

    def files(self) -> dict[str, bytes]:
        paths = (path for path in self.folder.rglob("[!.]*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}


@pytest.fixture(params=["devices.csv", "inventory/"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, request.param)


def test_what_is_new_changed_and_gone(place: Place) -> None:
    place.register("a", "b=Press", "c")
    result = place.refresh(NOON)
    assert (result.changes.added, result.changes.before) == (("a", "b", "c"), 0)
    assert result.file is not None
    assert result.file.stat().st_mode & 0o777 == 0o640
    place.register("a", "b=Finance", "d")
    changes = place.refresh(NOON + HOUR).changes
    assert (changes.added, changes.changed, changes.removed) == (("d",), ("b",), ("c",))
    assert changes.unchanged == 1
    assert place.at(NOON) == place.at(NOON + HOUR - 1) == ["a=", "b=Press", "c="]
    assert place.at(NOON + HOUR) == place.at(NOON + 999 * HOUR) == ["a=", "b=Finance", "d="]


def test_nothing_is_written_where_nothing_changed(place: Place) -> None:
    place.register("a", "b")
    place.refresh(NOON)
    files = place.files()
    for later in (HOUR, 48 * HOUR):
        assert place.refresh(NOON + later).file is None
    assert place.files() == files


def test_a_dry_run_writes_nothing(place: Place) -> None:
    place.register("a")
    files = place.files()
    assert place.refresh(NOON, dry_run=True).changes.added == ("a",)
    assert place.files() == files
    assert [path.name for path in place.folder.iterdir() if path.is_dir()] == []


def test_days_of_a_folder_are_exact_to_the_second(tmp_path: Path) -> None:
    place = Place(tmp_path, "inventory/", "  timezone: Europe/Brussels\n")
    place.register("a", "b")
    place.refresh(NOON)
    place.register("a", "b=x")
    place.refresh(NOON + HOUR)
    place.register("a", "c")
    place.refresh(NOON + 11 * HOUR)  # midnight in Brussels
    place.register("a", "c", "b=x")
    place.refresh(NOON + 40 * HOUR)
    assert sorted(path.name for path in (tmp_path / "inventory").glob("*.csv")) == [
        "registered-2023-03-20.csv",
        "registered-2023-03-21.csv",
        "registered-2023-03-22.csv",
    ]
    steps = [
        (NOON - 13 * HOUR, ["a=", "b="]),
        (NOON + HOUR, ["a=", "b=x"]),
        (NOON + 11 * HOUR, ["a=", "c="]),
        (NOON + 40 * HOUR, ["a=", "b=x", "c="]),
        (NOON + 4000 * HOUR, None),
    ]
    for (start, names), (end, _) in pairwise(steps):
        assert place.at(start) == place.at(end - 1) == names
    assert place.at(NOON - 13 * HOUR - 1) == []


def test_rows_that_ended_long_ago_are_left_out(tmp_path: Path) -> None:
    place = Place(tmp_path, "devices.csv", "  keep: 1d\n")
    place.register("a", "b", "c")
    place.refresh(NOON)
    place.register("a", "b")
    place.refresh(NOON + HOUR)
    assert place.at(NOON) == ["a=", "b=", "c="]
    place.refresh(NOON + 25 * HOUR)
    assert place.at(NOON) == ["a=", "b=", "c="]
    assert place.refresh(NOON + 26 * HOUR).file is not None
    assert place.at(NOON) == ["a=", "b="]


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "the sources list no device"), (("a",), "only 1 device of 3 would be left")],
)
def test_a_suspicious_shrink_needs_force(place: Place, names: Sequence[str], message: str) -> None:
    place.register("a", "b", "c")
    place.refresh(NOON)
    files = place.files()
    place.register(*names)
    if not names:
        place.source.write_text("dn: CN=Ada,DC=example\nobjectClass: user\n\n")
    with pytest.raises(NetwatchError, match=message):
        place.refresh(NOON + HOUR)
    now = place.files()
    assert {name: now[name] for name in now if "ldif" not in name} == {
        name: files[name] for name in files if "ldif" not in name
    }
    place.refresh(NOON + HOUR, force=True)
    assert place.at(NOON + HOUR) == [f"{name}=" for name in names]


def test_a_source_that_is_broken_changes_nothing(place: Place) -> None:
    place.register("a", "b")
    place.refresh(NOON)
    files = {name: text for name, text in place.files().items() if "ldif" not in name}
    place.source.write_text(LDIF.format("a", "")[:-10])
    with pytest.raises(ConfigError, match=r"computers\.ldif:4: expected a line end"):
        place.refresh(NOON + HOUR)
    place.source.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        place.refresh(NOON + HOUR)
    assert {name: text for name, text in place.files().items() if "ldif" not in name} == files


def test_what_ldifde_writes_as_unicode(place: Place) -> None:
    place.register("größe=Ämter")
    place.source.write_bytes(place.source.read_text().replace("\n", "\r\n").encode("utf-16"))
    place.refresh(NOON)
    assert place.at(NOON) == ["größe=Ämter"]


def test_a_file_of_somebody_else_is_never_replaced(place: Place) -> None:
    place.register("a")
    (place.folder / "inventory").mkdir()
    for name in ("devices.csv", "inventory/registered-2023-03-20.csv"):
        (place.folder / name).write_text("id,mac\nmine,02:00:00:00:00:01\n")
    files = place.files()
    with pytest.raises(NetwatchError, match="other files are not replaced"):
        place.refresh(NOON, force=True)
    assert place.files() == files


def test_files_of_other_registers_in_the_folder_stay_and_must_agree(tmp_path: Path) -> None:
    place = Place(tmp_path, "inventory/")
    (tmp_path / "inventory").mkdir()
    phones = tmp_path / "inventory/phones-2023-03-01.csv"
    phones.write_text("id,mac\nphone,02:00:00:00:00:01\n")
    place.register("a")
    place.refresh(NOON)
    assert place.at(NOON) == ["a=", "phone="]
    place.register("a", "phone")
    with pytest.raises(ConfigError, match="duplicate id 'phone'"):
        place.refresh(NOON + HOUR)
    assert place.at(NOON + HOUR) == ["a=", "phone="]


def test_a_clock_that_goes_backwards_is_noticed(place: Place) -> None:
    place.register("a", "b")
    place.refresh(NOON)
    place.register("a", "c")
    place.refresh(NOON + HOUR)
    place.register("a", "d")
    with pytest.raises(NetwatchError, match="is the clock right"):
        place.refresh(NOON + HOUR)
    if (place.folder / "inventory").exists():
        with pytest.raises(NetwatchError, match="dated in the future"):
            place.refresh(NOON - 24 * HOUR)


@pytest.mark.parametrize("call", ["fsync", "fchmod", "replace"])
def test_an_error_while_writing_leaves_the_former(
    place: Place, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.register("a", "b")
    place.refresh(NOON)
    files = place.files()
    place.register("a", "c")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if call == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(run.os, "fsync", fail)
    with pytest.raises(NetwatchError, match="No space left"):
        place.refresh(NOON + HOUR)
    now = place.files()
    now["computers.ldif"] = files["computers.ldif"]
    assert now == files
    assert [*place.folder.rglob(".*.new")] == []


def test_the_permissions_of_the_former_stay_and_so_does_a_link(tmp_path: Path) -> None:
    place = Place(tmp_path, "devices.csv")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "devices.csv").symlink_to("elsewhere/real.csv")
    place.register("a")
    place.refresh(NOON)
    real = tmp_path / "elsewhere/real.csv"
    real.chmod(0o604)
    place.register("a", "b")
    place.refresh(NOON + HOUR)
    assert (tmp_path / "devices.csv").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o604
    assert place.at(NOON + HOUR) == ["a=", "b="]


def test_of_two_refreshes_at_one_time_the_second_fails(place: Place) -> None:
    place.register("a")
    place.refresh(NOON)
    (file,) = place.folder.rglob(".*lock")
    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        place.register("a", "b")
        with pytest.raises(NetwatchError, match="another refresh is running"):
            place.refresh(NOON + HOUR)
    finally:
        os.close(descriptor)
    assert place.refresh(NOON + HOUR).file is not None


def test_what_a_killed_refresh_left_is_no_obstacle(place: Place) -> None:
    place.register("a")
    first = place.refresh(NOON).file
    assert first is not None
    first.with_name(f".{first.name}.new").write_text("half")
    assert place.at(NOON) == ["a="]
    place.register("a", "b")
    place.refresh(NOON + HOUR)
    assert [*place.folder.rglob(".*.new")] == []


def test_a_live_capture_notices_the_new_inventory(place: Place) -> None:
    place.register("a")
    place.refresh(NOON)
    files = load(str(place.configuration)).files
    before = fingerprint(files)
    place.register("a", "b")
    place.refresh(NOON + HOUR)
    assert fingerprint(files) != before


STATES = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", "x", "y"]), min_size=1),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=5,
)


@examples(25)
@given(STATES, st.booleans())
def test_the_past_stays_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    states: list[tuple[dict[str, str], int]],
    is_folder: bool,
) -> None:
    place = Place(tmp_path_factory.mktemp("place"), "inventory/" if is_folder else "devices.csv")
    now = NOON
    seen: list[tuple[int, list[str]]] = []
    for owners, hours in states:
        place.register(*(f"{name}={owner}" for name, owner in owners.items()))
        place.refresh(now, force=True)
        seen.append((now, sorted(f"{name}={owner}" for name, owner in owners.items())))
        now += hours * HOUR
    for (start, names), end in zip(seen, [*(time for time, _ in seen[1:]), now], strict=True):
        assert place.at(start) == place.at(end - 1) == names


def test_several_sources_and_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETBOX_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    Path("assets.csv").write_text("Name;Serial;until\nprinter;1;2020-01-01\ncamera;2;\n")
    Path("c.ldif").write_text(LDIF.format("WS-1", "Press"))
    with serving_netbox() as netbox:
        netbox.lists = {
            "dcim/devices": [device(1, "ws-1"), device(2, "ws-2")],
            "dcim/interfaces": [
                interface(11, 1, "02:00:00:00:00:01"),
                interface(21, 2, "02:00:00:00:00:99"),
                interface(22, 1, "02:00:00:00:00:99"),
            ],
            "ipam/ip-addresses": [],
        }
        Path("netwatch.yaml").write_text(
            "version: 1\ndevices:\n  inventory: devices.csv\n  sources:\n"
            f"    - {{type: netbox, url: '{netbox.url}', token: {{env: NETBOX_TOKEN}}}}\n"
            "    - {type: directory, path: c.ldif, owner: description}\n"
            "    - {type: csv, path: assets.csv, columns: {hostname: name, id: name}}\n"
        )
        assert main(["inventory", "refresh"]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "added    camera",
        "added    ws-1",
        "added    ws-2",
        "3 devices: 3 added, 0 changed, 0 removed, 0 as before; wrote"
        f" {Path('devices.csv').resolve()}",
    ]
    assert output.err == ("netwatch: left out: 02:00:00:00:00:99 belongs to ws-1 and to ws-2\n")
    assert Path("devices.csv").read_text().startswith(MARKER)
    entry = load().devices.entries.with_id("ws-1")
    assert entry is not None
    assert (entry.mac, entry.owner) == (parse_mac("020000000001"), "Press")
    assert main(["inventory", "refresh"]) == 1
    assert "netwatch: http://localhost" in capsys.readouterr().err
    Path("netwatch.yaml").write_text("version: 1\n")
    assert main(["inventory", "refresh"]) == 2
    assert "expected 'devices: sources'" in capsys.readouterr().err
