"""``python -m siem_packages [--check] [-o FOLDER]``: write the packages, or compare them."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from netwatch import __version__
from siem_packages import elastic, grafana, misp, opensearch, sigma, splunk, wazuh
from siem_packages.archive import Files, tar_gz
from siem_packages.tables import ROOT


def packages(moment: int) -> dict[str, bytes]:
    """The content of each file, by its path below the folder of packages. `moment` is the time of
    what is in archives, in seconds since 1970."""
    made: dict[str, Files] = {
        "elastic": elastic.files(),
        "grafana": grafana.files(),
        "misp": misp.files(moment),
        "opensearch": opensearch.files(),
        "sigma": sigma.files(),
        "splunk": splunk.files(),
        "wazuh": wazuh.files(),
    }
    folders = {"splunk": splunk.APP}
    return {
        f"netwatch-{name}-{__version__}.tar.gz": tar_gz(
            files, folders.get(name, f"netwatch-{name}"), moment
        )
        for name, files in made.items()
    }


def _moment() -> int:
    """SOURCE_DATE_EPOCH, otherwise the time of the last commit."""
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(epoch)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    """Write, or with ``--check`` compare; 1 if a file was missing, different or left over."""
    parser = argparse.ArgumentParser(prog="siem_packages", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if out of date")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "siem")
    args = parser.parse_args()
    made = {args.output / name: content for name, content in packages(_moment()).items()}
    there = {path for path in args.output.rglob("*") if path.is_file()}
    stale = sorted(there - set(made))
    for path, content in sorted(made.items()):
        if path not in there or path.read_bytes() != content:
            stale.append(path)
            if not args.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    for path in stale:
        if path not in made and not args.check:
            path.unlink()
        print(f"{path}: {'out of date, run: make siem' if args.check else 'updated'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
