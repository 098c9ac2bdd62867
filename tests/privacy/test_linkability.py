"""Without the key nothing that netwatch shows tells of whom a pseudonym is, however many devices
are in clear.

Each attack of `support.linking` is made twice: on what netwatch shows of a capture, where it finds
nothing, and on the same with the fault that it looks for, where it finds devices. The number of a
flow as it used to be is one of these faults.
"""

import json
import random
from base64 import b32encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from craft import Host, Wire
from support.asked_stores import run
from support.consoles import PASSWORD, Visitor
from support.linking import PSEUDONYM, SEEDS, Links, Shown, attacks, fast_hash
from support.office import DURING, FAR, RESOLVER

import netwatch
from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.accounts import Accounts
from netwatch.console.audit import Audit, entry_record
from netwatch.console.console import Console
from netwatch.console.database import open_console
from netwatch.privacy import PseudonymKey, pseudonym
from netwatch.store.options import StoreOptions
from netwatch.store.views import TABLES
from netwatch.verify.evidence_file import read_evidence_file

KEY = PseudonymKey.of("k" * 40)
CONFIGURATION = """\
version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: City}
  - {name: byod, cidrs: [10.30.0.0/16], vlans: [30], class: personal, authority: City}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
bans: [{id: rule, authority: City, apps: [tiktok], forbids: [personal, service]}]
privacy: {pseudonyms: [personal], key: {file: a.key}}
store: {path: store}
"""
CHANCE = random.Random(31)


def hosts(network: str, vlans: tuple[int, ...]) -> list[Host]:
    """Ten devices, in no order."""
    return [
        Host(f"{network}.{last}", f"02:00:00:{last:02x}:{CHANCE.randrange(256):02x}:01", vlans)
        for last in CHANCE.sample(range(10, 250), 10)
    ]


CLEAR, HIDDEN = hosts("10.20.1", ()), hosts("10.30.4", (30,))
PAGES = {
    "analyst": ("/incidents", "/incidents.csv", "/incidents.jsonl", "/devices", "/cases.jsonl"),
    "auditor": ("/incidents", "/incidents.csv", "/reports/report.json"),
}
NAME_OF = {pseudonym(KEY, "byod", host.ip): host.ip for host in HIDDEN}
"""Of whom the pseudonyms are: with the key."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Everything that is shown of a capture."""
    folder = tmp_path_factory.mktemp("linking")
    (folder / "a.key").write_text("k" * 40)
    (folder / "a.key").chmod(0o600)
    (folder / "netwatch.yaml").write_text(CONFIGURATION)
    wire = Wire(DURING, 5)
    for host in CHANCE.sample([*CLEAR, *HIDDEN], len(CLEAR) + len(HIDDEN)):
        wire.lookup(host, RESOLVER, "www.tiktok.com", [("www.tiktok.com", "A", 60, FAR.ip)])
        wire.tls(host, FAR, "www.tiktok.com")
    wire.write(folder / "day.pcap")
    config = str(folder / "netwatch.yaml")
    texts = []
    scan = run("scan", "-c", config, "--store", "--evidence", str(folder / "evidence"),
               "--coverage", "--format", "jsonl", str(folder / "day.pcap"))  # fmt: skip
    assert scan.status == 0, scan.errors
    texts += scan.output.splitlines()
    tables = {}
    for table in TABLES:
        asked = run("store", "sql", "-c", config, "--format", "jsonl", f"SELECT * FROM {table}")
        assert asked.status == 0, asked.errors
        tables[table] = asked.records
    for what in ("incidents", "observations", "flows", "claims", "coverage"):
        texts += run("store", "query", what, "-c", config, "--format", "jsonl").output.splitlines()
    for path in (folder / "evidence").iterdir():
        evidence = read_evidence_file(path)
        comments = chain(evidence.comments, *(each.comments for each in evidence.packets))
        texts += [*comments, "\n".join(comments)]
    texts += visited(folder, config)
    with netwatch.scan(folder / "day.pcap", config, coverage=True) as scanned:
        for each in (*scanned, scanned.coverage):
            texts += [repr(each), each.json()]
    present = {host.ip: host.mac for host in HIDDEN}
    return Shown(tables, list(dict.fromkeys(texts)), present, "byod")


def visited(folder: Path, config: str) -> list[str]:
    """What the console and its API show, and the audit of that."""
    options = StoreOptions(str(folder / "store"))
    database = open_console(options)
    for role in ("analyst", "auditor"):
        Accounts(database).add(role, role, PASSWORD)
    database.close()
    console = Console(load(config), options, ConsoleOptions())
    texts = []
    try:
        for role in ("analyst", "auditor"):
            visitor = Visitor(console)
            visitor.sign_in(role)
            texts += [visitor.open(place).text for place in PAGES[role]]
            if role == "analyst":
                records = map(json.loads, visitor.open("/incidents.jsonl").text.splitlines())
                hidden = [each["id"] for each in records if PSEUDONYM.match(each["device"]["id"])]
                assert len(hidden) == len(HIDDEN)
                for identity in hidden[:3]:
                    texts.append(visitor.open(f"/incidents/{identity}").text)
                    texts.append(visitor.open(f"/incidents/{identity}/plain").text)
        texts += [json.dumps(entry_record(each)) for each in Audit(console.database).entries()]
    finally:
        console.close()
    return [*texts, *chain.from_iterable(text.splitlines() for text in texts)]


