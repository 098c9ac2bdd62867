"""The table of output types, and the keys that each of them needs."""

import re

import pytest

from netwatch.core.file_keys import sections
from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.delivery import configuration
from netwatch.formats.registry import RENDERERS
from netwatch.sinks.registry import SINKS, SinkType

MINIMAL = {
    "file": "path: alerts.jsonl",
    "syslog": "host: siem.example\n    transport: tls",
    "http": "url: 'https://hook.example/'",
    "splunk_hec": "url: 'https://splunk.example:8088'\n    token: {env: TOKEN}",
    "elastic": "url: 'https://elastic.example:9200'",
    "apprise": "url: {env: TOKEN}",
    "kafka": "brokers: [kafka.example]\n    topic: alerts\n    sasl: {user: u, password: {env: P}}",
    "nats": "url: 'tls://nats.example'",
    "email": "host: mail.example\n    from: a@b.example\n    to: [c@d.example]",
}
"""The required keys of each type."""


def fields_of(text: str) -> Fields:
    problems = Problems()
    mapping = parse_yaml(text, "netwatch.yaml", problems)
    assert mapping is not None
    return Fields(mapping, "netwatch.yaml", problems, "the configuration")


@pytest.mark.parametrize("name", SINKS)
def test_required_options_are_those_without_which_an_output_is_not_valid(name, tmp_path):
    fields = fields_of(f"outputs:\n  - {{type: {name}}}\n")
    configuration.read_outputs(fields, tmp_path)
    messages = [problem.message for problem in fields.problems.found]
    missing = {re.match(r"an output needs '(\w+)'", message)[1] for message in messages}
    (top,) = [each for each in sections("", SINKS[name].options) if not each.path]
    assert missing == {key.name for key in top.keys if key.required}


@pytest.mark.parametrize("name", SINKS)
def test_only_the_required_options_are_required(name, tmp_path):
    fields = fields_of(f"outputs:\n  - type: {name}\n    {MINIMAL[name]}\n")
    assert len(configuration.read_outputs(fields, tmp_path)) == 1


@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS)
def test_descriptions_are_sentences(sink: SinkType) -> None:
    assert sink.description[0] == sink.description[0].upper()
    assert sink.description.endswith(".")


def test_default_formats_exist():
    assert {sink.default_format for sink in SINKS.values()} - {""} <= set(RENDERERS)
