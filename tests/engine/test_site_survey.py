"""What a capture shows of a site, as proposals for a first configuration."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from netwatch.capture.files import find_captures
from netwatch.core.addresses import parse_ip
from netwatch.core.message import DnsInfo, Message, Packet, ShownName
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs, site_survey
from netwatch.engine.capture_files import group_files
from netwatch.engine.site_survey import SiteSurvey

PCAPS = Path(__file__).parents[2] / "pcaps"


def survey_of(lookups: Iterable[tuple[str, str]], port: int = 53) -> SiteSurvey:
    """A survey of queries, each of a client to a server."""
    batch, survey = ObservationBatch(["made"]), SiteSurvey()
    for number, (client, server) in enumerate(lookups, 1):
        sides = parse_ip(client), parse_ip(server)
        assert sides[0] is not None
        assert sides[1] is not None
        packet = Packet(
            *("made", number, number, 6, "udp", sides[0], 40_000, sides[1], port),
            *(None, None, None, number),
        )
        message = Message((ShownName("dns-query", "www.example.org"),), 0, dns=DnsInfo("A"))
        batch.add_span(*batch.append(packet, message, 0, False))
    survey.add(batch)
    return survey


def ranges(survey: SiteSurvey) -> list[tuple[str, int]]:
    return [(str(found.network), found.clients) for found in survey.ranges()]


def test_subnets_of_a_sample_capture() -> None:
    survey = SiteSurvey()
    files = list(group_files(find_captures([str(PCAPS / "five-kinds.pcap")]), False))
    for batch in jobs.names(files, RunStatistics()):
        survey.add(batch)
    assert ranges(survey) == [("10.20.5.0/24", 7), ("10.20.1.0/24", 1)]
    assert survey.resolvers() == ["10.20.0.53"]
    assert survey.clients == 8


def test_several_subnets_are_a_site() -> None:
    survey = survey_of((f"10.1.{number}.7", "10.1.0.53") for number in range(4))
    assert ranges(survey) == [("10.1.0.0/16", 4)]
    survey = survey_of((f"2001:db8:1:{number}::7", "2001:db8:1::53") for number in (1, 2))
    assert ranges(survey) == [("2001:db8:1::/48", 2)]
    assert survey.resolvers() == ["2001:db8:1::53"]


def test_outside_clients_of_our_servers_are_not_proposed() -> None:
    survey = survey_of([("10.1.1.7", "10.1.1.53"), ("198.51.100.9", "10.1.1.53")])
    assert ranges(survey) == [("10.1.1.0/24", 1)]
    public = survey_of([("198.51.100.9", "198.51.100.53")])
    assert ranges(public) == [("198.51.100.0/24", 1)]


def test_resolvers_are_inside_and_asked_on_the_port_of_dns() -> None:
    lookups = [("10.1.1.7", "10.1.9.53"), ("10.1.1.8", "10.1.9.53"), ("10.1.1.8", "10.1.9.54")]
    survey = survey_of([*lookups, ("10.1.1.7", "192.0.2.53")])
    assert survey.resolvers() == ["10.1.9.53", "10.1.9.54"]
    assert survey_of(lookups, port=5353).resolvers() == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.1.1", "fe80::1", "0.0.0.0", "::"])
def test_addresses_of_no_subnet_are_not_proposed(address: str) -> None:
    assert ranges(survey_of([(address, "10.1.1.53")])) == []


def test_addresses_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_survey, "MAX_ADDRESSES", 2)
    survey = survey_of((f"10.1.1.{number}", f"10.1.2.{number}") for number in range(5))
    assert survey.clients == 2
    assert survey.ignored == 6
