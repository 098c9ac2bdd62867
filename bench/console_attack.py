"""What a console has to stand while its users click: slow clients and hostile requests.

Slow clients open connections and send half a request, drip bytes of one, announce a form that does
not come, or ask for an export and take some bytes of it a second. Meanwhile somebody without an
account and one user of each role send the hostile requests of the tests as fast as they are
answered.
"""

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from console_users import User
from shared import ROOT
from support.hostile_requests import hostile_requests

from netwatch.config.console_section import ROLES

BEGINS = (
    b"",
    b"GET /sign-in HTTP/1.1\r\n",
    b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
    b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded"
    b"\r\nContent-Length: 60000\r\n\r\n",
)
"""What slow clients send before they wait, or drip."""

SLOW, READERS = 40, 2
"""Slow clients, and those that read an export slowly."""

assert ROOT


@dataclass
class Attack:
    """What was done: connections of slow clients, and the hostile requests by status."""

    connections: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failed: list[BaseException] = field(default_factory=list)


@contextmanager
def attacked(port: int, incidents: Sequence[str]) -> Iterator[Attack]:
    """A time in which a console is attacked."""
    attack, over = Attack(), threading.Event()
    # All sign in before it begins: wrong passwords make others of the same address wait.
    readers = [User(port, "analyst") for _ in range(READERS)]
    users = [User(port, role) for role in ("", *ROLES)]
    threads = [
        *(threading.Thread(target=_slow, args=(port, n, attack, over)) for n in range(SLOW)),
        *(threading.Thread(target=_slow_export, args=(user, over)) for user in readers),
        *(
            threading.Thread(target=_hostile, args=(user, incidents, attack, over))
            for user in users
        ),
    ]
    for each in threads:
        each.daemon = True  # what hangs must not hang the bench
        each.start()
    try:
        yield attack
    finally:
        over.set()
        for each in threads:
            each.join(30.0)
    if attack.failed:
        raise attack.failed[0]


def _slow(port: int, number: int, attack: Attack, over: threading.Event) -> None:
    """Half a request, again and again."""
    begin = BEGINS[number % len(BEGINS)]
    while not over.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5.0) as connection:
            attack.connections += 1
            connection.sendall(begin)
            connection.settimeout(0.5)
            while not over.is_set():
                try:
                    if not connection.recv(4096):
                        break
                except TimeoutError:
                    if number % 2:
                        connection.sendall(b"x")
        over.wait(0.1)


def _slow_export(user: User, over: threading.Event) -> None:
    """Some bytes a second of a large export."""
    while not over.is_set():
        with suppress(OSError, http.client.HTTPException):
            user.read_slowly("/incidents.jsonl", over)
        over.wait(0.5)


def _hostile(user: User, incidents: Sequence[str], attack: Attack, over: threading.Event) -> None:
    """Hostile requests without a pause."""
    role = user.role
    try:
        token = user.token("/account" if role else "/sign-in")
        chance = random.Random(f"attack {role} {time.time()}")
        for request in hostile_requests(chance, incidents, token, signed_in=bool(role)):
            if over.is_set():
                return
            if request.path == "/now/events":
                continue  # an answer that does not end
            status = user.send(request.method, request.address, request.headers, request.body)
            attack.statuses[status] += 1
            if status >= 500 and status != 503:
                raise SystemExit(f"{request}: status {status}")
    except BaseException as error:
        attack.failed.append(error)
