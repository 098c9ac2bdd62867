"""``netwatch doctor``: can this machine capture, is the configuration sound, are the outputs
reachable.

A line for each thing that was looked at: ``ok``, or ``bad`` with what is wrong and what
to do. A new check is a function and a row of `CHECKS`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from netwatch.core.errors import NetwatchError

_EXAMPLES = """examples:
  netwatch doctor                     rights, interfaces, configuration, outputs
  netwatch doctor -i eth1 -i eth2     try to capture on these
  netwatch doctor -c site.yaml

exit status: 0 all is well; 1 something is not
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and how it is; where `well` is false, `todo` are lines on what
    to do."""

    what: str
    well: bool
    told: str
    todo: tuple[str, ...] = ()


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; it sets `func`, which gives the exit status."""
    parser = groups.add_parser(
        "doctor",
        help="can this machine capture, is the configuration sound, are the outputs reachable",
        description="Can this machine capture, is the configuration sound, are the outputs"
        " reachable. No alert is sent.",
        epilog=_EXAMPLES,
        parents=list(parents),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-i",
        "--interface",
        metavar="IFACE",
        action="append",
        default=[],
        help="an interface to try, again for more (else all that are up)",
    )
    parser.set_defaults(func=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Run ``netwatch doctor``; the exit status."""
    well = True
    for check in CHECKS:
        for found in check(args):
            well = well and found.well
            print(f"{'ok ' if found.well else 'bad'} {found.what:<13} {found.told}")
            for line in found.todo:
                print(f"    {'':<13} {line}")
    return 0 if well else 1


def _program(args: argparse.Namespace) -> Iterator[Finding]:
    """Are the loops that touch every packet compiled?"""
    from netwatch.capture import framing
    from netwatch.dissect.loop import loop as kernel

    if framing.COMPILED and kernel.COMPILED:
        yield Finding("packet loop", True, "compiled")
    else:
        todo = ("install a C compiler, then netwatch again",)
        yield Finding("packet loop", False, "runs interpreted, a hundred times slower", todo)


def _rights(args: argparse.Namespace) -> Iterator[Finding]:
    """May this process capture?"""
    from netwatch.capture import privileges as rights

    if rights.may_capture():
        yield Finding("rights", True, "CAP_NET_RAW is there: interfaces can be opened")
    else:
        told = "CAP_NET_RAW is missing: no interface can be opened; grant it by one of"
        yield Finding("rights", False, told, tuple(rights.grants()))


def _interfaces(args: argparse.Namespace) -> Iterator[Finding]:
    """Can each interface be opened, with the usual source?"""
    from netwatch.capture import interfaces
    from netwatch.capture import live_sources as live
    from netwatch.capture import privileges as rights

    source = live.usual()
    if not rights.may_capture():
        for name in args.interface:
            yield Finding(name, False, "cannot be tried without the rights")
        return
    states = {}
    if sys.platform == "linux":
        with interfaces.asked() as asked:
            states = {name: interfaces.look(asked, name) for name in interfaces.names()}
    wanted = args.interface or [name for name, state in states.items() if state and state.up]
    if not wanted:
        todo = ("name one with -i", "or set one up: ip link set IFACE up")
        yield Finding("interfaces", False, "none is up", todo)
    for name in wanted:
        yield _tried(name, source, states.get(name))


def _tried(name: str, source: str, state: object) -> Finding:
    from netwatch.capture import interfaces
    from netwatch.capture import live_sources as live

    try:
        live.SOURCES[source]([name]).close()
    except NetwatchError as error:
        return Finding(name, False, str(error).removeprefix(f"{name}: "))
    if not isinstance(state, interfaces.State):
        return Finding(name, True, f"can be captured by {source}")
    if not state.up:
        todo = (f"ip link set {name} up",)
        return Finding(name, False, "can be captured, but is down", todo)
    link = "link" if state.running else "no link"
    told = f"can be captured by {source}: LINKTYPE {state.link_type}, MTU {state.mtu}, {link}"
    return Finding(name, True, told)


def _configuration(args: argparse.Namespace) -> Iterator[Finding]:
    """Is netwatch.yaml sound, with all that it names?"""
    from netwatch.config import load
    from netwatch.core.errors import ConfigError

    try:
        config = load(args.config)
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        count = len(problems)
        told = f"{count} mistake{'' if count == 1 else 's'}; correct"
        yield Finding("configuration", False, told, problems)
        return
    yield Finding("configuration", True, f"{config.path or 'built-in defaults'} is sound")
    for note in config.notes:
        yield Finding("configuration", True, f"note: {note}")


def _outputs(args: argparse.Namespace) -> Iterator[Finding]:
    """Can every receiver be reached, and the outbox be written?"""
    from concurrent.futures import ThreadPoolExecutor

    from netwatch.config import load_outputs
    from netwatch.core.errors import ConfigError
    from netwatch.delivery import probe
    from netwatch.formats.values import escaped

    try:
        outputs, outbox = load_outputs(args.config)
    except ConfigError:
        return  # told already
    if not outputs:
        return
    place = next(path for path in (outbox.folder, *outbox.folder.parents) if path.exists())
    if os.access(place, os.W_OK):
        yield Finding("outbox", True, f"{outbox.folder} can be written")
    else:
        yield Finding("outbox", False, f"{outbox.folder}: {place} may not be written")
    # One that hangs is not waited for by the others.
    with ThreadPoolExecutor(len(outputs)) as pool:
        for output, (well, told) in zip(outputs, pool.map(probe.reach, outputs), strict=True):
            yield Finding(f"output {output.name}", well, escaped(told))


CHECKS: tuple[Callable[[argparse.Namespace], Iterator[Finding]], ...] = (
    _program,
    _rights,
    _interfaces,
    _configuration,
    _outputs,
)
"""What is looked at, in this order."""
