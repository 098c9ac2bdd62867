import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim
from netwatch.protocols import neighbor

MAC, PEER = bytes.fromhex("020000200614"), bytes.fromhex("0200002006ff")
IP, OTHER = bytes([10, 20, 6, 20]), bytes([10, 20, 6, 1])
HELD = (AddressClaim("announcement", (IP,), MAC, on_link=True),)


def packet(op=1, sender=IP, target=OTHER, head="0001080006040"):
    return bytes.fromhex(f"{head}00{op}") + MAC + sender + PEER + target


@pytest.mark.parametrize(
    ("payload", "claims"),
    [
        (packet(1), HELD),
        (packet(2), HELD),
        (packet(1, target=IP), HELD),  # announcement, gratuitous request
        (packet(2, target=IP), HELD),  # gratuitous reply
        (packet(1, sender=bytes(4), target=IP), ()),  # probe (RFC 5227)
        (packet(1, head="0006080006040"), HELD),
        (packet(1) + bytes(18), HELD),  # padding of the frame
    ],
    ids=["request", "reply", "announcement", "gratuitous", "probe", "ieee-802", "padded"],
)
def test_what_is_claimed(payload, claims):
    found = neighbor.parse_arp(payload)
    assert (found.claims, found.names, found.size) == (claims, (), 28)


@pytest.mark.parametrize(
    ("payload", "anomaly"),
    [
        (b"", "arp-cut"),
        (packet()[:27], "arp-cut"),
        (packet(head="0001080108040"), "arp-type"),
        (packet(head="0001080006100"), "arp-type"),
        (packet(head="0020080006040"), "arp-type"),
        (packet(3), "arp-operation"),
        (packet(8), "arp-operation"),
    ],
)
def test_bytes_that_are_no_arp_of_these(payload, anomaly):
    with pytest.raises(ParseError) as caught:
        neighbor.parse_arp(payload)
    assert caught.value.anomaly == anomaly


@given(st.binary(max_size=40), st.integers(0, 27))
def test_any_bytes_give_a_message_or_an_anomaly(data, at):
    changed = bytearray(packet())
    changed[at : at + len(data)] = data
    for payload in (data, bytes(changed)):
        try:
            found = neighbor.parse_arp(payload)
        except ParseError as error:
            anomaly = error.anomaly
        else:
            anomaly = "arp-none"
            theirs = dpkt.arp.ARP(payload)
            assert [each.addresses for each in found.claims] == [(theirs.spa,)] * (
                theirs.spa != bytes(4)
            )
            assert [each.mac for each in found.claims] == [theirs.sha] * len(found.claims)
        assert anomaly.startswith("arp-")
