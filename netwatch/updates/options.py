"""``updates:`` in netwatch.yaml: the source of sets, the trusted root, and the folder of installed
sets."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.core.addresses import is_loopback
from netwatch.core.file_keys import key, read_section
from netwatch.core.system.files import is_root, owns_system_folder
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import PATH, TEXT, duration, number
from netwatch.sinks.options import url_of

SYSTEM_FOLDER = Path("/var/lib/netwatch/sets")
"""Where sets are kept unless the configuration names a folder: by root, and by the user that owns
the folder above it."""

MIN_INTERVAL = 60 * 10**9
"""The minimum time between two checks for updates, in ns."""

ASK_ABOVE = 20
"""How many devices of the last 30 days a set may newly accuse, by default."""

MAX_ASK_ABOVE = 1_000_000_000
"""The highest value in a configuration."""

_EVERY = replace(duration("a duration like 90s, 30m, 2h, 1d", second=1_000_000_000), empty=0)


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """`url` is empty without a repository. `root` is the file of the trusted root. `every` is the
    time between two checks in ns, 0 for none. `folder` is where sets are installed. `proxy` is
    empty without one. A set that newly accuses more than `ask_above` devices is held back."""

    url: str = key(
        TEXT,
        "the repository of sets, `https://…` or `file:///…`; without it sets are installed by "
        "hand, with `--from`",
        words="URL",
    )
    root: Path = key(
        PATH,
        "the root of trust, which its publisher provided over a trusted channel",
        required="the path of the root of trust, root.json",
    )
    every: int = key(
        _EVERY,
        "how often `live` checks for a new set, `1m` at least; needs `url`",
        shown="never",
    )
    folder: Path = key(
        PATH,
        "where sets are installed; created for its owner only",
        shown=f"`{SYSTEM_FOLDER}`, for users in their data folder",
    )
    proxy: str = key(
        url_of("http", "https"),
        "an HTTP proxy; the variables of the environment are not used",
    )
    ask_above: int = key(
        number(0, MAX_ASK_ABOVE, "a number of devices, 0 or more"),
        "a set that would have accused more devices of the last 30 days than this is held back "
        "until `signatures update --yes`; needs `store`",
        ASK_ABOVE,
    )


def default_folder() -> Path:
    """Where this user's sets are kept."""
    if is_root() or owns_system_folder(SYSTEM_FOLDER.parent):
        return SYSTEM_FOLDER
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "netwatch" / "sets"


def read_update_options(fields: Fields, base: Path) -> UpdateOptions | None:
    """The mapping ``updates``; None if it is absent or has errors, which are noted."""
    section = fields.nested("updates", "updates")
    if section is None:
        return None
    before = len(fields.problems.found)
    found = read_section(UpdateOptions, section, base)
    if found.url and (expected := url_problem(found.url)):
        section.add_mismatch("url", expected)
    if found.root is not None and not found.root.is_file():
        section.add_problem("root", f"'root': there is no file {found.root}; check the path")
    if section.is_set("every"):
        if found.every < MIN_INTERVAL and len(fields.problems.found) == before:
            section.add_mismatch("every", "a time of at least 1m, like 30m, 12h or 1d")
        if not found.url:
            section.add_problem("every", "'every': expected 'url' next to it, found none")
    if len(fields.problems.found) > before:
        return None
    return found if found.folder else replace(found, folder=default_folder())


def url_problem(url: str) -> str:
    """What is expected instead of an invalid URL of a repository; empty if it is valid.

    Signatures protect a set in transit, but HTTP without TLS shows everybody on the path which set
    is in use, so it is accepted on this machine only.
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
    if parts.scheme == "http" and not is_loopback(host):
        return f"{expected}; http is for this machine only"
    return "" if parts.scheme in ("https", "http") else expected
