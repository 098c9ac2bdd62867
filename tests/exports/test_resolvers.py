"""Resolvers with an export loaded: BIND, Unbound and dnsmasq on loopback, in front of a name server
that knows every name. What they stop is what the reader of the format says of the file."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.dns_upstream import ADDRESS, Upstream, ask
from support.exported import example, shipped
from support.ports import free_port
from support.programs import Process, require_programs, running, search_path

from netwatch.exports.export_format import EXPORTS, Export

BAN = "be-fed-tiktok-2023"
NXDOMAIN = 3

NAMES = (
    "tiktok.com",
    "www.tiktok.com",
    "WWW.TikTok.COM",
    "a.b.c.tiktok.com",
    "api16-normal-c-useast1a.tiktokv.com",
    "tiktok.cdnvideo.ru",
    "below.tiktok.cdnvideo.ru",
    "x.pulltiktokx.ovc.gslb.rocket-cdn.com",
    "nottiktok.com",
    "tiktok.com.example.org",
    "tiktok.example.net",
    "www.example.org",
    "com",
)
"""Names to ask for, of the app and of others; one rule is a host, one a glob."""

BIND = """
options {{
  directory "{folder}"; pid-file none; session-keyfile none; managed-keys-directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-query {{ any; }}; dnssec-validation no; forward only;
  forwarders {{ 127.0.0.1 port {upstream}; }};
  response-policy {{ zone "netwatch.rpz"; }};
}};
controls {{ }};
zone "netwatch.rpz" {{ type primary; file "{file}"; }};
"""
UNBOUND = """
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  directory: "{folder}"
  do-not-query-localhost: no
  module-config: "{modules}"
{include}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
"""
RPZ = """
rpz:
  name: "netwatch.rpz"
  zonefile: "{file}"
"""


@dataclass(frozen=True)
class Kind:
    """A resolver with a format: its program, whether it stops aliases of blocked names, and
    whether names of others pass."""

    program: str
    form: str
    stops_aliases: bool
    spare: bool = False

    def export(self, folder: Path) -> Export:
        """The export of a shipped ban, or where others pass, of the example."""
        return replace(example(folder)[1], spare=True) if self.spare else shipped(BAN)[1]


KINDS = {
    "bind-rpz": Kind("named", "rpz", True),
    "unbound-rpz": Kind("unbound", "rpz", True),
    "unbound": Kind("unbound", "unbound", False),
    "dnsmasq": Kind("dnsmasq", "dnsmasq", False),
    "dnsmasq-hosts": Kind("dnsmasq", "hosts", False),
    "bind-rpz-sparing": Kind("named", "rpz", True, spare=True),
    "unbound-rpz-sparing": Kind("unbound", "rpz", True, spare=True),
    "unbound-sparing": Kind("unbound", "unbound", False, spare=True),
    "dnsmasq-sparing": Kind("dnsmasq", "dnsmasq", False, spare=True),
}


def command(kind: Kind, folder: Path, port: int, upstream: int) -> list[str]:
    """Write the configuration of a resolver; its command line."""
    file, conf = folder / "export", folder / "conf"
    file.write_text(EXPORTS[kind.form].text(kind.export(folder)), encoding="utf-8")
    places = {"folder": folder, "port": port, "upstream": upstream, "file": file}
    if kind.program == "named":
        conf.write_text(BIND.format(**places), encoding="utf-8")
        return ["named", "-g", "-c", str(conf), "-n", "1"]
    if kind.program == "unbound":
        is_rpz = kind.form == "rpz"
        modules = "respip iterator" if is_rpz else "iterator"
        include = RPZ.format(file=file) if is_rpz else f'include: "{file}"'
        text = UNBOUND.format(modules=modules, include=include, **places)
        conf.write_text(text, encoding="utf-8")
        return ["unbound", "-d", "-c", str(conf)]
    conf.write_text("", encoding="utf-8")
    words = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces"]
    words += ["--user=", "--pid-file=", "--listen-address=127.0.0.1", f"--port={port}"]
    words.append(f"--addn-hosts={file}" if kind.form == "hosts" else f"--conf-file={file}")
    words += [f"--conf-file={conf}"] if kind.form == "hosts" else []
    return ["dnsmasq", *words, f"--server=127.0.0.1#{upstream}"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running(Upstream()) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def resolver(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Kind, int]]:
    kind = KINDS[request.param]
    require_programs(kind.program)
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    words = command(kind, folder, port, upstream.port)
    process = Process(words, lambda: ask(port, "ready.example.org"), folder)
    try:
        yield kind, port
    finally:
        process.end()


SPARING = (
    "video.example",
    "m.video.example",
    "deep.video.example",
    "b.deep.video.example",
    "x.b.deep.video.example",
    "app.cdn.example",
    "img1.video.example",
    "a.deep.video.example",
    "analytics.video.example",
    "x.y.analytics.video.example",
    "shop.video.example",
    "www.vendor.example",
    "notvideo.example",
)
"""Names of the example: seven that are stopped, six that pass."""


def is_blocked(port: int, name: str) -> bool:
    answer = ask(port, name)
    assert answer is not None, name
    rcode, addresses = answer
    if rcode == NXDOMAIN or addresses == ["0.0.0.0"]:
        return True
    assert (rcode, addresses) == (0, [ADDRESS]), name
    return False


def test_it_stops_what_the_file_says(resolver: tuple[Kind, int], tmp_path: Path) -> None:
    kind, port = resolver
    form = EXPORTS[kind.form]
    entries = form.read(form.text(kind.export(tmp_path)))
    names = SPARING if kind.spare else NAMES
    expected = {name: entries.has(name.lower()) for name in names}
    stopped = list(expected.values())
    if kind.spare:
        assert stopped == [True] * 7 + [False] * 6
    else:
        assert stopped[:2] == [True] * 2
        assert stopped[-6:] == [False] * 6
    assert {name: is_blocked(port, name) for name in names} == expected


def test_aliases_of_blocked_names(resolver: tuple[Kind, int]) -> None:
    kind, port = resolver
    if not kind.spare:
        assert is_blocked(port, "alias.example.org") == kind.stops_aliases


def test_programs_check_the_files(tmp_path: Path) -> None:
    """The checkers that come with the resolvers."""
    checkers = {
        "rpz": ("named-checkzone", "netwatch.rpz", "{}"),
        "unbound": ("unbound-checkconf", "{}"),
        "dnsmasq": ("dnsmasq", "--test", "--conf-file={}"),
    }
    require_programs(*(words[0] for words in checkers.values()))
    for ban, spare in ((BAN, False), ("us-va-tiktok-2022", True)):
        for form, words in checkers.items():
            file = tmp_path / form
            export = replace(shipped(ban)[1], spare=spare)
            file.write_text(EXPORTS[form].text(export), encoding="utf-8")
            done = subprocess.run(
                [word.format(file) for word in words],
                capture_output=True,
                text=True,
                timeout=30,
                env={"PATH": search_path()},
            )
            assert done.returncode == 0, done.stdout + done.stderr
