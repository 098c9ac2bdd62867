"""Addresses that are lent: one moves to another device within the hour.

Who made a contact is told by MAC and host name, as DHCP, ARP, neighbour discovery and
mDNS show them; the inventory stands over that.
"""

from dataclasses import replace

from craft import Host, Wire, main
from leases import Segment

GATEWAY = "02:00:5e:00:20:01"
RESOLVER = Host("10.20.0.53", GATEWAY)
TIKTOK, WEB = Host("203.0.113.20", GATEWAY), Host("203.0.113.30", GATEWAY)
TIKTOK6 = Host("2001:db8:ffff::20", GATEWAY)

TABLET = Host("10.20.6.20", "02:00:00:20:06:a1")
ARCHIVE = Host("10.20.6.20", "02:00:00:20:06:b2")
MEETING = Host("10.20.6.40", "02:00:00:20:06:c3")
FLEET = Host("10.20.6.30", "02:00:00:20:05:12")
TWINS = Host("10.20.6.50", "02:00:00:20:06:d4"), Host("10.20.6.50", "02:00:00:20:06:e5")


def build() -> Wire:
    """A morning on one link, with its DHCP server in the gateway."""
    wire = Wire("2023-04-04T10:00:00+02:00", seed=7)
    link = Segment(wire, Host("10.20.6.1", GATEWAY))

    def opens(client: Host, server: Host, name: str) -> None:
        wire.wait(20)
        wire.tls(client, server, name, size=600)

    link.obtain(TABLET, "press-tablet")
    link.announce(TABLET, "press-tablet", "2001:db8:20:6::a1")
    opens(TABLET, TIKTOK, "www.tiktok.com")
    # The same device over IPv6, known by its MAC.
    six = replace(TABLET, ip="2001:db8:20:6::a1")
    link.advertise(six)
    opens(six, TIKTOK6, "v16-webapp.tiktok.com")

    # Told as its address until its renewal names it: one incident.
    wire.go_to("2023-04-04T10:05:00+02:00")
    opens(MEETING, TIKTOK, "www.tiktok.com")
    link.renew(MEETING, "meeting-room-2")
    opens(MEETING, TIKTOK, "m.tiktok.com")

    # In the inventory by its MAC alone, behind a router, under a name of its own.
    wire.go_to("2023-04-04T10:10:00+02:00")
    link.obtain(FLEET, "android-7f3a")
    opens(replace(FLEET, mac=GATEWAY), TIKTOK, "www.tiktok.com")

    # Two that use one address at once: nobody can say which it was.
    wire.go_to("2023-04-04T10:15:00+02:00")
    for twin in TWINS:
        link.arp(twin, link.server.ip)
    opens(TWINS[0], TIKTOK, "www.tiktok.com")

    # The tablet goes, and its address to another device, which is at work first.
    wire.go_to("2023-04-04T10:20:00+02:00")
    link.release(TABLET)
    wire.go_to("2023-04-04T10:25:00+02:00")
    link.obtain(ARCHIVE, "archive-ws")
    wire.lookup(ARCHIVE, RESOLVER, "www.example.org", [("www.example.org", "A", 300, WEB.ip)])
    opens(ARCHIVE, WEB, "www.example.org")
    opens(ARCHIVE, TIKTOK, "www.tiktok.com")
    return wire


if __name__ == "__main__":
    main(__file__, build())
