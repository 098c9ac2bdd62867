"""``netwatch init`` writes a configuration that is valid, and overwrites nothing."""

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jsonschema
import pytest
import yaml
from support.namespaces import namespace, needs_namespaces

from netwatch.cli import main
from netwatch.config import Config, load
from netwatch.rules.bans import pack_ids

PCAPS = Path(__file__).parents[2] / "pcaps"


def written(path: Path) -> Config:
    return load(str(path))


def networks(config: Config) -> dict[str, list[str]]:
    return {scope.network.name: sorted(map(str, scope.ranges)) for scope in config.networks.scopes}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_networks_of_a_capture_are_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = PCAPS / "five-kinds.pcap"
    assert main(["init", "--yes", "--look", str(capture), "--authority", "City: 'X' # {"]) == 0
    assert networks(written(folder / "netwatch.yaml")) == {
        "service": ["10.20.1.0/24", "10.20.5.0/24"],
        "resolvers": ["10.20.0.53/32"],
    }
    text = (folder / "netwatch.yaml").read_text(encoding="utf-8")
    assert "City: ''X'' # {" in text
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "netwatch.yaml was written. Next:",
        "  netwatch policy check",
        f"  netwatch scan {capture}",
    ]
    assert captured.err.strip() == f"8 clients showed names in {capture}"
    assert main(["policy", "check"]) == 0


def test_networks_of_a_log_are_taken(folder: Path) -> None:
    log = Path(__file__).parents[1] / "logs" / "samples" / "dnsmasq" / "extra.log"
    assert main(["init", "--yes", "--look", str(log)]) == 0
    assert networks(written(folder / "netwatch.yaml")) == {
        "service": ["10.0.0.0/24", "2001:db8::/64"]
    }


def test_options_need_no_capture(folder: Path) -> None:
    words = "init --yes --service 10.20.0.0/16 --personal 10.30.0.0/16 --guest 10.40.0.0/16"
    more = "--resolver 10.20.0.53 --resolver 2001:db8::53 --ban be-fed-tiktok-2023 -o site.yaml"
    assert main([*words.split(), *more.split()]) == 0
    config = written(folder / "site.yaml")
    assert networks(config) == {
        "service": ["10.20.0.0/16"],
        "personal": ["10.30.0.0/16"],
        "guest": ["10.40.0.0/16"],
        "resolvers": ["10.20.0.53/32", "2001:db8::53/128"],
    }
    assert [ban.id for ban in config.policy.bans] == ["be-fed-tiktok-2023"]


def test_private_ranges_where_nothing_is_known(folder: Path) -> None:
    assert main(["init", "--yes"]) == 0
    config = written(folder / "netwatch.yaml")
    assert networks(config)["service"] == [
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_nothing_is_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = folder / "netwatch.yaml"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    assert main(["init", "--yes"]) == 2
    assert "netwatch.yaml exists already" in capsys.readouterr().err
    assert [each.name for each in folder.iterdir()] == ["netwatch.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--service", "10.20.0.1/16"], "has host bits set; expected a range like 10.20.0.0/16"),
        (["--resolver", "resolver"], "'resolver' is no address; expected one like 10.20.0.53"),
        (["--ban", "be-fed-tiktok"], "did you mean 'be-fed-tiktok-2023'?"),
        (["--look", "none.pcap"], "none.pcap: no such file or folder"),
    ],
)
def test_wrong_answers_write_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["init", "--yes", *words]) in (1, 2)
    assert message in capsys.readouterr().err
    assert [each.name for each in folder.iterdir()] == []


def interview(*lines: str) -> tuple[int, str]:
    """The exit status and the text of a terminal on which these lines are typed, each behind a
    prompt, and then the end of the input."""
    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "netwatch", "init"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    text, left = "", [*lines]
    while select.select([main_end], [], [], 30)[0]:
        try:
            text += os.read(main_end, 4096).decode()
        except OSError:  # all have closed the terminal
            break
        if text.endswith(": "):
            os.write(main_end, f"{left.pop(0)}\n".encode() if left else b"\x04")
    os.close(main_end)
    return process.wait(30), text


def test_interview_asks_again_for_what_is_wrong(folder: Path) -> None:
    status, text = interview("", "Ministry", "10.20.0.0/16", "a name", "10.20.0.53", "")
    assert status == 0, text
    assert text.count("4 of 5") == 2
    assert "'a name' is no address" not in text  # two words, of which the first is named
    assert "'a' is no address; expected one like 10.20.0.53" in text
    config = written(folder / "netwatch.yaml")
    assert networks(config) == {"service": ["10.20.0.0/16"], "resolvers": ["10.20.0.53/32"]}
    assert config.networks.scopes[0].network.authority == "Ministry"


