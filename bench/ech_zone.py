"""The zone of `bench/ech_truth.py`: its servers, and a resolver for it in a network namespace."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared import Namespace, messages

CLIENT, RESOLVER = "10.20.1.7", "10.20.0.53"
TTL = 300


@dataclass(frozen=True, slots=True)
class Server:
    """A server with a key: its address, its public name and config_id, and what it serves."""

    address: str
    public: str
    config_id: int
    names: tuple[str, ...]


def addresses(namespace: Namespace, servers: Sequence[Server]) -> None:
    """Give the namespace the addresses of the client, the resolver and the servers."""
    namespace.ip("address", "add", f"{CLIENT}/32", "dev", "lo")
    for address in (RESOLVER, *(server.address for server in servers)):
        namespace.ip("address", "add", f"{address}/32", "dev", "lo")
        table = ("table", "local")
        namespace.ip("route", "replace", "local", address, "dev", "lo", "src", CLIENT, *table)
    namespace.ip("route", "add", "default", "dev", "lo", "src", CLIENT)


@contextlib.contextmanager
def resolver(
    namespace: Namespace,
    servers: Sequence[Server],
    lists: Mapping[str, bytes],
    plain: Mapping[str, str],
) -> Iterator[None]:
    """A resolver for the zone: `lists` has the ECHConfigList by public name, `plain` the addresses
    of names without ECH. Programs inside of the namespace ask it."""
    answers = {(name, "A"): [(name, "A", TTL, address)] for name, address in plain.items()}
    for server in servers:
        for name in server.names:
            value = f"1 . ipv4hint={server.address} ech={lists[server.public].hex()}"
            answers[name, "A"] = [(name, "A", TTL, server.address)]
            answers[name, "HTTPS"] = [(name, "HTTPS", TTL, value)]
    with namespace.entered():
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind((RESOLVER, 53))
    thread = threading.Thread(target=_serve, args=(listening, answers))
    thread.start()
    try:
        with asking(namespace, RESOLVER):
            yield
    finally:
        with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopping:
            stopping.sendto(b"", (RESOLVER, 53))
        thread.join(10)
        listening.close()


@contextlib.contextmanager
def asking(namespace: Namespace, address: str) -> Iterator[None]:
    """Let programs inside of the namespace ask the resolver at an address."""
    folder = Path("/etc/netns") / namespace.name
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text(f"nameserver {address}\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    try:
        yield
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def _serve(
    listening: socket.socket, answers: Mapping[tuple[str, str], list[messages.Record]]
) -> None:
    kinds = {number: kind for kind, number in messages.TYPES.items()}
    while True:
        query, client = listening.recvfrom(4096)
        if not query:
            return
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        name, kind = ".".join(labels), kinds.get(int.from_bytes(query[at + 1 : at + 3]), "A")
        records = answers.get((name.lower(), kind), [])
        # A name of the zone without such records exists all the same.
        known = records or any(owner == name.lower() for owner, _ in answers)
        ident = int.from_bytes(query[:2])
        reply = bytearray(messages.answer(ident, name, kind, records, 0 if known else 3))
        reply[12 : at + 5] = query[12 : at + 5]
        listening.sendto(bytes(reply), client)


def look_up(namespace: Namespace, name: str) -> None:
    """Ask the resolver for the addresses and the HTTPS record of a name, as a browser does."""
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        for number, kind in enumerate(("A", "HTTPS")):
            asking.sendto(messages.query(1000 + number, name, kind), (RESOLVER, 53))
            asking.recv(4096)
