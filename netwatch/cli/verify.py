"""``netwatch verify``: evidence captures read again by scapy and dpkt."""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwatch.cli import COMMANDS
from netwatch.cli.printing import print_line, print_message, print_record
from netwatch.config import load
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.tabular import aligned
from netwatch.core.text import quantity
from netwatch.core.user_yaml import read_user_file
from netwatch.formats.values import rfc3339
from netwatch.store.options import require_extra

_Find = Callable[[str], Mapping[str, Any] | None]

MAX_FILES = 100_000
"""Files of the given folders, at most."""

_EXAMPLES = """examples:
  netwatch scan office.pcap --evidence proof --format jsonl -o alerts.jsonl
  netwatch verify proof                        every capture of the folder
  netwatch verify proof --alerts alerts.jsonl  also against the alerts
  netwatch verify proof --store-path kept      the same with the alerts of a store
  netwatch verify proof/20230320T081241Z-b344cb62f6ee490184da18b4c3fcea2d.pcapng --format jsonl

exit status: 0 every piece of evidence is shown; 1 a file cannot be read, or neither reader reads
such packets; 2 usage error; 3 a packet does not show what the incident claims
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; `parents` have the common options."""
    parser = groups.add_parser(
        "verify",
        help=COMMANDS["verify"].summary,
        description="Reads evidence captures again with scapy and with dpkt, which share no code"
        " with the readers of netwatch, and shows for each piece of evidence whether that packet"
        " shows that name from that device at that time. Lines of logs are looked for in the log"
        " itself.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="an evidence capture or lines of logs, as `scan --evidence` writes them, or a folder"
        " of them",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--alerts",
        metavar="FILE",
        help="alerts as JSON lines; each capture must show what the alert of its incident claims",
    )
    source.add_argument(
        "--store-path",
        metavar="URL",
        help="the same with the alerts of a store, a folder or a URL",
    )
    parser.add_argument(
        "--format", choices=("table", "jsonl"), default="table", help="format (default table)"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print only what is not shown, and no summary"
    )
    parser.set_defaults(func=verify)


def verify(args: argparse.Namespace) -> int:
    """Run ``netwatch verify``; returns the exit status."""
    from netwatch.verify.dpkt_reader import DpktReader
    from netwatch.verify.scapy_reader import ScapyReader

    find = _finder(args)
    readers = (ScapyReader(), DpktReader())
    results: Counter[str] = Counter()
    files = failed = 0
    for path in _files(args.files):
        files += 1
        try:
            records = list(_records(path, find, readers))
        except NetwatchError as error:
            print_message(f"netwatch: {path}: {error}")
            failed += 1
            continue
        results.update(record["result"] for record in records)
        if args.quiet:
            records = [record for record in records if record["result"] != "shown"]
        if args.format == "jsonl":
            for record in records:
                print_record(record)
        elif records:
            _print(path, records)
    if not args.quiet:
        _summary(files, failed, results)
    if results["differs"] or results["missing"]:
        return 3
    return 1 if failed or results["unread"] else 0


def _files(paths: Sequence[str]) -> Iterator[Path]:
    """The files, and those in folders, in the order of their names. Raises `NetwatchError` for a
    folder without any."""
    for text in paths:
        path = Path(text)
        if not path.is_dir():
            yield path
            continue
        inside = sorted([*path.glob("*.pcapng"), *path.glob("*.lines")])[:MAX_FILES]
        if not inside:
            raise NetwatchError(
                f"{path}: expected evidence captures (*.pcapng) or lines (*.lines), found none"
            )
        yield from inside


def _finder(args: argparse.Namespace) -> _Find | None:
    """How to find the alert of an incident by its id; None if captures are only compared with
    themselves. Raises `ConfigError` and `NetwatchError`."""
    if args.alerts:
        return _alerts(args.alerts).get
    if args.store_path is None:
        return None
    from netwatch.cli.store import chosen_store
    from netwatch.explain.stored import from_store

    require_extra("netwatch verify")
    options = chosen_store(args, load(args.config).store)

    def find(identifier: str) -> Mapping[str, Any] | None:
        try:
            return from_store(options, identifier).record
        except ConfigError:
            return None

    return find


