"""The command line: arguments in, the pipeline run, an exit status out.

Only the module of the command that was asked for is imported: the rest would cost more
than many a capture.
"""

import argparse
import atexit
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence

from netwatch import __version__

COMMANDS = {
    "netwatch.cli.captures": {
        "scan": "captures in, alerts out",
        "names": "every name that devices show, before any rule",
    },
    "netwatch.cli.live": {"live": "the same engine on an interface, for as long as it runs"},
    "netwatch.cli.signatures": {"signatures": "the catalogue of apps and their names"},
    "netwatch.cli.policy": {"policy": "the configuration: what holds, and why"},
    "netwatch.cli.outputs": {"outputs": "where alerts are delivered to: status, test, replay"},
    "netwatch.cli.schema": {"schema": "the JSON Schema of a record"},
    "netwatch.cli.doctor": {
        "doctor": "can this machine capture, is the configuration sound, are the outputs reachable"
    },
}
"""The modules, the commands that each adds, and what these do in a line."""

COLLECT = 50_000
"""Objects that may be made before the collector looks for cycles: a run makes many and of
cycles next to none."""

EXAMPLES = """examples:
  netwatch scan office.pcap                 was the ban kept? one line an incident
  netwatch scan captures/ -c netwatch.yaml  a folder of captures, by your own rules
  netwatch names office.pcap                what the wire says, before any rule
  netwatch policy explain --device 10.20.1.7 --name www.tiktok.com --time 2023-03-20T09:00

exit status: 0 done; 1 some input could not be read; 2 usage or configuration is wrong;
3 with --fail-on, when there was such a verdict
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run netwatch with `argv` (without the program's name); the exit status."""
    gc.set_threshold(COLLECT)
    # What is left at the end is the system's to take back, without a last look for cycles.
    atexit.register(gc.freeze)
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="netwatch",
        description="Tells from packets whether a ban on an app was kept.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"netwatch {__version__}")
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for module, commands in COMMANDS.items():
        if wanted in commands:
            importlib.import_module(module).add(groups, [_common()])
        else:
            for name, does in commands.items():
                groups.add_parser(name, help=does, add_help=False)
    args = parser.parse_args(arguments)
    from netwatch.core.errors import ConfigError, NetwatchError

    try:
        return int(args.func(args))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except NetwatchError as error:
        print(f"netwatch: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader went away (`| head`): nobody is left to be told.
        sys.stderr.close()
        return 141
    except OSError as error:
        # A full disk refuses what is still in the buffer once more at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        place = f"{error.filename}: " if error.filename else ""
        print(f"netwatch: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("netwatch: interrupted", file=sys.stderr)
        return 130


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="configuration (else ./netwatch.yaml, /etc/netwatch/netwatch.yaml, defaults)",
    )
    return common
