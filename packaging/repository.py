"""Makes the repositories that `apt` and `dnf` install from, of the packages in build/packages.

`make repository GPG_KEY=…` writes build/repository: the folder `apt` (by reprepro), the folder
`dnf` (by createrepo_c), `netwatch.asc` with the public key, and a file for each that a user puts
into the system. Serve the folder by any web server. Called again with later packages, it adds them:
dnf can go back to an earlier version, and apt sees only the last one, because reprepro keeps one.

Both indexes and each rpm are signed by GPG; of debs the index has the checksums. The secret key is
in the keyring of whoever calls this.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_PROGRAMS = {"gpg": "gnupg", "reprepro": "reprepro", "createrepo_c": "createrepo-c",
             "rpmsign": "rpm", "dpkg-deb": "dpkg"}  # fmt: skip

_SOURCES = """\
Types: deb
URIs: {url}/apt
Suites: stable
Components: main
Signed-By: /etc/apt/keyrings/netwatch.asc
"""

_REPO = """\
[netwatch]
name=netwatch
baseurl={url}/dnf
enabled=1
gpgcheck=1
repo_gpgcheck=1
gpgkey={url}/netwatch.asc
"""

_DISTRIBUTION = """\
Origin: netwatch
Label: netwatch
Suite: stable
Codename: stable
Architectures: {architectures}
Components: main
Description: Tells whether apps were used where a ban applies
SignWith: {key}
"""


class RepositoryError(Exception):
    """The repository cannot be made; the text says why."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the repositories, or say why not and exit with status 1."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--packages", type=Path, default=ROOT / "build" / "packages")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "repository")
    parser.add_argument("--key", required=True, help="the fingerprint of a secret key of GPG")
    parser.add_argument("--url", required=True, help="where the output will be served")
    args = parser.parse_args(arguments)
    try:
        make(args.packages, args.output, args.key, args.url.rstrip("/"))
    except RepositoryError as error:
        sys.exit(f"repository: {error}")
    print(f"Serve {args.output} at {args.url}; docs/guides/install.md says what users type.")


def make(packages: Path, output: Path, key: str, url: str) -> None:
    """Add the packages of a folder to the repositories in `output`. Raises `RepositoryError`."""
    missing = [name for program, name in _PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise RepositoryError(f"programs are missing: apt install {' '.join(missing)}")
    debs, rpms = sorted(packages.glob("*.deb")), sorted(packages.glob("*.rpm"))
    if not debs or not rpms:
        raise RepositoryError(f"{packages} has no deb and rpm; `make packages` builds them")
    output.mkdir(parents=True, exist_ok=True)
    (output / "netwatch.asc").write_text(_run("gpg", "--batch", "--armor", "--export", key))
    _add_debs(debs, output, key)
    _add_rpms(rpms, output / "dnf", key)
    (output / "netwatch.sources").write_text(_SOURCES.format(url=url))
    (output / "netwatch.repo").write_text(_REPO.format(url=url))


def _add_debs(debs: Sequence[Path], output: Path, key: str) -> None:
    apt = output / "apt"
    # What reprepro keeps for itself is not served.
    state = output.with_name(f"{output.name}.reprepro")
    (state / "conf").mkdir(parents=True, exist_ok=True)
    found = {_run("dpkg-deb", "--field", str(deb), "Architecture").strip() for deb in debs}
    text = _DISTRIBUTION.format(architectures=" ".join(sorted(found)), key=key)
    (state / "conf" / "distributions").write_text(text)
    places = ("--confdir", str(state / "conf"), "--dbdir", str(state / "db"))
    paths = map(str, debs)
    _run("reprepro", "--silent", *places, "--outdir", str(apt), "includedeb", "stable", *paths)


def _add_rpms(rpms: Sequence[Path], folder: Path, key: str) -> None:
    folder.mkdir(exist_ok=True)
    for rpm in rpms:
        target = folder / rpm.name
        # A package that a user may have is not signed again: its bytes would change.
        if not target.exists():
            part = target.with_suffix(".part")
            shutil.copy(rpm, part)
            _run("rpmsign", "--define", f"_gpg_name {key}", "--addsign", str(part))
            part.replace(target)
    _run("createrepo_c", "--quiet", "--update", str(folder))
    index = folder / "repodata" / "repomd.xml"
    signature = index.with_name("repomd.xml.asc")
    signature.unlink(missing_ok=True)
    _run("gpg", "--batch", "--local-user", key, "--armor", "--detach-sign", str(index))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RepositoryError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


if __name__ == "__main__":
    main()
