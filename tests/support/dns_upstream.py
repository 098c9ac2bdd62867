"""A name server on loopback that knows an answer to everything, for resolvers of tests to ask.

Each name has the address `ADDRESS`, and those that begin with ``alias`` are an alias of `TARGET`.
"""

import socket
import threading

import dpkt
from support.waiting import TIMEOUT

ADDRESS = "192.0.2.80"
TARGET = "www.tiktok.com"

Answer = tuple[int, list[str]]
"""The response code and the addresses of an answer."""


class Upstream:
    """The server; `asked` are the names that it was asked for."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._serve)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(TIMEOUT)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            self._socket.sendto(self._answer(data), client)

    def _answer(self, data: bytes) -> bytes:
        message = dpkt.dns.DNS(data)
        question = message.qd[0]
        name = question.name.lower()
        self.asked.append(name)
        message.qr, message.aa, message.ra, message.ar, message.ns = 1, 1, 1, [], []
        owner, answers = question.name, []
        if name.startswith("alias"):
            answers.append(dpkt.dns.DNS.RR(name=owner, type=dpkt.dns.DNS_CNAME, cname=TARGET))
            answers[0].ttl, owner = 60, TARGET
        if question.type == dpkt.dns.DNS_A:
            address = socket.inet_aton(ADDRESS)
            answers.append(dpkt.dns.DNS.RR(name=owner, type=1, ttl=60, rdata=address, ip=address))
        message.an = answers
        return bytes(message)


def ask(port: int, name: str) -> Answer | None:
    """What a resolver on loopback answers to a question for the address of a name; None where it
    does not."""
    query = dpkt.dns.DNS(id=7, rd=1, qd=[dpkt.dns.DNS.Q(name=name, type=dpkt.dns.DNS_A)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        try:
            client.connect(("127.0.0.1", port))
            client.send(bytes(query))
            answer = dpkt.dns.DNS(client.recv(4096))
        except OSError:
            return None
    assert answer.id == 7
    found = [socket.inet_ntoa(each.rdata) for each in answer.an if each.type == dpkt.dns.DNS_A]
    return answer.rcode, found
