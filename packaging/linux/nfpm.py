"""Describes packages to nfpm, which writes both formats."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linux.environment import run

FORMATS = ("deb", "rpm")

MAINTAINER = "The netwatch authors <netwatch@users.noreply.github.com>"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_RELEASE = "1"


DOCUMENTATION = ("/usr/share/doc/", "/usr/share/man/")
"""Where all files are documentation."""

CHANGES = "/usr/share/doc/netwatch/release-notes.md"
"""Where the changelog of the project is."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder, link or tree of a package. `source` is empty for a folder, and where a link
    points for a link; `kind` is nfpm's word. An entry with a `form` is in that format alone."""

    target: str
    source: str = ""
    kind: str = ""
    mode: int = 0
    group: str = "root"
    form: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package in both formats. Relations and scripts are by format.

    `replaces` are older packages that a file of this one may have been in, which dpkg has to know.
    To rpm the word would mean that they are to be removed.
    """

    name: str
    version: str
    machine: str
    summary: str
    description: str
    entries: Sequence[Entry]
    depends: Mapping[str, Sequence[str]]
    recommends: Mapping[str, Sequence[str]]
    suggests: Mapping[str, Sequence[str]]
    replaces: Sequence[str]
    scripts: Mapping[str, Mapping[str, str]]
    epoch: int


def build(
    package: Package, form: str, output: Path, folder: Path, environment: Mapping[str, str]
) -> None:
    """Write one package into a folder."""
    output.mkdir(parents=True, exist_ok=True)
    changes = folder / f"{package.name}-changes.json"
    changes.write_text(json.dumps([_change(package)]), encoding="utf-8")
    config = folder / f"{package.name}-{form}.json"  # JSON is YAML
    described = _config(package, form) | {"changelog": str(changes)}
    config.write_text(json.dumps(described), encoding="utf-8")
    program = shutil.which("nfpm", path=environment["PATH"])
    if program is None:
        sys.exit("nfpm is not installed; make packages installs it")
    run(
        [program, "package", "-f", str(config), "-p", form, "-t", str(output)],
        environment,
    )


def _config(package: Package, form: str) -> dict[str, Any]:
    """The configuration of nfpm for one format."""
    config: dict[str, Any] = {
        "name": package.name,
        "arch": _ARCHITECTURES[package.machine],
        "version": package.version,
        "version_schema": "none",
        "release": _RELEASE,
        "section": "net",
        "priority": "optional",
        "maintainer": MAINTAINER,
        "description": f"{package.summary}\n{package.description}",
        "homepage": "https://github.com/netwatch/netwatch",
        "license": "(MIT OR Apache-2.0) AND GPL-2.0-only",
        "mtime": _rfc3339(package.epoch),
        "disable_globbing": True,
        "depends": list(package.depends[form]),
        "recommends": list(package.recommends[form]),
        "suggests": list(package.suggests[form]),
        "scripts": dict(package.scripts[form]),
        "contents": [_content(each, form) for each in package.entries if each.form in ("", form)],
    }
    if form == "deb":
        # What every dpkg reads.
        config["deb"] = {"compression": "xz"}
        config["replaces"] = list(package.replaces)
    else:
        config["rpm"] = {
            "summary": package.summary,
            "compression": "zstd",
            "buildhost": "localhost",
            "group": "System Environment/Daemons",
        }
    return config


def _change(package: Package) -> dict[str, Any]:
    """What nfpm makes the changelog of a package of, in the form of each format."""
    return {
        "semver": f"{package.version}-{_RELEASE}",
        "date": _rfc3339(package.epoch),
        "packager": MAINTAINER,
        "deb": {"urgency": "medium", "distributions": ["stable"]},
        "changes": [{"note": f"See {CHANGES} for what has changed."}],
    }


def _content(entry: Entry, form: str) -> dict[str, Any]:
    content: dict[str, Any] = {"dst": entry.target}
    if entry.source:
        content["src"] = entry.source
    # Only rpm has a mark for documentation, which who wants none can leave out.
    is_documentation = form == "rpm" and entry.target.startswith(DOCUMENTATION)
    if kind := entry.kind or ("doc" if is_documentation else ""):
        content["type"] = kind
    information: dict[str, Any] = {"group": entry.group}
    # nfpm would give a link the mode of a file that is there where the build runs.
    if mode := 0o777 if entry.kind == "symlink" else entry.mode:
        information["mode"] = mode
    if entry.kind != "tree":
        content["file_info"] = information
    return content


def _rfc3339(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")
