"""Plain HTTP/1.1: kept-alive and pipelined requests, a head cut over segments, an
absolute target, and a proxy asked by CONNECT (RFC 9110 section 9.3.6)."""

import handshakes
import messages
from craft import Conversation, Host, Wire, main

GATEWAY = "02:00:5e:00:20:01"
DESK = Host("10.20.1.52", "02:00:00:20:01:52")
SERVER = Host("198.51.100.80", GATEWAY)
PROXY = Host("198.51.100.88", GATEWAY)
PAGE = b"<!doctype html><title>Example</title>" * 12
ACCEPT = "Accept: text/html"


def build() -> Wire:
    """Six connections, one after another."""
    wire = Wire("2024-10-21T08:30:00+02:00", seed=6)

    def connect(server: Host, port: int) -> Conversation:
        wire.wait(15)
        return Conversation(wire, DESK, server, port)

    talk = connect(SERVER, 80)
    for target, name in (("/", "keep.example.org"), ("/logo.png", "alive.example.org")):
        talk.ask(messages.request("GET", target, name, ACCEPT), "http-host", name)
        talk.reply(messages.response(PAGE))
    body = b"field=value" * 8
    posted = messages.request("POST", "/form", "post.example.org", ACCEPT, body=body)
    talk.ask(posted, "http-host", "post.example.org")
    talk.reply(messages.response(b"", "204 No Content"))
    talk.close()

    talk = connect(SERVER, 8080)
    two = messages.request("GET", "/1", "one.example.org:8080", ACCEPT)
    two += messages.request("GET", "/2", "two.example.org:8080", ACCEPT)
    talk.ask(two, "http-host", "one.example.org", "two.example.org")
    talk.reply(messages.response(PAGE) * 2)
    talk.close()

    talk = connect(SERVER, 80)
    cookie = "Cookie: " + "x" * 2000
    split = messages.request("GET", "/long", "split.example.org", ACCEPT, cookie)
    talk.ask(split, "http-host", "split.example.org", cuts=(3, split.index(b"split") + 4, 1500))
    talk.reply(messages.response(PAGE))
    talk.close()

    talk = connect(PROXY, 3128)
    target = "http://absolute.example.org/page"
    talk.ask(
        messages.request("GET", target, "absolute.example.org"), "http-host", "absolute.example.org"
    )
    talk.reply(messages.response(PAGE))
    talk.close()

    talk = connect(PROXY, 3128)
    name = "www.tiktok.com"
    talk.ask(messages.request("CONNECT", f"{name}:443", f"{name}:443"), "http-host", name)
    talk.reply(b"HTTP/1.1 200 Connection established\r\n\r\n")
    talk.ask(handshakes.records(handshakes.client_hello(name, wire.rng)), "tls-sni", name)
    talk.reply(handshakes.server_flight(wire.rng))
    talk.close()

    talk = connect(SERVER, 80)
    lower = b"GET / HTTP/1.1\r\nhOsT:\tUPPER.Example.ORG.\r\n\r\n"
    talk.ask(lower, "http-host", "upper.example.org")
    talk.reply(messages.response(PAGE))
    talk.close()
    return wire


if __name__ == "__main__":
    main(__file__, build())
