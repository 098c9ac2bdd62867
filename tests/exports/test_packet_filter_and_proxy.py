"""nftables and Squid with an export loaded."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support.exported import example, shipped
from support.namespaces import Namespace, namespace, needs_namespaces
from support.ports import free_port, is_listening
from support.programs import Process, needs, require_programs, search_path
from support.waiting import TIMEOUT

from netwatch.core.addresses import parse_ip
from netwatch.exports.export_format import EXPORTS, ServerAddress

ADDRESSES = tuple(
    ServerAddress(text, "seen of video.example")
    for text in ("192.0.2.7", "192.0.2.8/30", "198.51.100.0/24", "2001:db8::7", "2001:db8:1::/48")
)
INSIDE = ("192.0.2.7", "192.0.2.11", "198.51.100.200", "2001:db8::7", "2001:db8:1:2::3")
OUTSIDE = ("192.0.2.6", "192.0.2.12", "203.0.113.1", "2001:db8::8", "2001:db8:2::1")


@pytest.fixture(scope="module")
def network() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def nft(network: Namespace, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        network.inside("nft", *words),
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": search_path()},
    )


@needs("nft")
@needs_namespaces
def test_nftables_takes_the_addresses(network: Namespace, tmp_path: Path) -> None:
    _, export = example(tmp_path)
    file = tmp_path / "nft"
    file.write_text(EXPORTS["nftables"].text(replace(export, addresses=ADDRESSES)))
    done = nft(network, "-c", "-f", str(file))
    assert done.returncode == 0, done.stderr
    # Twice: the second takes the place of the first.
    for _ in range(2):
        done = nft(network, "-f", str(file))
        assert done.returncode == 0, done.stderr
    entries = EXPORTS["nftables"].read(file.read_text())
    for text, is_in in [*((each, True) for each in INSIDE), *((each, False) for each in OUTSIDE)]:
        servers = "servers6" if ":" in text else "servers4"
        done = nft(network, "get", "element", "inet", "netwatch_our_rule", servers, f"{{ {text} }}")
        assert (done.returncode == 0) == is_in, text
        assert entries.has_address(packed(text)) == is_in, text


@needs("nft")
@needs_namespaces
def test_nftables_without_addresses_is_valid(network: Namespace, tmp_path: Path) -> None:
    _, export = example(tmp_path)
    file = tmp_path / "nft"
    file.write_text(EXPORTS["nftables"].text(export))
    done = nft(network, "-c", "-f", str(file))
    assert done.returncode == 0, done.stderr


def packed(text: str) -> bytes:
    found = parse_ip(text)
    assert found is not None
    return found


CONFIGURATION = """
http_port 127.0.0.1:{port}
pid_filename none
cache_log /dev/null
access_log none
cache deny all
coredump_dir none
never_direct allow all
shutdown_lifetime 0 seconds
{include}
http_access allow all
"""


NAMES = (
    "tiktok.com", "www.tiktok.com", "a.b.tiktok.com", "tiktok.cdnvideo.ru",
    "x.pulltiktokx.ovc.gslb.rocket-cdn.com", "nottiktok.com", "tiktok.com.example.org",
    "below.tiktok.cdnvideo.ru", "www.example.org", "an.tiktok.com", "analytics.tiktok.com",
)  # fmt: skip


def squid(folder: Path, text: str, port: int) -> Path:
    (folder / "export").write_text(text, encoding="utf-8")
    conf = folder / "squid.conf"
    include = f"include {folder}/export"
    conf.write_text(CONFIGURATION.format(port=port, folder=folder, include=include))
    return conf


@pytest.mark.parametrize("spare", [False, True])
@pytest.mark.parametrize("ban", ["be-fed-tiktok-2023", "us-va-tiktok-2022"])
def test_squid_reads_the_lists(ban: str, spare: bool, tmp_path: Path) -> None:
    require_programs("squid")
    export = replace(shipped(ban)[1], spare=spare)
    conf = squid(tmp_path, EXPORTS["squid"].text(export), free_port())
    done = subprocess.run(
        ["squid", "-k", "parse", "-f", str(conf)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": search_path()},
    )
    assert done.returncode == 0, done.stderr
    assert "Processing: acl netwatch_" in done.stderr
    said = [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    assert not [line for line in said if "netwatch" in line or "export" in line], said


def status(port: int, name: str) -> int:
    """The status of a request for a tunnel. One that is allowed comes to nothing, because
    Squid may not connect by itself and has no other proxy."""
    client = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        client.request("CONNECT", f"{name}:443")
        return client.getresponse().status
    finally:
        client.close()


def test_squid_refuses_what_the_file_says(tmp_path: Path) -> None:
    require_programs("squid")
    port = free_port()
    form = EXPORTS["squid"]
    text = form.text(replace(shipped("be-fed-tiktok-2023")[1], spare=True))
    conf = squid(tmp_path, text, port)
    # Its shared memory is named after the service, and others may run a squid too.
    words = ["squid", "-N", "-n", f"netwatch{port}", "-f", str(conf)]
    process = Process(words, lambda: is_listening(port), tmp_path)
    try:
        refused = {name: status(port, name) == 403 for name in NAMES}
    finally:
        process.end()
    entries = form.read(text)
    assert refused == {name: entries.has(name) for name in NAMES}
    assert list(refused.values()) == [True] * 5 + [False] * 6