def test_interview_asks_again_for_a_source_that_is_none(folder: Path) -> None:
    status, text = interview("none.pcap", "", "", ",", "10.20.0.0/16", "", "no-ban", "")
    assert status == 0, text
    assert "none.pcap: no such file or folder" in text
    assert text.count("1 of 5") == 2
    assert text.count("3 of 5") == 1 + text.count("no network was named")
    assert text.count("5 of 5") == 2
    assert networks(written(folder / "netwatch.yaml")) == {"service": ["10.20.0.0/16"]}


def test_interview_lists_interfaces_and_bans() -> None:
    _, text = interview("", "", "10.20.0.0/16", "", "")
    assert re.search(r"interfaces here: .*\blo\b", text)
    assert set(pack_ids()) <= set(text.split())


@pytest.mark.parametrize(
    ("resolver", "count"), [("10.20.0.0/16", "65,536"), ("2001:db8::/48", "1,208,925,8")]
)
def test_a_wide_range_of_resolvers_is_warned_of(
    resolver: str, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--yes", "--resolver", resolver]) == 0
    err = capsys.readouterr().err
    assert f"netwatch: {resolver} has {count}" in err
    assert "no ban applies to its contacts" in err


@pytest.mark.parametrize("resolver", ["10.20.0.53", "10.20.0.0/24", "2001:db8::/64"])
def test_a_few_resolvers_are_not(resolver: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--yes", "--resolver", resolver]) == 0
    assert capsys.readouterr().err == ""


def test_editors_find_the_schema(folder: Path) -> None:
    assert main(["init", "--yes"]) == 0
    text = (folder / "netwatch.yaml").read_text(encoding="utf-8")
    found = re.match(r"# yaml-language-server: \$schema=(file:///\S+)\n", text)
    assert found
    schema = json.loads(Path(url2pathname(urlsplit(found[1]).path)).read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(text), schema)


def test_interview_that_ends_early_writes_nothing(folder: Path) -> None:
    status, text = interview("", "Ministry")
    assert status == 2
    assert "nothing was written" in text
    assert [each.name for each in folder.iterdir()] == []


def piped(monkeypatch: pytest.MonkeyPatch, text: str, *words: str) -> int:
    """The exit status where standard input is a pipe with a text."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(["init", *words])


def test_answers_of_a_pipe_are_taken_line_by_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = "\nMinistry\n10.20.0.0/16, 10.21.0.0/16\n\nbe-fed-tiktok-2023"
    assert piped(monkeypatch, answers) == 0
    config = written(folder / "netwatch.yaml")
    assert networks(config) == {"service": ["10.20.0.0/16", "10.21.0.0/16"]}
    assert config.networks.scopes[0].network.authority == "Ministry"
    assert [ban.id for ban in config.policy.bans] == ["be-fed-tiktok-2023"]


def test_what_options_say_is_not_read_from_a_pipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--look", str(PCAPS / "five-kinds.pcap"), "--authority", "City", "--ban", "default")
    assert piped(monkeypatch, "10.20.0.0/16\n10.20.0.53\n", *words) == 0
    assert networks(written(folder / "netwatch.yaml")) == {
        "service": ["10.20.0.0/16"],
        "resolvers": ["10.20.0.53/32"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the input ended before all answers; nothing was written; --yes asks nothing"),
        ("\nMinistry\n10.20.0.0/16\n\n", "the input ended before all answers"),
        ("\nMinistry\nhq\n10.20.0.53\n\n", "expected a range like 10.20.0.0/16"),
        ("\nMinistry\n10.20.0.0/16\n10.20.0.0/16\n", "was named as a range of devices"),
        ("\n\n\n\nbe-fed-tiktok\n", "did you mean 'be-fed-tiktok-2023'?"),
    ],
)
def test_a_pipe_without_the_right_answers_writes_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    message: str,
) -> None:
    assert piped(monkeypatch, text) == 2
    assert message in capsys.readouterr().err
    assert [each.name for each in folder.iterdir()] == []


@needs_namespaces
def test_an_interface_is_listened_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with namespace() as net:
        net.pair("in0", "out0")
        with net.entered():
            assert main(["init", "--yes", "--look", "in0", "--seconds", "1"]) == 0
    captured = capsys.readouterr()
    assert "listening on in0 for 1 second" in captured.err
    assert "  netwatch live -i in0" in captured.out
