"""BIND writes dnstap of what dig asks it, which says what the packets between them say."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.log_verdicts import records_of_logs
from support.loopback import HOST, Watch, run
from support.ports import free_port, is_listening
from support.programs import Process, needs, search_path

pytestmark = needs("tcpdump", "dig", "named")

WEB, EDGE, BLOCKED = "www.tiktok.com", "edge.example.net", "sf16.tiktokcdn.com"
_CONFIGURATION = """
options {{
    directory "{folder}";
    listen-on port {port} {{ {host}; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    recursion yes;
    allow-query {{ any; }};
    dnssec-validation no;
    minimal-responses yes;
    dnstap {{ client; }};
    dnstap-output file "{folder}/server.dnstap";
    response-policy {{ zone "policy"; }};
}};
controls {{ }};
zone "." {{ type primary; file "{folder}/zone"; }};
zone "policy" {{ type primary; file "{folder}/policy"; }};
"""
_SOA = (
    "$TTL 60\n@ SOA ns.example.org. hostmaster.example.org. 1 60 60 60 60\n@ NS ns.example.org.\n"
)

_ZONE = f"""{WEB}. CNAME {EDGE}.
{EDGE}. A 192.0.2.10
{BLOCKED}. A 192.0.2.11
ns.example.org. A 192.0.2.1
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Process, int, Path]]:
    """A name server with these names, and where it writes dnstap when it ends."""
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "zone").write_text(_SOA + _ZONE)
    (folder / "policy").write_text(f"{_SOA}{BLOCKED} CNAME .\n")
    port = free_port()
    configuration = folder / "named.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, host=HOST))
    program = os.fspath(shutil.which("named", path=search_path()) or "named")
    process = Process(
        [program, "-f", "-4", "-n", "1", "-c", os.fspath(configuration)],
        lambda: is_listening(port),
        folder,
    )
    try:
        yield process, port, folder / "server.dnstap"
    finally:
        process.end(signal.SIGTERM)


def test_dnstap_says_what_the_packets_say(
    server: tuple[Process, int, Path], watch: Watch, tmp_path: Path
) -> None:
    process, port, log = server
    with watch(port) as seen:
        for name, kind, *options in (
            (WEB, "A"),
            ("Www.TikTok.com", "A", "+tcp"),
            ("nothing.example.org", "AAAA"),
            (BLOCKED, "A"),
        ):
            asked = ("-p", str(port), f"@{HOST}", "+noedns", "+tries=1", *options, name, kind)
            assert run("dig", *asked, home=tmp_path).returncode == 0
    process.end(signal.SIGTERM)  # dnstap reaches the disk now
    assert [said(each) for each in records_of_logs([log])] == [said(each) for each in seen.records]
    assert len(seen.records) == 10
    blocked = [each for each in records_of_logs([log]) if each["name"] == BLOCKED]
    assert [each["dns"].get("rcode") for each in blocked] == [None, "NXDOMAIN"]


def said(record: dict[str, Any]) -> dict[str, Any]:
    """What a record says beside where and when it was read: a log has no packet and no MAC."""
    fields = ("evidence", "name", "raw", "server", "transport", "dns")
    client = {key: record["client"][key] for key in ("ip", "port")}
    return {field: record.get(field) for field in fields} | {"client": client}
