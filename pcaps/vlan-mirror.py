"""A mirror port that keeps its tags: IEEE 802.1Q, 802.1ad (QinQ) and no tag at all.

The VLAN decides the network where the same addresses are used twice.
"""

from craft import Host, Wire, main
from handshakes import QUIC_V1

GATEWAY = "02:00:5e:00:20:01"
RESOLVER = "10.20.0.53"


def build() -> Wire:
    """The same round of DNS, TLS and QUIC under five kinds of tags."""
    wire = Wire("2024-10-18T11:00:00+02:00", seed=5)
    rounds = [
        (Host("10.20.1.21", "02:00:00:20:01:21"), "untagged", "www.example.org"),
        (Host("10.20.1.22", "02:00:00:20:01:22", (20,)), "tagged", "www.example.net"),
        (Host("10.30.4.9", "02:1b:63:30:04:09", (30,)), "byod", "www.tiktok.com"),
        (Host("10.20.1.23", "02:00:00:20:01:23", (100, 20)), "qinq", "www.example.com"),
        (Host("2001:db8:20:1::24", "02:00:00:20:01:24", (100, 20)), "qinq6", "six.example.com"),
    ]
    for client, label, name in rounds:
        wire.wait(60)
        six = ":" in client.ip
        resolver = Host("2001:db8:20::53" if six else RESOLVER, GATEWAY)
        address = "2001:db8:ffff::30" if six else "203.0.113.30"
        records = [(name, "AAAA" if six else "A", 120, address)]
        wire.lookup(client, resolver, name, records, kind=records[0][1])
        server = Host(address, GATEWAY)
        wire.tls(client, server, name, post_quantum=label.startswith("qinq"), size=700)
        wire.quic(client, server, f"{label}.example.org", version=QUIC_V1)
    return wire


if __name__ == "__main__":
    main(__file__, build())
