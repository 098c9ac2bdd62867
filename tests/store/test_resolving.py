"""Who is meant: addresses that change hands, routers, host names of many, owners."""

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_store import EMPTY, write_rows

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.inventory.entry_table import Entry
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import FactRemoval
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.person import ALWAYS, Person, joined
from netwatch.store.resolving import Resolved, Resolver
from netwatch.store.run_rows import ClientAddress
from netwatch.store.tables import FACTS

HERS, HIS, ROUTER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:fe"
SECOND = 10**9


def entry(identity: str, mac: str | None, ips: tuple[str, ...], **more: object) -> Entry:
    packed = tuple(found for found in map(parse_ip, ips) if found)
    fields = {"hostname": None, "owner": None, "device_class": None, "line": 1, **more}
    return Entry(id=identity, mac=parse_mac(mac) if mac else None, ips=packed, **fields)  # type: ignore[arg-type]


class Made:
    """A store that is written row by row."""

    def __init__(self, folder: Path) -> None:
        self.options = StoreOptions(str(folder / "store"))
        self.catalogue = open_catalogue(self.options, create=True)
        self.facts = FactRemoval(self.catalogue, FactFiles(self.options.path))

    def client(self, ip: str, mac: str | None) -> int:
        (number,) = self.catalogue.client_numbers(
            [ClientAddress(ip, mac, "byod", "personal")], "sensor"
        )
        return number

    def row(self, table: str, client: int, at: int, **values: object) -> None:
        made = {each.name: EMPTY[each.kind] for each in FACTS[table]}
        made |= {name: at * SECOND for name in ("time", "first", "last") if name in made}
        write_rows(self.catalogue, self.options, table, [made | {"client": client} | values])

    def claim(self, ip: str, mac: str, at: int, hostname: str = "") -> None:
        text = {"address": ip, "addresses": [ip], "mac": mac, "hostname": hostname}
        self.row("claim", self.client(ip, mac), at, claim=json.dumps(text).encode())

    def resolve(self, text: str, *entries: Entry) -> Resolved:
        return Resolver(self.facts, entries).resolve(text)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_an_address_was_hers_between_the_claims_of_others(made: Made) -> None:
    made.claim("10.0.0.5", HIS, 100)
    made.claim("10.0.0.5", HERS, 200)
    made.claim("10.0.0.5", HERS, 250)
    made.claim("10.0.0.5", HIS, 300)
    behind_router = made.client("10.0.0.5", ROUTER)
    person = made.resolve(HERS).person
    assert person.addresses == {"10.0.0.5": ((100 * SECOND + 1, 300 * SECOND - 1),)}
    assert person.numbers == {made.client("10.0.0.5", HERS)}
    assert set(person.shared) == {behind_router, made.client("10.0.0.5", HIS)}
    assert HIS not in person.macs


def test_rows_go_only_in_the_time_in_which_the_address_was_hers(made: Made) -> None:
    made.claim("10.0.0.5", HIS, 100)
    made.claim("10.0.0.5", HERS, 200)
    made.claim("10.0.0.5", HIS, 300)
    router = made.client("10.0.0.5", ROUTER)
    other = made.client("10.0.0.9", None)
    for at in (50, 150, 250, 350):
        made.row("observation", router, at, name=f"{at}.example")
        made.row("observation", other, at, name="x.example", dns_answers=["10.0.0.5"])
    person = made.resolve(HERS).person
    chosen = []
    for file in made.catalogue.files("observation"):
        table = made.facts.read(file)
        chosen += table.filter(person.rows(table, "time")).column("time").to_pylist()
    assert sorted(chosen) == [at * SECOND for at in (150, 150, 250, 250)]


def test_an_address_that_is_named_is_hers_always_and_leads_to_its_mac(made: Made) -> None:
    made.client("10.0.0.5", HERS)
    made.client("2001:db8::5", HERS)
    resolved = made.resolve("10.0.0.5")
    assert resolved.person.addresses["10.0.0.5"] == (ALWAYS,)
    assert resolved.person.macs == {HERS}
    assert len(resolved.person.numbers) == 2


def test_the_mac_of_a_router_leads_nowhere(made: Made) -> None:
    hers = made.client("10.0.0.5", ROUTER)
    made.client("10.0.0.6", ROUTER)
    person = made.resolve("10.0.0.5").person
    assert person.macs == frozenset()
    assert person.numbers == {hers}


def test_a_host_name_of_many_leads_to_a_mac_only_where_it_is_asked_for(made: Made) -> None:
    made.claim("10.0.0.5", HERS, 100, "iphone")
    made.claim("10.0.0.6", HIS, 100, "iphone")
    assert made.resolve(HERS).person.macs == {HERS}
    assert made.resolve("iphone").person.macs == {HERS, HIS}


