"""Suricata with the exported rules on the sample captures, beside netwatch on the same captures:
which flows both report, and why one does not."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.documents import DOCS, rows
from support.exported import TIME, example, made, shipped
from support.paths import PCAPS
from support.programs import needs

from netwatch.capture.files import find_captures
from netwatch.config import load
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.exports.export_format import EXPORTS, Export
from netwatch.exports.selection import Selection, select
from netwatch.formats.line_writer import observation_record
from netwatch.rules.signature import Rule

pytestmark = needs("suricata")

SURICATA = """%YAML 1.1
---
vars: {{address-groups: {{HOME_NET: any, EXTERNAL_NET: any}}}}
classification-file: {folder}/classification.config
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: {folder}/eve.json
      community-id: true
      types: [{{alert: {{metadata: {{rule: {{metadata: true}}}}}}}}]
app-layer:
  protocols:
    dns:
      tcp: {{enabled: yes, detection-ports: {{dp: 53}}}}
      udp: {{enabled: yes, detection-ports: {{dp: 53}}}}
    tls: {{enabled: yes, detection-ports: {{dp: 443}}}}
    http: {{enabled: yes}}
    quic: {{enabled: yes}}
"""
EVIDENCE = {
    "dns.query": "dns-query", "tls.sni": "tls-sni", "quic.sni": "quic-sni", "http.host": "http-host"
}  # fmt: skip

Contact = tuple[str, str]
"""A flow by its Community ID, and the kind of evidence."""


def configured(folder: Path, rules: str) -> list[str]:
    """Write the configuration; the beginning of the command line."""
    (folder / "suricata.yaml").write_text(SURICATA.format(folder=folder), encoding="utf-8")
    line = "config classification: policy-violation,Policy Violation,1\n"
    (folder / "classification.config").write_text(line, encoding="utf-8")
    (folder / "netwatch.rules").write_text(rules, encoding="utf-8")
    names = {"-c": "suricata.yaml", "-S": "netwatch.rules", "-l": ""}
    return ["suricata", *(word for key, name in names.items() for word in (key, folder / name))]


def run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "E: " not in done.stderr, done.stderr


def alerts(folder: Path, rules: str) -> list[dict[str, Any]]:
    """What Suricata reports of all sample captures."""
    words = configured(folder, rules)
    captures = folder / "captures"
    captures.mkdir()
    for path in PCAPS.glob("*.pcap"):
        shutil.copy(path, captures)  # Suricata follows no links in a folder
    run([*words, "-r", str(captures), "-k", "none", "--runmode", "single"])
    lines = (folder / "eve.json").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def observations() -> Iterator[dict[str, Any]]:
    """What netwatch reads in the same captures."""
    captures = list(group_files(find_captures([str(PCAPS)]), continuous=False))
    for batch in jobs.names(captures, RunStatistics()):
        for start, stop in batch.spans:
            for row in range(start, stop):
                yield observation_record(batch, row)


@pytest.fixture(scope="module")
def export() -> Export:
    config = load(str(PCAPS / "netwatch.yaml"))
    return made(config, config.policy.bans[0])


def reported(export: Export, folder: Path) -> dict[Contact, str]:
    """The contacts of alerts, with the names in them."""
    rules = EXPORTS["suricata"].text(export)
    found: dict[Contact, str] = {}
    for each in alerts(folder, rules):
        buffer = each["alert"]["signature"].split()[-1]
        found[each["community_id"], EVIDENCE[buffer]] = name_in(each)
    return found


def name_in(alert: dict[str, Any]) -> str:
    """The name in an alert, as Suricata has it."""
    if "dns" in alert:
        # Suricata 8 has another key.
        found = alert["dns"].get("queries") or alert["dns"]["query"]
        return str(found[0]["rrname"])
    key = next(each for each in ("tls", "quic", "http") if each in alert)
    return str(alert[key].get("sni") or alert[key].get("hostname"))


def netwatch_contacts(selection: Selection) -> tuple[set[Contact], dict[Contact, Rule]]:
    """The contacts with names of the rules, and those with names of other rules below the exported
    domains with their rule, as netwatch sees them."""
    catalog = load(str(PCAPS / "netwatch.yaml")).catalog
    ours: set[Contact] = set()
    others: dict[Contact, Rule] = {}
    for each in observations():
        hit = next(catalog.hits(each["name"]), None)
        contact = each["community_id"], each["evidence"]
        if hit is not None and selection.takes(hit.rule):
            ours.add(contact)
        elif hit is not None and hit.rule in selection.others:
            others[contact] = hit.rule
    return ours, others


def why_suricata_is_silent(contact: Contact, both: set[Contact]) -> str:
    flow, evidence = contact
    if evidence == "dns-answer":
        is_known = (flow, "dns-query") in both
        return f"an answer {'to a query that both report' if is_known else 'without its query'}"
    return "an alias in an answer" if evidence == "dns-cname" else f"unexplained: {evidence}"


def compared(
    suricata: set[Contact], ours: set[Contact], others: Container[Contact]
) -> list[list[str]]:
    """How many contacts both report, and those that only one reports: who, and why the other does
    not."""
    both = suricata & ours
    found: Counter[tuple[str, str]] = Counter()
    for contact in suricata - ours:
        is_other = contact in others
        why = "a name of another role or app, below an exported domain"
        found["Suricata", why if is_other else f"unexplained: {contact[1]}"] += 1
    for contact in ours - suricata:
        found["netwatch", why_suricata_is_silent(contact, both)] += 1
    return [
        ["both", "", str(len(both))],
        *([who, why, str(count)] for (who, why), count in sorted(found.items())),
    ]


def test_suricata_loads_the_rules_of_shipped_bans(tmp_path: Path) -> None:
    for ban in ("be-fed-tiktok-2023", "us-va-tiktok-2022"):
        for spare in (False, True):
            export = replace(shipped(ban)[1], spare=spare)
            run([*configured(tmp_path, EXPORTS["suricata"].text(export)), "-T"])


def test_all_names_that_pass_fit_into_a_rule(tmp_path: Path) -> None:
    config, _ = shipped("be-fed-tiktok-2023")
    everything = select(config.catalog, config.catalog.signatures)
    by_app = (select(config.catalog, [app]) for app in config.catalog.signatures)
    for selection in (everything, *by_app):
        export = Export(selection, None, TIME, "0.0.0", "0", spare=True)
        assert "no room" not in EXPORTS["suricata"].text(export).partition("\n")[0]
    _, small = example(tmp_path)
    others = tuple(
        replace(small.selection.spareable[0], name=f"{'a' * 50}{number}.video.example")
        for number in range(200)
    )
    many = replace(small.selection, spareable=others)
    text = EXPORTS["suricata"].text(replace(small, selection=many, spare=True))
    assert text.startswith("# no room for 1")
    assert all(len(line) < 8000 for line in text.splitlines())
    run([*configured(tmp_path, text), "-T"])


def test_it_alerts_on_the_flows_that_netwatch_reports(export: Export, tmp_path: Path) -> None:
    suricata = reported(export, tmp_path)
    ours, others = netwatch_contacts(export.selection)
    entries = EXPORTS["suricata"].read(EXPORTS["suricata"].text(export))
    assert all(entries.has(name.lower()) for name in suricata.values())
    # Each kind of evidence is there.
    assert {kind for _, kind in suricata.keys() & ours} == set(EVIDENCE.values())
    table = compared(set(suricata), ours, others)
    assert not any("unexplained" in row[1] for row in table)
    sparing = replace(export, spare=True)
    (tmp_path / "again").mkdir()
    again = reported(sparing, tmp_path / "again")
    entries = EXPORTS["suricata"].read(EXPORTS["suricata"].text(sparing))
    assert all(entries.has(name.lower()) for name in again.values())
    # What is let pass is what differed, but for rules that contain names of the app.
    spareable = export.selection.spareable
    kept = {contact for contact, rule in others.items() if rule not in spareable}
    assert again.keys() == suricata.keys() & (ours | kept)
    assert len(suricata) - len(again) > 10
    page = (DOCS / "guides" / "blocking.md").read_text(encoding="utf-8")
    written = [row for row in rows(page) if row[0] in ("both", "Suricata", "netwatch")]
    assert written == table, "\n".join(f"| {' | '.join(row)} |" for row in table)
