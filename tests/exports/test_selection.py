"""Which rules and names are exported."""

from pathlib import Path

from support.exported import SIGNATURES, example, write_example

from netwatch.config import load
from netwatch.exports.selection import select


def test_only_names_of_the_apps_alone_are_exported(tmp_path: Path) -> None:
    _, export = example(tmp_path)
    selection = export.selection
    assert [each.text for each in selection.rules] == [
        "host app.cdn.example", "glob p16-*.cdn.example", "suffix video.example"
    ]  # fmt: skip
    assert selection.names == (
        "app.cdn.example", "m.video.example", "video.example", "www.video.example"
    )  # fmt: skip


def test_what_others_use_below_a_domain_is_known(tmp_path: Path) -> None:
    _, export = example(tmp_path)
    others = [(each.text, each.app.id, each.role) for each in export.selection.others]
    assert others == [
        ("host a.deep.video.example", "video", "embed"),
        ("suffix analytics.video.example", "video", "embed"),
        ("glob img*.video.example", "video", "embed"),
        ("host shop.video.example", "shop", "exclusive"),
    ]


def test_what_contains_a_name_of_the_app_cannot_be_spared(tmp_path: Path) -> None:
    signature = SIGNATURES["video"].replace(
        "asns:",
        "  - {host: m.analytics.video.example, role: exclusive, sources: [a]}\n"
        "  - {glob: 'imgs*.video.example', role: exclusive, sources: [a]}\n"
        "asns:",
    )
    path = write_example(tmp_path)
    (tmp_path / "signatures" / "video.yaml").write_text(signature, encoding="utf-8")
    selection = select(load(str(path)).catalog, {"video"})
    assert [each.name for each in selection.spareable] == [
        "a.deep.video.example", "shop.video.example"
    ]  # fmt: skip


def test_roles_are_chosen(tmp_path: Path) -> None:
    config, _ = example(tmp_path)
    selection = select(config.catalog, {"video"}, ("vendor", "exclusive"))
    assert selection.roles == ("exclusive", "vendor")
    assert "suffix vendor.example" in [each.text for each in selection.rules]
    assert "www.vendor.example" in selection.names


def test_the_hash_is_that_of_the_rules(tmp_path: Path) -> None:
    config, export = example(tmp_path)
    again = select(config.catalog, {"video"})
    assert again.digest == export.selection.digest
    assert select(config.catalog, {"shop"}).digest != again.digest
    assert select(config.catalog, {"no-such-app"}).rules == ()
