"""ClientHellos with a key share of X25519MLKEM768: 1,730 bytes, two segments and more.

The first segment is TLS to look at, the second is not, and it may come first.
"""

import handshakes
from craft import Conversation, Host, Wire, main

GATEWAY = "02:00:5e:00:20:01"
SERVER = Host("203.0.113.10", GATEWAY)
SIX = Host("2001:db8:ffff::10", GATEWAY)


def build() -> Wire:
    """Seven connections, each with its hello cut in another way."""
    wire = Wire("2024-10-15T09:00:00+02:00", seed=2)
    desk = Host("10.20.1.21", "02:00:00:20:01:21")
    laptop = Host("10.20.1.88", "02:00:00:20:01:88")

    def hello(client: Host, server: Host, name: str, **shape: object) -> None:
        wire.wait(20)
        limit = shape.pop("limit", 16384)
        message = handshakes.client_hello(name, wire.rng, post_quantum=True)
        talk = Conversation(wire, client, server, 443)
        data = handshakes.records(message, limit)
        if shape.pop("again", False):
            # The first segment is lost behind the mirror and sent once more.
            talk.repeat(data[:1460])
        talk.ask(data, "tls-sni", name, **shape)
        talk.reply(handshakes.server_flight(wire.rng))
        talk.close()

    hello(desk, SERVER, "www.tiktok.com")
    hello(desk, SERVER, "v16-webapp.tiktok.com", order=(1, 0))
    hello(laptop.at("2001:db8:20:1::88"), SIX, "www.example.org", cuts=(1400,), order=(1, 0))
    hello(laptop, SERVER, "repeated.example.org", again=True)
    hello(laptop, SERVER, "tiny-first.example.org", cuts=(5, 700))
    hello(laptop, SERVER, "one-byte.example.org", cuts=(1, 1400), order=(0, 2, 1))
    hello(laptop, SERVER, "records.example.org", limit=256)
    return wire


if __name__ == "__main__":
    main(__file__, build())
