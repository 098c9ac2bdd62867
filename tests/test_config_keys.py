"""The table of keys, against the keys that the readers of the configuration ask for."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.paths import ROOT

from netwatch.config import load, load_refresh
from netwatch.config.keys import CONFIGURATION_KEYS
from netwatch.core.file_keys import Section
from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.privacy.keys import write_new_key
from netwatch.rules import bans as packs
from netwatch.rules.ban_keys import (
    BAN_KEYS,
    PACK_ENTRY_KEYS,
    PACK_FILE_KEYS,
    PERIOD_KEYS,
    TEXT_KEYS,
)
from netwatch.rules.load import BUILTIN, load_signatures
from netwatch.rules.signature import read_signature
from netwatch.rules.signature_keys import SIGNATURE_KEYS

CONFIGURATION = """\
version: 1
networks: [{name: hq, cidrs: [10.0.0.0/8], class: service, expected: always}]
devices:
  inventory: devices.csv
  columns: {hostname: "Device Name"}
  leases: [{path: dnsmasq.leases, format: dnsmasq, lease_time: 12h}]
  learn: [dhcp]
bans: [{id: rule, authority: City, apps: [tiktok], periods: [{from: 2023-03-10}],
        texts: {fr: {authority: Ville}}}]
exemptions: [{ban: rule, device: 10.0.0.1}]
geoip: {}
incidents: {quiet_gap: 1h}
sensor: {name: here}
metrics: {listen: ":9477"}
outputs: [{type: syslog, host: siem.example, transport: udp}]
spool: {path: spool}
updates:
  url: https://updates.example/sets/
  root: root.json
  every: 12h
  folder: sets
  proxy: http://proxy.example:3128
store: {path: store, catalogue: "postgresql://db.example/netwatch"}
fleet:
  centre: tls://nats.example:4222
  server: {listen: "127.0.0.1:4222", folder: fleet, max_bytes: 1G, max_age: 1d}
  spool: {path: spool, max_bytes: 1G}
  sensors: {brussels-1: {networks: [hq, byod], devices: ["lab-*"]}}
privacy: {pseudonyms: [guest], key: {file: new.key}, previous: [{file: old.key}]}
retention: {observations: 30d, incidents: 2y, evidence: 1y, personal: 7d}
data_protection: {controller: City of Example, contact: dpo@example.org, supervisor: DPA}
console:
  listen: 127.0.0.1:8477
  tls: {certificate: console.pem, key: console.key}
  oidc: {issuer: "https://id.example", client_id: netwatch, roles: {analysts: analyst}}
  proxy: {addresses: [192.0.2.10], roles: {analysts: analyst}}
"""
REFRESHED = """\
version: 1
devices:
  inventory: devices.csv
  keep: 730d
  sources:
    - type: netbox
      url: https://netbox.example
      proxy: http://proxy.example:3128
      classes: [{class: service, role: laptop}]
    - {type: directory, path: computers.ldif}
    - {type: csv, path: assets.csv}
"""
SIGNATURE = """\
app: clips
name: Clips
vendor: maker
category: video
domains: [{suffix: clips.example, role: exclusive, sources: [test]}]
asns: [{number: 64496, name: MAKER}]
tests: {match: [clips.example]}
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The keys that readers ask for, by the subject of their mapping."""
    keys: dict[str, set[str]] = defaultdict(set)
    value = Fields.value

    def recording(self: Fields, key: str, required: str = "") -> object:
        keys[self.what].add(key)
        return value(self, key, required)

    monkeypatch.setattr(Fields, "value", recording)
    return keys


SUBJECTS = {
    "": "the configuration",
    "networks[]": "a network",
    "devices.columns": "columns",
    "devices.leases[]": "a lease file",
    "devices.sources[]": "a source",
    "devices.sources[].classes[]": "a rule of classes",
    "bans[]": "a ban",
    "bans[].periods[]": "a period",
    "bans[].texts": "texts",
    "bans[].texts.LANGUAGE": "a text",
    "exemptions[]": "an exemption",
    "fleet.sensors.*": "a sensor of the fleet",
    "console.tls": "tls",
    "console.oidc": "oidc",
    "console.proxy": "proxy",
    "domains[]": "a domain",
    "asns[]": "an AS",
    "tests": "the tests",
}
"""What messages call a mapping, by its path."""


def described(sections: Iterable[Section], top: str = "the configuration") -> dict[str, set[str]]:
    keys: dict[str, set[str]] = defaultdict(set)
    for section in sections:
        subject = SUBJECTS.get(section.path, section.path) if section.path else top
        keys[subject] |= {key.name for key in section.keys}
    return dict(keys)


def test_the_configuration_has_exactly_the_keys_of_the_table(
    asked: dict[str, set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.csv").write_text("Device Name\nlab-07\n")
    Path("dnsmasq.leases").write_text("")
    Path("root.json").write_text("{}")
    write_new_key(Path("new.key"))
    write_new_key(Path("old.key"))
    Path("netwatch.yaml").write_text(REFRESHED)
    load_refresh("netwatch.yaml")
    Path("netwatch.yaml").write_text(CONFIGURATION)
    load("netwatch.yaml")
    Path("netwatch.yaml").write_text(
        CONFIGURATION.replace("id: rule, ", "pack: default, id: rule,")
    )
    with pytest.raises(Exception, match="unknown key"):
        load("netwatch.yaml")
    table = described(each for each in CONFIGURATION_KEYS if ":" not in each.path)
    assert {subject: asked[subject] for subject in table} == table


def test_a_pack_file_has_exactly_the_keys_of_the_table(asked: dict[str, set[str]]) -> None:
    catalog = load_signatures([BUILTIN], ROOT)
    packs.load_pack("be-fed-tiktok-2023", catalog)
    assert asked["a pack"] == described([PACK_FILE_KEYS], "a pack")["a pack"]


def test_a_signature_has_exactly_the_keys_of_the_table(asked: dict[str, set[str]]) -> None:
    problems = Problems()
    mapping = parse_yaml(SIGNATURE, "clips.yaml", problems)
    assert mapping is not None
    assert read_signature(mapping, "clips.yaml", problems)
    assert problems.found == []
    assert asked == described(SIGNATURE_KEYS, "a signature")


@pytest.mark.parametrize(
    "section",
    [
        *CONFIGURATION_KEYS,
        *SIGNATURE_KEYS,
        BAN_KEYS,
        PACK_ENTRY_KEYS,
        PERIOD_KEYS,
        TEXT_KEYS,
    ],
    ids=lambda section: section.path,
)
def test_each_key_is_described_once(section: Section) -> None:
    names = [key.name for key in section.keys]
    assert len(set(names)) == len(names)
    for key in section.keys:
        assert all((key.type, key.default, key.description))
        assert not key.description.endswith(".")
