"""``netwatch init``: asks five questions and writes a first ``netwatch.yaml``, with comments on
what to change.

Each question has an option, so that a script needs no terminal. A capture or an interface gives
proposals, which are used for what is neither given nor asked.
"""

import argparse
import ipaddress
import os
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.cli import COMMANDS
from netwatch.cli.printing import ask, print_line, print_message
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.text import quantity
from netwatch.engine.site_survey import PRIVATE_RANGES, SiteSurvey

NETWORK_CLASSES = ("service", "personal", "guest", "infrastructure")
"""The classes of networks, as ``networks`` has them."""

MAX_OBSERVATIONS = 5_000_000
"""Observations of a capture that are enough to propose networks."""

MAX_PROPOSED = 12
"""Ranges, and resolvers, to propose; those with most clients come first."""

_EXAMPLES = """examples:
  netwatch init                                 five questions, Enter accepts the proposal
  netwatch init --look office.pcap              propose the networks and resolvers of a capture
  netwatch init --look eth1 --seconds 60        propose what an interface shows
  netwatch init <answers.txt                    one answer a line, an empty one for the proposal
  netwatch init --yes --service 10.20.0.0/16 --resolver 10.20.0.53 --ban be-fed-tiktok-2023

exit status:
  0  the file was written, and policy check accepts it
  2  it exists already, or an answer is wrong or missing; nothing was written
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """The content of a first configuration: the name of the authority (may be empty), the ranges of
    each class, the addresses of resolvers and proxies, and the ids of ban packs."""

    authority: str
    ranges: dict[str, tuple[str, ...]]
    resolvers: tuple[str, ...]
    packs: tuple[str, ...]


def configuration_text(answers: Answers) -> str:
    """The text of the file, which `netwatch policy check` accepts."""
    parts = [
        f"# yaml-language-server: $schema={_schema_uri()}",
        "# Which networks and devices netwatch watches, and which bans it judges them by.",
        "# All keys: docs/reference/configuration.md. After a change: netwatch policy check",
        "version: 1",
        "",
        "# The most specific range decides. service: devices of the organisation, to which bans",
        "# apply. personal: private devices, which a ban at most advises. guest: no ban applies.",
        "# infrastructure: resolvers and proxies, which ask on behalf of others.",
        "networks:",
        *_networks(answers),
        "",
        "devices:",
        "  # Who is who, as CSV with the columns id, mac, ip, hostname, owner, class:",
        "  # inventory: devices.csv",
        "  # Without it devices are distinguished by what they send in these protocols.",
        "  learn: [dhcp, mdns]",
        "",
        "# netwatch bans list shows the shipped bans, netwatch bans show ID one of them.",
        "bans:",
        *(f"  - {_inline({'pack': pack})}" for pack in answers.packs),
        "",
        "# Devices that may use an app for a while; they are reported as exempt:",
        "# exemptions:",
        f"#   - {{ban: {_inline(answers.packs[0])}, device: lab-07, until: 2030-12-31,"
        " reason: research, approved_by: CISO}",
        "",
        "# Where alerts go: docs/reference/outputs.md",
        "outputs: []",
        "",
        "# Results are kept with --store, and by netwatch live with this:",
        "# store: {path: /var/lib/netwatch/store}",
        "# How long; forever is possible too. Without a line of its own nothing is deleted.",
        "retention: {observations: 30d, incidents: 2y, evidence: 1y, personal: 7d}",
    ]
    return "\n".join(parts) + "\n"


def _schema_uri() -> str:
    """Where editors find the schema of the file: in this installation."""
    import netwatch.schemas

    return Path(netwatch.schemas.__path__[0], "config.json").resolve().as_uri()


def _networks(answers: Answers) -> Sequence[str]:
    lines = []
    for kind in NETWORK_CLASSES[:-1]:
        ranges = answers.ranges.get(kind, ())
        if ranges:
            entry: dict[str, Any] = {"name": kind, "cidrs": list(ranges), "class": kind}
            if answers.authority and kind != "guest":
                entry["authority"] = answers.authority
            lines.append(f"  - {_inline(entry)}")
    if answers.resolvers:
        entry = {
            "name": "resolvers",
            "cidrs": list(answers.resolvers),
            "class": "infrastructure",
        }
        lines.append(f"  - {_inline(entry)}")
    return lines


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Add the parser of the command. It sets `func`, which takes the parsed arguments and
    returns the exit status."""
    parser = groups.add_parser(
        "init",
        help=COMMANDS["init"].summary,
        description="Writes a first configuration with comments: your networks, your resolvers, and"
        " the bans that apply. An existing file is never overwritten.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="netwatch.yaml", help="default netwatch.yaml"
    )
    parser.add_argument(
        "--look",
        metavar="SOURCE",
        help="a capture, a log, a folder of these or an interface to look at",
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=_seconds,
        default=30,
        help="how long to look at an interface (default 30)",
    )
    parser.add_argument("--authority", metavar="NAME", help="whose networks these are")
    for kind, text in (
        ("service", "devices of the organisation"),
        ("personal", "personal devices"),
        ("guest", "guests"),
    ):
        parser.add_argument(
            f"--{kind}",
            metavar="CIDR",
            action="append",
            default=[],
            help=f"an address range of {text}; may be repeated",
        )
    parser.add_argument(
        "--resolver",
        metavar="IP",
        action="append",
        default=[],
        help="a resolver or proxy, which asks on behalf of others; may be repeated",
    )
    parser.add_argument(
        "--ban",
        metavar="ID",
        action="append",
        default=[],
        help="a shipped ban, as netwatch bans list shows it; may be repeated",
    )
    parser.add_argument(
        "--yes", action="store_true", help="ask nothing, use the options and proposals"
    )
    parser.set_defaults(func=init)


