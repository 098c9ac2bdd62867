"""Chromium with Encrypted Client Hello, which it learns from DNS: what it shows is linked.

The server only takes the hello. That the real name is in it is measured with one that decrypts
(`bench/ech_truth.py`).
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import ech_zone
import pytest
from ech_truth import CHROMIUM, CONFIG
from support import made_ech
from support.namespaces import Namespace, namespace, needs_namespaces
from support.programs import needs
from support.waiting import TIMEOUT, wait_until

from netwatch.cli import main

pytestmark = [pytest.mark.alone, needs("tcpdump", "chromium"), needs_namespaces]

NAME, PLAIN = "www.tiktok.com", "www.plain.example"
SERVER = ech_zone.Server("203.0.113.10", made_ech.PUBLIC, made_ech.CONFIG_ID, (NAME,))
ATTEMPTS = 5
"""A browser that finds its network changed while it begins loads nothing."""

KEY = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
"""A public key (RFC 7748 section 6.1)."""


@contextlib.contextmanager
def taking_hellos(place: Namespace) -> Iterator[list[bytes]]:
    """A server that reads what clients send first, which it collects, and closes."""
    taken: list[bytes] = []
    with place.entered():
        listening = socket.create_server((SERVER.address, 443))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(TIMEOUT)
                    with contextlib.suppress(OSError):
                        taken.append(connection.recv(4096))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield taken
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(TIMEOUT)


@contextlib.contextmanager
def captured(place: Namespace, path: Path) -> Iterator[None]:
    command = ["tcpdump", "-i", "lo", "-U", "--immediate-mode", "-Z", "root", "-w", str(path)]
    with subprocess.Popen(place.inside(*command), stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: path.exists() and path.stat().st_size >= 24)
        try:
            yield
        finally:
            process.terminate()


def browse(place: Namespace, home: Path, page: Path) -> None:
    home.mkdir()
    subprocess.run(
        place.inside("chromium", *CHROMIUM, f"--user-data-dir={home}", f"file://{page}"),
        check=True,
        timeout=4 * TIMEOUT,
        capture_output=True,
        env={**os.environ, "HOME": str(home)},
    )


def ends(taken: list[bytes]) -> list[bytes]:
    """The last bytes of what was taken, which no other packet has."""
    return [each[-64:] for each in taken]


def test_a_hello_is_linked_to_the_name_whose_key_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, capture, config = (tmp_path / name for name in ("page.html", "lo.pcap", "config.yaml"))
    pictures = "".join(f"<img src='https://{name}/'>" for name in (NAME, PLAIN))
    page.write_text(f"<!doctype html><body>{pictures}</body>")
    config.write_text(CONFIG)
    lists = {SERVER.public: made_ech.config_list(made_ech.config(key=KEY))}
    with namespace() as place:
        ech_zone.addresses(place, [SERVER])
        with (
            taking_hellos(place) as taken,
            ech_zone.resolver(place, [SERVER], lists, {PLAIN: SERVER.address}),
            captured(place, capture),
        ):
            for attempt in range(ATTEMPTS):
                if len(taken) < 2:
                    browse(place, tmp_path / str(attempt), page)
            wait_until(lambda: taken and all(each in capture.read_bytes() for each in ends(taken)))
    capsys.readouterr()
    assert main(["names", "-q", "--format", "jsonl", str(capture)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    hellos = {
        (each["name"], each["tls"]["ech"]) for each in records if each["evidence"] == "tls-sni"
    }
    assert hellos == {(SERVER.public, "outer"), (PLAIN, "grease")}
    outer = [each["tls"] for each in records if each["name"] == SERVER.public]
    assert {each["ech_config_id"] for each in outer} == {str(SERVER.config_id)}
    assert main(["scan", "-q", "-c", str(config), "--format", "jsonl", str(capture)]) == 0
    (alert,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert alert["confidence"] == "probable"
    # The first hello may be GREASE to a name that was looked up unseen.
    expected = [sorted([NAME, SERVER.public]), [NAME]]
    found = [each["names"] for each in alert["candidates"]]
    assert found == expected[: len(outer)]
    assert sum(each["count"] for each in alert["candidates"]) == len(outer)
