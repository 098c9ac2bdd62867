"""``netwatch report``: was a ban complied with? The period report as HTML, PDF and JSON, optionally
signed."""

import argparse
import getpass
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli import COMMANDS
from netwatch.cli.group import add_language_option, add_store_option
from netwatch.cli.printing import print_line, print_message, print_value
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.system.files import user_id

if TYPE_CHECKING:
    from netwatch.language.language import Language
    from netwatch.report.collect import Wanted
    from netwatch.report.values import Report

_COMMAND = "netwatch report"
_ENDS = (".html", ".pdf", ".json")
_EXAMPLES = """examples:
  netwatch report --from 2023-03-01 --to 2023-08-31       the answer, on the terminal
  netwatch report --from 2023-03-01 --to 2023-08-31 -o report.html -o report.pdf --lang nl
  netwatch report --from 2023-03-01 --to 2023-08-31 --ban city-rule -o report.json
  netwatch report --new-key report.key                    once; hand out report.key.pub
  netwatch report --from 2023-03-01 --to 2023-08-31 -o report.pdf --sign report.key
  netwatch report --verify report.sig --key report.key.pub

exit status: 0 done; 1 the store cannot be read, or a file cannot be written; 2 usage or
configuration error; 3 with --verify: a file or the signature was changed
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; `parents` have the common options."""
    parser = groups.add_parser(
        "report",
        help=COMMANDS["report"].summary,
        description="Reports for each ban whether it was complied with in a period, with the"
        " reasons and with what could not be seen.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    add_store_option(parser)
    parser.add_argument(
        "--from",
        dest="first",
        metavar="DAY",
        type=_day,
        help="the first day, in the ban's time zone",
    )
    parser.add_argument("--to", dest="last", metavar="DAY", type=_day, help="the last day")
    parser.add_argument(
        "--ban",
        metavar="ID",
        action="append",
        default=[],
        help="only this ban of the configuration; may be repeated",
    )
    add_language_option(parser, "the report")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help="write FILE.html, FILE.pdf or FILE.json; may be repeated (default: print the answer)",
    )
    parser.add_argument(
        "--devices",
        action="store_true",
        help="name devices, which the journal of the store notes (default: pseudonyms)",
    )
    parser.add_argument(
        "--max-unnamed",
        metavar="PERCENT",
        type=_percent,
        help="the largest share of flows without a readable name at which a ban can count"
        " as complied with (default 5)",
    )
    parser.add_argument("--sign", metavar="KEY", help="sign the files with this key")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--verify", metavar="FILE", help="check the signature FILE.sig of a report")
    what.add_argument("--new-key", metavar="FILE", help="make a key to sign reports with")
    parser.add_argument(
        "--key", metavar="PUB", help="with --verify: the public key that must have signed"
    )
    parser.set_defaults(func=report)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a day like 2023-03-01, found '{text}'"
        ) from None


