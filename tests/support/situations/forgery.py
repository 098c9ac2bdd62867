"""What somebody in the network can forge: a source address, a MAC, a second name, an address."""

from collections.abc import Callable, Sequence

import handshakes
from craft import Conversation, Host, Wire
from leases import Segment
from scapy.layers.inet import TCP
from scapy.packet import Raw
from support.app_traffic import visit, wire
from support.office import FAR, RESOLVER, SERVICE
from support.situations.situation import Expected, Frames, Situation

APP, PAGE, OTHER_APP = "api16-normal.tiktokv.com", "www.tiktok.com", "chat.deepseek.com"
OTHER_SITE = "www.example.org"
FORGER = Host(SERVICE.ip, "02:00:00:66:66:66")
"""Another machine, which sends under the address of the device."""

LEASE = "no-hello"
"""Why the flow in which the device renews its lease has no name."""

LEARNING = "devices: {learn: [dhcp]}"
ARP_TOO = "devices: {learn: [dhcp, arp]}"


def frames(
    build: Callable[[Wire], object], *, leased: bool = True, seed: int = 1
) -> Callable[[], Frames]:
    """The frames of a wire, made when they are asked for: first the device renews its lease."""

    def made() -> Frames:
        on = wire(seed)
        if leased:
            Segment(on, RESOLVER).renew(SERVICE, "ws-014")
            on.wait(1)
        build(on)
        return on.frames

    return made


def hello_alone(on: Wire) -> None:
    """One segment with a hello: no SYN, no answer."""
    hello = handshakes.records(handshakes.client_hello(APP, on.rng))
    segment = TCP(sport=on.port(), dport=443, flags="PA", seq=1, ack=1)
    on.send(FORGER, FAR, segment / Raw(hello))


def conversation(client: Host) -> Callable[[Wire], None]:
    """A whole conversation with a host of the app."""

    def made(on: Wire) -> None:
        talk = Conversation(on, client, FAR, 443)
        talk.ask(handshakes.records(handshakes.client_hello(APP, on.rng)), "tls-sni", APP)
        talk.reply(handshakes.server_flight(on.rng))
        talk.say(handshakes.application_data(on.rng, 300))
        talk.reply(handshakes.application_data(on.rng, 1200))
        talk.close()

    return made


def query(client: Host) -> Callable[[Wire], None]:
    """A lookup and its answer."""
    return lambda on: on.lookup(client, RESOLVER, APP, ((APP, "A", 60, FAR.ip),))


def second_hello(
    first: str, second: str = APP, cuts: Sequence[int] = (), first_cuts: Sequence[int] = ()
) -> Callable[[Wire], None]:
    """Two hellos in one connection, in segments that end at these bytes of them."""

    def made(on: Wire) -> None:
        talk = Conversation(on, SERVICE, FAR, 443)
        for name, ends in ((first, first_cuts), (second, cuts)):
            talk.say(handshakes.records(handshakes.client_hello(name, on.rng)), ends)
            talk.reply(handshakes.server_flight(on.rng))
        talk.close()

    return made


def injected(*, first: bool) -> Callable[[Wire], None]:
    """A machine puts a hello with the app's name into a connection of the device to another site,
    at the place of the device's own hello, `first` or right behind it."""

    def made(on: Wire) -> None:
        talk = Conversation(on, SERVICE, FAR, 443)
        own = handshakes.records(handshakes.client_hello(OTHER_SITE, on.rng))
        forged = handshakes.records(handshakes.client_hello(APP, on.rng))
        for data in (forged, own) if first else (own, forged):
            talk.repeat(data)
        talk.ours = (talk.ours + len(own)) % 2**32
        talk.reply(handshakes.server_flight(on.rng))
        talk.say(handshakes.application_data(on.rng, 300))
        talk.reply(handshakes.application_data(on.rng, 1200))
        talk.close()

    return made


def claimed(mac: str) -> Callable[[Wire], None]:
    """A machine announces the address of the device, which then contacts the app."""

    def made(on: Wire) -> None:
        Segment(on, RESOLVER).arp(Host(SERVICE.ip, mac), SERVICE.ip)
        visit(on, APP, 1200)

    return made


def behind_a_router(clients: range) -> Callable[[Wire], None]:
    """The packets of other clients, and then of the device, come with one MAC."""

    def made(on: Wire) -> None:
        for number in clients:
            client = Host(f"10.20.2.{number + 1}", FORGER.mac)
            on.lookup(client, RESOLVER, OTHER_APP, ((OTHER_APP, "A", 60, FAR.ip),))
        conversation(FORGER)(on)

    return made


