"""Generated tables are up to date, and name everything that the code has."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from docs_generator import commands, configuration, console, limits
from docs_generator import schemas as file_schemas
from docs_generator.blocks import BLOCKS
from docs_generator.data import rows
from docs_generator.pages import documents, filled, parts
from docs_generator.verdicts import EVIDENCE, READING_RULES
from support.documents import DOCS
from support.paths import ROOT

from netwatch.core.flow import NAME_STATUSES
from netwatch.core.message import Evidence
from netwatch.core.statistics import ANOMALIES
from netwatch.coverage.flow_visibility import VISIBILITIES
from netwatch.dissect.quic.versions import VERSIONS
from netwatch.formats import registry
from netwatch.formats.registry import FORMATS
from netwatch.language.sentences import TEXTS as SENTENCES
from netwatch.logs.flow_logs import FLOW_LOGS
from netwatch.protocols import PROTOCOLS
from netwatch.sinks.registry import SINKS

PARTS = [
    (page, name, arguments)
    for page in documents()
    for name, arguments in parts(page.read_text(encoding="utf-8"))
]


def used(name: str) -> set[str]:
    """The arguments of all parts of this name, on all pages."""
    return {arguments for _, part, arguments in PARTS if part == name}


# parts


@pytest.mark.parametrize("page", sorted({page for page, _, _ in PARTS}), ids=lambda page: page.name)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text, BLOCKS) == text, "run 'make docs-tables' and commit the result"


def test_generated_schemas_are_up_to_date() -> None:
    for name, text in file_schemas.texts().items():
        assert Path(name).read_text(encoding="utf-8") == text, "run 'make docs-tables'"


def test_every_block_is_used() -> None:
    assert {name for _, name, _ in PARTS} == set(BLOCKS)


def test_a_stale_part_is_found_and_filled() -> None:
    page = "before\n<!-- generated: one two three -->\nold\n<!-- end -->\nafter\n"
    fresh = filled(page, {"one": lambda arguments: f"({arguments})"})
    assert fresh == (
        "before\n<!-- generated: one two three -->\n\n(two three)\n\n<!-- end -->\nafter\n"
    )
    with pytest.raises(ValueError, match="'one'"):
        filled(page, {})
    with pytest.raises(ValueError, match="no '<!-- end -->'"):
        filled(page.replace("<!-- end -->", ""), {"one": str})


@pytest.mark.parametrize(
    ("selected", "shown"),
    [
        ("all", ["a", "b", "c", "d"]),
        ("1-2 4", ["a", "b", "…", "d"]),
        ("2", ["…", "b", "…"]),
        ("-2--1", ["…", "c", "d"]),
    ],
)
def test_lines_of_an_output_are_chosen(selected: str, shown: list[str]) -> None:
    assert console.choose(["a", "b", "c", "d"], selected) == shown


@pytest.mark.parametrize("selected", ["5", "2-1", "3 2", "x", "0"])
def test_lines_that_are_not_there_are_refused(selected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"'{selected.split()[-1]}'")):
        console.choose(["a", "b", "c", "d"], selected)


def test_a_command_that_fails_is_refused() -> None:
    with pytest.raises(ValueError, match="exits with 3"):
        console.output("exit 3")


# completeness


def test_every_command_is_documented() -> None:
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert re.findall("^## netwatch (.+)$", page, re.MULTILINE) == list(commands.parsers())
    assert set(rows("command_guides")) <= set(commands.parsers())


def test_the_examples_of_a_command_come_from_its_help() -> None:
    shown = commands.examples(commands.parsers()["names"])
    assert shown[0] == "netwatch names office.pcap  # one line per name, as it is in the packets"
    assert shown[-1] == "netwatch names captures/ --format parquet -o names.parquet"
    assert commands.examples(commands.parsers()["users list"]) == []


def test_the_exit_status_of_a_command_comes_from_its_help() -> None:
    said = {name: commands.exit_status(parser) for name, parser in commands.parsers().items()}
    assert said["demo"] == (
        "0 the samples were written and scanned; 2 the folder is there already and not empty;"
        " nothing was written"
    )
    assert said["bans show"] == "2 there is no such ban, or usage or configuration error"
    assert said["help"] == ""


def test_every_option_has_help() -> None:
    for command, parser in commands.parsers().items():
        for action in parser._actions:
            named = action.help or "--format" in action.option_strings
            assert named, f"{command}: {action.option_strings or action.metavar}"


FLOW_EXPORT = ("conversations", "exporters", "layouts", "messages", "records")


def test_every_anomaly_is_described_and_occurs() -> None:
    package = ROOT / "netwatch"
    files = [*package.glob("dissect/**/*.py"), *package.glob("protocols/*.py")]
    files += [
        *package.glob("engine/*.py"),
        package / "cluster/archive.py",
        package / "incidents/senders.py",
        package / "incidents/unproven.py",
        package / "inventory/geo.py",
        package / "capture/sflow.py",
        package / "capture/sflow_source.py",
        *(package / "flow_export" / f"{name}.py" for name in FLOW_EXPORT),
        package / "logs/flow_logs.py",
        package / "logs/ipfix.py",
        package / "logs/ordering.py",
        package / "logs/log_stream.py",
    ]
    there = set().union(*map(literals, files))
    others = {*get_args(Evidence), *(each.name for each in PROTOCOLS.values())}
    others |= {*NAME_STATUSES, *(version.name for version in VERSIONS.values())}
    # Why a record of a log was not read, or what it lacks.
    others |= {"record-of-another-format", "time-invalid", "time-missing", "time-zone"}
    others |= {"address-invalid", "fields-missing", "records-skipped", "too-many-flows"}
    # Why a flow has no readable name.
    others |= {*VISIBILITIES, "microseconds-before"}
    # What a log is called, and what its fields are; what happens to senders.
    others |= {*FLOW_LOGS, "log-status", "pkt-dstaddr", "pkt-srcaddr", "exporter-unknown"}
    others |= {"utf-8", "utf-16", *SENTENCES}
    assert list(ANOMALIES) == sorted(ANOMALIES)
    assert there - others == set(ANOMALIES)


def literals(file: Path) -> set[str]:
    """Literals of the form of an anomaly's name; a number at the end of one is spelled N."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            start = str(node.values[0].value)
            found |= {f"{start}N"} if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+-", start) else set()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", node.value)
            found |= {node.value} if named else set()
    return found


