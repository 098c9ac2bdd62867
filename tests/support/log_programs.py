"""Programs that write or send logs, started on loopback with answers of their own."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from support.ports import free_port
from support.waiting import wait_until

ANSWER = "203.0.113.7"
"""The address that every name has."""


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block; what it prints is in a file named like it."""
    with (folder / f"{Path(command[0]).name}.out").open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "TZ": "UTC"}
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def dnsmasq(folder: Path, log: Path) -> Iterator[int]:
    """dnsmasq with its log in a file; its port."""
    port = free_port(socket.SOCK_DGRAM)
    command = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    command += [f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces"]
    command += [f"--address=/#/{ANSWER}", "--log-queries=extra", f"--log-facility={log}"]
    command += ["--user=", "--group=", f"--pid-file={folder / 'dnsmasq.pid'}"]
    with running(command, folder):
        wait_until(lambda: answers(port, "127.0.0.1", "ready.example.org"))
        yield port


@contextlib.contextmanager
def unbound(folder: Path, dnstap: Path) -> Iterator[int]:
    """Unbound, which sends dnstap to a socket; its port."""
    port = free_port(socket.SOCK_DGRAM)
    config = folder / "unbound.conf"
    config.write_text(
        f"""server:
    interface: 127.0.0.1@{port}
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    module-config: "iterator"
    local-zone: "." redirect
    local-data: ". 60 A {ANSWER}"
dnstap:
    dnstap-enable: yes
    dnstap-socket-path: "{dnstap}"
    dnstap-log-client-query-messages: yes
    dnstap-log-client-response-messages: yes
remote-control:
    control-enable: no
"""
    )
    with running(["unbound", "-d", "-c", str(config)], folder):
        wait_until(lambda: answers(port, "127.0.0.1", "ready.example.org"))
        yield port


@contextlib.contextmanager
def rsyslog(folder: Path, followed: Path, *, protocol: str, target: int) -> Iterator[None]:
    """rsyslog, which forwards the lines of a file to a port."""
    config = folder / f"rsyslog-{protocol}.conf"
    work = folder / f"rsyslog-{protocol}"
    work.mkdir()
    framing = ' TCP_Framing="octet-counted"' if protocol == "tcp" else ""
    config.write_text(
        f"""global(workDirectory="{work}")
module(load="imfile")
input(type="imfile" file="{followed}" tag="dnsmasq:" addMetadata="off")
action(type="omfwd" target="127.0.0.1" port="{target}" protocol="{protocol}"{framing}
       template="RSYSLOG_SyslogProtocol23Format")
"""
    )
    pid = work / "pid"
    with running(["rsyslogd", "-n", "-f", str(config), "-i", str(pid)], folder):
        wait_until(pid.exists)
        yield


def answers(port: int, client: str, name: str) -> bool:
    """Ask for the address of a name, from an address of loopback; whether there is an answer."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1)
        sender.bind((client, 0))
        with contextlib.suppress(OSError):
            query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + question + b"\0\0\1\0\1"
            sender.sendto(query, ("127.0.0.1", port))
            return sender.recv(2048)[3] & 15 == 0
    return False
