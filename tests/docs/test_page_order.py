"""The commands of each page run, in the order of the page, in a folder that has what they name."""

import re
import shutil
from pathlib import Path

import pytest
from support.asked_stores import run
from support.documents import pages
from support.page_commands import by_hand, commands
from support.paths import PCAPS, ROOT

NOT_RUN = {
    r"^(live|serve|fleet centre)\b": "runs until it is ended",
    r"\b(s3|https|tls)://": "needs a server",
    r"^(init|users add|store erase --device 10\.30\.0\.9)\b": "asks on a terminal",
    r"^fleet (enrol|revoke|status|publish)\b": "needs a centre",
    r"^inventory refresh\b": "needs a register of devices",
    r"^signatures update\b": "needs the repository of a publisher",
    r"^restore\b": "needs a machine that has nothing yet",
    r"^store identify\b": "needs a pseudonym of the reader's store",
    r" --asns ": "needs a database of GeoIP",
    r"\.pdf\b": "takes seconds for each PDF",
    r"-i eth1": "needs an interface",
}
"""Commands that are left out, by a pattern, with the reason."""

ELSEWHERE = {"/etc/netwatch/": "", "/var/log/": "log/", "/var/cache/": "cache/", "/srv/": "srv/"}
"""Paths of the pages, and where they are in the folder of the test."""

FINDINGS = {"doctor": (0, 1)}
"""Statuses of commands that depend on this machine."""

CONFIGURATION = """
store: {path: store}
retention: {observations: 100y}
spool: {path: spool}
outputs:
  - {type: file, path: delivered.jsonl}
"""
LOGS = {
    "log/dnsmasq.log": "dnsmasq/router.log",
    "cache/nfdump/flows.csv": "nfdump/flows.csv",
    "log/squid/access.log": "squid/native.log",
    "log/haproxy.log": "haproxy/forward.log",
    "log/nginx/access.log": "nginx/forward.log",
    "srv/logs/2026-03-01/dnsmasq.log": "dnsmasq/router.log",
    "eve.json": "suricata-eve/version-3.json",
}
"""Logs that the pages name, and the samples that stand for them."""

SIGNATURE = """app: acme
name: Acme
vendor: acme
category: video
domains:
  - {suffix: acme.example, role: exclusive, sources: [own]}
tests: {match: [www.acme.example], ignore: [notacme.example]}
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the pages assume it, with a store of the sample captures."""
    folder = tmp_path_factory.mktemp("filled")
    text = (PCAPS / "netwatch.yaml").read_text(encoding="utf-8")
    guests = "networks:\n  - {name: guests, cidrs: [10.99.0.0/16], class: guest}\n"
    ours = "bans:\n  - {id: our-rule, authority: City, apps: [deepseek], forbids: [service]}\n"
    text = text.replace("networks:\n", guests).replace("bans:\n", ours)
    (folder / "netwatch.yaml").write_text(text + CONFIGURATION, encoding="utf-8")
    (folder / "next-year.yaml").write_text(f"version: 1\n{ours}", encoding="utf-8")
    devices = (PCAPS / "devices.csv").read_text(encoding="utf-8")
    (folder / "devices.csv").write_text(devices.replace("Press office", "Jane Doe"))
    for name in ("office", "yesterday", "capture"):
        shutil.copy(PCAPS / "office-day.pcap", folder / f"{name}.pcap")
    shutil.copy(PCAPS / "office-day.pcap", folder / "capture.pcapng")
    (folder / "captures").mkdir()
    shutil.copy(PCAPS / "office-day.pcap", folder / "captures")
    (folder / "pcaps").symlink_to(PCAPS)
    for name in ("drafts", "signatures/apps", "signatures/bans"):
        (folder / name).mkdir(parents=True)
    (folder / "drafts" / "acme.yaml").write_text(SIGNATURE, encoding="utf-8")
    for name in ("apps/tiktok.yaml", "bans/be-fed-tiktok-2023.yaml"):
        shutil.copy(ROOT / "signatures" / name, folder / "signatures" / name)
    lists = ("domain-list-community/data/tiktok", "tiktok.hosts", "tiktok.adguard")
    for name in (*lists, "everything.txt", "data/acme"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("tiktok.com\nwww.tiktok.com\nacme.example\n", encoding="utf-8")
    matches = 'tls.sni; content:"tiktok.example"; endswith;'
    rule = f'alert tls any any -> any any (msg:"TikTok"; {matches} sid:1;)\n'
    (folder / "local.rules").write_text(rule, encoding="utf-8")
    samples = ROOT / "tests" / "logs" / "samples"
    for name, sample in LOGS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(samples / sample, folder / name)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert run("scan", "-q", "captures", "--store").status == 0
    return folder


@pytest.fixture
def reader(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder for one page alone, which is also the reader's home."""
    folder = tmp_path / "reader"
    shutil.copytree(filled, folder, symlinks=True)
    monkeypatch.chdir(folder)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.setenv(name, str(folder / "home"))
    return folder


def shown() -> dict[Path, list[list[str]]]:
    """The commands of each page that are not in a generated part."""
    found = {page: commands(by_hand(page.read_text(encoding="utf-8"))) for page in pages()}
    return {page: words for page, words in found.items() if words}


def reason(words: list[str]) -> str:
    """Why a command is left out; empty if it is not."""
    line = " ".join(words)
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), "")


def here(word: str) -> str:
    """A word of a command with paths below the folder of the test."""
    for path, place in ELSEWHERE.items():
        word = word.replace(path, place)
    return word


@pytest.mark.parametrize("page", shown(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_run_in_the_order_of_the_page(page: Path, reader: Path) -> None:
    for words in shown()[page]:
        if not reason(words):
            ran = run(*map(here, words))
            usual = next((each for start, each in FINDINGS.items() if words[0] == start), (0,))
            assert ran.status in usual, (words, ran.errors)


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_left_out_is_there(pattern: str) -> None:
    lines = [" ".join(words) for each in shown().values() for words in each]
    assert any(re.search(pattern, line) for line in lines)


def test_most_commands_run() -> None:
    every = [words for each in shown().values() for words in each]
    assert len(every) > 100
    assert sum(not reason(words) for words in every) > len(every) // 2
