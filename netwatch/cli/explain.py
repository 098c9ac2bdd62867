"""``netwatch explain``: one incident as a page, every step from the packet to the clause.

With ``--subject`` it is the page for the person concerned, with ``--packets`` the packets of the
incident as scapy prints them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from netwatch.cli import COMMANDS
from netwatch.cli.group import add_language_option, add_store_option
from netwatch.cli.printing import print_line, print_record
from netwatch.cli.store import chosen_store
from netwatch.config import Config, load
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.explain.page import as_record, page
from netwatch.explain.sources import Found, explanation, from_alerts
from netwatch.explain.steps import Explanation
from netwatch.explain.subject import CATALOGUES, notice_of, subject_page, with_words, zone_of_ban
from netwatch.explain.wording import exemptions_asked
from netwatch.language.language import language
from netwatch.store.options import require_extra

_EXAMPLES = """examples:
  netwatch explain b344cb62                     from the store of this user
  netwatch explain b344cb62 --store-path /var/lib/netwatch/store
  netwatch explain b344cb62 --alerts alerts.jsonl
  netwatch scan office.pcap --format jsonl | netwatch explain b344cb62 --alerts -
  netwatch explain b344cb62 --alerts alerts.jsonl --subject --lang nl
  netwatch explain b344cb62 --alerts alerts.jsonl --packets
  netwatch explain proof/20230320T081241Z-b344cb62f6ee490184da18b4c3fcea2d.pcapng

exit status: 0 done; 1 the source cannot be read; 2 there is no such incident, or usage or
configuration error
"""


def subject_lines(incident: Explanation, config: Config, code: str) -> Iterator[str]:
    """The page for the person concerned, in the language `code`."""
    zone = zone_of_ban(incident.ban.id, config)
    told = with_words(incident, config, code)
    return subject_page(told, notice_of(config), zone, language(code, CATALOGUES))


def packet_lines(incident: Explanation, capture: str | None) -> Iterator[str]:
    """The packets that prove an incident: those in its evidence capture, which may be `capture`,
    otherwise those that its evidence names in the scanned captures. Raises `NetwatchError` if there
    are neither."""
    from netwatch.verify.evidence_file import claims_of, read_evidence_file
    from netwatch.verify.show import Named, capture_lines, evidence_lines

    proof = incident.evidence_file or capture
    if proof:
        path = Path(proof)
        try:
            file = read_evidence_file(path)
            claims = claims_of(path.name, file)
        except NetwatchError as error:
            raise NetwatchError(f"{path}: {error}") from None
        yield str(path)
        yield from evidence_lines(file, claims, incident.id)
        return
    by_source: dict[str, list[Named]] = {}
    for contact in incident.contacts:
        if not contact.log:
            place = contact.packet.source, contact.packet.number
            by_source.setdefault(place[0], []).append(Named(contact.evidence, contact.name, *place))
    found = [source for source in by_source if Path(source).is_file()]
    if not found:
        sources = ", ".join(by_source) or "logs"
        raise NetwatchError(
            f"incident {incident.id}: expected an evidence capture (scan --evidence) or the"
            f" captures that were read; there is none, and no file {sources}"
        )
    for source in found:
        yield source
        yield from capture_lines(Path(source), by_source[source])


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; `parents` have the common options."""
    parser = groups.add_parser(
        "explain",
        help=COMMANDS["explain"].summary,
        description="Shows one incident as a page: every step from the packet to the clause, what"
        " it does not prove, and what would refute it.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    parser.add_argument(
        "id",
        metavar="ID",
        help="the id of an incident, or its beginning; or only an evidence capture",
    )
    parser.add_argument(
        "capture",
        metavar="CAPTURE",
        nargs="?",
        help="the evidence capture of the incident, which is judged again by the configuration",
    )
    parser.add_argument(
        "--alerts", metavar="FILE", help="read alerts that were written as JSON lines; - is a pipe"
    )
    add_store_option(parser)
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="a page, or its values as one line of JSON (default text)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--subject",
        action="store_true",
        help="one page in plain words for the person concerned",
    )
    which.add_argument(
        "--packets",
        action="store_true",
        help="the packets that prove the incident, as scapy prints their layers",
    )
    add_language_option(parser, "--subject")
    parser.set_defaults(func=explain)


def explain(args: argparse.Namespace) -> int:
    """Run ``netwatch explain`` and return the exit status."""
    config = load(args.config)
    found = _found(args, config)
    exemptions = exemptions_asked(found.record, config.policy)
    incident = explanation(found.record, found.files, exemptions, found.hidden)
    notes = [*found.notes, *_other_configuration(incident, config)]
    if args.format == "jsonl":
        print_record(as_record(incident, found.origin, notes))
        return 0
    lines = page(incident, found.origin, notes)
    if args.subject:
        lines = subject_lines(incident, config, args.lang)
    elif args.packets:
        lines = packet_lines(incident, found.origin if found.origin in found.files else None)
    for line in lines:
        print_line(line)
    return 0


def _found(args: argparse.Namespace, config: Config) -> Found:
    """The requested incident. Raises `ConfigError` and `NetwatchError`."""
    given = [
        name
        for name, value in (
            ("CAPTURE", args.capture),
            ("--alerts", args.alerts),
            ("--store-path", args.store_path),
        )
        if value is not None
    ]
    if len(given) > 1:
        message = f"expected one source, found {' and '.join(given)}"
        raise ConfigError.of("netwatch explain", message)
    if args.alerts == "-":
        return from_alerts(sys.stdin, "standard input", args.id)
    if args.alerts is not None:
        try:
            with Path(args.alerts).open(encoding="utf-8", errors="surrogateescape") as stream:
                return from_alerts(stream, args.alerts, args.id)
        except OSError as error:
            raise NetwatchError(f"{args.alerts}: {error.strerror}") from None
    is_path = not given and Path(args.id).is_file()
    if args.capture is not None or is_path:
        from netwatch.explain.sources import from_evidence

        path, wanted = (args.id, "") if is_path else (args.capture, args.id)
        return from_evidence(path, wanted, config)
    require_extra("netwatch explain")
    from netwatch.explain.stored import from_store

    return from_store(chosen_store(args, config.store), args.id)


def _other_configuration(incident: Explanation, config: Config) -> list[str]:
    """A sentence if the current configuration is not the one that decided."""
    decided = incident.versions.get("configuration")
    if not decided or decided == config.sensor.policy:
        return []
    return [
        f"The exemptions come from the current configuration ({config.sensor.policy}), not from"
        f" the configuration that decided ({decided})."
    ]
