"""Does netwatch.yaml, or a file that it names, have mistakes; can this machine capture what it
configures, and reach the outputs?"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from netwatch.cli.doctor.finding import Finding, bad, ok, warn
from netwatch.core.errors import NetwatchError
from netwatch.core.text import quantity


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """All mistakes at once, the warnings of outputs, and notes on possible surprises."""
    from netwatch.config import load
    from netwatch.core.errors import ConfigError

    try:
        config = load(args.config, with_secrets=True)
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        yield bad("configuration", f"{quantity(len(problems), 'mistake')}:", *problems)
        return
    yield ok("configuration", f"{config.path or 'built-in defaults'}: no mistakes")
    for output in config.outputs:
        for warning in output.warnings():
            yield warn("configuration", str(warning))
    for note in config.notes:
        yield ok("configuration", f"note: {note}")


def check_packet_loop(args: argparse.Namespace) -> Iterator[Finding]:
    """Are the loops that read every packet compiled?"""
    from netwatch.capture import framing
    from netwatch.dissect.loop import loop

    if framing.COMPILED and loop.COMPILED:
        yield ok("packet loop", "compiled")
    else:
        from netwatch.core.installing import REMEDY, why_interpreted

        cause = why_interpreted()
        text = "interpreted, a hundred times slower than compiled"
        yield bad("packet loop", f"{text}: {cause}" if cause else text, REMEDY)


def check_privileges(args: argparse.Namespace) -> Iterator[Finding]:
    """Does this process have the privilege to capture?"""
    from netwatch.capture import interfaces

    if interfaces.can_capture():
        yield ok("privileges", "CAP_NET_RAW: interfaces can be opened")
    else:
        text = "CAP_NET_RAW is missing: no interface can be opened; grant it by one of"
        yield bad("privileges", text, *interfaces.grant_instructions())


def check_interfaces(args: argparse.Namespace) -> Iterator[Finding]:
    """Can each interface be opened with the default source?"""
    from netwatch.capture import interfaces
    from netwatch.capture.block import default_source

    source = default_source()
    if not interfaces.can_capture():
        for name in args.interface:
            yield bad(name, "cannot be tried without CAP_NET_RAW")
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
        todo = "give one with -i, or set one up: ip link set IFACE up"
        yield bad("interfaces", "no interface is up", todo)
    for name in wanted:
        yield _try_interface(name, source, states.get(name))


def _try_interface(name: str, source: str, state: object) -> Finding:
    from netwatch.capture import interfaces
    from netwatch.capture.block import LIVE_SOURCES

    try:
        LIVE_SOURCES[source]([name]).close()
    except NetwatchError as error:
        return bad(name, str(error).removeprefix(f"{name}: "))
    if not isinstance(state, interfaces.InterfaceState):
        return ok(name, f"capture works ({source})")
    if not state.up:
        todo = f"ip link set {name} up"
        return bad(name, "capture works, but the interface is down", todo)
    link = "link up" if state.running else "no link"
    properties = f"LINKTYPE {state.link_type}, MTU {state.mtu}, {link}"
    return ok(name, f"capture works ({source}): {properties}")


def check_logs(args: argparse.Namespace) -> Iterator[Finding]:
    """Can each log be read, and which format does it have?"""
    if args.paths:
        from netwatch.logs.live.feed import examine

        for path in args.paths:
            is_ok, text, todo = examine(path)
            yield Finding(path, "ok" if is_ok else "bad", text, todo)


def check_outputs(args: argparse.Namespace) -> Iterator[Finding]:
    """The outputs of the configuration; for a sensor the centre of its fleet is one."""
    from concurrent.futures import ThreadPoolExecutor

    from netwatch.config import load_fleet, load_outputs
    from netwatch.core.errors import ConfigError
    from netwatch.delivery import attempt
    from netwatch.fleet import with_centre

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
        results = pool.map(attempt.check_connection, outputs)
        for output, (is_ok, text) in zip(outputs, results, strict=True):
            yield Finding(f"output {output.name}", "ok" if is_ok else "bad", text)


def _outbox(folder: Path) -> Finding:
    """Can the outbox be written by this user, and by nobody else?"""
    from netwatch.core.owned_database import identify
    from netwatch.delivery.outbox_file import FILE, KIND, folder_warning

    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return bad("outbox", f"{folder}: no permission to write to {existing}")
    try:
        identify(folder / FILE, KIND)
    except NetwatchError as error:
        return bad("outbox", str(error))
    if warning := folder_warning(folder):
        return bad("outbox", warning)
    return ok("outbox", f"{folder} can be written")
