"""``netwatch demo``: writes the sample captures of an office into a folder, and scans them. It
needs no checkout, no privileges and no network.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from netwatch.cli import build_parser
from netwatch.cli.printing import print_line
from netwatch.core.errors import ConfigError

FOLDER = Path("netwatch-demo")

SAMPLES = ("*.pcap", "devices.csv", "netwatch.yaml")
"""The files that a user gets from the folder of the samples."""

_EXAMPLES = """examples:
  netwatch demo                    write the samples into ./netwatch-demo, and scan them
  netwatch demo /tmp/try           into another new folder

exit status:
  0  the samples were written and scanned
  2  the folder is there already and not empty; nothing was written
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; its `func` returns the exit status."""
    parser = groups.add_parser(
        "demo",
        help="write sample captures into a new folder, and scan them",
        description="Write sample captures and their configuration into a new folder, and scan"
        " them. The traffic is invented: an office of a Belgian federal service in 2023.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        default=FOLDER,
        help=f"the folder, which is created (default {FOLDER})",
    )
    parser.set_defaults(func=_demo)


def _demo(args: argparse.Namespace) -> int:
    folder: Path = args.folder
    copy_samples(folder)
    config = folder / "netwatch.yaml"
    print_line(f"Sample captures and their configuration are in {folder}.")
    print_line(f"$ netwatch scan -c {config} {folder}")
    print_line()
    scan = build_parser(("scan",)).parse_args(["scan", "-c", str(config), str(folder)])
    status = int(scan.func(scan))
    for line in _next_commands(folder, config):
        print_line(line)
    return status


def _next_commands(folder: Path, config: Path) -> list[str]:
    store = f"-c {config} --store-path {folder / 'store'}"
    return [
        "",
        "Next, the names that devices showed; a report and the console need a store:",
        f"  netwatch names {folder / 'office-day.pcap'}",
        f"  netwatch scan {store} {folder}",
        f"  netwatch report {store} --from 2023-03-20 --to 2023-03-21 -o {folder / 'report.html'}",
        f"  netwatch users add {store} --role analyst NAME",
        f"  netwatch serve {store}",
        "and a configuration for your own network:",
        "  netwatch init",
    ]


def copy_samples(folder: Path) -> None:
    """Write the samples into a new or empty folder; raises `ConfigError` for another one."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        message = f"expected a new or empty folder; {folder} has files: netwatch demo FOLDER"
        raise ConfigError.of("netwatch demo", message)
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in SAMPLES:
        for path in _shipped().glob(pattern):
            shutil.copyfile(path, folder / path.name)


def _shipped() -> Path:
    """The folder of the samples: in a checkout it is next to the package."""
    package = Path(__file__).parents[1]
    installed = package / "pcaps"
    return installed if installed.is_dir() else package.parent / "pcaps"
