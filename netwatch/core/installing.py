"""The command that installs what is missing in the running installation.

The distribution is netwatch-bans: `netwatch` on PyPI is another project. The command names the
running interpreter and where netwatch was installed from. If netwatch was installed by a package of
the system, the command installs another package. If modules that should be compiled are not,
`why_interpreted` gives the cause.
"""

import json
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from netwatch.core.text import escaped

PACKAGED = "/usr/lib/netwatch"
"""The virtual environment of the apt and dnf packages."""

CONSOLE_PACKAGE = "netwatch-console"

CONSOLE_EXTRAS = ("arrow", "fleet", "oidc", "postgres", "report", "store", "web")
"""The extras that `CONSOLE_PACKAGE` has; a test compares them with what is packaged."""

REMEDY = (
    "install a C compiler and the headers of C and Python (Debian: gcc libc6-dev python3-dev;"
    " Fedora: gcc glibc-devel python3-devel), then reinstall netwatch"
)
"""What a user has to do, as an instruction."""

_CAUSE = Path(__file__).parents[1] / "not-compiled.txt"
_MAX_CAUSE = 300


def install_command(extra: str) -> str:
    """The command that installs an extra."""
    if extra in CONSOLE_EXTRAS and _is_packaged():
        tool = "apt" if Path("/usr/bin/apt").exists() else "dnf"
        return f"{tool} install {CONSOLE_PACKAGE}"
    origin, version = _origin()
    return _pip(f"{origin}[{extra}]{version}")


def install_library(name: str) -> str:
    """The command that installs a library that belongs to no extra."""
    return _pip(name)


def _is_packaged() -> bool:
    return sys.prefix == PACKAGED


def _pip(requirement: str) -> str:
    quoted = shlex.quote(requirement)
    # Brackets have a meaning in shells such as zsh, which shlex also quotes.
    return f"{shlex.quote(sys.executable or 'python3')} -m pip install {quoted}"


def _origin() -> tuple[str, str]:
    """What netwatch was installed from: a checkout, or the file or folder that pip was given, if it
    still exists. Otherwise the name with the installed version, which pip finds and does not
    replace."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return str(checkout), ""
    from importlib.metadata import PackageNotFoundError, distribution

    from netwatch import __version__

    try:
        text = distribution("netwatch-bans").read_text("direct_url.json")
        url = urlsplit(str(json.loads(text or "{}").get("url", "")))
    except (PackageNotFoundError, ValueError, AttributeError):
        url = urlsplit("")
    path = unquote(url.path)
    if url.scheme == "file" and Path(path).exists():
        return path, ""
    return "netwatch-bans", f"=={__version__}"


def why_interpreted() -> str:
    """What the C compiler printed when netwatch was installed, in one line; empty if it was not
    run, as for the pure Python wheel."""
    try:
        with _CAUSE.open(encoding="utf-8", errors="replace") as file:
            return escaped(file.read(_MAX_CAUSE).strip())
    except OSError:
        return ""
