"""Tuesday 21 March 2023 in the same office: five ways in which TikTok shows up on a wire.

One device uses the app, one has it installed, one opens a page that embeds a player, one only
asks where the app's servers are, and four have the app where filters block it: with NXDOMAIN,
with an address of nowhere, with the address of a filter, and by resetting connections. All of
them show names of TikTok, and only one of them is use. README.md says what is to come of it.
"""

import handshakes
from craft import Conversation, Host, Wire, main

GATEWAY = "02:00:5e:00:20:01"
RESOLVER = Host("10.20.0.53", "02:00:5e:20:00:53")
FILTER = Host("10.20.0.90", "02:00:5e:20:00:90")

API, FEED = "api16-normal-c-useast1a.tiktokv.com", "api22-normal-c-useast2a.tiktokv.com"
MESSAGES, TELEMETRY = "im-api.tiktokv.com", "aggr16-normal.tiktokv.com"
VIDEO, IMAGES = "v16m.tiktokcdn.com", "p16-sign-va.tiktokcdn.com"
SITE, PLAYER = "www.tiktok.com", "v16-webapp-prime.tiktok.com"
SCRIPTS = "lf16-tiktok-web.tiktokcdn-us.com"
NEWS = "news.example.com"

SERVERS = {
    API: "203.0.113.20",
    FEED: "203.0.113.21",
    MESSAGES: "203.0.113.22",
    TELEMETRY: "203.0.113.23",
    VIDEO: "203.0.113.31",
    IMAGES: "203.0.113.30",
    SITE: "203.0.113.10",
    PLAYER: "203.0.113.11",
    SCRIPTS: "203.0.113.32",
    NEWS: "198.51.100.31",
}


def connect(wire: Wire, client: Host, name: str) -> Conversation:
    """Look a name up and open a TLS connection to its server."""
    wire.lookup(client, RESOLVER, name, [(name, "A", 120, SERVERS[name])])
    talk = Conversation(wire, client, Host(SERVERS[name], GATEWAY), 443)
    talk.ask(handshakes.records(handshakes.client_hello(name, wire.rng)), "tls-sni", name)
    talk.reply(handshakes.server_flight(wire.rng, wire.rng.randrange(1400, 2900)))
    talk.say(handshakes.application_data(wire.rng, 53))
    return talk


def session(wire: Wire) -> None:
    """Somebody watches for five minutes: the feed is loaded again and again, videos come."""
    phone = Host("10.20.5.21", "02:00:00:20:05:21")
    wire.go_to("2023-03-21T10:12:04+01:00")
    api = connect(wire, phone, API)
    api.exchange(1480, 21_300)
    messages = connect(wire, phone, MESSAGES)
    messages.exchange(720, 3_100)
    images = connect(wire, phone, IMAGES)
    images.exchange(610, 78_000)
    feed = connect(wire, phone, FEED)
    for number in range(14):
        feed.exchange(1320, wire.rng.randrange(9_000, 16_000))
        if number % 4 == 0:
            video = connect(wire, phone, VIDEO)
        video.exchange(540, wire.rng.randrange(45_000, 85_000))
        if number % 5 == 2:
            telemetry = connect(wire, phone, TELEMETRY)
            telemetry.exchange(5_600, 310)
            telemetry.close()
        wire.wait(wire.rng.uniform(9, 31))
        api.exchange(900, wire.rng.randrange(1_100, 2_400))
    for talk in (video, feed, images, messages, api):
        talk.close()


def background(wire: Wire) -> None:
    """Nobody touches the phone: every quarter of an hour the app looks for messages."""
    phone = Host("10.20.5.22", "02:00:00:20:05:22")
    wire.go_to("2023-03-21T09:02:10+01:00")
    begin = wire.now
    for number in range(9):
        wire.now = begin + number * 15 * 60 * 10**9
        wire.wait(wire.rng.uniform(0, 8))
        talk = connect(wire, phone, API if number % 4 == 0 else MESSAGES)
        talk.exchange(660, wire.rng.randrange(280, 900))
        talk.close()


def embed(wire: Wire) -> None:
    """An article of a news site has a player in it, which the browser loads by itself."""
    desk = Host("10.20.1.23", "02:00:00:20:01:23")
    wire.go_to("2023-03-21T11:40:27+01:00")
    article = connect(wire, desk, NEWS)
    article.exchange(820, 34_000)
    wire.wait(0.3)
    for name, size in ((SITE, 31_000), (SCRIPTS, 110_000), (IMAGES, 24_000), (PLAYER, 130_000)):
        talk = connect(wire, desk, name)
        talk.exchange(760, size)
        talk.close()
        wire.wait(wire.rng.uniform(0.05, 0.4))
    wire.wait(95)
    article.exchange(430, 6_200)
    article.close()


def lookup(wire: Wire) -> None:
    """A phone asks for the app's servers and leaves the Wi-Fi before it connects."""
    phone = Host("10.20.5.24", "02:00:00:20:05:24")
    wire.go_to("2023-03-21T12:03:51+01:00")
    for name in (API, FEED, MESSAGES):
        wire.lookup(phone, RESOLVER, name, [(name, "A", 120, SERVERS[name])])


def blocked_by_the_resolver(wire: Wire) -> None:
    """The app on three phones asks again and again; the resolver answers with a block."""
    answers = {
        Host("10.20.5.25", "02:00:00:20:05:25"): None,
        Host("10.20.5.26", "02:00:00:20:05:26"): "0.0.0.0",
        Host("10.20.5.27", "02:00:00:20:05:27"): FILTER.ip,
    }
    for minute, (phone, address) in zip((8, 21, 33), answers.items(), strict=True):
        wire.go_to(f"2023-03-21T13:{minute:02d}:15+01:00")
        for number in range(8):
            for name in (API, MESSAGES, TELEMETRY)[: 1 + number % 3]:
                records = [] if address is None else [(name, "A", 10, address)]
                wire.lookup(phone, RESOLVER, name, records, rcode=3 if address is None else 0)
                if address == FILTER.ip and number % 4 == 0:
                    # The filter answers with a certificate of its own, which the app refuses.
                    talk = Conversation(wire, phone, FILTER, 443)
                    hello = handshakes.client_hello(name, wire.rng)
                    talk.ask(handshakes.records(hello), "tls-sni", name)
                    talk.reply(handshakes.server_flight(wire.rng, 1300))
                    talk.close()
            wire.wait(wire.rng.uniform(40, 200))


def blocked_by_the_firewall(wire: Wire) -> None:
    """A firewall reads the name in each hello and resets the connection."""
    phone = Host("10.20.5.28", "02:00:00:20:05:28")
    wire.go_to("2023-03-21T14:15:02+01:00")
    for number in range(6):
        name = (API, FEED)[number % 2]
        wire.lookup(phone, RESOLVER, name, [(name, "A", 120, SERVERS[name])])
        talk = Conversation(wire, phone, Host(SERVERS[name], GATEWAY), 443)
        talk.ask(handshakes.records(handshakes.client_hello(name, wire.rng)), "tls-sni", name)
        talk.reset()
        wire.wait(wire.rng.uniform(3, 70))


def build() -> Wire:
    """The whole day."""
    wire = Wire("2023-03-21T08:00:00+01:00", seed=20230321)
    session(wire)
    background(wire)
    embed(wire)
    lookup(wire)
    blocked_by_the_resolver(wire)
    blocked_by_the_firewall(wire)
    return wire


if __name__ == "__main__":
    main(__file__, build())
