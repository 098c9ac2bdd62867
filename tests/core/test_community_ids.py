"""Community IDs of rows are those of the definition, in both forms."""

from dataclasses import replace
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_batches import ADDRESSES, PORTS
from support.made_records import BARE
from support.observing import batch_of

from netwatch.core.community_id import community_id
from netwatch.formats.observation_lines import ObservationLines
from netwatch.formats.quoted_texts import JSON

FLOWS = st.tuples(ADDRESSES, ADDRESSES, PORTS, PORTS, st.sampled_from(["tcp", "udp"]))


def flow(client: bytes, server: bytes, port: int, at: int, transport: Literal["tcp", "udp"]) -> Any:
    return replace(
        BARE,
        client_ip=client,
        server_ip=server,
        client_port=port,
        server_port=at,
        transport=transport,
    )


@given(st.lists(FLOWS, min_size=1, max_size=8), st.data())
@settings(deadline=None)
def test_each_flow_has_its_id_whatever_was_before(flows: list[Any], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(flows), min_size=1, max_size=20))
    out: list[str] = []
    ObservationLines(JSON).write(batch_of(*(flow(*each) for each in chosen)), out.append)
    for line, (*addresses_and_ports, transport) in zip(
        "".join(out).splitlines(), chosen, strict=True
    ):
        expected = community_id(*addresses_and_ports, 6 if transport == "tcp" else 17)
        assert f'"community_id":"{expected}"' in line


def test_flows_of_one_place_of_the_cache_replace_each_other() -> None:
    flows = [
        (BARE.client_ip, BARE.server_ip, 1024 + (number % 3 << 12) // 7, 53 + number % 5, "udp")
        for number in range(5000)
    ]
    out: list[str] = []
    ObservationLines(JSON).write(batch_of(*(flow(*each) for each in flows)), out.append)
    found = [line.split('"community_id":"')[1][:30] for line in "".join(out).splitlines()]
    assert found == [community_id(*each[:4], 17) for each in flows]
