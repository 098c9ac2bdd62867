"""Says where what is published comes from, and signs it: provenance, checksums and a signature.

`make release` runs this over build/wheels. The provenance is a statement of in-toto (v1) with the
predicate of SLSA (v1): which commit each file was built from, and by which command. SHA256SUMS
lists all files with the provenance, and minisign signs SHA256SUMS. The secret key belongs to
whoever makes the release; the public key stands in SECURITY.md, and the signature is verified with
that one, as users do it.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wheels import ROOT, write_checksums

SUMS = "SHA256SUMS"

SOURCE = "git+https://github.com/netwatch/netwatch"

_PUBLIC_KEY = re.compile(r"^    (RW[0-9A-Za-z+/]{54})$", re.MULTILINE)


class SigningError(Exception):
    """The release cannot be signed; the text says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Sign a folder, or say why not and exit with status 1."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("folder", type=Path, help="what is published")
    parser.add_argument("--key", type=Path, required=True, help="a secret key of minisign")
    parser.add_argument("--security", type=Path, default=ROOT / "SECURITY.md")
    args = parser.parse_args(arguments)
    try:
        sign(args.folder, args.key, args.security, commit_of(ROOT))
    except SigningError as error:
        sys.exit(f"signing: {error}")
    print(f"{args.folder / SUMS}.minisig verifies with the key in {args.security.name}")


def write_provenance(folder: Path, commit: str) -> Path:
    """Write the statement of which commit (40 hex digits) the files of a folder were built from.
    Two calls for the same files write the same bytes."""
    subjects = [
        {"name": path.name, "digest": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}
        for path in sorted(folder.iterdir())
        if not path.name.endswith(".intoto.json")
    ]
    if not subjects:
        raise SigningError(f"{folder} has no files; `make wheels` builds them")
    (sdist, *_) = [*folder.glob("*.tar.gz"), folder / "netwatch.tar.gz"]
    target = folder / f"{sdist.name.removesuffix('.tar.gz')}.intoto.json"
    statement = _statement(subjects, commit)
    target.write_text(json.dumps(statement, indent=2) + "\n", encoding="utf-8")
    return target


def _statement(subjects: list[dict[str, Any]], commit: str) -> dict[str, Any]:
    source = {"uri": SOURCE, "digest": {"gitCommit": commit}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{SOURCE}/blob/main/docs/internals/releasing.md",
                "externalParameters": {"source": source["uri"], "command": "make wheels"},
                "resolvedDependencies": [source],
            },
            # Nobody else attests the build: whoever signs the release has made it, and anyone can
            # repeat it, because two builds of a commit are the same bytes.
            "runDetails": {"builder": {"id": f"{SOURCE}/blob/main/packaging/wheels.py"}},
        },
    }


def sign(folder: Path, key: Path, security: Path, commit: str) -> None:
    """Write the provenance of files that were built from a commit, their checksums and the
    signature, which is verified with the public key in the text `security`. minisign asks for the
    password of an encrypted key. Raises `SigningError`."""
    if shutil.which("minisign") is None:
        raise SigningError("minisign is not installed: apt install minisign")
    public = _PUBLIC_KEY.search(security.read_text(encoding="utf-8"))
    if public is None:
        raise SigningError(
            f"{security.name} has no public key: run `minisign -G`, and put the second line of "
            "minisign.pub there, indented by four spaces"
        )
    sums, signature = folder / SUMS, folder / f"{SUMS}.minisig"
    for former in (sums, signature):
        former.unlink(missing_ok=True)
    write_provenance(folder, commit)
    write_checksums(folder)
    if subprocess.run(["minisign", "-Sm", sums, "-s", key], check=False).returncode:
        raise SigningError(f"minisign did not sign with {key}")
    verify = ["minisign", "-qVm", sums, "-P", public[1]]
    if subprocess.run(verify, check=False).returncode:
        signature.unlink()
        raise SigningError(f"{key} is not the key whose public half is in {security.name}")


def commit_of(root: Path) -> str:
    """The commit of a checkout. Raises `SigningError` where there are changes."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    if git("status", "--porcelain"):
        raise SigningError("the tree has changes: what was built is no commit")
    return git("rev-parse", "HEAD")


if __name__ == "__main__":
    main()
