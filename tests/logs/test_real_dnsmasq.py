"""dnsmasq on loopback: its log against the packets of the same lookups."""

from collections import Counter
from pathlib import Path

import pytest
from support.programs import needs
from support.resolvers import LOOKUPS, Observed, observe, table

pytestmark = needs("dnsmasq", "tcpdump")


def configure(folder: Path, port: int) -> list[str]:
    return [
        "dnsmasq",
        "--no-daemon",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--user=root",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--log-queries=extra",
        f"--log-facility={folder / 'dnsmasq.log'}",
        "--host-record=www.tiktok.com,203.0.113.7,2001:db8::7",
        "--host-record=shops.tiktok.com,203.0.113.9",
        "--host-record=www.example.org,203.0.113.20",
        "--cname=shop.example.org,shops.tiktok.com",
        "--address=/m.tiktok.com/0.0.0.0",
        "--local=/tiktok.com/example.org/",
    ]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder = tmp_path_factory.mktemp("dnsmasq")
    return observe(folder, folder / "dnsmasq.log", configure)


def test_what_the_log_lacks(observed: Observed, tmp_path: Path) -> None:
    """The log gives the same incidents. dnsmasq writes names in lower case, and neither its own
    address nor the transport."""
    assert len(observed.packet_alerts) == 5
    assert table(observed, tmp_path) == {
        "letters: nothing": "dns-answer www.tiktok.com, dns-query www.tiktok.com",
        "server: nothing": "all",
        "server port: nothing": "all",
        "transport: another": "dns-answer www.tiktok.com, dns-query www.tiktok.com",
    }


def test_every_lookup_is_logged_once(observed: Observed) -> None:
    asked = Counter((client, name.lower(), kind) for client, name, kind, _ in LOOKUPS)
    for evidence in ("dns-query", "dns-answer"):
        assert asked == Counter(
            (each["client"]["ip"], each["name"], each["dns"]["type"])
            for each in observed.log
            if each["evidence"] == evidence
        )


def test_evidence_is_the_line(observed: Observed) -> None:
    for alert in observed.log_alerts:
        for item in alert["evidence"]:
            line = Path(item["source"]).read_text().splitlines()[item["log"]["line"] - 1]
            assert item["name"] in line
            assert alert["device"]["ip"] in line
