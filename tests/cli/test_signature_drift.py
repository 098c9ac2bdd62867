"""``netwatch signatures drift`` and ``import`` as commands."""

import io
import json
import os
import resource
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.sensor_lists import NDPI, SURICATA, ZEEK

from netwatch.cli import main
from netwatch.lists.reader import MAX_DRAFT_NAMES

HEAD = "app: {app}\nname: {app}\nvendor: acme\ncategory: video\ndomains:\n"
ROW = "  - {{{rule}, role: exclusive, sources: [hagezi]}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration of two apps, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    Path("sig").mkdir()
    for app, rules in {"video": ["suffix: video.com"], "chat": ["suffix: chat.com"]}.items():
        text = HEAD.format(app=app) + "".join(ROW.format(rule=rule) for rule in rules)
        Path("sig", f"{app}.yaml").write_text(text, encoding="utf-8")
    Path("netwatch.yaml").write_text("version: 1\nsignatures: [sig]\n", encoding="utf-8")
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("folder")
def test_drift_as_jsonl_merges_lists_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    write("v2fly", "domain:new.com\ndomain:video.com\ndomain:chat.com\n")
    write("nextdns", "domain:new.com @x\n")
    words = ["signatures", "drift", "--format", "jsonl", "--app", "video", "v2fly", "nextdns"]
    assert main(words) == 0
    found = records(capsys.readouterr().out)
    lists = [each for each in found if each["record"] == "list"]
    assert [(each["list"], each["format"], each["names"]) for each in lists] == [
        ("v2fly", "domain-list", 3),
        ("nextdns", "domain-list", 1),
    ]
    apps = [each for each in found if each["record"] == "app"]
    assert [(each["family"], each["listed"], each["have"], each["coverage"]) for each in apps] == [
        ("v2fly", 3, 1, 0.3333),
        ("nextdns", 1, 0, 0.0),
    ]
    differences = {
        (each["change"], each["name"]): each for each in found if each["record"] == "difference"
    }
    new = differences["lacking", "new.com"]
    assert new["families"] == ["nextdns", "v2fly"]
    assert new["places"][1] == {"source": "nextdns", "file": "nextdns", "line": 1}
    assert differences["other-app", "chat.com"]["rule"]["app"] == "chat"
    assert differences["unsourced", "video.com"]["families"] == ["v2fly"]
    assert differences["ours-only", "video.com"]["families"] == ["nextdns"]


@pytest.mark.usefixtures("folder")
def test_drift_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    write("list", "".join(f"full:n{number}.example.org\n" for number in range(9)) + "bad line\n")
    assert main(["signatures", "drift", "--app", "video", "--limit", "2", "list"]) == 0
    out, err = capsys.readouterr()
    assert "COVERAGE" in out.splitlines()[0]
    assert out.splitlines()[1].split() == ["list", "list", "video", "9", "0", "0.0", "%", "1", "0"]
    assert "video: lacking, listed, and no rule matches it (9)" in out
    assert "  host n0.example.org  list:1  list\n" in out
    assert "  and 7 more" in out
    assert "list:10: expected a name, or one of full:" in err


@pytest.mark.usefixtures("folder")
def test_an_unread_list_is_named_and_the_rest_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    write("good", "domain:video.com\n")
    assert main(["signatures", "drift", "none", "https://lists.example/x", "good"]) == 1
    out, err = capsys.readouterr()
    assert "none: cannot be read: No such file" in err
    assert "https://lists.example/x: a URL is not fetched" in err
    assert "good" in out


