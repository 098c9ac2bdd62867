"""``netwatch signatures publish``: makes, signs and renews a repository of sets."""

import argparse
import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch import __version__
from netwatch.cli.group import Group
from netwatch.cli.printing import print_line, print_message
from netwatch.cli.publish_options import days, release
from netwatch.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from netwatch.updates.repository import Repository

_COMMAND = "netwatch signatures publish"
_ROLES = ("root", "targets", "snapshot", "timestamp")
_EXAMPLES = """examples:
  netwatch signatures publish --init --repository sets --keys keys    keys and an empty repository
  netwatch signatures publish signatures/ --repository sets --keys keys --expires 90d
  netwatch signatures publish --refresh --repository sets --keys keys  sign the timestamp anew
  netwatch signatures publish --rotate targets --repository sets --keys keys

Serve the folder of the repository with any web server, or copy it. Hand metadata/1.root.json to
subscribers over a trusted channel, and put the key of the root away.

exit status: 0 done; 1 a file could not be read or written, or a key is missing; 2 usage error, or
the signatures have problems, each shown as file:line: problem
"""


def add(group: Group) -> None:
    """Add the subcommand."""
    parser = group.command(
        "publish",
        publish,
        "publish signatures and bans as a signed set",
        _EXAMPLES,
        table=False,
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        help="the signatures: a folder with apps/ and bans/",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--init", action="store_true", help="make keys and an empty repository")
    what.add_argument(
        "--refresh",
        action="store_true",
        help="sign the timestamp anew, which needs no other key, and publish nothing",
    )
    what.add_argument(
        "--rotate",
        metavar="ROLE",
        action="append",
        choices=_ROLES,
        help="replace the key of a role (root, targets, snapshot, timestamp); may be repeated",
    )
    parser.add_argument(
        "--repository", metavar="DIR", required=True, help="the folder of the repository"
    )
    parser.add_argument(
        "--keys", metavar="DIR", required=True, help="the folder of the private keys"
    )
    parser.add_argument(
        "--expires",
        metavar="DAYS",
        type=days,
        help="for how long the set is valid (default 90d)",
    )
    parser.add_argument(
        "--timestamp-expires",
        metavar="DAYS",
        type=days,
        help="for how long the timestamp is valid: for so long can newer sets be hidden, and so"
        " often has it to be signed anew (default 14d)",
    )
    parser.add_argument(
        "--requires",
        metavar="RELEASE",
        type=release,
        default=__version__,
        help=f"the least netwatch that can read the set (default {__version__})",
    )


def publish(args: argparse.Namespace) -> int:
    """Run the command; the exit status. Raises `ConfigError` and `NetwatchError`."""
    # Not at the top, because most commands of the group need none of it.
    from netwatch.updates.publish import DEFAULT_LIFE, DEFAULT_TIMESTAMP_LIFE, read_examined
    from netwatch.updates.update import require_tuf

    if bool(args.folder) == bool(args.init or args.refresh or args.rotate):
        message = "expected either FOLDER, or one of --init, --refresh and --rotate"
        raise ConfigError([Problem(_COMMAND, 0, 0, message)])
    require_tuf(_COMMAND)
    from netwatch.updates.keys import KeyFolder
    from netwatch.updates.repository import Repository

    repository = Repository(Path(args.repository), KeyFolder(Path(args.keys)))
    timestamp_life = args.timestamp_expires or DEFAULT_TIMESTAMP_LIFE
    if args.init:
        _print_root(repository.create())
        return 0
    if args.rotate:
        _print_root(repository.rotate(args.rotate, timestamp_life))
    elif args.refresh:
        print_line(f"timestamp valid until {_time(repository.refresh(timestamp_life))}")
    else:
        files = read_examined(Path(args.folder))
        life = args.expires or DEFAULT_LIFE
        _publish(repository, files, (life, timestamp_life), args.requires)
    if repository.root_expires_soon():
        expires = _time(repository.root().signed.expires)
        print_message(
            f"netwatch: the root expires at {expires}: --rotate timestamp makes one that is valid"
            " for longer"
        )
    return 0


def _publish(
    repository: "Repository",
    files: dict[str, bytes],
    lives: tuple[timedelta, timedelta],
    release: str,
) -> None:
    from netwatch.updates.set_format import set_hash, time_text

    manifest = repository.publish(files, *lives, release)
    print_line(
        f"published set {manifest.version} ({set_hash(manifest.to_bytes())}),"
        f" {len(files)} files, valid until {time_text(manifest.expires)}"
    )


def _print_root(path: Path) -> None:
    """Print where a root is, and the hash by which subscribers can compare theirs."""
    print_line(f"{path}  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def _time(time: datetime) -> str:
    from netwatch.updates.set_format import time_text

    return time_text(time)