def init(args: argparse.Namespace) -> int:
    """Run ``netwatch init``; returns the exit status. Raises `ConfigError` and `NetwatchError`."""
    path = Path(args.output)
    if os.path.lexists(path):
        raise _wrong(f"{path} exists already; -o names another file")
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    try:
        answers = _Interview(args, is_terminal=is_terminal).answers()
    except EOFError:
        if not is_terminal:
            hint = "; --yes asks nothing, and accepts every proposal"
            raise _wrong(f"the input ended before all answers; nothing was written{hint}") from None
        print_message("netwatch: nothing was written")
        return 2
    except KeyboardInterrupt:
        print_message("netwatch: nothing was written")
        return 2
    _write(path, configuration_text(answers))
    _say_what_is_next(args, path)
    return 0


class _Interview:
    """Collects the answers: from options, with ``--yes`` from proposals, otherwise from the lines
    of standard input, which `is_terminal` or is a file or pipe with the answers in turn."""

    def __init__(self, args: argparse.Namespace, *, is_terminal: bool) -> None:
        self._args = args
        self._asks = not args.yes
        self._is_terminal = is_terminal
        self._number = 0

    def answers(self) -> Answers:
        """All answers. Raises `ConfigError` for a wrong option, or an answer that cannot be asked
        for again, and `EOFError` if there is none."""
        args = self._args
        if self._asks and self._is_terminal:
            print_message("Five questions; Enter accepts the answer in brackets. Ctrl-D ends.")
        survey = self._survey()
        authority = self._text(
            args.authority, "Who is responsible for these networks (shown in alerts)", ""
        )
        ranges = [str(found.network) for found in survey.ranges()[:MAX_PROPOSED]]
        others = tuple(map(_cidr, [*args.personal, *args.guest]))
        service = self._list(
            args.service,
            "Address ranges of service devices (bans apply to them)",
            [span for span in ranges or PRIVATE_RANGES if span not in others],
            _cidr,
            needed="" if others else "no network was named; expected a range like 10.20.0.0/16",
        )
        resolvers = self._list(
            args.resolver,
            "Resolvers and proxies (they ask on behalf of others)",
            survey.resolvers()[:MAX_PROPOSED],
            lambda text: _resolver(text, {*service, *others}),
        )
        for span in resolvers:
            _warn_of_many(ipaddress.ip_network(span))
        if self._is_terminal and self._asks and not args.ban:
            self._show_bans()
        packs = self._list(
            args.ban,
            "Bans (netwatch bans list describes them)",
            ["default"],
            _pack,
            needed="no ban was named; netwatch bans list shows them",
        )
        by_class = {
            "service": service,
            "personal": tuple(map(_cidr, args.personal)),
            "guest": tuple(map(_cidr, args.guest)),
        }
        return Answers(authority, by_class, resolvers, packs)

    def _survey(self) -> SiteSurvey:
        """What the source shows that the user names, which is noted in the arguments."""
        args = self._args
        question = "A capture, log or interface of your network to look at, empty for none"
        if self._asks and self._is_terminal and args.look is None:
            print_message(f"        interfaces here: {', '.join(_interfaces())}")
        while True:
            source = self._text(args.look, question, "")
            try:
                survey = look(source, args.seconds) if source else SiteSurvey()
            except NetwatchError as error:
                if not (self._asks and self._is_terminal) or args.look is not None:
                    raise
                print_message(f"        {error}")
                self._number -= 1
            else:
                args.look = source
                return survey

    def _show_bans(self) -> None:
        """List the ids of the shipped bans, as many in a line as fit."""
        from netwatch.core.tabular import terminal_width
        from netwatch.rules.bans import pack_ids

        width = (terminal_width(sys.stderr) or 80) - 8
        ids = "  ".join(sorted(pack_ids()))
        for line in textwrap.wrap(ids, width, break_on_hyphens=False, break_long_words=False):
            print_message(f"        {line}")

    def _text(self, given: str | None, question: str, default: str) -> str:
        self._number += 1
        if given is not None or not self._asks:
            return given or default
        return self._asked(question, default) or default

    def _list(
        self,
        given: Sequence[str],
        question: str,
        default: Sequence[str],
        read: Callable[[str], str],
        needed: str = "",
    ) -> tuple[str, ...]:
        """The answers that `read` accepts. With `needed`, a message, there must be one."""
        self._number += 1
        if given:
            return tuple(dict.fromkeys(map(read, given)))
        while True:
            text = self._asked(question, ", ".join(default)) if self._asks else ""
            words = text.replace(",", " ").split() if text else default
            try:
                if needed and not words:
                    raise _wrong(needed)
                return tuple(dict.fromkeys(map(read, words)))
            except ConfigError as error:
                if not (self._asks and self._is_terminal):
                    raise
                print_message(f"        {error.problems[0].message}")

    def _asked(self, question: str, default: str) -> str:
        print_message(f"{self._number} of 5  {question}")
        if sys.stdin is None:
            raise EOFError
        text = ask(f"        [{default}]: " if default else "        : ")
        if not self._is_terminal:
            print_message(text)  # where a terminal shows what is typed
        return text


