"""All receivers with one interface: start, stop, and read what was received as lines of text."""

import email
import email.policy
import json
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from support.made_alerts import REFUSED_ALERT, alert_id, number_of
from support.made_deliveries import Certificates
from support.ports import free_port
from support.receiver_harness_bus import Kafka, Nats, Tansu
from support.receiver_harness_syslog import Rsyslog, SyslogNg
from support.receiver_harness_tenzir import Tenzir
from support.receivers import Http, Smtp, lose_answer, server_context, status


class Receiver(Protocol):
    """A receiver with the name `name` in the table, which listens on `port`.

    Some can do more: `set_certificate` makes them use TLS, `answer_with` makes them answer the next
    requests with errors of their protocol until `recover` is called, and `apply_fault` makes them
    inject a fault themselves that a proxy injects for others."""

    name: str
    port: int

    def keys(self, port: int) -> dict[str, Any]:
        """The keys of an output that delivers to it on `port`."""
        ...

    def start(self) -> None: ...

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None: ...

    def lines(self) -> list[str]:
        """What it has received so far."""
        ...


class Web:
    """The HTTP server of the test suite in one of its roles."""

    def __init__(self, role: str, folder: Path, certificates: Certificates) -> None:
        self.name = {"http": "webhook", "splunk_hec": "HEC", "elastic": "_bulk"}[role]
        self._role = role
        self.server: Http | None = None
        self._texts: list[str] = []
        self._documents: dict[str, Any] = {}
        self.port = free_port()
        self._ca = certificates.ca
        self._context: ssl.SSLContext | None = None

    def keys(self, port: int) -> dict[str, Any]:
        keys: dict[str, Any] = {"type": self._role}
        keys["url"] = f"{'https' if self._context else 'http'}://127.0.0.1:{port}"
        if self._context:
            keys["tls"] = {"ca": str(self._ca)}
        return keys | ({"token": {"env": "HEC_TOKEN"}} if self._role == "splunk_hec" else {})

    def set_certificate(self, pair: tuple[Path, Path]) -> None:
        """Use TLS with this certificate and key from the next start on."""
        self._context = server_context(pair)

    def answer_with(self, kind: str) -> None:
        """Answer the next requests with a status or not at all, or refuse one alert or some items
        of a bulk permanently."""
        assert self.server is not None
        if kind in ("poison", "half"):
            self._spoil(kind)
            return
        self.server.faults = {
            "busy": [status(429), status(429, Retry_After="0"), status(408)],
            "error": [status(500), status(502), status(503), status(504)],
            "lost": [lose_answer, lose_answer],
            "denied": [status(401), status(403)],
        }[kind]

    def _spoil(self, kind: str) -> None:
        server = self.server
        assert server is not None
        turns: dict[int, int] = {}

        def items(key: str, document: Any) -> int:
            number = number_of(document["id"])
            if number == REFUSED_ALERT or (kind == "half" and number % 10 == 3):
                return 400
            turns[number] = turns.get(number, 0) + 1
            if kind == "half" and number % 10 == 5 and turns[number] < 3:
                return 429 if number % 20 == 5 else 503
            return server._create(key, document)

        def refuse(request: Any) -> bool:
            server.faults.insert(0, refuse)
            return alert_id(REFUSED_ALERT).encode() in request.body and request.answer(
                400, {"code": 6}
            )

        if self._role == "elastic":
            server.items = items
        else:
            server.faults = [refuse]

    def recover(self) -> None:
        """Answer normally again. The answers of `answer_with` end by themselves."""

    def start(self) -> None:
        self.server = Http(self._context, port=self.port, documents=self._documents)
        if self._role == "splunk_hec":
            asked: dict[int, int] = {}

            def second(number: int) -> bool:
                asked[number] = asked.get(number, 0) + 1
                return asked[number] > 1

            self.server.acks = second

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.server is not None:
            ended, self.server = self.server, None
            ended.end()
            self._texts += self._of(ended)

    def _of(self, server: Http) -> list[str]:
        if self._role == "http":
            return [body.decode() for body in server.events]
        if self._role == "splunk_hec":
            return [_text(each["event"]) for each in server.events]
        return []

    def lines(self) -> list[str]:
        if self._role == "elastic":
            return [_text(each) for each in self._documents.values()]
        return self._texts + (self._of(self.server) if self.server else [])


