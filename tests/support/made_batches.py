"""Batches of observations as hypothesis makes them: what a parser could have appended."""

from dataclasses import replace
from typing import get_args

from hypothesis import strategies as st
from support.made_records import BARE
from support.observing import batch_of

from netwatch.core.addresses import ip_text
from netwatch.core.message import DnsInfo, Evidence, Observation, QuicInfo, TlsInfo

TEXTS = st.sampled_from(
    [
        *(
            "www.example.org",
            "tiktok.com",
            "a",
            '"quoted"',
            "back\\slash",
            "a,b",
            "del\x7f",
            "\x01",
        ),
        *("=1+1", "-x", "@x", "_dns.resolver.arpa", "two words", " b", "tab\t", "\n", "x" * 255),
    ]
) | st.text(st.characters(max_codepoint=0x7F), min_size=1, max_size=40)
SOURCES = st.sampled_from(["office.pcap", "-", "a b.pcap", '"', "é.pcap", "bad\udcff.pcap", "=x,y"])
ADDRESSES = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=16, max_size=16),
    st.lists(
        st.sampled_from([b"\0\0", b"\0\1", b"\x20\1", b"\xff\xff"]), min_size=8, max_size=8
    ).map(b"".join),
)
LISTS = st.lists(TEXTS, max_size=3).map(tuple)
PORTS = st.integers(0, 65535)
DNS = st.builds(
    DnsInfo,
    st.sampled_from(["A", "AAAA", "HTTPS", "TYPE65535"]),
    st.none() | st.sampled_from(["NOERROR", "NXDOMAIN"]),
    st.lists(st.tuples(ADDRESSES.map(ip_text), st.integers(0, 0xFFFFFFFF)), max_size=3).map(tuple),
    LISTS,
    LISTS,
    LISTS,
)
TLS = st.builds(
    TlsInfo,
    st.sampled_from(["1.3", "1.2", "0x7f1c"]),
    LISTS,
    st.none() | st.sampled_from(["outer", "grease"]),
    st.none() | st.just(lambda: "t13d1516h2_8daaf6152771_e5627efa2ab1"),
)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """An observation with anything that it can have."""
    both = draw(ADDRESSES)
    return replace(
        BARE,
        time=draw(st.integers(-(1 << 62), (1 << 63) - 1) | st.just(BARE.time)),
        time_digits=draw(st.integers(0, 9)),
        evidence=draw(st.sampled_from(get_args(Evidence))),
        name=draw(TEXTS),
        client_ip=draw(st.just(both) | ADDRESSES),
        client_port=draw(PORTS),
        client_mac=draw(st.none() | st.binary(min_size=6, max_size=6)),
        server_ip=draw(st.just(both) | ADDRESSES),
        server_port=draw(PORTS),
        transport=draw(st.sampled_from(["tcp", "udp"])),
        vlan=draw(st.none() | st.integers(0, 4095)),
        source=draw(SOURCES),
        packet=draw(st.integers(1, 1 << 40)),
        dns=draw(st.none() | DNS),
        tls=draw(st.none() | TLS),
        quic=draw(st.none() | st.builds(QuicInfo, st.sampled_from(["1", "2", "Q050"]))),
    )


BATCHES = st.lists(observations(), max_size=12).map(lambda each: batch_of(*each))
"""Batches of a few rows."""
