"""Facts are stored once, whoever commits at the same time."""

import json
import threading

import pytest
from support.made_facts import made_batches

from netwatch import __version__
from netwatch.config.fleet_section import SensorLimit
from netwatch.core.errors import NetwatchError
from netwatch.core.flow import NAME_STATUSES
from netwatch.coverage.counts import Coverage
from netwatch.coverage.judged import HOUR, QUARTERS, by_k, by_name, narrowed
from netwatch.fleet.border import Outside, SensorLimits
from netwatch.fleet.envelope import Envelope
from netwatch.fleet.fact_batch import FactBatch, RunKey, pack
from netwatch.fleet.fact_commits import FactCommits
from netwatch.formats.coverage import report_record
from netwatch.store.fact_tables import chunk_schema
from netwatch.store.flow_rows import new_key
from netwatch.store.judged_coverage import judged_coverage
from netwatch.store.landing import Landing
from netwatch.store.opening import open_catalogue
from netwatch.store.run_rows import ClientAddress
from netwatch.store.status import status

pa = pytest.importorskip("pyarrow")

ROWS = 40


@pytest.fixture
def options(catalogue_options):
    return catalogue_options


@pytest.fixture
def commits(options):
    """Two processes that commit to one store, as far as the store is concerned."""
    made = [FactCommits(options, new_key()), FactCommits(options, new_key())]
    yield made
    for each in made:
        each.close()


def facts(sensor, sequence, started=7, bans="b", contents=None):
    """A batch of a sensor in its message."""
    found = pa.Table.from_batches(made_batches(ROWS, names=5, seed=sequence))
    layout = chunk_schema("observation")
    places = pa.array([0] * ROWS, pa.int32())
    columns = [places if name == "client" else found[name] for name in layout.names]
    run = RunKey(
        started=started, command="live", versions=("1", "s", bans, "c"), position=0,
        contents=contents or {},
    )  # fmt: skip
    client = ClientAddress("10.1.0.1", None, "hq", "service")
    content = pack(FactBatch("observation", run, [client], pa.table(columns, schema=layout)))
    return Envelope(
        sensor=sensor, kind="facts", sequence=sequence, sent=1, version=__version__,
        id=f"f{sequence}", payload=content,
        fields={"epoch": "e", "after": sequence - 1, "table": "observation"},
    )  # fmt: skip


def batch(table, sequence, **values):
    """A batch with one row, in its message; what it does not say is empty."""
    empty = {"sequence": sequence, "client": 0, "packet": 1, "flow": 9, "source": "eth0"}
    layout = chunk_schema(table)
    row = {**empty, **values}
    columns = [
        pa.array([row.get(each.name)], each.type.value_type).dictionary_encode()
        if pa.types.is_dictionary(each.type)
        else pa.array([row.get(each.name)], each.type)
        for each in layout
    ]
    run = RunKey(started=7, command="live", versions=("1", "s", "b", "c"), position=0, contents={})
    client = ClientAddress("10.1.0.1", None, "hq", "service")
    return Envelope(
        sensor="ghent-1", kind="facts", sequence=sequence, sent=1, version=__version__,
        id=f"f{sequence}", fields={"epoch": "e", "after": sequence - 1, "table": table},
        payload=pack(FactBatch(table, run, [client], pa.table(columns, schema=layout))),
    )  # fmt: skip


class Resolvers:
    """Knows one resolver."""

    def by_name(self, name):
        return NAME_STATUSES.index("encrypted-dns") if name == "dns.example" else 0

    def by_address(self, address):
        return 0


def commit(commits, envelopes):
    commits.prepare(envelopes)
    return commits.finish()


def stored(options):
    with open_catalogue(options) as catalogue:
        return sum(row.rows for row in catalogue.files("observation"))


@pytest.mark.parametrize("before", [0, 1])
def test_two_that_commit_the_same_at_once_store_it_once(options, commits, monkeypatch, before):
    """As a centre does that is started while a process of the one before has not ended yet."""
    one, other = commits
    for sequence in range(1, before + 1):
        commit(one, [facts("ghent-1", sequence)])
    message = facts("ghent-1", before + 1)
    flush = Landing.flush

    def flush_late(landing):
        monkeypatch.setattr(Landing, "flush", flush)
        assert commit(other, [message]).batches == 1
        flush(landing)

    monkeypatch.setattr(Landing, "flush", flush_late)
    with pytest.raises(NetwatchError, match="by another process"):
        commit(one, [message])
    assert stored(options) == ROWS * (before + 1)
    result = commit(one, [message])
    assert (result.batches, result.repeated) == (0, 1)
    assert [each.sequence for each in result.progress] == [before + 1]
    assert stored(options) == ROWS * (before + 1)


