"""BIND on loopback: its log against the packets of the same lookups."""

import re
from pathlib import Path

import pytest
from support.paths import ROOT
from support.programs import needs
from support.resolvers import Observed, observe, table

pytestmark = needs("named", "tcpdump")

_CONFIG = """\
options {{
  directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile none;
  recursion yes;
  allow-query {{ any; }};
  allow-recursion {{ any; }};
  dnssec-validation no;
  empty-zones-enable no;
  {options}
  response-policy {{ zone "policy.example.net"; }};
}};
controls {{ }};
{logging}
zone "tiktok.com" {{ type primary; file "tiktok.zone"; }};
zone "example.org" {{ type primary; file "example.zone"; }};
zone "policy.example.net" {{ type primary; file "policy.zone"; }};
"""
_START = """\
$TTL 300
@ SOA ns.example.net. hostmaster.example.net. 1 3600 600 86400 60
@ NS ns.example.net.
"""
_ZONES = {
    "tiktok": "www A 203.0.113.7\nwww AAAA 2001:db8::7\nshops A 203.0.113.9\nm A 203.0.113.66\n",
    "example": "www A 203.0.113.20\nshop CNAME shops.tiktok.com.\n",
    "policy": "m.tiktok.com A 203.0.113.99\n",
}


def recipe(log: Path) -> tuple[str, str]:
    """What the page says to write: the options, and the block of logging."""
    page = (ROOT / "docs" / "logs" / "bind.md").read_text(encoding="utf-8")
    found = re.search(r"```text\noptions \{(.*?)\};\n(logging \{.*?\n\};)\n```", page, re.DOTALL)
    assert found is not None
    return found[1], found[2].replace("/var/log/named/queries.log", str(log))


def configure(folder: Path, port: int) -> list[str]:
    for name, text in _ZONES.items():
        (folder / f"{name}.zone").write_text(_START + text)
    path = folder / "named.conf"
    options, logging = recipe(folder / "bind.log")
    path.write_text(_CONFIG.format(folder=folder, port=port, options=options, logging=logging))
    return ["named", "-f", "-c", str(path), "-n", "1"]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder = tmp_path_factory.mktemp("bind")
    return observe(folder, folder / "bind.log", configure)


def test_what_the_log_lacks(observed: Observed, tmp_path: Path) -> None:
    """BIND logs no records of answers: no alias by which a device came to a host of the app. It
    says more of the name that the policy zone redirects: that it was blocked."""
    assert len(observed.log_alerts) == len(observed.packet_alerts) == 5
    assert table(observed, tmp_path) == {
        "answers: nothing": "dns-answer m.tiktok.com, dns-answer shop.example.org, "
        "dns-answer www.example.org, dns-answer www.tiktok.com",
        "chain: nothing": "dns-answer shop.example.org",
        "lookups: 1 of 2": "incident 127.0.0.3",
        "outcome: blocked": "incident 127.0.0.5",
        "record: nothing": "dns-cname shops.tiktok.com",
        "server port: nothing": "all others",
        "server: nothing": "dns-answer m.tiktok.com",
    }


def test_the_policy_zone_is_named(observed: Observed) -> None:
    (blocked,) = [each for each in observed.log_alerts if each["device"]["ip"] == "127.0.0.5"]
    assert blocked["blocked_by"] == ["rpz-local-data"]


def test_mixed_case_is_kept(observed: Observed) -> None:
    letters = [each.get("raw") for each in observed.log if each["client"]["ip"] == "127.0.0.3"]
    assert letters.count("WwW.TikTok.CoM") == 2
