"""HAProxy and NGINX as forward proxies on loopback: what their logs say of requests of clients."""

import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.loopback import HOST
from support.ports import free_port, is_listening
from support.programs import Process, needs, search_path
from support.waiting import wait_until

from netwatch.cli import main

REQUESTS = [
    ("127.0.0.2", "GET http://www.tiktok.com/a HTTP/1.1\r\nHost: www.tiktok.com", 200),
    ("127.0.0.3", "GET http://m.tiktok.com/ HTTP/1.1\r\nHost: m.tiktok.com", 403),
    ("127.0.0.4", "GET / HTTP/1.1\r\nHost: www.example.org", 200),
    ("127.0.0.5", "GET http://WWW.TikTok.com:80/ HTTP/1.1\r\nHost: WWW.TikTok.com:80", 200),
]
"""Client, request, and the status of the answer; requests for ``m.tiktok.com`` are denied."""

HAPROXY = """
global
    log stdout format raw local0
    zero-warning
    # Several threads write lines in any order.
    nbthread 1
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend proxy
    bind {host}:{port}
    capture request header Host len 128
    http-request deny if {{ req.hdr(host) -i m.tiktok.com }}
    default_backend origin
backend origin
    server srv1 {host}:{origin}
"""

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    log_format forward escape=json '{{"time_iso8601":"$time_iso8601","remote_addr":"$remote_addr",'
        '"remote_port":"$remote_port","request":"$request","host":"$host","status":"$status",'
        '"body_bytes_sent":"$body_bytes_sent"}}';
    access_log {folder}/json.log forward;
    access_log {folder}/combined.log combined;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen {host}:{port};
        if ($host = m.tiktok.com) {{ return 403; }}
        location / {{ proxy_pass http://{host}:{origin}; }}
    }}
}}
"""


class _Origin(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def asked(program: str, text: str) -> Iterator[Path]:
    """The folder of a proxy that has answered all requests."""
    folder = Path(tempfile.mkdtemp(prefix="proxy-"))
    origin = HTTPServer((HOST, 0), _Origin)
    threading.Thread(target=origin.serve_forever, args=(0.01,), daemon=True).start()
    try:
        port = free_port()
        path = folder / "proxy.conf"
        path.write_text(text.format(host=HOST, port=port, origin=origin.server_port, folder=folder))
        found = shutil.which(program, path=search_path()) or program
        arguments = ["-p", str(folder), "-c"] if program == "nginx" else ["-db", "-f"]
        process = Process([os.fspath(found), *arguments, str(path)], lambda: is_listening(port),
                          folder)  # fmt: skip
        try:
            for client, request, status in REQUESTS:
                with socket.create_connection((HOST, port), 5, (client, 0)) as sender:
                    sender.sendall(f"{request}\r\nConnection: close\r\n\r\n".encode())
                    assert sender.recv(64).split()[1] == str(status).encode()
            yield folder
        finally:
            process.end()
    finally:
        origin.shutdown()
        origin.server_close()
        shutil.rmtree(folder)


def shown(log: Path, name: str, folder: Path, status: int = 0) -> list[tuple[str, str, str]]:
    """Client, evidence and name of what a log says, whose reading has this exit status."""
    output = folder / "names.jsonl"
    arguments = ["names", "-q", "--as", name, "--format", "jsonl", "-o", str(output), str(log)]
    assert main(arguments) == status
    records = [json.loads(line) for line in output.read_text().splitlines()]
    return [(each["client"]["ip"], each["evidence"], each["name"]) for each in records
            if each["client"]["ip"] != HOST]  # fmt: skip


def complete(log: Path) -> Path:
    """A log once all requests are in it."""

    def has_all() -> bool:
        return log.exists() and all(client in log.read_text() for client, *_ in REQUESTS)

    wait_until(has_all, lambda: log.read_text() if log.exists() else "a log")
    return log


ALL = [
    ("127.0.0.2", "http-host", "www.tiktok.com"),
    ("127.0.0.3", "http-host", "m.tiktok.com"),
    ("127.0.0.4", "http-host", "www.example.org"),
    ("127.0.0.5", "http-host", "www.tiktok.com"),
]


@needs("haproxy")
def test_haproxy(tmp_path: Path) -> None:
    with asked("haproxy", HAPROXY) as folder:
        (output,) = [path for path in folder.iterdir() if path.name != "proxy.conf"]
        assert shown(complete(output), "haproxy", tmp_path) == ALL


@needs("nginx")
@pytest.mark.parametrize("kind", ["json", "combined"])
def test_nginx(kind: str, tmp_path: Path) -> None:
    """``combined`` has the host only where the request is for a URL, and that is said."""
    with asked("nginx", NGINX) as folder:
        found = shown(complete(folder / f"{kind}.log"), "nginx", tmp_path, int(kind == "combined"))
        assert found == [each for each in ALL if kind == "json" or each[0] != "127.0.0.4"]
