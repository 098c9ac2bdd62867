"""Every format: what its file blocks, what it says of itself, and that it is the same each time."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.exported import CONFIGURATION, example, made, shipped, write_example

from netwatch.config import load
from netwatch.exports.export_format import (
    EXPORTS,
    Export,
    ExportFormat,
    ServerAddress,
    feeds,
    losses,
)
from netwatch.exports.sensors import FIRST_SID, LAST_SID
from netwatch.rules.signature import Rule

NAMED = {name: form for name, form in EXPORTS.items() if not form.needs_addresses}
FIRST, OTHER = "be-fed-tiktok-2023", "us-va-tiktok-2022"


@pytest.fixture(scope="module")
def exports() -> dict[str, Export]:
    return {ban: shipped(ban)[1] for ban in (FIRST, OTHER)}


def of_rule(rule: Rule) -> str:
    """A name that a rule matches."""
    return rule.name.replace("*", "x")


@pytest.mark.parametrize("form", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("ban", [FIRST, OTHER])
def test_the_file_blocks_what_its_rules_match(
    form: ExportFormat, ban: str, exports: dict[str, Export]
) -> None:
    selection = exports[ban].selection
    assert {rule.kind for rule in selection.rules} == {"host", "suffix", "glob"}
    entries = form.read(form.text(exports[ban]))
    for rule in selection.rules:
        name, fit = of_rule(rule), form.fit(rule)
        # A rule that the format cannot say may be one of a name that is known in full.
        assert entries.has(name) == (fit != "none") or name in selection.names, rule.text
        has_all_below = fit == ("exact" if rule.kind == "suffix" else "wider")
        below = rule.name.replace("*", "x.y") if rule.kind == "glob" else f"no-such.{name}"
        assert entries.has(below) == has_all_below, rule.text
        assert not entries.has(f"not{name}") or "*" in rule.name[:1], rule.text
        assert not entries.has(f"{name}.example.org"), rule.text
    for name in selection.names if form.fits["suffix"] == "narrower" else ():
        assert entries.has(name), name


@pytest.mark.parametrize("form", NAMED.values(), ids=NAMED)
def test_the_same_input_gives_the_same_bytes(form: ExportFormat) -> None:
    config, first = shipped(FIRST)
    assert first.ban is not None
    assert form.text(first) == form.text(made(config, first.ban))
    later = replace(first, time=first.time + timedelta(days=1))
    # What has no room for a date does not change with the day, as firewalls compare it.
    has_date = bool(form.comment) or not (form.feed or form is EXPORTS["defender-csv"])
    assert (form.text(later) != form.text(first)) == has_date


@pytest.mark.parametrize("form", EXPORTS.values(), ids=EXPORTS)
def test_the_head_names_ban_hash_version_and_losses(form: ExportFormat, tmp_path: Path) -> None:
    _, export = example(tmp_path)
    text = form.text(export)
    if form.feed:
        assert "#" not in text
        return
    flat = " ".join(line.removeprefix(form.comment).strip() for line in text.splitlines())
    digest = export.selection.digest[:16]
    for part in ("our-rule", "City of Example", digest, export.signatures, "netwatch 0.0.0"):
        assert part in flat, part
    if form.comment:
        for line in losses(export, form):
            assert line in flat
        assert "from 2023-03-10 until 2023-09-10, then from 2024-01-01" in flat


def test_losses_name_the_rules(tmp_path: Path) -> None:
    _, export = example(tmp_path)
    assert losses(export, EXPORTS["rpz"]) == [
        "left out, as the format cannot express it 1 rule: glob p16-*.cdn.example",
        "also stopped, names of 4 rules below these: video (embed) 3, as host"
        " a.deep.video.example; shop (exclusive) 1, as host shop.video.example",
    ]
    assert losses(export, EXPORTS["hosts"]) == [
        "left out, as the format cannot express it 1 rule: glob p16-*.cdn.example",
        "only the names that are known, not all that is below 1 rule: suffix video.example",
    ]
    assert losses(export, EXPORTS["defender-csv"])[1:2] == [
        "also names that the rule does not have, of 1 rule: host app.cdn.example"
    ]


HOSTILE = CONFIGURATION.replace(
    "id: our-rule", r'id: "x\"; y\n||evil.example^\nlocal=/evil.example/\tz"'
).replace(
    "authority: City of Example",
    r'authority: "A\nlocal=/evil.example/\n||evil.example^\nevil.example CNAME .\n\t}\u2028 b"',
)


@pytest.mark.parametrize("form", EXPORTS.values(), ids=EXPORTS)
def test_a_text_of_the_configuration_adds_no_entry(form: ExportFormat, tmp_path: Path) -> None:
    config, plain = example(tmp_path)
    config = load(str(write_example(tmp_path, HOSTILE)))
    address = (ServerAddress("192.0.2.7", "seen of video.example"),)
    plain = replace(plain, addresses=address)
    hostile = replace(made(config, config.policy.bans[0]), addresses=address)
    assert hostile.ban is not None
    assert "\n" in hostile.ban.authority
    assert "\n" in hostile.ban.id
    text = form.text(hostile)
    assert form.read(text) == form.read(form.text(plain))
    assert "\nlocal=/evil" not in text
    assert "\n||evil" not in text
    assert "\nevil" not in text


def test_a_name_is_not_too_long_below_the_zone(tmp_path: Path) -> None:
    _, export = example(tmp_path)
    form, (host, *_) = EXPORTS["rpz"], export.selection.rules
    long = replace(host, name=".".join(["a" * 60] * 4))
    export = replace(export, selection=replace(export.selection, rules=(host, long)))
    assert form.rules(export.selection, "none") == (long,)
    assert long.name not in form.text(export).split("$TTL")[1]


@pytest.mark.parametrize("name", [name for name, form in EXPORTS.items() if form.spares])
def test_names_of_others_are_spared_where_that_is_wanted(name: str, tmp_path: Path) -> None:
    _, export = example(tmp_path)
    form = EXPORTS[name]
    plain, sparing = (form.text(replace(export, spare=spare)) for spare in (False, True))
    before, after = form.read(plain), form.read(sparing)
    stopped = ("video.example", "deep.video.example", "b.deep.video.example", "m.video.example")
    passing = ("a.deep.video.example", "analytics.video.example", "x.analytics.video.example",
               "shop.video.example")  # fmt: skip
    assert all(map(before.has, [*stopped, *passing, "img1.video.example"]))
    assert all(map(after.has, stopped))
    assert not any(map(after.has, passing))
    assert after.has("img1.video.example") == ("glob" not in form.spares)
    count = 3 + ("glob" in form.spares)
    said = losses(replace(export, spare=True), form)
    assert said[-1].startswith(f"let pass, names of {count} rules below these: video (embed)")
    assert any("also stopped" in line for line in said) == ("glob" not in form.spares)


def test_sids_are_those_of_ban_and_rule(exports: dict[str, Export]) -> None:
    def sids(export: Export) -> dict[str, str]:
        lines = EXPORTS["suricata"].text(export).splitlines()
        rules = [line for line in lines if line.startswith("alert ")]
        return {line.partition("sid:")[2].partition(";")[0]: line for line in rules}

    found = {ban: sids(export) for ban, export in exports.items()}
    for ban, each in found.items():
        assert len(each) == 4 * len(exports[ban].selection.rules)
        assert all(FIRST_SID <= int(sid) <= LAST_SID < 1 << 32 for sid in each)
    # Another ban on the same app can be loaded beside the first.
    assert not found[FIRST].keys() & found[OTHER].keys()
    fewer = replace(exports[OTHER].selection, rules=exports[OTHER].selection.rules[5:])
    assert sids(replace(exports[OTHER], selection=fewer)).keys() < found[OTHER].keys()


def test_feeds_of_firewalls_keep_their_addresses() -> None:
    assert {name: form.product for name, form in feeds().items()} == {
        "palo-alto": "Palo Alto", "fortigate": "FortiGate"
    }  # fmt: skip