def _text(event: Any) -> str:
    return event if isinstance(event, str) else json.dumps(event)


class Mail:
    """aiosmtpd in this process. A line of a digest is an alert."""

    name = "mail server"

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.port = free_port()
        self._ca = certificates.ca
        self._context: ssl.SSLContext | None = None
        self._controller: Smtp | None = None
        self._replies: list[str] = []
        self._poison = False
        self._got: list[str] = []

    def keys(self, port: int) -> dict[str, Any]:
        keys = {
            "type": "email",
            "host": f"127.0.0.1:{port}",
            "from": "netwatch@example.org",
            "to": ["soc@example.org"],
            "every": "1s",
        }
        if self._context is None:
            return keys | {"security": "none"}
        return keys | {"security": "starttls", "tls": {"ca": str(self._ca)}}

    def set_certificate(self, pair: tuple[Path, Path]) -> None:
        """Use TLS with this certificate and key from the next start on."""
        self._context = server_context(pair)

    def answer_with(self, kind: str) -> None:
        """Answer the next messages with SMTP codes, or refuse one alert permanently."""
        self._poison = kind == "poison"
        self._replies = {"busy": ["451 later", "421 busy"], "error": ["452 full"]}.get(kind, [])

    def recover(self) -> None:
        """Answer normally again. The answers of `answer_with` end by themselves."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Accept a message. The library requires this name."""
        if self._replies:
            return self._replies.pop(0)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        lines = message.get_content().splitlines()
        if self._poison and any(alert_id(REFUSED_ALERT) in line for line in lines):
            return "554 no"
        self._got += lines
        return "250 accepted"

    def start(self) -> None:
        self._controller = Smtp(
            self, hostname="127.0.0.1", port=self.port, tls_context=self._context
        )
        self._controller.start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._controller is not None:
            ended, self._controller = self._controller, None
            ended.stop()

    def lines(self) -> list[str]:
        return list(self._got)


class File:
    """A file. It has no network, so it has no proxy and no restart."""

    name, port = "file", 0

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self._path = folder / "alerts.log"

    def keys(self, port: int) -> dict[str, Any]:
        return {"type": "file", "path": str(self._path)}

    def start(self) -> None:
        pass

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        pass

    def lines(self) -> list[str]:
        """The lines that are whole: the last one may be written at this moment."""
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()


RECEIVERS: dict[str, Callable[[Path, Certificates], Receiver]] = {
    "file": File,
    "rsyslog-udp": lambda *at: Rsyslog("udp", "octet-counting", *at),
    "rsyslog-tcp": lambda *at: Rsyslog("tcp", "octet-counting", *at),
    "rsyslog-lf": lambda *at: Rsyslog("tcp", "lf", *at),
    "rsyslog-tls": lambda *at: Rsyslog("tls", "octet-counting", *at),
    "syslog-ng-tcp": lambda *at: SyslogNg("tcp", "octet-counting", *at),
    "syslog-ng-tls": lambda *at: SyslogNg("tls", "octet-counting", *at),
    "webhook": lambda *at: Web("http", *at),
    "hec": lambda *at: Web("splunk_hec", *at),
    "bulk": lambda *at: Web("elastic", *at),
    "mail": Mail,
    "nats": Nats,
    "kafka": Kafka,
    "tansu": Tansu,
    "tenzir-syslog": lambda *at: Tenzir("syslog", *at),
    "tenzir-webhook": lambda *at: Tenzir("http", *at),
    "tenzir-hec": lambda *at: Tenzir("splunk_hec", *at),
    "tenzir-bulk": lambda *at: Tenzir("elastic", *at),
}
