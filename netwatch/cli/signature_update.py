"""``netwatch signatures update`` and ``publish``: a signed set of signatures and bans is installed;
a repository of sets is made, signed and renewed.
"""

import argparse
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch import __version__
from netwatch.cli.group import Group, days, release
from netwatch.cli.printing import print_line, print_message, print_record
from netwatch.core.errors import ConfigError

if TYPE_CHECKING:
    from netwatch.updates.options import UpdateOptions
    from netwatch.updates.repository import Repository
    from netwatch.updates.set_format import Installed
    from netwatch.updates.update import UpdateResult

_COMMAND = "netwatch signatures update"
_EXAMPLES = """examples:
  netwatch signatures update                        from the repository of the configuration
  netwatch signatures update --check                is there a newer set?
  netwatch signatures update --from /media/usb/sets  from a folder or a tar archive, offline
  netwatch signatures update --rollback             return to the set before
  netwatch signatures update --yes                  also a set that accuses many devices
  netwatch signatures update --url https://updates.example/sets/ --root root.json

exit status: 0 installed, or nothing newer; 1 the set was refused or held back, or the repository
could not be read; 2 usage or configuration error
"""

_PUBLISH = "netwatch signatures publish"
_ROLES = ("root", "targets", "snapshot", "timestamp")
_PUBLISH_EXAMPLES = """examples:
  netwatch signatures publish --init --repository sets --keys keys    keys and an empty repository
  netwatch signatures publish signatures/ --repository sets --keys keys --expires 90d
  netwatch signatures publish --refresh --repository sets --keys keys  sign the timestamp again
  netwatch signatures publish --rotate targets --repository sets --keys keys

Serve the folder of the repository with any web server, or copy it. Hand metadata/1.root.json to
subscribers over a trusted channel, and put the key of the root away.

exit status: 0 done; 1 a file could not be read or written, or a key is missing; 2 usage error, or
the signatures have problems, each shown as file:line: problem
"""


def add(group: Group) -> None:
    """Add the subcommand."""
    parser = group.command(
        "update", update, "install the newest signed set of signatures and bans", _EXAMPLES
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--url", metavar="URL", help="the repository (default: the configuration's)"
    )
    source.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="a folder or a tar archive with a copy of the repository",
    )
    source.add_argument(
        "--rollback", action="store_true", help="return to the set that was in use before"
    )
    parser.add_argument(
        "--root",
        metavar="FILE",
        help="the trusted root, obtained over a trusted channel (default: the configuration's)",
    )
    parser.add_argument(
        "--sets-folder",
        metavar="DIR",
        help="where sets are installed (default: the configuration's, or"
        " /var/lib/netwatch/sets, for users in their data folder)",
    )
    parser.add_argument(
        "--check", action="store_true", help="show whether there is a newer set, install nothing"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="install even a set that was rolled back",
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="install also a set that would have accused more devices than 'updates: ask_above'",
    )