def test_the_inventory_says_what_belongs_together(made: Made) -> None:
    phone = entry("phone", HERS, ("10.0.0.5",), hostname="janes.example", owner="Jane")
    laptop = entry("laptop", HIS, ("10.0.0.6",), owner="Jane")
    one = made.resolve("phone", phone, laptop)
    assert one.person.macs == {HERS}
    assert one.person.words == {"phone", "janes.example", "janes"}
    assert "other devices" in one.notes[0]
    both = made.resolve("jane", phone, laptop)
    assert both.person.macs == {HERS, HIS}
    assert {"phone", "laptop", "Jane"} <= both.person.words


def test_a_row_of_the_inventory_that_was_valid_for_a_time(made: Made) -> None:
    before = entry("old", HIS, ("10.0.0.5",), until=200 * SECOND)
    now = entry("new", HERS, ("10.0.0.5",), since=200 * SECOND)
    person = made.resolve("new", before, now).person
    assert person.addresses == {"10.0.0.5": ((200 * SECOND, ALWAYS[1]),)}
    assert HIS not in person.macs


def test_nobody_has_no_address(made: Made) -> None:
    number = made.client("0.0.0.0", HERS)
    made.row("claim", number, 100, claim=b'{"address":"0.0.0.0"}')
    person = made.resolve(HERS).person
    assert person.addresses == {}
    assert person.numbers == {number}


@pytest.mark.parametrize(
    ("text", "is_hers"),
    [
        ("10.0.0.5", True), ("10.0.0.5:443", True), ("[10.0.0.5]", True), ("10.0.0.5.", True),
        ("10.0.0.51", False), ("110.0.0.5", False), ("10.0.0.5.6", False),
        ("5.0.0.10.in-addr.arpa", True), ("15.0.0.10.in-addr.arpa", False),
        ("2001:db8::5", True), ("2001:db8::51", False), ("2001:DB8::5", True),
        ("janes-phone.local", True), ("JANES-PHONE", True), ("my-janes-phone", False),
        ("janes-phone2.local", False), ("ssid janes-phone!", True),
        ("02:00:00:00:00:01", True), ("02-00-00-00-00-01", True), ("0200.0000.0001", True),
        ("01020000000001", True), ("02:00:00:00:00:02", False), ("Jane D.", True),
    ],
)  # fmt: skip
def test_words_are_whole_words(text: str, is_hers: bool) -> None:
    person = Person(
        macs=[HERS],
        words=["janes-phone", "Jane D."],
        addresses={"10.0.0.5": [ALWAYS], "2001:db8::5": [ALWAYS]},
    )
    assert person.is_mentioned({"a": [1, {"b": text}]}, 0, 0) == is_hers
    assert not person.is_mentioned({"source": text, "evidence_file": text}, 0, 0)


@given(st.text(min_size=1), st.text(), st.text())
def test_any_word_is_found_and_any_text_is_searched(word: str, before: str, after: str) -> None:
    if not word.strip():
        return
    person = Person(words=[word])
    assert person.is_mentioned(f"{before} {word} {after}", 0, 0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9))))
def test_spans_that_overlap_become_one(made_spans: list[tuple[int, int]]) -> None:
    spans = [(first, first + length) for first, length in made_spans]
    found = joined(spans)
    assert {each for first, last in spans for each in range(first, last + 1)} == {
        each for first, last in found for each in range(first, last + 1)
    }
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))


def test_no_word_is_nothing() -> None:
    assert not Person().is_mentioned("anything", 0, 0)
    assert Person().always == ""


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1),
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126))),
)
def test_columns_are_searched_as_texts_are(word: str, texts: list[str]) -> None:
    texts = [*texts, f"a {word} b", f"a{word}b", "", word.upper()]
    person = Person(words=[word], addresses={"10.0.0.5": [(3, 3)]})
    answers = [["10.0.0.5", "x"], None, [], ["10.0.0.5"], *[["x"]] * len(texts)][: len(texts)]
    times = pa.array(range(len(texts)), pa.int64())
    clients = pa.array([1] * len(texts), pa.int32())
    names = pa.array(texts, pa.string()).dictionary_encode()
    for column, values in ((names, texts), (pa.array(answers, pa.list_(pa.string())), answers)):
        table = pa.table({"time": times, "client": clients, "column": column})
        said = [person.is_mentioned(value, at, at) for at, value in enumerate(values)]
        assert person.rows(table, "time").to_pylist() == said


def test_all_macs_of_a_device_in_the_inventory_are_hers(made: Made) -> None:
    laptop = entry("laptop", HERS, (), owner="Ada", other_macs=(parse_mac(HIS),))
    for text in ("laptop", HIS, "Ada"):
        assert {HERS, HIS} <= set(made.resolve(text, laptop).person.macs)
