"""Unbound on loopback: its log against the packets of the same lookups."""

from pathlib import Path

import pytest
from support.programs import needs
from support.resolvers import Observed, observe, table

pytestmark = needs("unbound", "tcpdump")

_CONFIG = """\
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: "{folder}/unbound.log"
  log-queries: yes
  log-replies: yes
  log-local-actions: yes
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  local-zone: "tiktok.com." static
  local-data: "www.tiktok.com. A 203.0.113.7"
  local-data: "www.tiktok.com. AAAA 2001:db8::7"
  local-data: "shops.tiktok.com. A 203.0.113.9"
  local-zone: "m.tiktok.com." always_null
  local-zone: "example.org." static
  local-data: "www.example.org. A 203.0.113.20"
  local-data: "shop.example.org. CNAME shops.tiktok.com."
remote-control:
  control-enable: no
"""


def configure(folder: Path, port: int) -> list[str]:
    path = folder / "unbound.conf"
    path.write_text(_CONFIG.format(folder=folder, port=port))
    return ["unbound", "-d", "-c", str(path)]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder = tmp_path_factory.mktemp("unbound")
    return observe(folder, folder / "unbound.log", configure)


def test_what_the_log_lacks(observed: Observed, tmp_path: Path) -> None:
    """Unbound logs neither ports nor its own address, nor what an answer was: not its alias, by
    which a device came to a host of the app. The incidents are the same but for that lookup."""
    assert len(observed.log_alerts) == len(observed.packet_alerts) == 5
    assert table(observed, tmp_path) == {
        "answers: nothing": "dns-answer m.tiktok.com, dns-answer www.example.org, "
        "dns-answer www.tiktok.com",
        "chain: nothing": "dns-answer shop.example.org",
        "client port: nothing": "all others",
        "lookups: 1 of 2": "incident 127.0.0.3",
        "record: nothing": "dns-cname shops.tiktok.com",
        "server port: nothing": "all others",
        "server: nothing": "all others",
        "transport: another": "dns-answer www.tiktok.com, dns-query www.tiktok.com",
    }


def test_mixed_case_is_kept(observed: Observed) -> None:
    letters = [each.get("raw") for each in observed.log if each["client"]["ip"] == "127.0.0.3"]
    assert letters.count("WwW.TikTok.CoM") == 2