def test_every_limit_is_documented() -> None:
    named = list(limits.named())
    assert len(named) > 40
    assert set(named) - limits.places() == set()
    assert used("limits") == set(rows("limits_shown"))


@pytest.mark.parametrize("place", sorted(limits.places()))
def test_every_documented_limit_exists(place: str) -> None:
    assert limits.value(place) > 0


def test_every_output_is_documented() -> None:
    assert used("output") == {*SINKS, "every", "several", "tls"}
    sections = set(configuration.SECTIONS)
    assert {each for each in sections if ":" not in each} <= used("keys") <= sections


def test_every_kind_of_evidence_and_reading_is_documented() -> None:
    assert set(EVIDENCE) == set(get_args(Evidence))
    assert {kind for kinds, _ in READING_RULES for kind in kinds} == set(VISIBILITIES)


def test_every_format_is_documented() -> None:
    assert used("fields") == set(rows("siem_fields")) == set(FORMATS) - {"table", "jsonl", "csv"}


def test_every_record_is_documented() -> None:
    assert {re.split(" beside | depth ", each)[0] for each in used("record")} == set(
        registry.SCHEMAS
    )
    assert used("csv-columns") == {"observation", "alert"}


@pytest.mark.parametrize("record", registry.SCHEMAS)
def test_every_record_has_its_page(record: str) -> None:
    text = (DOCS / "reference" / "records" / f"{record}.md").read_text(encoding="utf-8")
    found = [arguments for name, arguments in parts(text) if name == "record"]
    assert [each.partition(" ")[0] for each in found] == [record]
