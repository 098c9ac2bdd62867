"""The texts for people: is every one of them there in every language?

Catalogues are compiled when they are used. A text that one language lacks is shown in English, so
a catalogue that is missing, damaged or of another version is noticed here and not by its readers.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import netwatch
from netwatch.cli.doctor.finding import Finding, bad, ok, warn
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from babel.messages.catalog import Message

PACKAGES = ("language", "explain", "charts", "report", "console")
"""The packages that have catalogues, in their folder ``locale``."""

_SHOWN = 3


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """The catalogues of every language but English, which is that of the source."""
    from netwatch.config import load_console
    from netwatch.core.errors import ConfigError
    from netwatch.language.language import LANGUAGES

    yield from check_catalogues(Path(netwatch.__file__).parent, LANGUAGES[1:])
    try:
        console = load_console(args.config)
    except ConfigError:
        return  # The check of the configuration has reported it.
    if console is not None:
        yield ok(
            "languages",
            f"the console is in '{console.language}' unless the user has chosen another",
        )


def check_catalogues(folder: Path, codes: tuple[str, ...]) -> Iterator[Finding]:
    """The catalogues of the packages in `folder` for languages with these `codes`: each can be
    compiled, and has all texts that one of them has."""
    missing: list[str] = []
    problems: list[str] = []
    texts = 0
    for package in PACKAGES:
        translated: dict[str, set[str]] = {}
        every: set[str] = set()
        for code in codes:
            path = folder / package / "locale" / code / "LC_MESSAGES" / "netwatch.po"
            try:
                messages = _messages(path, code)
            except (OSError, ValueError) as error:
                problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")
                continue
            every.update(map(_key, messages))
            translated[code] = {_key(message) for message in messages if _is_done(message)}
        texts += len(every)
        missing += [
            f"{code}: {text!r} in {package}"
            for code, found in translated.items()
            for text in sorted(every - found)
        ]
    if problems:
        yield bad("languages", problems[0], *problems[1:], "install netwatch again")
    if missing:
        more = (f"and {len(missing) - _SHOWN} more",) if len(missing) > _SHOWN else ()
        count = quantity(len(missing), "text")
        yield warn("languages", f"{count} not translated", *missing[:_SHOWN], *more)
    if not problems and not missing:
        yield ok("languages", f"en, {', '.join(codes)}: each has all {texts:,} texts")


def _messages(path: Path, code: str) -> "list[Message]":
    """The messages of a catalogue, which can be compiled. Raises `OSError` and `ValueError`."""
    import io

    from babel.messages.mofile import write_mo
    from babel.messages.pofile import PoFileError, read_po

    try:
        with path.open("rb") as stream:
            catalogue = read_po(stream, locale=code, abort_invalid=True)
    except PoFileError as error:
        raise ValueError(str(error)) from None
    write_mo(io.BytesIO(), catalogue)
    return [message for message in catalogue if message.id]


def _key(message: "Message") -> str:
    """The text of the source; of one with a number, the first form."""
    return message.id if isinstance(message.id, str) else message.id[0]


def _is_done(message: "Message") -> bool:
    """Whether a message has a translation that somebody has looked at, in all its forms."""
    forms = [message.string] if isinstance(message.string, str) else list(message.string or ())
    return bool(forms) and all(forms) and not message.fuzzy
