"""``updates:`` of netwatch.yaml: where sets come from, who is trusted, and where they are kept."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.core.file_keys import REQUIRED, Section, row
from netwatch.core.system.users import is_root, owns_system_folder
from netwatch.core.user_yaml import Fields
from netwatch.sinks.options import read_duration, read_url

SYSTEM_FOLDER = Path("/var/lib/netwatch/sets")
"""Where sets are kept unless the configuration names a folder, by root and by the user that owns
the folder above it."""

MIN_INTERVAL = 60 * 10**9
"""The least time between two checks for updates, in ns."""

ASK_ABOVE = 20
"""How many devices of the last 30 days a set may newly accuse, unless the configuration says it."""

MAX_ASK_ABOVE = 1_000_000_000
"""The highest number that a configuration may say."""

UPDATE_KEYS = Section(
    "updates",
    (
        row(
            "url",
            "URL",
            "none",
            "the repository of sets, `https://…` or `file:///…`; without it sets are installed by "
            "hand, with `--from`",
        ),
        row(
            "root",
            "path",
            REQUIRED,
            "the root of trust, which its publisher provided over a trusted channel",
        ),
        row(
            "every",
            "time",
            "never",
            "how often `live` checks for a new set, `1m` at least; needs `url`",
        ),
        row(
            "ask_above",
            "number",
            f"{ASK_ABOVE}",
            "a set that would have accused more devices of the last 30 days than this is held back "
            "until `signatures update --yes`; needs `store`",
        ),
        row(
            "proxy",
            "URL",
            "none",
            "an HTTP proxy; the variables of the environment are not used",
        ),
        row(
            "folder",
            "path",
            f"`{SYSTEM_FOLDER}`, for users in their data folder",
            "where sets are installed; created for its owner only",
        ),
    ),
)
"""The keys of ``updates``."""


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """`url` is empty without a repository. `root` is the file of the trusted root. `every` is the
    time between two checks in ns, 0 for none. `folder` is where sets are installed. `proxy` is
    empty without one. A set that newly accuses more than `ask_above` devices is held back."""

    url: str
    root: Path
    every: int
    folder: Path
    proxy: str = ""
    ask_above: int = ASK_ABOVE


def default_folder() -> Path:
    """Where this user's sets are kept."""
    if is_root() or owns_system_folder(SYSTEM_FOLDER.parent):
        return SYSTEM_FOLDER
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "netwatch" / "sets"


def read_update_options(fields: Fields, base: Path) -> UpdateOptions | None:
    """The mapping ``updates``; None where it is absent or has mistakes, which are noted."""
    section = fields.nested("updates", "updates")
    if section is None:
        return None
    before = len(fields.problems.found)
    url = section.text("url")
    if url and (expected := url_problem(url)):
        section.add_mismatch("url", expected)
    root = section.text("root", required="the path of the root of trust, root.json")
    if root and not (base / root).is_file():
        section.add_problem("root", f"'root': there is no file {base / root}")
    every = 0
    if section.has("every"):
        every = round(read_duration(section, "every", 0) * 10**9)
        if every < MIN_INTERVAL and len(fields.problems.found) == before:
            section.add_mismatch("every", "a time of at least 1m, like 30m, 12h or 1d")
        if not url:
            section.add_problem("every", "'every': expected 'url' beside it, found none")
    proxy = read_url(section, "proxy", ("http", "https")) if section.has("proxy") else ""
    written = section.value("ask_above")
    ask_above = ASK_ABOVE if written is None else written
    is_number = isinstance(ask_above, int) and not isinstance(ask_above, bool)
    if not is_number or not 0 <= ask_above <= MAX_ASK_ABOVE:
        section.add_mismatch("ask_above", "a number of devices, 0 or more")
    folder = section.text("folder")
    section.reject_unknown()
    if len(fields.problems.found) > before:
        return None
    place = base / folder if folder else default_folder()
    return UpdateOptions(url, base / root, every, place, proxy, ask_above)


def url_problem(url: str) -> str:
    """What is expected in place of a URL that no repository can have; empty where it can.

    Signatures protect a set on the way, but HTTP without TLS tells everybody on it which set is
    in use, so it is accepted on this machine only.
    """
    expected = "a URL like https://updates.example/sets/"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return expected
    if not url.isascii() or not url.isprintable() or " " in url or parts.query or parts.fragment:
        return expected
    if parts.scheme == "file":
        return "" if parts.path.startswith("/") and not host else "a URL like file:///mnt/sets/"
    if parts.username is not None or parts.password is not None:
        return f"{expected}, without a user or password in it"
    if not host or port == 0:
        return expected
    if parts.scheme == "http" and not _is_loopback(host):
        return f"{expected}; http is for this machine only"
    return "" if parts.scheme in ("https", "http") else expected


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
