"""Monday 20 March 2023 in a Belgian federal office, mirrored at the core switch.

The ban on TikTok of 10 March holds. Twenty workplaces do their work; a few devices reach
TikTok by DNS, TLS and QUIC, on IPv4 and IPv6; others only look as if they did. The
configuration beside it (netwatch.yaml, devices.csv) says who is who, README.md what is
to come of it.
"""

import handshakes
from craft import Conversation, Host, Wire, main

GATEWAY = "02:00:5e:00:20:01"
BYOD_GATEWAY = "02:00:5e:00:30:01"
GUEST_GATEWAY = "02:00:5e:00:40:01"
RESOLVER = Host("10.20.0.53", "02:00:5e:20:00:53")
UPSTREAM = Host("198.51.100.53", GATEWAY)

SITES = {
    "intranet.example.org": "198.51.100.10",
    "mail.example.org": "198.51.100.11",
    "calendar.example.org": "198.51.100.12",
    "documents.example.net": "198.51.100.20",
    "meet.example.net": "198.51.100.21",
    "updates.example.com": "198.51.100.30",
    "news.example.com": "198.51.100.31",
    "weather.example.com": "198.51.100.32",
    "trains.example.com": "198.51.100.33",
}
ALIKE = {
    "nottiktok.com": "198.51.100.60",
    "tiktok.com.example.org": "198.51.100.61",
    "tiktok-my.com": "198.51.100.62",
    "tiktok.example.net": "198.51.100.63",
}
TIKTOK = {
    "www.tiktok.com": "203.0.113.10",
    "v16-webapp.tiktok.com": "203.0.113.11",
    "api16-normal-c-useast1a.tiktokv.com": "203.0.113.20",
    "p16-sign-va.tiktokcdn.com": "203.0.113.30",
    "analytics.tiktok.com": "203.0.113.40",
}
EDGE = "www.tiktok.com.edgesuite.net"


def visit(wire: Wire, client: Host, name: str, address: str, *, quic: bool = False) -> None:
    """Look a name up and connect to it, as a browser does."""
    records = [(name, "A", 300, address)]
    if name == "www.tiktok.com":
        records = [(name, "CNAME", 300, EDGE), (EDGE, "A", 20, address)]
    inside = gateway(client) == GATEWAY
    wire.lookup(client, RESOLVER if inside else Host(RESOLVER.ip, gateway(client)), name, records)
    server = Host(address, gateway(client))
    if quic:
        wire.quic(client, server, name, version=handshakes.QUIC_V1)
    else:
        wire.tls(client, server, name, size=wire.rng.choice((900, 2200, 3600)))


def gateway(client: Host) -> str:
    """The MAC address that routes for this client."""
    if client.ip.startswith("10.30."):
        return BYOD_GATEWAY
    return GUEST_GATEWAY if client.ip.startswith("10.40.") else GATEWAY


def innocents(wire: Wire) -> None:
    """Twenty workplaces, one visit each, all over the day."""
    for number in range(20):
        hour, minute = 8 + number * 9 // 20, wire.rng.randrange(60)
        wire.go_to(f"2023-03-20T{hour:02d}:{minute:02d}:00+01:00")
        client = Host(f"10.20.2.{100 + number}", f"02:00:00:20:02:{number:02x}")
        name = wire.rng.choice(sorted(SITES))
        visit(wire, client, name, SITES[name], quic=number % 7 == 3)


def violations(wire: Wire) -> None:
    """Service devices that reach TikTok, or ask where it is."""
    desk = Host("10.20.1.21", "02:00:00:20:01:21")
    wire.go_to("2023-03-20T09:12:41+01:00")
    visit(wire, desk, "www.tiktok.com", TIKTOK["www.tiktok.com"])
    visit(wire, desk, "v16-webapp.tiktok.com", TIKTOK["v16-webapp.tiktok.com"])

    phone = Host("10.20.5.7", "02:00:00:20:05:07")
    wire.go_to("2023-03-20T10:31:07+01:00")
    for name in ("api16-normal-c-useast1a.tiktokv.com", "p16-sign-va.tiktokcdn.com"):
        visit(wire, phone, name, TIKTOK[name], quic=True)

    asker = Host("10.20.1.33", "02:00:00:20:01:33")
    wire.go_to("2023-03-20T11:05:30+01:00")
    wire.lookup(asker, RESOLVER, "www.tiktok.com", [], rcode=5)

    laptop = Host("10.20.1.88", "02:00:00:20:01:88")
    wire.go_to("2023-03-20T13:47:52+01:00")
    name = "www.tiktok.com"
    wire.lookup(laptop, RESOLVER, name, [(name, "AAAA", 300, "2001:db8:ffff::10")], kind="AAAA")
    far = Host("2001:db8:ffff::10", GATEWAY)
    wire.tls(laptop.at("2001:db8:20:1::88"), far, name)

    # A service phone among the personal ones: the inventory says what it is.
    stray = Host("10.30.5.12", "02:00:00:20:05:12", (30,))
    wire.go_to("2023-03-20T14:20:03+01:00")
    name = "api16-normal-c-useast1a.tiktokv.com"
    wire.tls(stray, Host(TIKTOK[name], BYOD_GATEWAY), name)


def told_apart(wire: Wire) -> None:
    """Contacts that are no violation, each for another reason."""
    own = Host("10.30.4.8", "02:1b:63:30:04:08", (30,))
    wire.go_to("2023-03-20T12:15:00+01:00")
    visit(wire, own, "www.tiktok.com", TIKTOK["www.tiktok.com"])

    lab = Host("10.20.7.7", "02:00:00:20:07:07")
    wire.go_to("2023-03-20T15:02:10+01:00")
    visit(wire, lab, "www.tiktok.com", TIKTOK["www.tiktok.com"])

    guest = Host("10.40.0.9", "02:00:00:40:00:09")
    wire.go_to("2023-03-20T15:30:44+01:00")
    visit(wire, guest, "www.tiktok.com", TIKTOK["www.tiktok.com"], quic=True)

    embed = Host("10.20.1.45", "02:00:00:20:01:45")
    wire.go_to("2023-03-20T10:02:18+01:00")
    visit(wire, embed, "news.example.com", SITES["news.example.com"])
    visit(wire, embed, "analytics.tiktok.com", TIKTOK["analytics.tiktok.com"])

    desk = Host("10.20.1.14", "02:00:00:20:01:14")
    wire.go_to("2023-03-20T16:10:00+01:00")
    for name, address in ALIKE.items():
        visit(wire, desk, name, address)

    # The resolver asks for its clients; the name is not its own doing.
    wire.go_to("2023-03-20T09:12:40+01:00")
    records = [("www.tiktok.com", "CNAME", 300, EDGE), (EDGE, "A", 20, TIKTOK["www.tiktok.com"])]
    wire.lookup(RESOLVER, UPSTREAM, "www.tiktok.com", records)

    # Somebody outside tries the name on our own web server.
    wire.go_to("2023-03-20T16:45:09+01:00")
    prober = Host("203.0.113.77", GATEWAY)
    talk = Conversation(wire, prober, Host("10.20.0.80", "02:00:5e:20:00:80"), 443)
    hello = handshakes.client_hello("www.tiktok.com", wire.rng)
    talk.ask(handshakes.records(hello), "tls-sni", "www.tiktok.com")
    talk.close()


def build() -> Wire:
    """The whole day."""
    wire = Wire("2023-03-20T08:00:00+01:00", seed=20230320)
    innocents(wire)
    violations(wire)
    told_apart(wire)
    return wire


if __name__ == "__main__":
    main(__file__, build())