SITUATIONS = (
    Situation(
        "forged-hello",
        "forgery",
        "One segment with a hello, under the address of the device from another MAC",
        frames(hello_alone),
        Expected("probable", contradictions=("mac-not-bound",), names=(APP,), blind=LEASE),
        contact=False,
        configuration=LEARNING,
    ),
    Situation(
        "forged-conversation",
        "forgery",
        "A whole conversation under the address of the device from another MAC",
        frames(conversation(FORGER)),
        Expected("probable", contradictions=("mac-not-bound",), names=(APP,), blind=LEASE),
        contact=False,
        configuration=LEARNING,
    ),
    Situation(
        "own-conversation",
        "forgery",
        "The same conversation from the MAC of the device",
        frames(conversation(SERVICE)),
        Expected("confirmed", names=(APP,), blind=LEASE),
        contact=True,
        configuration=LEARNING,
    ),
    Situation(
        "forged-query",
        "forgery",
        "A lookup under the address of the device from another MAC",
        frames(query(FORGER)),
        Expected("probable", contradictions=("mac-not-bound",), names=(APP,), blind=LEASE),
        contact=False,
        configuration=LEARNING,
    ),
    Situation(
        "own-query",
        "forgery",
        "The same lookup from the MAC of the device",
        frames(query(SERVICE)),
        Expected("probable", names=(APP,), blind=LEASE),
        contact=None,
        configuration=LEARNING,
    ),
    Situation(
        "second-name",
        "forgery",
        "A second hello with another name in a connection",
        frames(second_hello(PAGE), leased=False),
        Expected("probable", contradictions=("two-names",), names=(PAGE, APP)),
        contact=None,
    ),
    Situation(
        "name-before-another",
        "forgery",
        "A hello with the app's name, and then one with another name in the same connection",
        frames(second_hello(APP, PAGE), leased=False),
        Expected("probable", contradictions=("two-names",), names=(PAGE, APP)),
        contact=None,
    ),
    Situation(
        "same-name-again",
        "forgery",
        "A second hello with the same name in a connection, as after a HelloRetryRequest",
        frames(second_hello(APP), leased=False),
        Expected("confirmed", names=(APP,)),
        contact=True,
    ),
    Situation(
        "injected-before",
        "forgery",
        "A forged hello comes at the place of the device's own, before it",
        frames(injected(first=True), leased=False),
        Expected("probable", contradictions=("overlap",), names=(APP,)),
        contact=False,
    ),
    Situation(
        "injected-behind",
        "forgery",
        "A forged hello comes at the place of the device's own, behind it",
        frames(injected(first=False), leased=False),
        Expected("probable", contradictions=("overlap",), names=(APP,)),
        contact=False,
    ),
    Situation(
        "second-hello",
        "forgery",
        "A hello with the app's name comes in a connection to another site, behind its own hello",
        frames(second_hello(OTHER_SITE), leased=False),
        Expected("probable", contradictions=("overlap",), names=(APP,)),
        contact=None,
    ),
    Situation(
        "second-hello-in-segments",
        "forgery",
        "The same, where the second hello comes in several segments",
        frames(second_hello(OTHER_SITE, cuts=(200,)), leased=False),
        Expected("probable", contradictions=("overlap",), names=(APP,)),
        contact=None,
    ),
    Situation(
        "two-hellos-in-segments",
        "forgery",
        "The same, where both hellos come in several segments",
        frames(second_hello(OTHER_SITE, cuts=(200, 300), first_cuts=(150,)), leased=False),
        Expected("probable", contradictions=("overlap",), names=(APP,)),
        contact=None,
    ),
    Situation(
        "other-hello-in-segments",
        "forgery",
        "A hello with the app's name, and behind it one with the name of another site in segments",
        frames(second_hello(APP, OTHER_SITE, cuts=(200,), first_cuts=(300,)), leased=False),
        Expected("probable", contradictions=("overlap",), names=(APP,)),
        contact=None,
    ),
    Situation(
        "same-name-again-in-segments",
        "forgery",
        "A second hello with the same name in a connection, both in several segments",
        frames(second_hello(APP, cuts=(200,), first_cuts=(300,)), leased=False),
        Expected("confirmed", names=(APP,)),
        contact=True,
    ),
    Situation(
        "address-claimed-twice",
        "forgery",
        "Another machine claims the address of the device, which then contacts the app",
        frames(claimed(FORGER.mac)),
        Expected(None, blind=LEASE),
        contact=None,
        configuration=ARP_TOO,
    ),
    Situation(
        "address-claimed-once",
        "forgery",
        "The device alone claims its address, and contacts the app",
        frames(claimed(SERVICE.mac)),
        Expected("confirmed", names=(APP,), blind=LEASE),
        contact=True,
        configuration=ARP_TOO,
    ),
    Situation(
        "behind-a-router",
        "forgery",
        "The packets of the device come with the MAC of a router, as those of others do",
        frames(behind_a_router(range(4))),
        Expected("confirmed", names=(APP,), blind=LEASE),
        contact=True,
        configuration=LEARNING,
    ),
    Situation(
        "not-yet-a-router",
        "forgery",
        "The packets of the device come with another MAC, as those of only two others do",
        frames(behind_a_router(range(2))),
        Expected("probable", contradictions=("mac-not-bound",), names=(APP,), blind=LEASE),
        contact=None,
        configuration=LEARNING,
    ),
)
