"""Hellos that hide their name (Encrypted Client Hello), and what their client had been told."""

from collections.abc import Callable

import handshakes
from craft import Host, Wire
from support import made_ech
from support.frames import GATEWAY
from support.situations.situation import Expected, Frames, Situation

START = "2023-04-03T10:00:00+02:00"
DEVICE = Host("10.20.1.7", "02:00:00:20:01:07")
OTHER = Host("10.20.1.8", "02:00:00:20:01:08")
RESOLVER = Host("10.20.0.53", "02:00:00:20:00:53")
SERVER = Host("203.0.113.10", GATEWAY)
ELSEWHERE = Host("203.0.113.99", GATEWAY)
PAGE, APP = "www.tiktok.com", "api16-normal.tiktokv.com"
BLOG = "www.blog.example"

Story = Callable[[Wire], None]


def _frames(story: Story) -> Callable[[], Frames]:
    def made() -> Frames:
        wire = Wire(START, 7)
        story(wire)
        return sorted(wire.frames)

    return made


def _given(wire: Wire, name: str, address: str | None = SERVER.ip, **fields: object) -> None:
    made_ech.give(wire, DEVICE, RESOLVER, name, address, **fields)  # type: ignore[arg-type]


def _one_name(wire: Wire) -> None:
    _given(wire, APP)
    made_ech.hello(wire, DEVICE, SERVER)


def _front(wire: Wire) -> None:
    _given(wire, PAGE)
    made_ech.hello(wire, DEVICE, SERVER)


def _all_banned(wire: Wire) -> None:
    _given(wire, PAGE)
    _given(wire, APP)
    made_ech.hello(wire, DEVICE, SERVER)


def _quic(wire: Wire) -> None:
    _given(wire, APP)
    body = made_ech.extension(rng=wire.rng)
    wire.quic(DEVICE, SERVER, made_ech.PUBLIC, version=handshakes.QUIC_V1, ech=body)


def _mixed(wire: Wire) -> None:
    _given(wire, APP)
    _given(wire, BLOG)
    made_ech.hello(wire, DEVICE, SERVER)


def _visited(wire: Wire) -> None:
    _given(wire, APP)
    wire.lookup(DEVICE, RESOLVER, made_ech.PUBLIC, [(made_ech.PUBLIC, "A", 300, SERVER.ip)])
    made_ech.hello(wire, DEVICE, SERVER)


def _grease(wire: Wire) -> None:
    _given(wire, APP)
    made_ech.hello(wire, DEVICE, SERVER, config_id=made_ech.CONFIG_ID + 1)


def _other_client(wire: Wire) -> None:
    made_ech.give(wire, OTHER, RESOLVER, APP, SERVER.ip)
    made_ech.hello(wire, DEVICE, SERVER)


def _other_address(wire: Wire) -> None:
    _given(wire, APP)
    made_ech.hello(wire, DEVICE, ELSEWHERE)


def _aged(wire: Wire) -> None:
    _given(wire, APP, ttl=60)
    wire.wait(60 + 300 + 1)
    made_ech.hello(wire, DEVICE, SERVER)


def _nothing_known(wire: Wire) -> None:
    made_ech.hello(wire, DEVICE, SERVER, payload=GREATER)


GREATER = 399
"""A size of the payload that no GREASE of BoringSSL has, bytes."""

LOOKED_UP = Expected("probable", "lookup", "attempted", names=(APP,))
"""What the lookup alone gives, where the hello adds nothing."""

SITUATIONS = (
    Situation(
        "ech-page",
        "ech",
        "A device is given the ECH key of www.tiktok.com and sends a hello with its public name",
        _frames(_front),
        Expected("probable", "embed", "reached", names=(PAGE,), blind="ech"),
        True,
    ),
    Situation(
        "ech-app",
        "ech",
        "The same with a name that the app alone calls",
        _frames(_one_name),
        Expected("probable", "background", "reached", names=(APP,), blind="ech"),
        True,
    ),
    Situation(
        "ech-quic",
        "ech",
        "The same over QUIC",
        _frames(_quic),
        Expected("probable", "background", "reached", names=(APP,), blind="ech"),
        True,
    ),
    Situation(
        "ech-all-banned",
        "ech",
        "The key is that of two names of the app",
        _frames(_all_banned),
        Expected("probable", "embed", "reached", names=(APP, PAGE), blind="ech"),
        True,
    ),
    Situation(
        "ech-mixed",
        "ech",
        "The key is that of a name of the app and of a blog",
        _frames(_mixed),
        Expected("probable", "lookup", "attempted", names=(APP,), blind="ech"),
        None,
    ),
    Situation(
        "ech-outer-name-visited",
        "ech",
        "The device has looked up the public name itself, so the hello may be GREASE",
        _frames(_visited),
        Expected("probable", "lookup", "attempted", names=(APP,), blind="ech"),
        None,
    ),
    Situation(
        "ech-grease",
        "ech",
        "The hello has another config_id than the key that the device was given",
        _frames(_grease),
        LOOKED_UP,
        None,
    ),
    Situation(
        "ech-other-client",
        "ech",
        "Another device was given the key",
        _frames(_other_client),
        LOOKED_UP,
        None,
    ),
    Situation(
        "ech-other-address",
        "ech",
        "The hello goes to an address that the device was not given for the name",
        _frames(_other_address),
        Expected("probable", "lookup", "attempted", names=(APP,), blind="ech"),
        None,
    ),
    Situation(
        "ech-aged",
        "ech",
        "The key is older than its time to live",
        _frames(_aged),
        LOOKED_UP,
        None,
    ),
    Situation(
        "ech-unknown",
        "ech",
        "Nobody was given the key of a hello with ECH",
        _frames(_nothing_known),
        Expected(None, blind="ech"),
        None,
    ),
)