def look(source: str, seconds: int) -> SiteSurvey:
    """What captures, or an interface for so long, show about a site. Raises `NetwatchError` if
    nothing can be read."""
    survey = SiteSurvey()
    if not Path(source).exists() and source in _interfaces():
        _listen(source, seconds, survey)
    else:
        _read(source, survey)
    found = quantity(survey.clients, "client")
    print_message(f"        {found} showed names in {source}")
    return survey


def _read(source: str, survey: SiteSurvey) -> None:
    from netwatch.core.statistics import RunStatistics
    from netwatch.engine.jobs import observations

    statistics = RunStatistics()
    for batch in observations([source], statistics):
        survey.add(batch)
        if statistics.observations.total() > MAX_OBSERVATIONS:
            break
    if statistics.unread and not (statistics.files or statistics.logs):
        raise NetwatchError(statistics.unread[0])


def _interfaces() -> list[str]:
    import socket

    return [name for _, name in socket.if_nameindex()]


def _listen(interface: str, seconds: int, survey: SiteSurvey) -> None:
    from netwatch.capture.block import LIVE_SOURCES, default_source
    from netwatch.core.statistics import RunStatistics
    from netwatch.dissect.consumer import DissectorOptions, WantsEverything
    from netwatch.engine.observe import Observer

    print_message(f"        listening on {interface} for {quantity(seconds, 'second')}")
    opened = LIVE_SOURCES[default_source()]([interface])
    until = time.monotonic() + seconds
    observer = Observer(WantsEverything(), RunStatistics(), DissectorOptions(), seed=0)
    try:
        for block in opened.blocks():
            for batch in observer.batches(block, interface):
                survey.add(batch)
            if time.monotonic() > until:
                break
    except KeyboardInterrupt:
        pass
    finally:
        opened.close()


def _write(path: Path, text: str) -> None:
    """Write a new file, which is checked before it gets its name."""
    from netwatch.config import load

    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("x", encoding="utf-8") as stream:
            stream.write(text)
        load(str(draft))
        # Unlike a rename, a link does not replace a file written meanwhile.
        os.link(draft, path)
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def _say_what_is_next(args: argparse.Namespace, path: Path) -> None:
    option = "" if path.name == "netwatch.yaml" and path.parent == Path() else f" -c {path}"
    print_line(f"{path} was written. Next:")
    print_line(f"  netwatch policy check{option}")
    if args.look and args.look in _interfaces():
        print_line(f"  netwatch live -i {args.look}{option}")
    else:
        print_line(f"  netwatch scan {args.look or 'CAPTURE'}{option}")


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise _wrong(f"{error}; expected a range like 10.20.0.0/16") from None


def _resolver(text: str, taken: Collection[str]) -> str:
    try:
        span = str(ipaddress.ip_network(text))
    except ValueError:
        raise _wrong(f"{text!r} is no address; expected one like 10.20.0.53") from None
    if span in taken:
        raise _wrong(f"{span} was named as a range of devices; expected an address like 10.20.0.53")
    return span


def _warn_of_many(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
    """Warn of a range of resolvers that is rather one of clients."""
    if network.prefixlen < (24 if network.version == 4 else 64):
        hint = "no ban applies to its contacts: it counts as a resolver"
        print_message(f"netwatch: {network} has {network.num_addresses:,} addresses: {hint}")


def _pack(text: str) -> str:
    from netwatch.core.user_yaml import did_you_mean
    from netwatch.rules.bans import pack_ids

    known = pack_ids()
    if text not in known:
        raise _wrong(f"{text!r} is no shipped ban{did_you_mean(text, known)}")
    return text


def _wrong(text: str) -> ConfigError:
    return ConfigError.of("netwatch init", text)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 3600:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds from 1 to 3600, found {text!r}"
        )
    return int(text)
