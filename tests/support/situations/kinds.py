"""What an incident looks like: use, contact in the background, a part of a page, a lookup."""

from collections.abc import Callable

import handshakes
from craft import Conversation, Wire
from support.app_traffic import SINKHOLE, asked, visit, wire
from support.office import FAR, SERVICE
from support.situations.situation import Expected, Frames, Situation

APP, MESSAGES, PAGE = "api16-normal.tiktokv.com", "im-api.tiktokv.com", "www.tiktok.com"


def frames(build: Callable[[Wire], object]) -> Callable[[], Frames]:
    """The frames of a wire, made when they are asked for."""

    def made() -> Frames:
        on = wire()
        build(on)
        return on.frames

    return made


def in_use(on: Wire) -> None:
    for number in range(6):
        visit(on, (APP, MESSAGES)[number % 2], 30_000)
        on.wait(20)


def checking(on: Wire) -> None:
    for _ in range(4):
        visit(on, APP, 1200)
        visit(on, MESSAGES, 300)
        on.wait(900)


def embedded(on: Wire) -> None:
    for _ in range(4):
        visit(on, PAGE, 50_000)


def looked_up(on: Wire) -> None:
    asked(on, APP, ((APP, "A", 60, FAR.ip),))


def kept_open(on: Wire) -> None:
    """A connection for notifications: 200 bytes a minute for 24 hours."""
    talk = Conversation(on, SERVICE, FAR, 443)
    hello = handshakes.client_hello(MESSAGES, on.rng)
    talk.ask(handshakes.records(hello), "tls-sni", MESSAGES)
    talk.reply(handshakes.server_flight(on.rng))
    # Seven minutes' worth at a time, so that the capture is small.
    for _ in range(24 * 60 // 7):
        on.wait(420)
        talk.reply(handshakes.application_data(on.rng, 1395))
        talk.say(handshakes.application_data(on.rng, 200))
    talk.close()


def behind_one_address(on: Wire) -> None:
    """Forty phones of the same make check for messages, one after the other."""
    for _ in range(40):
        visit(on, APP, 3000)
        on.wait(3)


def of_several_makes(on: Wire) -> None:
    """Phones of five makes load what they have missed."""
    for make in range(10):
        visit(on, APP, 20_000, suites=handshakes.CIPHERS[make % 5 :])
        on.wait(10)


def sinkholed(on: Wire) -> None:
    asked(on, APP, ((APP, "A", 60, SINKHOLE.ip),))
    visit(on, APP, 900, SINKHOLE)


def null_routed(on: Wire) -> None:
    asked(on, APP, ((APP, "A", 60, "0.0.0.0"),))


SITUATIONS = (
    Situation(
        "app-in-use",
        "kind",
        "Two minutes of new connections to hosts that only the app calls, with volume both ways",
        frames(in_use),
        Expected("confirmed", "session", "reached", names=(APP, MESSAGES)),
        contact=True,
    ),
    Situation(
        "connection-kept-open",
        "kind",
        "A connection for notifications is open for 24 hours and receives 200 bytes a minute",
        frames(kept_open),
        Expected("confirmed", "background", "reached", names=(MESSAGES,)),
        contact=True,
    ),
    Situation(
        "one-connection-in-use",
        "kind",
        "The app is in use for 90 seconds over one connection",
        frames(lambda on: visit(on, APP, 400_000, seconds=90)),
        Expected("confirmed", "session", "reached", names=(APP,)),
        contact=True,
    ),
    Situation(
        "phones-behind-one-address",
        "kind",
        "Forty sleeping phones behind one address check for messages within some minutes",
        frames(behind_one_address),
        Expected("confirmed", "background", "reached", names=(APP,)),
        contact=True,
    ),
    Situation(
        "phones-of-several-makes",
        "kind",
        "Phones of five makes behind one address load what they have missed",
        frames(of_several_makes),
        Expected("confirmed", "background", "reached", names=(APP,)),
        contact=True,
    ),
    Situation(
        "one-phone-loads-as-much",
        "kind",
        "One phone loads as much as those of five makes, in as many connections",
        frames(lambda on: [visit(on, APP, 20_000, seconds=10) for _ in range(10)]),
        Expected("confirmed", "session", "reached", names=(APP,)),
        contact=True,
    ),
    Situation(
        "contact-led-to-a-sinkhole",
        "kind",
        "The answer is an address of `sinkholes`, and the device connects to it",
        frames(sinkholed),
        Expected("confirmed", "lookup", "blocked", names=(APP,)),
        contact=True,
        configuration=f"sinkholes: [{SINKHOLE.ip}]",
    ),
    Situation(
        "lookup-answered-with-nothing",
        "kind",
        "The answer is 0.0.0.0",
        frames(null_routed),
        Expected("probable", "lookup", "blocked", names=(APP,)),
        contact=True,
    ),
    Situation(
        "app-checks-for-messages",
        "kind",
        "Every quarter of an hour the app checks for messages",
        frames(checking),
        Expected("confirmed", "background", "reached", names=(APP, MESSAGES)),
        contact=True,
    ),
    Situation(
        "page-with-a-player",
        "kind",
        "A page loads an embedded player",
        frames(embedded),
        Expected("probable", "embed", "reached", names=(PAGE,)),
        contact=True,
    ),
    Situation(
        "name-looked-up",
        "kind",
        "A host that only the app calls is looked up, and not contacted",
        frames(looked_up),
        Expected("probable", "lookup", "attempted", names=(APP,)),
        contact=True,
    ),
)
