"""Traffic of an app as it is used, kept in touch, embedded, looked up and blocked."""

from collections.abc import Sequence
from pathlib import Path

import handshakes
import messages
from craft import Conversation, Host, Wire
from support.frames import GATEWAY
from support.office import DURING, FAR, RESOLVER, SERVICE

API, LOG, WEB, CDN = "api.app.example", "log.app.example", "www.app.example", "img.cdn.example"
"""Two hosts that only the app calls, one that pages call too, and one that is shared."""

SIGNATURE = """app: sample
name: Sample
vendor: sample
category: video
domains:
  - {suffix: app.example, role: exclusive, sources: [observed]}
  - {host: www.app.example, role: exclusive, embed_reachable: true, sources: [observed]}
  - {suffix: cdn.example, role: cdn, sources: [observed]}
tests: {match: [api.app.example], ignore: [app.example.org]}
"""
CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
bans:
  - {id: rule, authority: Example, apps: [sample], forbids: [service], timezone: UTC,
     legal_basis: none, min_confidence: possible, severity: high}
signatures: [./sample.yaml]
search_suffixes: [corp.example]
sinkholes: [10.20.0.80, "2001:db8:80::/64"]
"""
SINKHOLE = Host("10.20.0.80", GATEWAY)


def configured(folder: Path) -> str:
    """Write the configuration and the signature; the path of the former."""
    (folder / "sample.yaml").write_text(SIGNATURE)
    path = folder / "netwatch.yaml"
    path.write_text(CONFIG)
    return str(path)


def wire(seed: int = 1) -> Wire:
    """A wire at a moment when the ban is in force."""
    return Wire(DURING, seed)


def visit(
    on: Wire,
    name: str,
    size: int,
    server: Host = FAR,
    *,
    seconds: float = 0.0,
    suites: Sequence[int] = handshakes.CIPHERS,
) -> None:
    """A whole TLS conversation whose server sends `size` bytes, for at least so many seconds."""
    talk = Conversation(on, SERVICE, server, 443)
    hello = handshakes.client_hello(name, on.rng, suites=suites)
    talk.ask(handshakes.records(hello), "tls-sni", name)
    talk.reply(handshakes.server_flight(on.rng))
    talk.say(handshakes.application_data(on.rng, 300))
    records = max(1, size // 16_000)
    for _ in range(records):
        talk.reply(handshakes.application_data(on.rng, size // records))
        talk.say(handshakes.application_data(on.rng, 60))
        on.wait(seconds / records)
    talk.close()


def used(on: Wire, minutes: float = 2.0, flows: int = 24, size: int = 40_000) -> None:
    """The app is opened, and loads from time to time."""
    for number in range(flows):
        name = (API, LOG, CDN)[number % 3]
        visit(on, name, size)
        on.wait(60 * minutes / flows)


def kept_in_touch(on: Wire, times: int = 5, minutes: float = 15.0) -> None:
    """Every quarter of an hour the app checks for messages."""
    for _ in range(times):
        start = on.now
        visit(on, API, 1200)
        visit(on, LOG, 300)
        on.now = start
        on.wait(60 * minutes)


def embedded(on: Wire, flows: int = 20, size: int = 100_000) -> None:
    """A page with a player, which loads within seconds."""
    for number in range(flows):
        visit(on, (WEB, CDN)[number % 2], size)


def asked(
    on: Wire, name: str = API, records: tuple[messages.Record, ...] = (), **options: object
) -> None:
    """One lookup and its answer."""
    on.lookup(SERVICE, RESOLVER, name, records, **options)  # type: ignore[arg-type]


def refused(on: Wire, name: str = API) -> None:
    """A connection that is reset in answer to the hello."""
    talk = Conversation(on, SERVICE, FAR, 443)
    talk._out("PA", handshakes.records(handshakes.client_hello(name, on.rng)))
    talk._back("RA")