def test_sensors_are_committed_side_by_side(options, commits):
    """Each process has sensors of its own, whose runs, captures and clients are new."""
    messages = {name: [facts(name, 1 + number, started=number // 2) for number in range(6)]
                for name in ("ghent-1", "liege-1")}  # fmt: skip
    problems = []

    def work(each, name):
        try:
            for message in messages[name]:
                assert commit(each, [message]).batches == 1
        except BaseException as error:
            problems.append(error)

    threads = [
        threading.Thread(target=work, args=arguments)
        for arguments in zip(commits, messages, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert stored(options) == 12 * ROWS
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        counts = "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM capture),"
        counts += " (SELECT count(*) FROM client), (SELECT count(*) FROM version)"
        assert tuple(connection.exec_driver_sql(counts).one()) == (6, 6, 2, 1)


def test_a_centre_knows_when_a_network_was_seen_and_by_what_it_was_judged(options, commits):
    """It counts the facts that sensors send, as whoever reads packets does."""
    one, _ = commits
    commit(one, [facts("ghent-1", 1)])
    commit(one, [facts("ghent-1", 2)])
    with open_catalogue(options) as catalogue:
        found = judged_coverage(catalogue)
    assert found.networks() == ["hq"]
    (source,) = found.sources
    assert (source.sensor, found.listeners) == ("ghent-1", {"hq": frozenset({"ghent-1"})})
    assert source.quarters
    assert [each.judge.signatures for each in source.judged] == ["s"]
    assert found.seen("hq") == narrowed(source.quarters, 4)


def said(table, sequence, position=0, **values):
    """What a sensor says of a run, in its message."""
    run = RunKey(
        started=7, command="live", versions=("1", "s", "b", "c"), position=position, contents={}
    )
    return Envelope(
        sensor="ghent-1", kind="facts", sequence=sequence, sent=1, version=__version__,
        id=f"f{sequence}", fields={"epoch": "e", "after": sequence - 1, "table": table},
        payload=json.dumps({**values, "run": run.record()}).encode(),
    )  # fmt: skip


WHOLE = {"whole": True, "first": 1, "last": 2, "lost_rows": 0}


@pytest.mark.parametrize("of_all", [True, False])
@pytest.mark.parametrize("ends_first", [True, False])
def test_what_a_sensor_has_lost_is_known_at_the_centre(options, commits, of_all, ends_first):
    """Its capture is not whole, whichever comes first, and its hours are known."""
    one, _ = commits
    commit(one, [facts("ghent-1", 1)])
    with open_catalogue(options) as catalogue:
        bits = judged_coverage(catalogue).captured_at_all
        quarter = judged_coverage(catalogue).first * QUARTERS + (bits & -bits).bit_length() - 1
    lost = {"losses": {"skipped": {str(quarter): 7}}, "all": of_all, "adds": False}
    messages = [("capture", WHOLE), ("loss", lost)]
    for sequence, (table, content) in enumerate(messages if ends_first else messages[::-1], 2):
        assert commit(one, [said(table, sequence, **content)]).refused == []
    more = {"losses": {"killed": {str(quarter): 1}}, "all": of_all, "adds": True}
    for sequence in (4, 5):
        commit(one, [said("loss", sequence, **more)])
    with open_catalogue(options) as catalogue:
        assert status(catalogue).losses == {"skipped": 7, "killed": 2}
        assert status(catalogue).partial_captures == 1
        assert judged_coverage(catalogue).lost("hq") == bits & -bits


@pytest.mark.parametrize(
    "losses",
    [None, [], {"else": {}}, {"rows": {"1": "2"}}, {"rows": {"x": 1}}, {"rows": {"1": -1}},
     {"rows": {"1": 1 << 62}}, {"rows": {str(1 << 40): 1}}, {"rows": [1]},
     {"rows": {str(at): 1 for at in range(20_001)}}],
)  # fmt: skip
def test_losses_that_cannot_be_stored_are_refused(commits, losses):
    result = commit(commits[0], [said("loss", 1, losses=losses)])
    assert [position for position, _ in result.refused] == [0]


def test_coverage_is_corrected_by_the_clock_of_the_sensor(options, commits):
    """As incidents are: what a sensor saw whose clock is an hour ahead was captured an hour
    before."""
    one, _ = commits
    row = {
        "time": 100 * HOUR + 5,
        "time_digits": 9,
        "evidence": "tls-sni",
        "name": "a.example",
        "transport": "tcp",
    }
    record = report_record(Coverage().report(1, {}))
    about = {"part": 0, "first": 100 * HOUR, "last": 101 * HOUR, "record": record}
    lost = {"losses": {"rows": {str(100 * QUARTERS): 1}}, "all": True}
    messages = [
        batch("observation", 1, **row), said("coverage", 2, **about), said("loss", 3, **lost)
    ]  # fmt: skip
    one.prepare(messages, {"ghent-1": HOUR})
    assert one.finish().refused == []
    with open_catalogue(options) as catalogue:
        found = judged_coverage(catalogue)
        with catalogue.database.reading() as connection:
            times = connection.exec_driver_sql("SELECT first, last FROM coverage").one()
    assert tuple(times) == (99 * HOUR, 100 * HOUR)
    at = (99 - found.first) * QUARTERS
    assert found.captured_at_all == found.lost_at_all == 1 << at
    assert found.seen("hq") == 1 << (99 - found.first)


RECORD = {
    "first": 100 * HOUR + 5, "last": 100 * HOUR + 6, "transport": "udp", "client_port": 40000,
    "server_port": 443, "bytes_out": 5, "bytes_in": 5, "name_status": "none", "start_seen": True,
    "incomplete_message": False, "client_sent": "payload", "server_sent": "payload",
    "log_format": "ipfix",
}  # fmt: skip


def test_a_centre_counts_flows_of_several_apps_where_the_sensor_may_speak_of(options):
    limits = SensorLimits({"ghent-1": SensorLimit(networks=frozenset({"hq"}), devices=None)})
    commits = FactCommits(options, new_key(), limits=limits)
    found = [["hq", "service", 100, 3, 1], ["guest", "guest", 100, 2, 5]]
    try:
        commits.prepare([batch("flow", 1, **RECORD), said("oneofk", 2, flows=found)],
                        {"ghent-1": HOUR})  # fmt: skip
        result = commits.finish()
        assert (result.refused, result.outside) == ([], {"ghent-1": Outside({"guest"})})
    finally:
        commits.close()
    with open_catalogue(options) as catalogue:
        coverage = judged_coverage(catalogue)
        (counts,) = coverage.flows("hq", 99 * HOUR, 100 * HOUR).values()
        assert coverage.networks() == ["hq"]
    assert (by_name(counts), by_k(counts)) == ({"one-of-k": 1}, {3: 1})


@pytest.mark.parametrize(
    "flows",
    [None, {}, [["hq", "service", 1, 2]], [["hq", "service", 1, -2, 1]],
     [["hq", "service", 1 << 40, 2, 1]], [["hq", "", 1, 2, 1]], [["hq", "service", 1, 2, 1 << 41]],
     [["hq", "service", 1, 2, 1]] * 20_001],
)  # fmt: skip
def test_flows_of_several_apps_that_cannot_be_counted_are_refused(commits, flows):
    result = commit(commits[0], [said("oneofk", 1, flows=flows)])
    assert [position for position, _ in result.refused] == [0]


def test_a_flow_to_an_app_that_hides_names_has_no_readable_name_at_a_centre(options):
    """Though its name came in an earlier message, whose commit had to be prepared twice."""
    name = batch(
        "observation", 1, time=10**18, time_digits=9, evidence="tls-sni", name="dns.example",
        client_port=50000, server_ip="192.0.2.1", server_port=443, transport="tcp",
    )  # fmt: skip
    flow = batch(
        "flow", 2, first=10**18, last=10**18 + 1, transport="tcp", client_port=50000,
        server_ip="192.0.2.1", server_port=443, bytes_out=2000, bytes_in=3000,
        name_status="named", start_seen=True, incomplete_message=False, client_sent="",
        server_sent="",
    )  # fmt: skip
    commits = FactCommits(options, new_key(), Resolvers())
    commit(commits, [name])
    commits.prepare([flow])
    commit(commits, [flow])
    commits.close()
    with open_catalogue(options) as catalogue:
        found = judged_coverage(catalogue).flows("hq", 10**18, 10**18 + 1)
    assert by_name(found["service"]) == {"encrypted-dns": 1}


def test_a_sensor_that_was_told_other_bans_is_judged_by_these_from_then_on(options, commits):
    one, _ = commits
    commit(one, [facts("ghent-1", 1)])
    commit(one, [facts("ghent-1", 2, bans="later", contents={"city": "what it says"})])
    with open_catalogue(options) as catalogue:
        (source,) = judged_coverage(catalogue).sources
    before, after = source.judged
    assert (before.judge.bans, before.judge.contents) == ("b", {})
    assert (after.judge.bans, after.judge.contents) == ("later", {"city": "what it says"})
    assert (before.since, before.until, after.until) == (None, after.since, None)
