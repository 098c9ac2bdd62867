"""``netwatch signatures update`` and ``publish``, and what other commands say of the set in use."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.captures import pcap
from support.office import DURING, one_hello
from support.sets import Publisher, served, signatures

from netwatch.cli import main
from netwatch.config import load
from netwatch.core.errors import ConfigError
from netwatch.core.installing import install_command
from netwatch.rules.bans import pack_ids
from netwatch.updates.options import SYSTEM_FOLDER, default_folder, url_problem
from netwatch.updates.update import read_examined, update

Run = Callable[..., tuple[int, str, str]]

CONFIG = """\
version: 1
networks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]
bans: [{pack: city-clips-2023}]
updates: {root: root.json, folder: sets}
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object) -> tuple[int, str, str]:
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netwatch.config.SEARCH_PATHS", ("netwatch.yaml",))
    return tmp_path


PLACES = ("--repository", "repository", "--keys", "keys")


@pytest.fixture
def published(run: Run) -> str:
    """The hash of the root of a repository with one set, made with the commands alone."""
    status, out, err = run("signatures", "publish", "--init", *PLACES)
    assert (status, err) == (0, "")
    path, word, digest = out.split()
    assert (path, word) == ("repository/metadata/1.root.json", "sha256")
    Path("root.json").write_bytes(Path(path).read_bytes())
    status, out, err = run("signatures", "publish", signatures(Path("mine")), *PLACES)
    assert (status, err) == (0, "")
    assert re.fullmatch(r"published set 1 \([0-9a-f]{12}\), 2 files, valid until \S+Z\n", out)
    return digest


UPDATE = ("signatures", "update", "--root", "root.json", "--sets-folder", "sets")


def test_a_set_from_its_making_to_its_use(run: Run, published: str) -> None:
    status, out, _ = run(*UPDATE, "--from", "repository", "--check")
    assert (status, out) == (0, "set 1 is available; in use: none\n")
    status, out, _ = run(*UPDATE, "--from", "repository")
    assert status == 0
    assert re.fullmatch(r"installed set 1 \([0-9a-f]{12}\), valid until \S+Z\n", out)
    status, out, _ = run(*UPDATE, "--from", "repository")
    assert out.startswith("up to date: set 1 (")
    run("signatures", "publish", signatures(Path("mine"), "two.example"), *PLACES)
    with served(Path("repository")) as url:
        status, out, _ = run(*UPDATE, "--url", url, "--format", "jsonl")
    record = json.loads(out)
    assert (status, record["outcome"], record["offered"]) == (0, "installed", 2)
    assert set(record["set"]) == {"version", "hash", "expires"}
    status, out, _ = run(*UPDATE, "--rollback")
    assert (status, out.startswith("returned to set 1 (")) == (0, True)
    status, out, _ = run(*UPDATE, "--from", "repository")
    assert out.startswith("set 2 was rolled back, and nothing newer is available")
    status, out, _ = run(*UPDATE, "--from", "repository", "--again")
    assert out.startswith("installed set 2 (")
    status, out, _ = run(*UPDATE, "--rollback", "--format", "jsonl")
    assert json.loads(out)["outcome"] == "rolled-back"
    status, _, err = run(*UPDATE, "--rollback")
    assert status == 1
    assert "expected a previous set, found none" in err


