"""Real clients that visit names on a site of `bench/flow_site.py`: curl, Chromium and Firefox.

A browser runs for the whole of its plan and keeps its caches and connections; curl runs once for
each name. Who they are sent to by a page of the site is fetched without looking at the answer.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flow_site import START_NAME, Site
from shared import Namespace, wait_until

BROWSER_TIMEOUT = 60.0
"""Seconds that a browser may take to begin, and beyond its plan."""

CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors",
)  # fmt: skip
"""Nobody is to be called who is not asked for."""

FIREFOX = {
    "network.trr.mode": 5,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
}
"""Its own calls, switched off as far as they can be."""

_PAGE = """<!doctype html><meta charset=utf-8><title>visits</title><script>
const wait = ms => new Promise(done => setTimeout(done, ms));
const get = url => fetch(url, {mode: "no-cors", cache: "no-store"}).catch(() => null);
(async () => {
  for (const [ms, urls] of PLAN) { await wait(ms); await Promise.all(urls.map(get)); }
  await fetch("/done/TOKEN");
})();
</script>"""


@dataclass(frozen=True, slots=True)
class Visit:
    """Names that are fetched together after a pause (s), each with the size of its answer."""

    pause: float
    names: tuple[tuple[str, int], ...]

    @property
    def urls(self) -> list[str]:
        """The addresses of what is fetched."""
        return [f"https://{name}/{size}" for name, size in self.names]


Plan = Sequence[Visit]
Visitor = Callable[[Site, str, Plan], None]
"""Lets the client at an address visit what is planned."""


def curl(site: Site, address: str, plan: Plan) -> None:
    """Run curl for each name."""
    place = site.clients[address]
    for visit in plan:
        time.sleep(visit.pause)
        for url in visit.urls:
            command = ["curl", "-sk", "--max-time", "20", "-o", "/dev/null", url]
            subprocess.run(place.inside(*command), check=True)


def chromium(site: Site, address: str, plan: Plan) -> None:
    """Open a page in Chromium that fetches the names, over QUIC where the server offers it. One
    that finds its network changed while it begins loads nothing, and begins again."""
    place, page, token = site.clients[address], *_page(site, "chromium", plan)
    for attempt in range(5):
        options = (
            f"--user-data-dir={site.folder / f'{token}-{attempt}'}",
            f"--ignore-certificate-errors-spki-list={site.certificate.pin}",
        )
        command = place.inside("chromium", *CHROMIUM, *options, page)
        with _group(command, site, f"{token}-{attempt}"):
            if _ends(site, token, plan):
                return
    raise RuntimeError("Chromium did not get through its plan")


def firefox(site: Site, address: str, plan: Plan) -> None:
    """Open a page in Firefox that fetches the names. Marionette, its remote control, has it take
    the servers' certificate."""
    place, page, token = site.clients[address], *_page(site, "firefox", plan)
    profile = site.folder / token
    profile.mkdir()
    settings = [f'user_pref("{key}", {json.dumps(value)});\n' for key, value in FIREFOX.items()]
    (profile / "user.js").write_text("".join(settings))
    words = ("--headless", "--marionette", "--no-remote", "--profile", str(profile))
    program = "firefox-esr" if shutil.which("firefox-esr") else "firefox"
    with (
        _group(place.inside(program, *words), site, token),
        contextlib.closing(_marionette(place)) as control,
    ):
        _command(control, 1, "WebDriver:NewSession", {"acceptInsecureCerts": True})
        _command(control, 2, "WebDriver:Navigate", {"url": page})
        if not _ends(site, token, plan):
            raise RuntimeError("Firefox did not get through its plan")


def _page(site: Site, client: str, plan: Plan) -> tuple[str, str]:
    """Write the page that fetches what is planned; where it is, and the token of its end."""
    token = f"{client}-{random.randrange(10**9)}"
    fetched = [[round(visit.pause * 1000), visit.urls] for visit in plan]
    text = _PAGE.replace("PLAN", json.dumps(fetched)).replace("TOKEN", token)
    (site.folder / "www" / f"{token}.html").write_text(text)
    return f"https://{START_NAME}/{token}.html", token


def _ends(site: Site, token: str, plan: Plan) -> bool:
    """Whether a page gets to its end in time."""
    deadline = time.monotonic() + BROWSER_TIMEOUT + 2 * sum(visit.pause for visit in plan)
    while not site.is_done(token):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@contextlib.contextmanager
def _group(command: Sequence[str], site: Site, name: str) -> Iterator[None]:
    """A browser with its processes, which all end."""
    home = site.folder / f"{name}-home"
    home.mkdir()
    with (site.folder / f"{name}.out").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            process_group=0,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"},
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _marionette(place: Namespace) -> socket.socket:
    """A connection to Firefox's remote control, once it listens."""
    found: list[socket.socket] = []

    def connects() -> bool:
        with contextlib.suppress(OSError), place.entered():
            found.append(socket.create_connection(("127.0.0.1", 2828), BROWSER_TIMEOUT))
        return bool(found)

    wait_until(connects, "Firefox listens", timeout=BROWSER_TIMEOUT, interval=0.2)
    _message(found[0])
    return found[0]


def _command(control: socket.socket, number: int, name: str, words: dict[str, Any]) -> None:
    """Send a command, and wait for its result. Raises `RuntimeError` if it fails."""
    text = json.dumps([0, number, name, words])
    control.sendall(f"{len(text)}:{text}".encode())
    _, _, error, _ = _message(control)
    if error is not None:
        raise RuntimeError(f"Firefox: {name}: {error}")


def _message(control: socket.socket) -> Any:
    """A message: its length in digits, a colon, and JSON."""
    head = b""
    while not head.endswith(b":"):
        head += _some(control, 1)
    body = b""
    while len(body) < int(head[:-1]):
        body += _some(control, int(head[:-1]) - len(body))
    return json.loads(body)


def _some(control: socket.socket, size: int) -> bytes:
    """At most so many bytes. Raises `RuntimeError` at the end of the connection."""
    if not (data := control.recv(size)):
        raise RuntimeError("Firefox has closed the connection")
    return data


VISITORS: dict[str, Visitor] = {"curl": curl, "Chromium": chromium, "Firefox": firefox}
