"""``netwatch doctor``: checks whether this machine can capture, whether the configuration has
mistakes, and whether the outputs can be reached.

Each finding is one line: ``ok``, or ``bad`` with the problem and what to do about it. A new
check is a function and a row of `CHECKS`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from netwatch.cli import COMMANDS, HelpFormatter
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.core.text import quantity

_EXAMPLES = """examples:
  netwatch doctor                     privileges, interfaces, configuration, outputs
  netwatch doctor -i eth1 -i eth2     try to capture on these interfaces
  netwatch doctor -c site.yaml
  netwatch doctor /var/log/unbound.log    can this log be read, and what is it

exit status:
  0  no problem was found
  1  there are problems (the lines that begin with bad)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked (`subject`), whether it `is_ok`, and the result in words; `todo` are
    lines that say how to solve the problem."""

    subject: str
    is_ok: bool
    text: str
    todo: tuple[str, ...] = ()


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Add the parser of the command. It sets `func`, which takes the parsed arguments and
    returns the exit status."""
    parser = groups.add_parser(
        "doctor",
        help=COMMANDS["doctor"].summary,
        description="Checks whether this machine can capture, whether the configuration has"
        " mistakes, and whether the outputs can be reached. No alert is sent.",
        epilog=_EXAMPLES,
        parents=list(parents),
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "-i",
        "--interface",
        metavar="IFACE",
        action="append",
        default=[],
        help="an interface to try; may be repeated (default: all that are up)",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="logs that `live --source logs` is to read",
    )
    parser.set_defaults(func=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Run ``netwatch doctor``; the exit status."""
    from netwatch.cli.printing import print_line

    all_ok = True
    for check in CHECKS:
        for finding in check(args):
            all_ok = all_ok and finding.is_ok
            print_line(f"{'ok ' if finding.is_ok else 'bad'} {finding.subject:<13} {finding.text}")
            for line in finding.todo:
                print_line(f"    {'':<13} {line}")
    return 0 if all_ok else 1


def _packet_loop(args: argparse.Namespace) -> Iterator[Finding]:
    """Are the loops compiled that read every packet?"""
    from netwatch.capture import framing
    from netwatch.dissect.loop import loop

    if framing.COMPILED and loop.COMPILED:
        yield Finding("packet loop", True, "compiled")
    else:
        todo = ("install a C compiler, then reinstall netwatch",)
        yield Finding(
            "packet loop", False, "interpreted, a hundred times slower than compiled", todo
        )


def _privileges(args: argparse.Namespace) -> Iterator[Finding]:
    """Does this process have the privilege to capture?"""
    from netwatch.capture import privileges

    if privileges.can_capture():
        yield Finding("privileges", True, "CAP_NET_RAW: interfaces can be opened")
    else:
        text = "CAP_NET_RAW is missing: no interface can be opened; grant it by one of"
        yield Finding("privileges", False, text, tuple(privileges.grant_instructions()))


def _interfaces(args: argparse.Namespace) -> Iterator[Finding]:
    """Can each interface be opened with the default source?"""
    from netwatch.capture import interfaces, live_sources, privileges

    source = live_sources.default_source()
    if not privileges.can_capture():
        for name in args.interface:
            yield Finding(name, False, "cannot be tried without CAP_NET_RAW")
        return
    states = {}
    if sys.platform == "linux":
        with interfaces.open_query_socket() as query_socket:
            states = {
                name: interfaces.query_state(query_socket, name)
                for name in interfaces.interface_names()
            }
    wanted = args.interface or [name for name, state in states.items() if state and state.up]
    if not wanted:
        todo = ("give one with -i, or set one up: ip link set IFACE up",)
        yield Finding("interfaces", False, "no interface is up", todo)
    for name in wanted:
        yield _try_interface(name, source, states.get(name))


def _try_interface(name: str, source: str, state: object) -> Finding:
    from netwatch.capture import interfaces, live_sources

    try:
        live_sources.SOURCES[source]([name]).close()
    except NetwatchError as error:
        return Finding(name, False, str(error).removeprefix(f"{name}: "))
    if not isinstance(state, interfaces.InterfaceState):
        return Finding(name, True, f"capture works ({source})")
    if not state.up:
        todo = (f"ip link set {name} up",)
        return Finding(name, False, "capture works, but the interface is down", todo)
    link = "link up" if state.running else "no link"
    properties = f"LINKTYPE {state.link_type}, MTU {state.mtu}, {link}"
    return Finding(name, True, f"capture works ({source}): {properties}")


def _logs(args: argparse.Namespace) -> Iterator[Finding]:
    """Can each log be read, and what is it?"""
    if args.paths:
        from netwatch.logs.live.examine import examine

        for path in args.paths:
            is_ok, text, todo = examine(path)
            yield Finding(path, is_ok, text, todo)


def _configuration(args: argparse.Namespace) -> Iterator[Finding]:
    """Has netwatch.yaml mistakes, or a file that it names?"""
    from netwatch.config import load
    from netwatch.core.errors import ConfigError

    try:
        config = load(args.config, with_secrets=True)
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        text = f"{quantity(len(problems), 'mistake')}:"
        yield Finding("configuration", False, text, problems)
        return
    yield Finding("configuration", True, f"{config.path or 'built-in defaults'}: no mistakes")
    for output in config.outputs:
        for warning in output.warnings():
            yield Finding("configuration", True, f"warning: {warning}")
    for note in config.notes:
        yield Finding("configuration", True, f"note: {note}")


def _set(args: argparse.Namespace) -> Iterator[Finding]:
    """Is a set installed, is it valid, and can a newer one be installed?"""
    from netwatch.cli.signature_update import describe_builtin
    from netwatch.config import load_updates
    from netwatch.core.errors import ConfigError
    from netwatch.updates.update import require_tuf

    try:
        updates = load_updates(args.config)
    except ConfigError:
        # The check of the configuration has reported it.
        return
    if updates is None:
        return
    installed = updates.installed
    text = f"builtin is {describe_builtin(installed)}"
    todo = ("netwatch signatures update installs the newest set",)
    if installed is None or installed.is_expired(datetime.now(UTC)):
        yield Finding("set", False, text if installed is None else f"expired: {text}", todo)
    else:
        yield Finding("set", True, text)
    try:
        require_tuf("updates")
    except ConfigError as error:
        yield Finding("set", False, error.problems[0].message)


def _outputs(args: argparse.Namespace) -> Iterator[Finding]:
    """Can the outbox be written, and every receiver be reached?"""
    from concurrent.futures import ThreadPoolExecutor

    from netwatch.config import load_fleet, load_outputs
    from netwatch.core.errors import ConfigError
    from netwatch.delivery import probe
    from netwatch.fleet.sensor import with_centre

    try:
        outputs, outbox = load_outputs(args.config)
        outputs = with_centre(outputs, load_fleet(args.config), args.config or "")
    except ConfigError:
        # The check of the configuration has reported it.
        return
    if not outputs:
        return
    yield _outbox(outbox.folder)
    # In parallel, so that a receiver that hangs does not delay the others.
    with ThreadPoolExecutor(len(outputs)) as pool:
        results = pool.map(probe.check_connection, outputs)
        for output, (is_ok, text) in zip(outputs, results, strict=True):
            yield Finding(f"output {output.name}", is_ok, text)


def _outbox(folder: Path) -> Finding:
    """Can the outbox be written, and by nobody else?"""
    from netwatch.core.owned_database import identify
    from netwatch.delivery.outbox_file import FILE, KIND, folder_warning

    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding("outbox", False, f"{folder}: no permission to write to {existing}")
    try:
        identify(folder / FILE, KIND)
    except NetwatchError as error:
        return Finding("outbox", False, str(error))
    if warning := folder_warning(folder):
        return Finding("outbox", False, warning)
    return Finding("outbox", True, f"{folder} can be written")


CHECKS: tuple[Callable[[argparse.Namespace], Iterator[Finding]], ...] = (
    _packet_loop,
    _privileges,
    _interfaces,
    _logs,
    _configuration,
    _set,
    _outputs,
)
"""All checks, in the order in which they are made."""
