from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.core.errors import ConfigError
from netwatch.core.user_yaml import Problems
from netwatch.rules.load import BUILTIN, load_signatures, read_signatures

Write = Callable[..., Path]


def test_a_file_a_folder_and_a_tree_are_sources(write: Write, tmp_path: Path) -> None:
    file = write("clips", "suffix: clips.example, role: exclusive", folder="apps")
    one = load_signatures(["apps/clips.yaml"], tmp_path)
    two = load_signatures(["apps"], tmp_path)
    tree = load_signatures([tmp_path], Path("/"))
    assert one.version == two.version == tree.version
    assert len(one.version) == 12
    assert [rule.file for rule in one.rules()] == [str(file)]


def test_the_version_changes_with_every_file(write: Write, tmp_path: Path) -> None:
    path = write("clips", "suffix: clips.example, role: exclusive")
    before = load_signatures(["mine"], tmp_path).version
    path.write_text(path.read_text() + "# a word\n")
    assert load_signatures(["mine"], tmp_path).version != before


def test_a_later_source_adds_and_changes(write: Write, tmp_path: Path) -> None:
    write("clips", "suffix: a.example, role: exclusive", "suffix: b.example, role: vendor")
    write("clips", "suffix: b.example, role: embed", "host: c.example, role: cdn", folder="more")
    catalog = load_signatures(["mine", "more"], tmp_path)
    assert [(rule.name, rule.role) for rule in catalog.rules()] == [
        ("a.example", "exclusive"),
        ("b.example", "embed"),
        ("c.example", "cdn"),
    ]


def test_a_later_source_may_give_a_name_to_another_app(write: Write, tmp_path: Path) -> None:
    write("clips", "suffix: a.example, role: exclusive")
    write("chat", "suffix: a.example, role: exclusive", folder="more")
    match = load_signatures(["mine", "more"], tmp_path).match("www.a.example")
    assert match
    assert match.app.id == "chat"
    match = load_signatures(["more", "mine"], tmp_path).match("www.a.example")
    assert match
    assert match.app.id == "clips"


def test_mistakes_of_all_files_are_reported_at_once(write: Write, tmp_path: Path) -> None:
    write("clips", "suffix: A.example, role: exclusive", "suffix: b.example, role: exclusive")
    write("chat", "suffix: b.example, role: exclusive", "suffix: b.example, role: vendor")
    write("clips", "suffix: c.example, role: exclusive", folder="more", vendor="other")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.yaml").write_bytes(b"app: \xff\n")
    with pytest.raises(ConfigError) as caught:
        load_signatures(["mine", "more", "missing", "empty", "bad.yaml"], tmp_path)
    expected = [str(each).removeprefix(f"{tmp_path}/") for each in caught.value.problems]
    assert [line.partition(" ")[0] for line in expected] == [
        "bad.yaml:1:",
        "empty:",
        "mine/chat.yaml:7:",
        "mine/clips.yaml:6:",
        "mine/clips.yaml:7:",
        "missing:",
        "more/clips.yaml:1:",
    ]
    assert "duplicate rule" in expected[2]
    assert "first in" in expected[4]
    assert "app 'chat'" in expected[4]
    assert "expected the same name, vendor and category" in expected[6]


def test_one_app_has_one_file_in_a_source(write: Write, tmp_path: Path) -> None:
    text = write("clips", "suffix: clips.example, role: exclusive").read_text()
    (tmp_path / "mine" / "clips.yml").write_text(text.replace("suffix", "host"))
    problems = Problems()
    catalog = read_signatures(["mine"], tmp_path, problems)
    assert ["duplicate app 'clips'" in each.message for each in problems.found] == [True]
    assert [rule.kind for rule in catalog.rules()] == ["suffix"]


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "clips.yaml").mkdir()
    problems = Problems()
    read_signatures(["."], tmp_path, problems)
    assert [each.file for each in problems.found] == [str(tmp_path / "clips.yaml")]


def test_builtin_is_the_shipped_folder(tmp_path: Path) -> None:
    catalog = load_signatures([BUILTIN], tmp_path)
    assert {"tiktok", "wechat", "deepseek"} <= set(catalog.apps())