def _percent(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 100:
        raise argparse.ArgumentTypeError(f"expected a percentage from 0 to 100, found '{text}'")
    return found / 100


def report(args: argparse.Namespace) -> int:
    """Run ``netwatch report`` and return the exit status."""
    if args.new_key:
        return _new_key(Path(args.new_key))
    if args.verify:
        return _verify(Path(args.verify), Path(args.key) if args.key else None)
    _require_days(args)
    outputs = _outputs(args)
    made = _collected(args)
    from netwatch.report.page import report_language

    used = report_language(args.lang)
    if not outputs:
        _print_answers(made, used)
        return 0
    _write(made, used, outputs)
    if args.sign:
        _sign(Path(args.sign), outputs)
    return 0


def _require_days(args: argparse.Namespace) -> None:
    if args.first is None or args.last is None:
        raise _problem("expected --from DAY and --to DAY")
    if args.last < args.first:
        raise _problem(f"--to: expected a day from {args.first} on, found {args.last}")
    if not args.first.year >= 1971 or not args.last.year <= 2260:
        raise _problem("--from, --to: expected years from 1971 to 2260")
    if (args.last - args.first).days > 3660:
        raise _problem("--to: expected at most 10 years")


def _problem(message: str) -> ConfigError:
    return ConfigError.of(_COMMAND, message)


def _outputs(args: argparse.Namespace) -> list[Path]:
    """The files to write; with `--sign` the JSON is one of them. Raises `ConfigError`."""
    outputs = [Path(path) for path in args.output]
    for output in outputs:
        if output.suffix not in _ENDS:
            expected = "a name that ends with .html, .pdf or .json"
            raise _problem(f"--output: expected {expected}, found '{output}'")
    if args.sign:
        if not outputs:
            raise _problem("--sign: expected --output too: a signature is about files")
        if len({output.parent for output in outputs}) > 1:
            raise _problem("--sign: expected all files in one folder")
        if not any(output.suffix == ".json" for output in outputs):
            outputs.append(outputs[0].with_suffix(".json"))
    if any(output.suffix != ".json" for output in outputs):
        from netwatch.charts.render import require_renderer
        from netwatch.report.files import require_weasyprint
        from netwatch.report.page import require_templates

        require_templates(_COMMAND)
        require_renderer(_COMMAND, "report")
        if any(output.suffix == ".pdf" for output in outputs):
            require_weasyprint(_COMMAND)
    return list(dict.fromkeys(outputs))


def _collected(args: argparse.Namespace) -> "Report":
    """The report. Raises `ConfigError` and `NetwatchError`."""
    from netwatch.cli.store import chosen_store
    from netwatch.config import load
    from netwatch.core.private_files import below
    from netwatch.store.options import require_extra

    config = load(args.config)
    require_extra(_COMMAND)
    from netwatch.report.collect import Wanted, collect
    from netwatch.report.values import Thresholds
    from netwatch.store.opening import open_catalogue

    thresholds = Thresholds()
    if args.max_unnamed is not None:
        thresholds = Thresholds(unnamed=args.max_unnamed)
    wanted = Wanted(args.first, args.last, tuple(args.ban), args.devices, thresholds)
    store = chosen_store(args, config.store)
    with below(store.path), open_catalogue(store) as catalogue:
        if args.devices:
            catalogue.add_journal(_user(), "identify", _journal(wanted))
        made = collect(catalogue, config, wanted, store if args.output else None)
    from netwatch.console.database import with_audit

    return with_audit(made, store)


def _journal(wanted: "Wanted") -> dict[str, str]:
    """The journal entry for a report that names devices."""
    bans = ", ".join(wanted.bans) or "all"
    return {"report": f"{wanted.first} to {wanted.last}", "bans": bans}


def _user() -> str:
    """The user, for the journal."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return str(user_id())


def _print_answers(made: "Report", used: "Language") -> None:
    from netwatch.report import labels, words

    for number, ban in enumerate(made.bans):
        if number:
            print_line()
        answer = ban.answer
        beside = f" ({words.unnamed(answer, used)})" if answer.days_in_force else ""
        print_value("", f"{ban.id}: {labels.answers(used)[answer.word]}{beside}")
        for reason in (*answer.reasons, *answer.notes):
            print_value("  ", words.reason(reason, used))
        if bound := words.bound(ban, used):
            print_value("  ", bound)


def _write(made: "Report", used: "Language", outputs: Sequence[Path]) -> None:
    """Write all files. Raises `NetwatchError`."""
    from netwatch.report.files import report_json

    pages = [output for output in outputs if output.suffix != ".json"]
    for output in outputs:
        if output.suffix == ".json":
            _write_text(output, report_json(made))
    if not pages:
        return
    from netwatch.charts.render import Renderer
    from netwatch.report import page, tables
    from netwatch.report.files import write_pdf

    with Renderer() as renderer:
        printed = page.page(made, used, renderer, lambda note: print_message(f"netwatch: {note}"))
    html = page.html(printed)
    for output in pages:
        if output.suffix == ".html":
            _write_text(output, html)
        else:
            _create(output)
            write_pdf(html, tables.files(printed.all_grids), output)


def _create(path: Path) -> None:
    """Create a file that names devices, for its owner and group, if it does not exist."""
    from netwatch.core.private_files import open_for_append

    try:
        os.close(open_for_append(path))
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None


def _write_text(path: Path, text: str) -> None:
    _create(path)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None


def _sign(key: Path, outputs: Sequence[Path]) -> None:
    from netwatch.report.files import SUFFIX, sign

    signature = outputs[0].with_suffix(SUFFIX)
    print_message(f"{signature}: signed by the key {sign(key, outputs, signature)}")


def _new_key(path: Path) -> int:
    from netwatch.report.files import write_new_key

    print_line(f"{path}: a new key; {path}.pub is its public key, {write_new_key(path)}")
    return 0


def _verify(path: Path, key: Path | None) -> int:
    from netwatch.report.files import SUFFIX, verify

    signature = path if path.suffix == SUFFIX else path.with_suffix(SUFFIX)
    found = verify(signature, key)
    for problem in found.problems:
        print_line(f"{signature}: {problem}")
    if found.problems:
        return 3
    print_line(f"{', '.join(found.files)}: as signed at {found.time} by the key {found.key}")
    if key is None:
        print_message("netwatch: compare this key with the sender's, or give --key PUB")
    return 0
