"""A server that speaks the REST API of NetBox as its documentation describes it: lists in parts,
filters by device, tokens. It lists made devices, and can misbehave."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"

JsonObject = dict[str, Any]


def device(number: int, name: str | None, **fields: Any) -> JsonObject:
    """A device as the list ``dcim/devices`` has it."""
    return {
        "id": number,
        "url": f"http://netbox.example/api/dcim/devices/{number}/",
        "display": name or f"Laptop ({number})",
        "name": name,
        "device_type": {"id": 1, "display": "Laptop", "model": "Laptop", "slug": "laptop"},
        "role": {"id": 2, "display": "Workstation", "name": "Workstation", "slug": "workstation"},
        "tenant": None,
        "platform": None,
        "site": {"id": 1, "display": "HQ", "name": "HQ", "slug": "hq"},
        "status": {"value": "active", "label": "Active"},
        "primary_ip": None,
        "tags": [],
        "custom_fields": {},
        "config_context": {"large": "x" * 100},
        **fields,
    }


def interface(number: int, of: int, mac: str | None, **fields: Any) -> JsonObject:
    """An interface as ``dcim/interfaces`` has it, before version 4.2."""
    return {
        "id": number,
        "device": {"id": of, "display": f"device {of}", "name": f"device {of}"},
        "name": f"eth{number}",
        "type": {"value": "1000base-t", "label": "1000BASE-T (1GE)"},
        "mac_address": mac,
        **fields,
    }


def address(number: int, text: str, interface: int | None, **fields: Any) -> JsonObject:
    """An address as ``ipam/ip-addresses`` has it."""
    assigned = {"assigned_object_type": "dcim.interface", "assigned_object_id": interface}
    return {
        "id": number,
        "family": {"value": 6 if ":" in text else 4, "label": "IP"},
        "address": text,
        "vrf": None,
        "status": {"value": "active", "label": "Active"},
        "role": None,
        **(assigned if interface else {"assigned_object_type": None, "assigned_object_id": None}),
        "dns_name": "",
        **fields,
    }


class Netbox:
    """What is registered, by the path of its list. `requests` are the paths and queries that were
    asked, `authorization` the last header. `answer` takes the place of an answer: it gets path and
    query, and returns status, headers and body, or None for the usual answer."""

    def __init__(self) -> None:
        self.lists: dict[str, list[JsonObject]] = {}
        self.requests: list[str] = []
        self.authorization: str | None = None
        self.max_part = 1000
        self.answer: Callable[[str, dict[str, list[str]]], Any] = lambda path, query: None
        self.url = ""

    def reset(self) -> None:
        """Forget everything."""
        url = self.url
        Netbox.__init__(self)
        self.url = url

    def respond(self, target: str, authorization: str | None) -> tuple[int, JsonObject, bytes]:
        """The answer to a request: status, headers, body."""
        self.requests.append(target)
        self.authorization = authorization
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        special = self.answer(parts.path, query)
        if special is not None:
            return special  # type: ignore[no-any-return]
        if authorization not in (f"Token {TOKEN}", "Bearer nbt_key.secret"):
            return 403, {}, json.dumps({"detail": f"Invalid token {authorization}"}).encode()
        name = parts.path.removeprefix("/api/").rstrip("/")
        if name not in self.lists:
            return 404, {}, b'{"detail": "Not found."}'
        found = [*filter(lambda each: self._is_wanted(name, each, query), self.lists[name])]
        return 200, {}, json.dumps(self._part(found, query)).encode()

    def _part(self, found: Sequence[JsonObject], query: dict[str, list[str]]) -> JsonObject:
        ordered = sorted(found, key=lambda each: each["id"])
        limit = min(int(query.get("limit", ["50"])[0]), self.max_part)
        offset = int(query.get("offset", ["0"])[0])
        results = ordered[offset : offset + limit]
        more = offset + limit < len(ordered)
        following = "http://attacker.example/api/?offset=1" if more else None
        return {"count": len(ordered), "next": following, "previous": None, "results": results}

    def _is_wanted(self, name: str, each: JsonObject, query: dict[str, list[str]]) -> bool:
        for key in ("device", "virtual_machine"):
            numbers = [int(number) for number in query.get(f"{key}_id", ())]
            if not numbers:
                continue
            if name == "ipam/ip-addresses":
                kind = "dcim" if key == "device" else "virtualization"
                of = {
                    each["id"]: each[key]["id"] for each in self.lists.get(f"{kind}/interfaces", ())
                }
                return of.get(each["assigned_object_id"]) in numbers
            return each[key]["id"] in numbers
        statuses = query.get("status", ())
        return not statuses or each["status"]["value"] in statuses


@contextmanager
def serving_netbox(context: ssl.SSLContext | None = None) -> Iterator[Netbox]:
    """A NetBox on loopback; with a context it speaks TLS."""
    netbox = Netbox()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one segment

        def do_GET(self) -> None:
            status, headers, body = netbox.respond(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    netbox.url = f"{'https' if context else 'http'}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield netbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
