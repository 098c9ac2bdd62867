"""Sealed values: what comes back, and that nothing else does. Alerts of devices with pseudonyms:
the same incidents, and nothing that says of whom they are.
"""

import ipaddress
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import ROOT

from netwatch.cli import main
from netwatch.config import load
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.verdict import Ban as BanRule
from netwatch.core.verdict import BanPeriod, Decision, Device, Exemption, Network, Ruling
from netwatch.formats.registry import FORMATS
from netwatch.privacy import (
    MAGIC,
    ClientIdentity,
    Keyring,
    Privacy,
    PseudonymKey,
    SealedError,
    Sealing,
    is_sealed,
    key_id_of,
    pseudonym,
    sealing_key_of,
    write_new_key,
)
from netwatch.verify.evidence_file import read_evidence_file

OLD, NEW = PseudonymKey.of("o" * 32), PseudonymKey.of("n" * 32)
SEALING = Sealing(Keyring(NEW))
CLAIM = json.dumps({"src": "10.30.0.9", "mac": "02:00:00:00:00:09", "host": "janes-phone"}).encode()


@given(st.text(), st.ip_addresses().map(str), st.none() | st.text())
def test_a_client_comes_back(network: str, ip: str, mac: str | None) -> None:
    sealed = SEALING.seal_client(network, ip, mac)
    assert SEALING.unseal_client(sealed.sealed) == ClientIdentity(network, ip, mac)
    assert is_sealed(sealed.sealed)


def test_nothing_of_a_client_is_readable() -> None:
    sealed = SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:09")
    for text in (b"10.30.0.9", b"02:00", b"byod"):
        assert text not in sealed.sealed
        assert text not in sealed.pseudonym.encode()


def test_the_same_client_seals_to_the_same_bytes_and_another_does_not() -> None:
    one = SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:09")
    assert one == SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:09")
    other_mac = SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:0a")
    assert other_mac.sealed != one.sealed
    assert other_mac.pseudonym == one.pseudonym
    assert SEALING.seal_client("guests", "10.30.0.9", None).pseudonym != one.pseudonym
    assert Sealing(Keyring(OLD)).seal_client("byod", "10.30.0.9", None).pseudonym != one.pseudonym


def test_a_previous_key_reads_what_it_sealed_and_the_new_one_seals() -> None:
    old = Sealing(Keyring(OLD)).seal_client("byod", "10.30.0.9", None)
    both = Sealing(Keyring(NEW, (OLD,)))
    assert both.unseal_client(old.sealed).ip == "10.30.0.9"
    assert sealing_key_of(both.seal_claim(CLAIM)) == NEW.id
    with pytest.raises(SealedError, match=rf"the key {OLD.id}, which is not in the configuration"):
        SEALING.unseal_client(old.sealed)


@given(st.binary())
def test_a_claim_comes_back(content: bytes) -> None:
    sealed = SEALING.seal_claim(content)
    assert SEALING.unseal_claim(sealed) == content


def test_a_claim_that_is_not_sealed_is_read_as_it_is() -> None:
    assert SEALING.unseal_claim(CLAIM) == CLAIM
    assert b"janes-phone" not in SEALING.seal_claim(CLAIM)


def test_a_value_of_one_kind_is_none_of_another() -> None:
    with pytest.raises(SealedError, match="not readable"):
        SEALING.unseal_client(SEALING.seal_claim(CLAIM))
    client = SEALING.seal_client("byod", "10.30.0.9", None).sealed
    with pytest.raises(SealedError, match="not readable"):
        SEALING.unseal_claim(client)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    sealed = bytearray(SEALING.seal_claim(CLAIM))
    at = place % len(sealed)
    sealed[at] ^= change
    if at < len(MAGIC):
        assert not is_sealed(bytes(sealed))
    else:
        with pytest.raises(SealedError):
            SEALING.unseal_claim(bytes(sealed))


@given(st.binary().map(lambda tail: MAGIC + tail))
def test_any_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(SealedError):
        SEALING.unseal_claim(damaged)


def test_the_sealing_shows_no_key() -> None:
    for key in (OLD, NEW):
        assert repr(key) == f"PseudonymKey(id='{key.id}')"
    with pytest.raises(NetwatchError, match="at least 32 bytes, found 31"):
        PseudonymKey.of("x" * 31)