def test_the_attacker_sees_all_of_them(shown: Shown) -> None:
    """Each device has rows of every kind, and nothing is missing that an attack looks at."""
    for table in ("observation", "flow"):
        seen = {row["client_ip"] for row in shown.tables[table]}
        assert seen >= NAME_OF.keys() | {host.ip for host in CLEAR}
        assert all("flow" in row and row["flow"] > 0 for row in shown.tables[table])
    said = {name for text in shown.texts for name in PSEUDONYM.findall(text)}
    # A report has pseudonyms of its own, whose key is thrown away.
    assert said > {*NAME_OF}


@pytest.mark.parametrize("name", attacks())
def test_nobody_finds_a_device(shown: Shown, name: str) -> None:
    assert attacks()[name](shown) == {}


def changed(shown: Shown, change: Callable[[dict[str, Any], str], Mapping[str, Any]]) -> Shown:
    """The same with other rows: `change` gets a row and whose it is."""
    tables = {
        table: [
            {**row, **change(dict(row), NAME_OF.get(row["client_ip"], row["client_ip"]))}
            if row.get("client_ip")
            else row
            for row in rows
        ]
        for table, rows in shown.tables.items()
    }
    return replace(shown, tables=tables)


def said(shown: Shown, text: str) -> Shown:
    """The same with a text about each pseudonym."""
    more = [
        text.format(name=name, ip=ip, mac=shown.present[ip], digest=sha256(ip.encode()).hexdigest())
        for name, ip in NAME_OF.items()
    ]
    return replace(shown, texts=[*shown.texts, *more])


def numbered_by_hash(row: dict[str, Any], ip: str) -> Mapping[str, Any]:
    """The number that a flow had before: from a seed and both ends."""
    if "flow" not in row:
        return {}
    return {"flow": fast_hash(SEEDS[-3], row, ip) | CHANCE.randrange(256)}


ADDRESSES = sorted((*(host.ip for host in CLEAR), *(host.ip for host in HIDDEN)), key=ip_address)


def place_of(ip: str) -> int:
    """The place of a device among all by their address; that of the resolver comes last."""
    return ADDRESSES.index(ip) if ip in ADDRESSES else len(ADDRESSES)


def repeated(shown: Shown) -> Shown:
    rows: Sequence[Any] = shown.tables["claim"]
    rows = [
        {"client_ip": name}
        for name, ip in (*NAME_OF.items(), *((host.ip, host.ip) for host in CLEAR))
        for _ in range(1 + ADDRESSES.index(ip))
    ]
    return replace(shown, tables={**shown.tables, "claim": rows})


def seen_in_clear(shown: Shown) -> Shown:
    """The same packets, by a sensor without pseudonyms."""
    rows = shown.tables["observation"]
    twice = [{**row, "client_ip": NAME_OF.get(row["client_ip"], row["client_ip"])} for row in rows]
    return replace(shown, tables={**shown.tables, "other": twice})


def fingerprinted(row: dict[str, Any], ip: str) -> Mapping[str, Any]:
    return {"tls_ja4": f"ja4 of {ip}"}


def with_own_names(shown: Shown) -> Shown:
    found = changed(shown, fingerprinted)
    rows = [{"client_ip": ip, "tls_ja4": f"ja4 of {ip}"} for ip in NAME_OF.values()]
    return replace(found, tables={**found.tables, "other": rows})


def unkeyed(ip: str) -> str:
    return f"p3f9a-{b32encode(sha256(f'byod{ip}'.encode()).digest()[:10]).decode().lower()}"


FAULTS: Mapping[str, tuple[str, Callable[[Shown], Shown]]] = {
    "a flow numbered by a fast hash": ("seed", lambda shown: changed(shown, numbered_by_hash)),
    "a hash of the address in a row": (
        "hash",
        lambda shown: changed(
            shown, lambda _, ip: {"flow": int.from_bytes(sha256(ip.encode()).digest()[:8]) >> 1}
        ),
    ),
    "a hash of the address in a record": (
        "hash",
        lambda shown: said(shown, "{name} {digest}"),
    ),
    "clients numbered by address": (
        "order",
        lambda shown: changed(shown, lambda _, ip: {"client": place_of(ip)}),
    ),
    "a bucket by address": (
        "remainder",
        lambda shown: changed(shown, lambda _, ip: {"bucket": int(ip_address(ip)) % 256}),
    ),
    "as many rows as the address says": ("count", repeated),
    "the same packets in clear": ("shared row", seen_in_clear),
    "a JA4 of its own, known in clear": ("fingerprint", with_own_names),
    "an address in a comment": (
        "text",
        lambda shown: said(shown, "tls-sni www.tiktok.com, by {name}, from {ip} at 10:00"),
    ),
    "a MAC in the audit": ("text", lambda shown: said(shown, '{{"subject":"{name}","d":"{mac}"}}')),
}
"""What each attack looks for, made on purpose."""


@pytest.mark.parametrize("fault", FAULTS)
def test_the_attack_would_find_them(shown: Shown, fault: str) -> None:
    name, make = FAULTS[fault]
    found: Links = attacks()[name](make(shown))
    right = {each for each, ip in found.items() if NAME_OF.get(each) == ip}
    assert len(right) >= len(NAME_OF) - 1, found


def test_a_pseudonym_without_a_key_would_be_found(shown: Shown) -> None:
    rows = [{"client_ip": unkeyed(ip)} for ip in NAME_OF.values()]
    found = attacks()["hash"](replace(shown, tables={"flow": rows}, texts=()))
    assert found == {unkeyed(ip): ip for ip in NAME_OF.values()}
