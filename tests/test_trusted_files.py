"""Files that others can write to decide nothing."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.paths import PCAPS, ROOT

from netwatch.cli import main
from netwatch.config import load, load_catalog, load_updates
from netwatch.core.errors import ConfigError
from netwatch.core.user_yaml import Problems
from netwatch.inventory.inventory_file import read_inventory_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions")

CAPTURE = str(PCAPS / "http-host.pcap")
CONFIG = """\
version: 1
signatures: [builtin, ./own]
devices: {inventory: devices.csv}
outputs: [{name: siem, type: http, url: "https://siem.example", token: {file: token}}]
console:
  tls: {certificate: tls.pem, key: tls.key}
"""
SIGNATURE = """\
app: ours
name: Ours
vendor: us
category: video
domains:
  - {suffix: ours.example, role: exclusive, sources: [observed]}
"""
FILES = {
    "netwatch.yaml": CONFIG,
    "own/ours.yaml": SIGNATURE,
    "devices.csv": "id,ip,class\nlab,10.0.0.1,service\n",
    "token": "secret",
    "tls.pem": "",
    "tls.key": "",
}


PERSON = SimpleNamespace(pw_name="jane", pw_gid=1000)
OF_OTHERS = 64_999
"""A group that the owner of a file is not alone in."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a configuration and all that it names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir(mode=0o755)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o644)
    return tmp_path


def mistakes(path: str | None = None) -> list[str]:
    try:
        load(path, with_secrets=True)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_nothing_is_refused_of_a_usual_site(site: Path) -> None:
    assert mistakes() == []


def test_the_private_group_of_its_owner_may_write(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whatever a user makes whose umask is 002."""
    import grp
    import pwd

    monkeypatch.setattr(pwd, "getpwuid", lambda user: PERSON)
    for members, refused in ((), 0), (("jane",), 0), (("jane", "joe"), 1):
        group = grp.struct_group(("jane", "x", PERSON.pw_gid, list(members)))
        monkeypatch.setattr(grp, "getgrgid", lambda _, group=group: group)
        Path("netwatch.yaml").chmod(0o664)
        assert len(mistakes()) == refused


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
@pytest.mark.parametrize("name", [*FILES, "own"])
def test_a_file_that_others_can_write_to_is_refused(site: Path, name: str, mode: int) -> None:
    path = Path(name)
    if os.geteuid() == 0:
        os.chown(path, -1, OF_OTHERS)
    elif not mode & 0o002:
        pytest.skip("only root can give a file the group of others")
    path.chmod(mode | (0o111 if path.is_dir() else 0))
    (text,) = mistakes()
    assert "is refused: users other than its owner can write to it" in text
    assert text.endswith(f": chmod go-w {name}")
    # The command mends it.
    path.chmod(path.stat().st_mode & ~0o022)
    assert mistakes() == []


def test_the_command_can_be_pasted_whatever_the_name(site: Path) -> None:
    Path("netwatch.yaml").rename("a b.yaml")
    Path("a b.yaml").chmod(0o666)
    assert mistakes("a b.yaml")[0].endswith("chmod go-w 'a b.yaml'")


def test_a_folder_of_inventories_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inventories"
    folder.mkdir()
    (folder / "devices-2023-03-01.csv").write_text(FILES["devices.csv"])
    folder.chmod(0o777)
    problems = Problems()
    read_inventory_folder(folder, problems)
    (problem,) = problems.found
    assert str(problem).endswith(f"chmod go-w {folder}")


def test_every_command_that_reads_a_part_refuses_the_whole(site: Path) -> None:
    Path("netwatch.yaml").chmod(0o666)
    for read in (load, load_catalog, load_updates):
        with pytest.raises(ConfigError, match=r"chmod go-w netwatch\.yaml"):
            read()


def test_a_scan_ends_with_status_2(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("netwatch.yaml").chmod(0o646)
    assert main(["scan", CAPTURE]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert "chmod go-w netwatch.yaml" in shown.err


def test_shipped_files_are_read_whatever_their_mode(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout or an installation with umask 002 has them."""
    monkeypatch.setattr("netwatch.core.user_yaml.others_may_write", lambda _status: True)
    monkeypatch.setattr("netwatch.config.SEARCH_PATHS", ())
    assert "tiktok" in load().catalog.apps()


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets this process look like that of another user."""
    return lambda user: monkeypatch.setattr(os, "geteuid", lambda: user)


@pytest.fixture
def foreign(site: Path, as_user: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site of user 1234, read by user 4321."""
    status = os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        found = [*status(descriptor)]
        found[4] = 1234
        return os.stat_result(found)

    as_user(4321)
    monkeypatch.setattr("netwatch.core.user_yaml.os.fstat", of_another)
    return site


def test_a_configuration_of_another_user_that_nobody_named_is_refused(
    foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", CAPTURE]) == 2
    shown = capsys.readouterr().err
    assert "this file was not named with -c, and it belongs to user 1234" in shown
    assert "name it with -c, or chown 4321 netwatch.yaml" in shown


def test_a_configuration_of_another_user_that_was_named_is_read(foreign: Path) -> None:
    assert load("./netwatch.yaml").path == "./netwatch.yaml"


def test_what_belongs_to_root_is_read_by_all(site: Path, as_user: Callable[[int], None]) -> None:
    if Path("netwatch.yaml").stat().st_uid != 0:
        pytest.skip("files of this user are not those of root")
    as_user(4321)
    assert not any("belongs to user" in note for note in load().notes)


def test_a_note_says_that_a_named_configuration_belongs_to_another_user(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.core.user_yaml.is_root_or_own", lambda _status: False)
    owner = Path("netwatch.yaml").stat().st_uid
    (note,) = (each for each in load("netwatch.yaml").notes if "belongs" in each)
    assert note == f"netwatch.yaml belongs to user {owner}, who can change what netwatch does"


def test_a_configuration_that_was_found_is_announced_on_a_terminal(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "netwatch: using netwatch.yaml of the current folder\n"
    assert main(["policy", "check"]) == 0
    assert line not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["policy", "check"]) == 0
    assert capsys.readouterr().err.count(line) == 1
    assert main(["policy", "check", "-c", "netwatch.yaml"]) == 0
    assert line not in capsys.readouterr().err


def test_the_summary_says_which_configuration_was_used(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["scan", CAPTURE]) == 0
    assert f"configuration netwatch.yaml ({load().version})" in capsys.readouterr().err
    monkeypatch.chdir(ROOT / "tests")
    monkeypatch.setattr("netwatch.config.SEARCH_PATHS", ())
    assert main(["scan", CAPTURE]) == 0
    assert f"configuration built-in ({load().version})" in capsys.readouterr().err