def _alerts(name: str) -> dict[str, Mapping[str, Any]]:
    """The last record of each alert, by its id. Raises `NetwatchError`."""
    path = Path(name)
    records: dict[str, Mapping[str, Any]] = {}
    try:
        lines = read_user_file(path).splitlines()
    except NetwatchError as error:
        raise NetwatchError(f"{path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise NetwatchError(f"{path}:{number}: expected an alert as a line of JSON")
        if isinstance(record.get("id"), str) and "evidence" in record:
            records[record["id"]] = record
    return records


def _records(path: Path, find: _Find | None, readers: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """A record for each piece of evidence of a file. Raises `NetwatchError`."""
    if path.suffix == ".lines":
        yield from _records_of_lines(path)
        return
    from netwatch.verify.against_alert import differences
    from netwatch.verify.check import check
    from netwatch.verify.evidence_file import claims_of, read_evidence_file
    from netwatch.verify.flows import Flows

    file = read_evidence_file(path)
    claims = claims_of(path.name, file)
    flows = [Flows(reader, file.packets) for reader in readers]
    found = list(check(file, claims, flows))
    if find is not None:
        alerts = [alert for incident in sorted(claims.incidents) if (alert := find(incident))]
        if not alerts:
            print_message(f"netwatch: {path}: there is no alert of its incident")
        for alert in alerts:
            found += differences(alert, file, claims, flows)
    for item in found:
        contact, client = item.contact, item.contact.client
        frame = None if item.frame is None else file.packets[item.frame]
        yield {
            "file": str(path),
            "incident": contact.incident,
            "result": item.result,
            "evidence": contact.type,
            "name": contact.name,
            "time": None if frame is None else rfc3339(frame.time, 9),
            "client": None
            if client is None
            else {"ip": client.ip, "mac": client.mac, "vlan": client.vlan},
            "source": item.source or None,
            "packet": item.number or None,
            "file_packet": None if item.frame is None else item.frame + 1,
            "readers": item.readers,
            "bindings": [at + 1 for at in item.bindings],
            "expected": item.expected or None,
            "found": item.found or None,
        }


def _records_of_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The same for a file of log lines. Raises `NetwatchError`."""
    from netwatch.verify.log_lines import check_lines, read_lines

    for line in check_lines(*read_lines(path)):
        piece = line.piece
        yield {
            "file": str(path),
            "incident": piece.incident,
            "result": line.result,
            "evidence": piece.type,
            "name": piece.name,
            "time": piece.time or None,
            "client": {"ip": piece.client, "mac": None, "vlan": None} if piece.client else None,
            "source": piece.source,
            "packet": None,
            "line": piece.number,
            "file_packet": None,
            "readers": {"the log": line.result} if line.result != "unread" else {},
            "bindings": [],
            "expected": line.expected or None,
            "found": line.found or None,
        }


def _print(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """The pieces of one file as aligned columns; differences are below their piece."""
    print_line(f"{path}")
    for record, line in zip(records, aligned(map(_row, records)), strict=True):
        print_line(f"  {line}".rstrip())
        if record["expected"]:
            print_line(f"      expected  {record['expected']}")
            print_line(f"      found     {record['found']}")


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    client = record["client"] or {}
    vlan = None if client.get("vlan") is None else f"VLAN {client['vlan']}"
    by = [name for name, result in record["readers"].items() if result == "shown"]
    place = f"packet {record['file_packet']}" if record["file_packet"] else ""
    if "line" in record:
        place = f"line {record['line']:,}"
    return (
        record["result"].upper() if record["result"] != "shown" else "shown",
        record["evidence"],
        record["name"],
        " ".join(filter(None, (client.get("ip"), client.get("mac"), vlan))),
        record["time"] or "",
        place,
        f"by {' and '.join(by)}" if by else "",
    )


def _summary(files: int, failed: int, results: Counter[str]) -> None:
    pieces = quantity(results.total(), "piece")
    text = f"{pieces} of evidence in {quantity(files - failed, 'file')}: {results['shown']:,} shown"
    for result, words in (
        ("differs", "differ"),
        ("missing", "missing"),
        ("unread", "that could not be read"),
    ):
        if results[result]:
            text += f", {results[result]:,} {words}"
    if failed:
        text += f"; {quantity(failed, 'file')} could not be read"
    print_message(text)