CAPTURE = ROOT / "pcaps" / "office-day.pcap"
CONFIGURATION = """\
version: 1
networks:
  - {{name: hq, cidrs: [10.20.0.0/16], class: {hq}, authority: City}}
  - {{name: byod, vlans: [30], class: personal, authority: City}}
devices: {{inventory: {inventory}, learn: [dhcp, mdns, arp]}}
bans: [{{id: rule, authority: City, apps: [tiktok], forbids: [personal, service]}}]
exemptions: [{{ban: rule, device: lab-07, reason: research, approved_by: CISO}}]
"""
KEY = PseudonymKey.of("k" * 40)


def scanned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, privacy: str, hq: str
) -> str:
    inventory = ROOT / "pcaps" / "devices.csv"
    text = CONFIGURATION.format(hq=hq, inventory=inventory) + privacy
    (tmp_path / "netwatch.yaml").write_text(text)
    configuration = str(tmp_path / "netwatch.yaml")
    assert main(["scan", "-q", "-c", configuration, "--format", form, str(CAPTURE)]) == 0
    return capsys.readouterr().out


@pytest.fixture
def key(tmp_path: Path) -> str:
    (tmp_path / "a.key").write_text("k" * 40)
    (tmp_path / "a.key").chmod(0o600)
    return "privacy: {pseudonyms: [personal, service], key: {file: a.key}}\n"


def test_the_incidents_are_the_same_but_for_who_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    plain = [
        json.loads(line) for line in scanned(tmp_path, capsys, "jsonl", "", "personal").splitlines()
    ]
    hidden = [
        json.loads(line)
        for line in scanned(tmp_path, capsys, "jsonl", key, "personal").splitlines()
    ]
    assert len(hidden) == len(plain) > 5
    by_pseudonym = {each["device"]["id"]: each for each in hidden}
    covered = 0
    for record in plain:
        if record["device"]["class"] not in ("personal", "service"):
            continue
        covered += 1
        name = pseudonym(KEY, record["network"]["name"], record["device"]["id"])
        other = next(
            each
            for each in hidden
            if each["device"]["id"] == name and each["first_seen"] == record["first_seen"]
        )
        nobody = {"ip": None, "mac": None, "hostname": None, "owner": None}
        assert other["device"] == record["device"] | nobody | {"id": name}
        assert other["community_ids"] == []
        assert other["id"] != record["id"]
        if record["exemption"] is not None:
            assert other["exemption"] == record["exemption"] | {"device": name}
        if "binding" in record:
            # The line of the inventory would name the device.
            assert other["binding"] == record["binding"] | {"file": None, "line": None}
        changed = {"id", "device", "binding", "community_ids", "exemption", "sensor", "versions"}
        same = record.keys() - changed
        assert {each: other[each] for each in same} == {each: record[each] for each in same}
    assert covered > 5
    assert all(key_id_of(each) == KEY.id for each in by_pseudonym)
    again = scanned(tmp_path, capsys, "jsonl", key, "personal")
    assert [json.loads(line)["id"] for line in again.splitlines()] == [x["id"] for x in hidden]


