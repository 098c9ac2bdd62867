"""The table of output types describes exactly the keys that its readers read."""

import re

import pytest

from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.delivery import configuration
from netwatch.delivery.configuration import DIGEST_OPTIONS, OUTPUT_OPTIONS
from netwatch.formats.registry import RENDERERS
from netwatch.sinks.options import Option
from netwatch.sinks.registry import SINKS

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

REJECTED = {("kafka", "tls.server_name")}
"""Keys that are read only in order to reject them with a reason."""


@pytest.fixture
def keys_read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The keys of mappings that are read during a test, with their path."""
    keys: set[str] = set()
    paths: dict[int, str] = {}
    value, nested = Fields.value, Fields.nested

    def recording_value(fields: Fields, key: str, required: str = "") -> object:
        keys.add(paths.get(id(fields.mapping), "") + key)
        return value(fields, key, required)

    def recording_nested(fields: Fields, key: str, what: str) -> Fields | None:
        part = nested(fields, key, what)
        if part is not None:
            paths[id(part.mapping)] = f"{paths.get(id(fields.mapping), '')}{key}."
        return part

    monkeypatch.setattr(Fields, "value", recording_value)
    monkeypatch.setattr(Fields, "nested", recording_nested)
    return keys


def fields_of(text: str) -> Fields:
    problems = Problems()
    mapping = parse_yaml(text, "netwatch.yaml", problems)
    assert mapping is not None
    return Fields(mapping, "netwatch.yaml", problems, "the configuration")


def described(options: tuple[Option, ...]) -> set[str]:
    keys = [option.key for option in options]
    assert len(keys) == len(set(keys))
    return set(keys)


def leaves(keys: set[str]) -> set[str]:
    """The keys that are not mappings whose keys are among them."""
    return {key for key in keys if not any(other.startswith(f"{key}.") for other in keys)}


@pytest.mark.parametrize("name", SINKS)
def test_options_are_the_keys_that_the_reader_reads(name, keys_read, tmp_path):
    own_mappings = "" if name == "file" else "\n    tls: {}"
    if name == "http":
        own_mappings += "\n    headers: {X-Team: network}"
    text = f"outputs:\n  - type: {name}\n    proxy: 'http://p'\n    {MINIMAL[name]}{own_mappings}\n"
    configuration.read_outputs(fields_of(text), tmp_path)
    shared = described(OUTPUT_OPTIONS)
    if SINKS[name].digest_interval:
        shared |= described(DIGEST_OPTIONS)
    if not SINKS[name].default_format:
        shared -= {"format"}
    read = {key for key in leaves(keys_read) if (name, key) not in REJECTED}
    read -= {"outputs", "headers.X-Team"}
    options = described(SINKS[name].options)
    assert read | ({"headers"} if name == "http" else set()) == leaves(options) | shared


@pytest.mark.parametrize("name", SINKS)
def test_required_options_are_those_without_which_an_output_is_not_valid(name, tmp_path):
    fields = fields_of(f"outputs:\n  - {{type: {name}}}\n")
    configuration.read_outputs(fields, tmp_path)
    messages = [problem.message for problem in fields.problems.found]
    missing = {re.match(r"an output needs '(\w+)'", message)[1] for message in messages}
    assert missing == {option.key for option in SINKS[name].options if option.required}


@pytest.mark.parametrize("name", SINKS)
def test_only_the_required_options_are_required(name, tmp_path):
    fields = fields_of(f"outputs:\n  - type: {name}\n    {MINIMAL[name]}\n")
    assert len(configuration.read_outputs(fields, tmp_path)) == 1


DESCRIPTIONS = [
    *(sink.description for sink in SINKS.values()),
    *(option.description for sink in SINKS.values() for option in sink.options),
    *(option.description for option in (*OUTPUT_OPTIONS, *DIGEST_OPTIONS)),
]


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_descriptions_are_sentences(text):
    assert text[0] == text[0].upper()
    assert text.endswith(".")


def test_default_formats_exist():
    assert {sink.default_format for sink in SINKS.values()} - {""} <= set(RENDERERS)