def test_a_set_of_an_earlier_release_without_decisions_is_warned_of(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(tmp_path)
    files = read_examined(signatures(tmp_path / "signatures", "two.example"))
    app = files["apps/clips.yaml"].replace(b"two.example", b"europa.eu")
    publisher.publish(files={**files, "apps/clips.yaml": app})
    with monkeypatch.context() as earlier:
        earlier.setattr("netwatch.updates.update.check_set", lambda folder: [])
        assert update(publisher.options(), str(publisher.folder)).outcome == "installed"
    Path("netwatch.yaml").write_text(CONFIG)
    Path("empty.pcap").write_bytes(pcap([]))
    for _ in range(2):  # the second time from the cache
        status, _, err = run("scan", "empty.pcap")
        assert status == 0
        assert "1 rules of the installed set match, without a stated reason, names that" in err
        assert "apps/clips.yaml:7: netwatch signatures update installs a newer set" in err
    Path("mine.yaml").write_bytes(app.replace(b"app: clips", b"app: mine"))
    Path("netwatch.yaml").write_text(f"{CONFIG}signatures: [builtin, mine.yaml]\n")
    status, _, err = run("scan", "empty.pcap")
    assert status == 2
    assert "mine.yaml:7: suffix europa.eu is in europa.eu, a zone of a government" in err


def test_a_refused_set_is_exit_status_1(run: Run, published: str, tmp_path: Path) -> None:
    other = Publisher(tmp_path / "other")
    other.publish()
    status, out, err = run(*UPDATE, "--from", other.folder)
    assert (status, out) == (1, "")
    assert "not signed by the keys of the root (forged)" in err


def test_publishing_what_has_problems_is_exit_status_2(run: Run, published: str) -> None:
    (Path("mine") / "apps" / "clips.yaml").write_text("app: clips\nname: x\n")
    status, out, err = run("signatures", "publish", "mine", *PLACES)
    assert (status, out) == (2, "")
    assert err.startswith("netwatch: mine/apps/clips.yaml:1: ")
    assert not Path("repository/metadata/2.targets.json").exists()


def test_timestamps_are_renewed_and_keys_rotated(run: Run, published: str) -> None:
    before = Path("repository/metadata/timestamp.json").read_bytes()
    status, out, _ = run("signatures", "publish", "--refresh", *PLACES)
    assert (status, out.startswith("timestamp valid until 2")) == (0, True)
    assert Path("repository/metadata/timestamp.json").read_bytes() != before
    rotate = ("--rotate", "root", "--rotate", "targets")
    status, out, _ = run("signatures", "publish", *rotate, *PLACES)
    assert (status, out.split()[0]) == (0, "repository/metadata/2.root.json")
    assert run(*UPDATE, "--from", "repository")[0] == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("update",), "expected a root of trust: --root"),
        (("update", "--root", "root.json"), "expected a repository: --url, --from"),
        (("update", "--root", "root.json", "--url", "http://example.org/"), "--url: expected"),
        (("update", "--root", "r", "--url", "https://a/", "--from", "b"), "not allowed with"),
        (("update", "--rollback", "--check"), "expected --rollback without"),
        (("publish", *PLACES), "expected either FOLDER, or one of --init"),
        (("publish", "mine", "--init", *PLACES), "expected either FOLDER, or one of --init"),
        (("publish", "mine"), "required: --repository, --keys"),
        (("publish", "mine", *PLACES, "--expires", "3 weeks"), "expected a number of days"),
        (("publish", "mine", *PLACES, "--expires", "9999d"), "expected a number of days"),
        (("publish", "mine", *PLACES, "--requires", "new"), "expected a release like 1.2.0"),
        (("publish", "--rotate", "all", *PLACES), "--rotate: expected one of "),
    ],
)
def test_usage_is_exit_status_2(run: Run, words: tuple[str, ...], expected: str) -> None:
    status, out, err = run("signatures", *words)
    assert (status, out) == (2, "")
    assert expected in err
    assert not Path("sets").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("update", "--root", "root.json", "--from", "repository", "--sets-folder", "sets"),
        ("publish", "mine", *PLACES),
    ],
)
def test_without_the_extra_commands_say_so(
    run: Run, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tuf.ngclient", None)
    status, _, err = run("signatures", *words)
    assert status == 2
    assert f"needs an extra: {install_command('updates')}" in err


def test_nothing_but_updates_needs_the_extra(
    run: Run, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*UPDATE, "--from", "repository")
    Path("netwatch.yaml").write_text(CONFIG)
    monkeypatch.setitem(sys.modules, "tuf", None)
    monkeypatch.setitem(sys.modules, "tuf.ngclient", None)
    assert run("policy", "check")[0] == 0
    assert run("signatures", "update", "--rollback")[0] == 1  # there is no previous set


def test_builtin_is_the_installed_set(run: Run, published: str) -> None:
    run(*UPDATE, "--from", "repository")
    Path("netwatch.yaml").write_text(CONFIG)
    status, out, err = run("signatures", "list")
    assert (status, out.splitlines()[1].split()[0], len(out.splitlines())) == (0, "clips", 2)
    assert re.search(r"netwatch: builtin is set 1 \([0-9a-f]{12}\), valid until", err)
    status, out, _ = run("signatures", "show", "clips")
    assert "sets/sets/1-" in out
    assert "bans: city-clips-2023" in out
    status, out, _ = run("policy", "check")
    assert status == 0
    assert re.search(r"^set +set 1 \([0-9a-f]{12}\), valid until", out, re.MULTILINE)
    status, out, _ = run("policy", "check", "--format", "jsonl")
    (record,) = (each for each in map(json.loads, out.splitlines()) if each["kind"] == "set")
    assert record["version"] == 1
    _, out, _ = run("doctor")
    assert re.search(r"^ok   set +builtin is set 1 \(", out, re.MULTILINE)
    Path("one.pcap").write_bytes(pcap(one_hello(DURING, name="www.one.example").frames))
    status, out, _ = run("scan", "-q", "--format", "jsonl", "one.pcap")
    (alert,) = map(json.loads, out.splitlines())
    assert alert["ban"]["id"] == "city-clips-2023"
    assert alert["versions"]["set"] == {key: record[key] for key in ("version", "hash", "expires")}


def test_without_a_set_builtin_is_what_is_shipped(run: Run, published: str) -> None:
    Path("netwatch.yaml").write_text(CONFIG.replace("city-clips-2023", "be-fed-tiktok-2023"))
    status, out, err = run("signatures", "list")
    assert (status, "tiktok" in out) == (0, True)
    assert "netwatch: builtin is the files that netwatch ships: no set is installed" in err
    status, out, _ = run("policy", "check")
    assert "no set is installed in sets yet" in out
    _, out, _ = run("doctor")
    assert re.search(r"^bad  set +builtin is the files that netwatch ships", out, re.MULTILINE)
    assert load().sensor.installed_set is None


def test_without_updates_an_installed_set_changes_nothing(run: Run, published: str) -> None:
    run(*UPDATE, "--from", "repository")
    Path("netwatch.yaml").write_text("version: 1\n")
    _, out, err = run("signatures", "list")
    assert ("tiktok" in out, err) == (True, "")
    _, out, _ = run("policy", "check", "--format", "jsonl")
    assert '"kind":"set"' not in out
    assert "be-fed-tiktok-2023" in pack_ids()


def test_a_damaged_set_can_be_replaced(run: Run, published: str) -> None:
    run(*UPDATE, "--from", "repository")
    Path("netwatch.yaml").write_text(CONFIG)
    (file,) = Path("sets/sets").glob("*/apps/clips.yaml")
    file.write_text(file.read_text().replace("one.example", "six.example"))
    status, _, err = run("policy", "check")
    assert status == 2
    assert "netwatch.yaml:4: 'updates': " in err
    assert "the installed set is damaged" in err
    run("signatures", "publish", signatures(Path("mine"), "two.example"), *PLACES)
    assert run("signatures", "update", "--from", "repository")[0] == 0
    assert run("policy", "check")[0] == 0


def test_a_set_that_the_configuration_cannot_use_is_refused(run: Run, published: str) -> None:
    run(*UPDATE, "--from", "repository")
    own = "bans: [{id: mine, authority: City, apps: [clips]}]"
    Path("netwatch.yaml").write_text(CONFIG.replace("bans: [{pack: city-clips-2023}]", own))
    for path in Path("mine").rglob("*.yaml"):
        path.write_text(path.read_text().replace("clips", "reels"))
        path.rename(path.with_name(path.name.replace("clips", "reels")))
    assert run("signatures", "publish", "mine", *PLACES)[0] == 0
    status, _, err = run("signatures", "update", "--from", "repository")
    assert status == 1
    assert "set 2 is not installed, because it has problems:" in err
    assert "netwatch.yaml:3: " in err
    assert "unknown app 'clips'" in err
    assert run("policy", "check")[0] == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "updates needs 'root'"),
        ("{root: none.json}", "'root': there is no file none.json"),
        ("{root: root.json, url: http://example.org/}", "'url': expected a URL like https://"),
        ("{root: root.json, url: ftp://example.org/}", "'url': expected a URL like https://"),
        ("{root: root.json, every: 12h}", "'every': expected 'url' next to it"),
        ("{root: root.json, url: https://a.example/, every: 5s}", "at least 1m"),
        ("{root: root.json, url: https://a.example/, every: often}", "'every': expected"),
        ("{root: root.json, ask_above: -1}", "'ask_above': expected a number of devices"),
        ("{root: root.json, ask_above: yes}", "'ask_above': expected a number of devices"),
        ("{root: root.json, ask_above: many}", "'ask_above': expected a number of devices"),
        ("{root: root.json, uri: x}", "unknown key 'uri' in updates"),
        ("[]", "'updates': expected a mapping"),
    ],
)
def test_mistakes_have_file_and_line(text: str, expected: str) -> None:
    Path("root.json").write_text("{}")
    Path("netwatch.yaml").write_text(f"version: 1\nupdates: {text}\n")
    with pytest.raises(ConfigError) as caught:
        load()
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith("netwatch.yaml:2: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://updates.example/sets/", True),
        ("https://updates.example:8443/sets", True),
        ("file:///mnt/sets", True),
        ("http://127.0.0.1:8000/", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("http://updates.example/", False),
        ("http://127.0.0.1.example/", False),
        ("https://user:secret@updates.example/", False),
        ("https://updates.example/?a=b", False),
        ("https://updates.example/#a", False),
        ("file://server/mnt/sets", False),
        ("https://", False),
        ("https://[", False),
        ("sets", False),
        ("https://updates.example/a b", False),
    ],
)
def test_urls_of_repositories(url: str, good: bool) -> None:
    assert (url_problem(url) == "") is good


def test_where_sets_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_folder() == SYSTEM_FOLDER
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("netwatch.updates.options.SYSTEM_FOLDER", tmp_path / "none" / "sets")
    assert default_folder() == tmp_path / "data" / "netwatch" / "sets"
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid or 54321)
    if tmp_path.stat().st_uid:
        monkeypatch.setattr("netwatch.updates.options.SYSTEM_FOLDER", tmp_path / "sets")
        assert default_folder() == tmp_path / "sets"


def test_what_is_examined_is_not_cached(
    run: Run, published: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.delenv("NETWATCH_CACHE", raising=False)
    Path("netwatch.yaml").write_text(CONFIG)
    assert run("signatures", "update", "--from", "repository")[0] == 0
    assert not list((folder / "cache").rglob("*.catalogue"))
    assert run("policy", "check")[0] == 0
    assert len(list((folder / "cache").rglob("*.catalogue"))) == 1