def update(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status. Raises `ConfigError` and `NetwatchError`."""
    # Not at the top, because most commands of the group need none of it.
    from netwatch.config import examine_set, load_store
    from netwatch.updates import update as updates
    from netwatch.updates.update import weigh

    options, configured = _options(args)
    if args.rollback:
        return _rollback(args, options)
    if not (args.source or args.url or options.url):
        raise _usage("expected a repository: --url, --from, or 'updates: url' in the configuration")
    updates.require_tuf(_COMMAND)
    mode = updates.Mode(
        only_check=args.check,
        again=args.again and not args.check,
        examine=partial(examine_set, args.config) if configured else None,
        weigh=partial(weigh, args.config) if configured and load_store(args.config) else None,
        accepted=args.yes,
    )
    result = updates.update(options, args.source or args.url or "", mode)
    _print(args, result)
    return 1 if result.outcome == "held-back" else 0


def _rollback(args: argparse.Namespace, options: "UpdateOptions") -> int:
    from netwatch.updates.update import rollback

    if args.check or args.again:
        raise _usage("expected --rollback without --check and --again")
    installed = rollback(options)
    if args.format == "jsonl":
        print_record({"outcome": "rolled-back", "set": _record(installed), "offered": None})
    else:
        print_line(f"returned to {installed.describe()}")
    return 0


def _options(args: argparse.Namespace) -> tuple["UpdateOptions", bool]:
    """The options of the configuration, overridden by the arguments, and whether the configuration
    has any."""
    from netwatch.config import load_updates
    from netwatch.updates.options import UpdateOptions, default_folder, url_problem

    if args.url and (expected := url_problem(args.url)):
        raise _usage(f"--url: expected {expected}, found '{args.url}'")
    found = load_updates(args.config, with_installed=False)
    if found is None and not (args.root or args.rollback):
        raise _usage(
            "expected a root of trust: --root, or 'updates: root' in the configuration; netwatch"
            " does not trust a root that comes from the repository"
        )
    options = found.options if found else UpdateOptions("", Path(), 0, default_folder())
    if args.root:
        options = replace(options, root=Path(args.root))
    if args.sets_folder:
        options = replace(options, folder=Path(args.sets_folder))
    return options, found is not None


def _print(args: argparse.Namespace, result: "UpdateResult") -> None:
    from netwatch.config.layers import note_held

    installed = result.installed
    if args.format == "jsonl":
        record = _record(installed) if installed else None
        fields: dict[str, Any] = {
            "outcome": result.outcome,
            "set": record,
            "offered": result.offered,
        }
        if result.held is not None:
            fields |= {"devices": result.held.devices, "apps": result.held.apps}
        print_record(fields)
        return
    in_use = installed.describe() if installed else "none"
    if result.held is not None:
        print_line(f"{note_held(result.held)}; in use: {in_use}")
        return
    texts = {
        "installed": f"installed {in_use}",
        "current": f"up to date: {in_use}",
        "newer": f"set {result.offered} is available; in use: {in_use}",
        "rolled-back": f"set {result.offered} was rolled back, and nothing newer is available"
        f" (--again installs it); in use: {in_use}",
    }
    print_line(texts[result.outcome])


def _record(installed: "Installed") -> dict[str, Any]:
    identity = installed.identity
    return {"version": identity.version, "hash": identity.hash, "expires": identity.expires}


def print_installed(args: argparse.Namespace) -> None:
    """Print which set ``builtin`` stands for, if ``updates`` is configured."""
    from netwatch.config import load_updates

    updates = load_updates(args.config)
    if updates is not None:
        print_message(f"netwatch: builtin is {describe_builtin(updates.installed)}")


def describe_builtin(installed: "Installed | None") -> str:
    """What ``builtin`` stands for, in words."""
    return (
        installed.describe() if installed else "the files that netwatch ships: no set is installed"
    )


def _usage(message: str) -> ConfigError:
    return ConfigError.of(_COMMAND, message)


def add_publish(group: Group) -> None:
    """Add the subcommand."""
    parser = group.command(
        "publish",
        publish,
        "publish signatures and bans as a signed set",
        _PUBLISH_EXAMPLES,
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
        help="sign only the timestamp again, with its key; publish nothing",
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
        help="for how long the timestamp is valid, and newer sets can be withheld; sign it again"
        " before that (default 14d)",
    )
    parser.add_argument(
        "--requires",
        metavar="RELEASE",
        type=release,
        default=__version__,
        help=f"the oldest netwatch that can read the set (default {__version__})",
    )


def publish(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status. Raises `ConfigError` and `NetwatchError`."""
    # Not at the top, because most commands of the group need none of it.
    from netwatch.updates.update import (
        DEFAULT_LIFE,
        DEFAULT_TIMESTAMP_LIFE,
        read_examined,
        require_tuf,
    )

    if bool(args.folder) == bool(args.init or args.refresh or args.rotate):
        message = "expected either FOLDER, or one of --init, --refresh and --rotate"
        raise ConfigError.of(_PUBLISH, message)
    require_tuf(_PUBLISH)
    from netwatch.updates.repository import KeyFolder, Repository

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
    """Print where a root is, and the hash with which subscribers can compare theirs."""
    print_line(f"{path}  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def _time(time: datetime) -> str:
    from netwatch.updates.set_format import time_text

    return time_text(time)
