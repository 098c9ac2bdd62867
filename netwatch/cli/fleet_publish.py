"""``netwatch fleet publish``: signs a set or a configuration for the sensors of a fleet."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch import __version__
from netwatch.cli.group import Group
from netwatch.cli.printing import print_columns, print_line, print_record
from netwatch.cli.publish_options import days, release
from netwatch.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from netwatch.fleet.publications import Publications, Published

_COMMAND = "netwatch fleet publish"
_EXAMPLES = """examples:
  netwatch fleet publish sensors/netwatch.yaml            a configuration, for all sensors
  netwatch fleet publish signatures/ --to ghent-1         a set, for one sensor first
  netwatch fleet publish signatures/ sensors/netwatch.yaml --dry-run
  netwatch fleet publish --list                           what was published, and until when

A file is a configuration: it has only keys that can be published (networks, devices, bans,
exemptions, signatures, search_suffixes, sinkholes, incidents, retention), and the files that it
names are below its folder. A folder with apps/ and bans/ is a set. Both are examined first, as
'policy check' and 'signatures lint' do. The running centre sends what was published; 'netwatch
fleet status' shows which sensors have applied it, and why one has not.

exit status: 0 done; 1 a file could not be read or written; 2 usage or configuration error, or what
was to be published has problems, each shown as file:line: problem
"""


def add(group: Group) -> None:
    """Add the subcommand."""
    parser = group.command(
        "publish", publish, "publish signatures and configurations to sensors", _EXAMPLES
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="a configuration (netwatch.yaml), or a folder of signatures with apps/ and bans/",
    )
    parser.add_argument(
        "--to",
        metavar="SENSOR",
        default="all",
        help="the sensor that it is for (default: all sensors)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="examine it, and publish nothing")
    what.add_argument("--list", action="store_true", help="show what was published")
    parser.add_argument(
        "--expires",
        metavar="DAYS",
        type=days,
        help="for how long sensors may apply it; what they have applied stays in use (default"
        " 365d)",
    )
    parser.add_argument(
        "--requires",
        metavar="RELEASE",
        type=release,
        default=__version__,
        help=f"the least netwatch that can read it (default {__version__})",
    )


def publish(args: argparse.Namespace) -> int:
    """Run the command; the exit status. Raises `ConfigError` and `NetwatchError`."""
    from netwatch.fleet.subjects import published_keys
    from netwatch.updates.update import require_tuf

    if bool(args.paths) == args.list:
        raise _usage("expected either PATH, a configuration or a folder of signatures, or --list")
    require_tuf(_COMMAND)
    publications, enrolled = _centre(args.config)
    if args.list:
        _print_list(args, publications)
        return 0
    if args.to != "all" and args.to not in enrolled:
        known = ", ".join(enrolled) or "none is"
        raise _usage(f"--to: expected 'all' or a sensor that is enrolled ({known}), found"
                     f" '{args.to}'")  # fmt: skip
    audience = published_keys(args.to)[args.to != "all"]
    files = _examined([Path(path) for path in args.paths], publications, audience)
    for kind, content in files.items():
        if args.dry_run:
            _print_examined(args, kind, content)
            continue
        life = {"life": args.expires} if args.expires else {}
        published = publications.publish(kind, audience, content, release=args.requires, **life)
        _print_published(args, published)
    return 0


def _centre(path: str | None) -> "tuple[Publications, list[str]]":
    """What was published by the centre of this configuration, and the sensors that it knows."""
    from netwatch.config import load
    from netwatch.fleet.centre_folder import CentreFolder
    from netwatch.fleet.publications import open_publications

    config = load(path)
    if config.fleet is None or config.fleet.server is None:
        place = config.path or "netwatch.yaml"
        raise ConfigError([Problem(place, 0, 0, f"{_COMMAND} needs 'fleet' with 'server': expected"
                                                " the configuration of a centre")])  # fmt: skip
    folder = CentreFolder(config.fleet)
    folder.prepare()
    return open_publications(folder.path), [each.name for each in folder.sensors()]


def _examined(
    paths: Sequence[Path], publications: "Publications", audience: str
) -> dict[str, dict[str, bytes]]:
    """The files of each kind, sets first, after they were examined together with what is in use."""
    from netwatch.fleet.publications import collect_configuration, examine_files
    from netwatch.updates.publish import read_examined

    found: dict[str, dict[str, bytes]] = {}
    shown = Path()
    for path in paths:
        kind = "set" if path.is_dir() else "configuration"
        if kind in found:
            raise _usage(f"expected one {kind}, found two, the second in {path}")
        found[kind] = read_examined(path) if path.is_dir() else collect_configuration(path)
        shown = shown if path.is_dir() else path.parent
    set_files = found.get("set") or publications.newest("set", audience)
    if "configuration" in found:
        examine_files(found["configuration"], shown, set_files)
    elif (current := publications.newest("configuration", audience)) is not None:
        # A set must not leave behind a configuration that names what it does not have.
        examine_files(current, Path("(the configuration that was published)"), set_files)
    return {kind: found[kind] for kind in ("set", "configuration") if kind in found}


def _print_examined(args: argparse.Namespace, kind: str, files: Mapping[str, bytes]) -> None:
    size = sum(map(len, files.values()))
    if args.format == "jsonl":
        print_record({"kind": kind, "published": False, "files": sorted(files), "bytes": size})
    else:
        print_line(f"{kind}: valid, {len(files)} files, {size:,} bytes; not published")


def _print_published(args: argparse.Namespace, published: "Published") -> None:
    from netwatch.updates.set_format import time_text

    if args.format == "jsonl":
        print_record({**_record(published), "published": True})
        return
    expires = time_text(published.bundle.manifest.expires)
    print_line(
        f"published {published.bundle.describe()}, {len(published.data):,} bytes, valid until"
        f" {expires}; the running centre sends it"
    )


def _print_list(args: argparse.Namespace, publications: "Publications") -> None:
    from netwatch.fleet.subjects import audience_text
    from netwatch.updates.set_format import time_text

    now = datetime.now(UTC)
    rows = [("kind", "version", "for", "hash", "published", "valid until", "bytes")]
    for each in publications.listing():
        if args.format == "jsonl":
            print_record(_record(each))
            continue
        manifest = each.bundle.manifest
        expired = " (expired)" if now >= manifest.expires else ""
        rows.append(
            (
                each.bundle.kind,
                str(manifest.version),
                audience_text(each.bundle.audience),
                each.bundle.hash,
                time_text(manifest.created),
                time_text(manifest.expires) + expired,
                str(len(each.data)),
            )
        )
    if args.format != "jsonl":
        print_columns(rows) if len(rows) > 1 else print_line("nothing was published yet")


def _record(published: "Published") -> dict[str, Any]:
    from netwatch.updates.set_format import time_text

    bundle, manifest = published.bundle, published.bundle.manifest
    return {
        "kind": bundle.kind,
        "version": manifest.version,
        "to": bundle.audience.removeprefix("sensor."),
        "hash": bundle.hash,
        "created": time_text(manifest.created),
        "expires": time_text(manifest.expires),
        "requires": manifest.netwatch,
        "files": sorted(manifest.files),
        "bytes": len(published.data),
    }


def _usage(message: str) -> ConfigError:
    return ConfigError([Problem(_COMMAND, 0, 0, message)])
