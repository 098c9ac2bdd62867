"""ECH configurations, and the hellos that clients send with them."""

import random
import struct

import handshakes
from craft import Conversation, Host, Wire

CONFIG_ID = 42
PUBLIC = "edge.cdn-front.example"
GREASE_PAYLOAD = 208
"""A size that the payload of BoringSSL's GREASE may have, bytes; that of a short hello too."""


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def config(public: str = PUBLIC, config_id: int = CONFIG_ID, key: bytes = bytes(32)) -> bytes:
    """An ECHConfig (RFC 9849 section 4) with X25519, HKDF-SHA256 and AES-128-GCM."""
    body = bytes([config_id]) + b"\0\x20" + vector(2, key) + vector(2, b"\0\1\0\1")
    body += b"\0" + vector(1, public.encode()) + vector(2, b"")
    return struct.pack(">H", 0xFE0D) + vector(2, body)


def config_list(*configs: bytes) -> bytes:
    return vector(2, b"".join(configs or (config(),)))


def extension(
    config_id: int = CONFIG_ID, payload: int = GREASE_PAYLOAD, *, rng: random.Random
) -> bytes:
    """The body of encrypted_client_hello in an outer hello, as GREASE has it too."""
    key, text = rng.randbytes(32), rng.randbytes(payload)
    return b"\0\0\1\0\1" + bytes([config_id]) + vector(2, key) + vector(2, text)


def give(
    wire: Wire,
    client: Host,
    resolver: Host,
    name: str,
    address: str | None,
    *,
    public: str = PUBLIC,
    config_id: int = CONFIG_ID,
    ttl: int = 300,
    target: str = ".",
) -> None:
    """The HTTPS answer for a name, with a configuration and, where given, an address."""
    value = f"1 {target} ech={config_list(config(public, config_id)).hex()}"
    if address is not None:
        value += f" ipv4hint={address}"
    wire.lookup(client, resolver, name, [(name, "HTTPS", ttl, value)], kind="HTTPS")


def hello(
    wire: Wire,
    client: Host,
    server: Host,
    *,
    public: str = PUBLIC,
    config_id: int = CONFIG_ID,
    payload: int = GREASE_PAYLOAD,
) -> None:
    """A TLS conversation that begins with an outer hello, or with GREASE, and is answered."""
    talk = Conversation(wire, client, server, 443)
    body = extension(config_id, payload, rng=wire.rng)
    message = handshakes.client_hello(public, wire.rng, ech=body)
    talk.ask(handshakes.records(message), "tls-sni", public)
    talk.reply(handshakes.server_flight(wire.rng))
    talk.say(handshakes.application_data(wire.rng, 240))
    talk.reply(handshakes.application_data(wire.rng, 2600))
    talk.close()