@pytest.mark.usefixtures("folder")
def test_a_list_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO(b"0.0.0.0 www.video.com\n0.0.0.0 a.b.video.com\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    assert main(["signatures", "drift", "--format", "jsonl", "-"]) == 0
    (app,) = [each for each in records(capsys.readouterr().out) if each["record"] == "app"]
    assert (app["source"], app["have"], app["coverage"]) == ("standard-input", 2, 1.0)


@pytest.mark.usefixtures("folder")
def test_as_reads_a_list_in_another_format(capsys: pytest.CaptureFixture[str]) -> None:
    write("names", "new.example.org\n")
    words = ["signatures", "drift", "--format", "jsonl", "--app", "video", "names"]
    main(words)
    out, err = capsys.readouterr()
    assert '"kind":"host","name":"new.example.org"' in out
    assert "every name is read as one host" in err
    main([*words, "--as", "domain-list"])
    assert '"kind":"suffix","name":"new.example.org"' in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["drift", "--app", "vidoe", "list"], "found 'vidoe'; did you mean 'video'?"),
        (["drift", "--source", "A B", "list"], "--source: expected a word"),
        (["import", "list", "--app", "fresh"], "--vendor: expected the vendor of 'fresh'"),
        (["import", "list", "--app", "Fresh"], "--app: expected a word"),
        (["import", "list", "--app", "video", "--vendor", "x"], "--vendor: expected 'acme' as in"),
        (["import", "1", "--app", "video"], "expected --source, since '1'"),
    ],
)
def test_wrong_arguments(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("list", "domain:new.com\n")
    write("1", "domain:new.com\n")
    assert main(["signatures", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.usefixtures("folder")
def test_an_imported_draft_is_used_beside_the_catalogue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("data", "domain:new.com\nakamaized.net\nregexp:x\n")
    words = ["signatures", "import", "data", "--app", "video", "--source", "v2fly"]
    assert main([*words, "-o", "video.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "data:2: left out suffix akamaized.net: a content delivery network" in err
    assert "data:3: left out pattern x" in err
    assert "a draft of 1 rule for video" in err
    assert "decide" not in err
    assert main(["signatures", "lint", "sig", "video.yaml"]) == 0
    assert main([*words, "-o", "video.yaml"]) == 2
    assert "video.yaml: exists already and is not overwritten" in capsys.readouterr().err
    assert main(words) == 0
    assert capsys.readouterr().out == Path("video.yaml").read_text(encoding="utf-8")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("other", ["", "domain:new.com\n"])
def test_names_that_are_held_back_are_to_be_decided(
    other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("data", f"domain:office.com\ndomain:fgov.be\n{other}")
    assert main(["signatures", "import", "data", "--app", "video", "--source", "v2fly"]) == 0
    out, err = capsys.readouterr()
    assert (
        "netwatch: decide: data:1: suffix office.com is held back: it is in office.com, a platform"
        in err
    )
    assert "decide: data:2: suffix fgov.be is held back: it is in fgov.be, a zone of a gov" in err
    assert "office.com" not in out
    assert ("suffix: new.com" in out) is bool(other)


@pytest.mark.usefixtures("folder")
def test_a_list_that_nobody_would_look_through_is_not_drafted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("data", "".join(f"n{number}.example\n" for number in range(MAX_DRAFT_NAMES + 1)))
    words = ["signatures", "import", "data", "--app", "video", "--source", "v2fly"]
    assert main([*words, "-o", "video.yaml"]) == 1
    assert capsys.readouterr() == (
        "",
        "netwatch: data:100001: expected a list of at most 100,000 names, found more\n",
    )
    os.truncate("data", 3_000_000 * 20)  # as large as three million names
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main([*words, "-o", "video.yaml"]) == 1
    assert capsys.readouterr().err == (
        "netwatch: data: cannot be read: expected at most 16,777,216 bytes, found more\n"
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10
    assert not Path("video.yaml").exists()


@pytest.mark.usefixtures("folder")
def test_import_follows_no_link_and_overwrites_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("data", "domain:new.com\n")
    Path("video.yaml").symlink_to("target")
    words = ["signatures", "import", "data", "--app", "video", "--source", "v2fly"]
    assert main([*words, "-o", "video.yaml"]) == 2
    assert not Path("target").exists()
    assert main([*words, "-o", "draft.yaml"]) == 0
    assert "decide: the file must be called video.yaml" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_full_disk_leaves_no_part_of_a_draft(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("data", "domain:new.com\n")
    real = os.open

    def full(path: Any, flags: int, *mode: int, **rest: Any) -> int:
        if path != "video.yaml":
            return real(path, flags, *mode, **rest)
        Path("video.yaml").touch()
        return real("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    words = ["signatures", "import", "data", "--app", "video", "--source", "v2fly"]
    assert main([*words, "-o", "video.yaml"]) == 1
    assert "video.yaml: No space left on device" in capsys.readouterr().err
    assert not Path("video.yaml").exists()


@pytest.mark.usefixtures("folder")
def test_nothing_new_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write("data", "domain:video.com\n")
    words = ["signatures", "import", "data", "--app", "video", "--source", "v2fly"]
    assert main([*words, "-o", "video.yaml"]) == 0
    assert "nothing was written" in capsys.readouterr().err
    assert not Path("video.yaml").exists()


NEIGHBOURS = {
    "suricata": SURICATA,
    "adguard": "||acme.com^\n@@||ok.acme.com^\n/path/*\n",
    "pihole": "acme.com\n(\\.|^)acme.net$\n^ad[0-9]+\\.\n",
    "ndpi": NDPI,
    "zeek-intel": ZEEK,
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("word", NEIGHBOURS)
def test_a_neighbours_list_becomes_a_file_that_lint_accepts(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("list", NEIGHBOURS[word])
    new = ["--app", "fresh", "--name", "Fresh", "--vendor", "fresh", "--category", "video"]
    words = ["signatures", "import", "--format", word, "list", *new, "-o", "fresh.yaml"]
    assert main(words) == 0
    assert "a draft of " in capsys.readouterr().err
    assert main(["signatures", "lint", "sig", "fresh.yaml"]) == 0
    assert "no problems" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_what_could_not_be_taken_is_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    write("local.rules", f"{SURICATA}alert dns any any\n")
    words = ["signatures", "import", "--format", "suricata", "local.rules", "--app", "video"]
    assert main(words) == 0
    err = capsys.readouterr().err
    assert "a rule with a condition besides the name: 1" in err
    assert "a disabled rule: 1" in err
    assert "; 1 bad line\n" in err
    assert "local.rules:19: expected a rule such as" in err
    assert "left out pattern two*.example: a pattern, which names no domain" in err
    assert (
        "decide: local.rules:9: the list excepts suffix ok.zone.example, and a rule of the draft"
        in err
    )


@pytest.mark.usefixtures("folder")
def test_only_entries_about_the_app_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    write("protos.txt", NDPI)
    words = ["signatures", "import", "protos.txt", "--only", "acmechat", "--app", "video"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "  - {suffix: chat.example, role: exclusive" in out
    assert "acme.example" not in out
    assert "netwatch: protos.txt: 3 entries left out, without 'acmechat'" in err


@pytest.mark.usefixtures("folder")
def test_several_lists_make_one_draft(capsys: pytest.CaptureFixture[str]) -> None:
    write("one", "domain:new.com\n")
    write("two", "domain:new.com\ndomain:newer.com\n")
    words = ["signatures", "import", "one", "two", "missing", "--app", "video"]
    assert main(words) == 2
    assert "--source: expected how rules name these lists" in capsys.readouterr().err
    assert main([*words, "--source", "v2fly"]) == 1
    out, err = capsys.readouterr()
    assert out.count("suffix: new.com") == 1
    assert "suffix: newer.com" in out
    assert "# A draft from the list one (domain-list)" in out
    assert "# A draft from the list two (domain-list)" in out
    assert "missing: cannot be read" in err