@pytest.mark.parametrize("form", FORMATS)
def test_no_format_says_who_it_was(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    plain = [
        json.loads(line)["device"]
        for line in scanned(tmp_path, capsys, "jsonl", "", "personal").splitlines()
    ]
    words = {
        device[name]
        for device in plain
        for name in ("id", "ip", "mac", "hostname", "owner")
        if device[name] is not None
    }
    assert {ipaddress.ip_address(device["ip"]) for device in plain}
    output = scanned(tmp_path, capsys, form, key, "personal")
    assert f"p{KEY.id}-" in output.replace("\n", "")
    said = output.lower()
    assert not [word for word in words if word.lower() in said]
    assert not [word for word in words if word.lower().replace(":", "-") in said]


def test_a_class_that_is_not_named_keeps_its_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    text = key.replace("[personal, service]", "[guest]")
    output = scanned(tmp_path, capsys, "jsonl", text, "personal")
    assert output.replace("\n", "")
    assert f"p{KEY.id}-" not in output


def test_the_coverage_and_evidence_captures_say_the_pseudonym(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    scanned(tmp_path, capsys, "jsonl", key, "personal")
    proof = tmp_path / "proof"
    arguments = ["scan", "-q", "-c", str(tmp_path / "netwatch.yaml"), "--format", "jsonl"]
    assert main([*arguments, "--coverage", "--evidence", str(proof), str(CAPTURE)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    networks = next(each for each in records if each["schema"].startswith("netwatch.coverage"))
    devices = [device["id"] for each in networks["networks"] for device in each["devices"]]
    assert devices
    assert all(key_id_of(device) == KEY.id for device in devices)
    for path in proof.iterdir():
        head = path.read_bytes()[:600]
        assert f"by p{KEY.id}-".encode() in head
        assert b" (10." not in head
        evidence = read_evidence_file(path)
        comments = [
            *evidence.comments,
            *(text for each in evidence.packets for text in each.comments),
        ]
        assert any(f", from p{KEY.id}-" in text for text in comments)
        assert not re.search(r"from (?!p)|\b02:00:|\b10\.[23]0\.", " ".join(comments))
    assert main(["verify", "-q", *map(str, proof.iterdir())]) == 0


@pytest.mark.parametrize(
    ("privacy", "problem"),
    [
        ("privacy: {key: {file: a.key}}", "needs 'pseudonyms': expected the classes"),
        ("privacy: {pseudonyms: [personal]}", "needs 'key': expected {file: path} of a key"),
        ("privacy: {pseudonyms: [persnal], key: {file: a.key}}", "did you mean 'personal'?"),
        ("privacy: {pseudonyms: [], key: {file: a.key}}", "'pseudonyms': expected the classes"),
        ("privacy: {pseudonyms: [guest], key: secret}", "the key itself must not be in this file"),
        ("privacy: {pseudonyms: [guest], key: {file: no.key}}", "cannot be read: No such file"),
        ("privacy: {pseudonyms: [guest], key: {file: short.key}}", "at least 32 bytes, found 5"),
        ("privacy: {pseudonyms: [guest], key: {file: open.key}}", "has mode 0644: expected 0600"),
        (
            "privacy: {pseudonyms: [guest], key: {file: a.key}, previous: [{file: a.key}]}",
            "expected other keys than the one in use",
        ),
        ("retention: {observations: 12h}", "expected a number of days or years like 7d"),
        ("retention: {observation: 1d}", "did you mean 'observations'?"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, privacy: str, problem: str, key: str) -> None:
    for name, text, mode in (("short.key", "12345", 0o600), ("open.key", "k" * 32, 0o644)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "netwatch.yaml").write_text(f"version: 1\n{privacy}\n")
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path / "netwatch.yaml"))
    assert problem in str(caught.value)
    assert "netwatch.yaml:2" in str(caught.value)


def test_times_of_retention(tmp_path: Path) -> None:
    text = "version: 1\nretention: {observations: 30d, incidents: 2y, evidence: forever}\n"
    (tmp_path / "netwatch.yaml").write_text(text)
    found = load(str(tmp_path / "netwatch.yaml")).retention
    assert found is not None
    assert (found.observations, found.incidents) == (30 * 86_400, 2 * 365 * 86_400)
    assert found.evidence is found.personal is None


def test_a_new_key_is_for_its_owner_and_replaces_none(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        made = write_new_key(tmp_path / "a.key")
    finally:
        os.umask(mask)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    text = (tmp_path / "a.key").read_text()
    assert PseudonymKey.of(text.strip()) == made
    with pytest.raises(Exception, match="exists already"):
        write_new_key(tmp_path / "a.key")
    assert (tmp_path / "a.key").read_text() == text


def test_an_exemption_names_the_pseudonym() -> None:
    ban = BanRule(
        "b", "City", frozenset({"x"}), frozenset(), frozenset(), (BanPeriod(None, None),), None,
        "UTC", "", "possible", "high",
    )  # fmt: skip
    ruling = Ruling(ban, "exempt", Exemption("b", "lab-07", None, None, "research", "CISO"))
    decision = Decision.of((ruling,))
    network = Network("byod", "personal")
    device = Device("lab-07", "10.30.0.9", "02:00:00:00:00:09", "janes", "Jane", "personal")
    privacy = Privacy(frozenset({"personal"}), Keyring(KEY))
    hidden = privacy.device(device, network)
    (changed,) = privacy.decision(decision, hidden).rulings
    assert changed.exemption is not None
    assert changed.exemption.device == hidden.id == pseudonym(KEY, "byod", "lab-07")
    assert privacy.decision(decision, device) is decision
    assert hidden.address is None
    assert "Jane" not in repr(hidden)
