"""An alert as text for people: the lines of a digest, and Jinja2 templates that an administrator
writes for notifications and webhooks. Templates are tried with the record of a test alert.

A template is rendered in Jinja2's sandbox: it can only use the values that it is given. Names in an
alert come from packets, so their content must not become markup or address people: the filter
`plain` replaces every character that chat services read as markup, a mention or a link by a
look-alike. Notifications apply it to all values; in a webhook's template, which mostly makes JSON
(`tojson`), it is up to the author.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.core.alert import AlertRecord, note
from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind
from netwatch.core.installing import install_command
from netwatch.core.user_yaml import Fields, read_trusted_file
from netwatch.core.value_kinds import TEXT
from netwatch.sinks.base import severity_rank, verdict_rank

if TYPE_CHECKING:
    from jinja2 import Template

_MAX_NAMES = 3

MAX_TEMPLATE = 65_536
"""Bytes of a template."""

MAX_RENDERED = 1 << 20
"""Characters of a template's output; a longer text is refused."""

# Full-width forms, and quotation marks for backticks: they look alike and mean nothing.
_LOOK_ALIKES = str.maketrans(
    {
        **{character: chr(ord(character) + 0xFEE0) for character in "@<>*_~|[]#&\\{}"},
        "`": "\u2019",
    }
)

MARK = "netwatch-test"
"""The id of app, ban and device in a test alert."""


def digest_title(records: Iterable[AlertRecord]) -> str:
    """How many alerts of each verdict there are, and how many of them were blocked."""
    counts: Counter[str] = Counter()
    blocked: Counter[str] = Counter()
    for record in records:
        # A notice has none: the word in its schema says what it is.
        verdict = str(record.get("verdict") or _kind(record))
        counts[verdict] += 1
        blocked[verdict] += record.get("outcome") == "blocked"
    verdicts = sorted(counts, key=lambda word: -verdict_rank({"verdict": word}))
    return printable(
        ", ".join(
            f"{counts[verdict]} {verdict}"
            + (f" ({blocked[verdict]} blocked)" if blocked[verdict] else "")
            for verdict in verdicts
        )
    )


def _kind(record: AlertRecord) -> str:
    return str(record.get("schema")).removeprefix("netwatch.").partition("/")[0]


def digest_order(record: AlertRecord) -> tuple[int, int, str]:
    """The order of a digest: the most serious first."""
    return -verdict_rank(record), -severity_rank(record), str(record.get("first_seen"))


def digest_line(record: AlertRecord) -> str:
    """One alert as one line for people."""

    def part(key: str) -> AlertRecord:
        value = record.get(key)
        return value if isinstance(value, dict) else {}

    device, app, ban = part("device"), part("app"), part("ban")
    if not app and record.get("message"):
        # A notice, which is not a contact with an app.
        return printable(
            f"{record.get('first_seen')}  {record.get('severity')}, {record.get('status')}:"
            f" {record['message']}; {record.get('id')}"
        )
    who = " ".join(str(device[key]) for key in ("id", "ip", "owner") if device.get(key))
    names = [str(name) for name in record.get("names") or []]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    grades = [record.get("severity"), record.get("confidence")]
    if record.get("outcome"):
        grades += [part("kind").get("value"), record["outcome"]]
    meaning = f"; {note(record)}" if record.get("outcome") == "blocked" else ""
    return printable(
        f"{record.get('first_seen')}  {record.get('verdict')} ({', '.join(map(str, grades))},"
        f" {record.get('status')}): {app.get('name')} by {who or '?'},"
        f" ban {ban.get('id')}{meaning}; names: {', '.join(names[:_MAX_NAMES]) or 'none'}{more}"
        f"; alert {record.get('id')}"
    )


def printable(text: str) -> str:
    """Text in which characters that could break the line or hide others are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain(value: Any) -> str:
    """A value as text that no chat service reads as markup, as a mention or as a link."""
    text = printable(str(value)).translate(_LOOK_ALIKES)
    return text.replace("://", ":\uff0f\uff0f")


class MessageTemplate:
    """A template. `escapes` applies `plain` to every value."""

    def __init__(self, text: str, *, escapes: bool) -> None:
        """Raises `NetwatchError` if the text is not a template, or Jinja2 is missing."""
        self._template = _compiled(text, escapes)

    def render(self, **values: Any) -> str:
        """The output of the template for these values. Raises `NetwatchError` with the reason if it
        uses missing values, or the text is too long."""
        size, parts = 0, []
        try:
            for part in self._template.generate(**values):
                size += len(part)
                if size > MAX_RENDERED:
                    raise NetwatchError(f"the template makes more than {MAX_RENDERED:,} characters")
                parts.append(part)
        except NetwatchError:
            raise
        except Exception as error:  # a template can raise whatever its expressions do
            raise NetwatchError(f"the template fails: {error}") from None
        return "".join(parts)


def template_file(*, escapes: bool, example: Callable[[], Mapping[str, Any]]) -> Kind:
    """The text of the template in a file, which is tried with the values of an `example`; empty if
    it is absent. Mistakes are noted as a problem."""

    def read(fields: Fields, declared: Key, base: Path) -> str | None:
        name = fields.text(declared.name)
        if not name:
            return None
        try:
            text = read_trusted_file(base / name, MAX_TEMPLATE).decode()
            MessageTemplate(text, escapes=escapes).render(**example())
        except NetwatchError as error:
            fields.add_problem(declared.name, f"'{declared.name}': {base / name} {error}")
            return None
        except UnicodeDecodeError:
            fields.add_problem(declared.name, f"'{declared.name}': {base / name} is not UTF-8 text")
            return None
        return text

    return Kind("path", TEXT.schema, read, empty="")


@functools.lru_cache(maxsize=64)
def _compiled(text: str, escapes: bool) -> "Template":
    try:
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise NetwatchError(f"a template needs an extra: {install_command('notify')}") from None
    environment = ImmutableSandboxedEnvironment(
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=plain if escapes else None,
    )
    environment.filters |= {"plain": plain, "line": digest_line}
    try:
        return environment.from_string(text)
    except TemplateError as error:
        line = getattr(error, "lineno", 0)
        raise NetwatchError(f"is no template: line {line}: {error}") from None


def sample_alert(now: float, sensor: str, version: str) -> dict[str, Any]:
    """The record of a test alert with every field, at the time `now` in s since the epoch."""
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    explanation = "test of an output, no incident"
    return {
        "schema": "netwatch.alert/1",
        "id": f"test-{int(now * 1000):x}",
        "status": "closed",
        "verdict": "exempt",
        "severity": "low",
        "confidence": "possible",
        "kind": {"value": "lookup", "reasons": [explanation]},
        "outcome": "unknown",
        "blocked_by": [],
        "confidence_reasons": [],
        "contradictions": [],
        "candidates": [],
        "first_seen": time,
        "last_seen": time,
        "duration": 0.0,
        "app": {"id": MARK, "name": "netwatch test", "vendor": MARK},
        "ban": {
            "id": MARK,
            "authority": explanation,
            "legal_basis": "",
            "from": None,
            "until": None,
            "review": None,
            "basis": "",
        },
        "exemption": None,
        "device": {
            "id": MARK,
            "ip": "192.0.2.1",
            "mac": None,
            "hostname": None,
            "owner": None,
            "class": "service",
        },
        "network": {"name": MARK, "class": "service", "authority": "", "vlan": None},
        "destinations": [
            {"ip": "198.51.100.1", "port": 443, "asn": None, "as_org": None, "country": None}
        ],
        "names": ["test.example"],
        "evidence": [
            {
                "time": time,
                "type": "tls-sni",
                "name": "test.example",
                "rule": {"text": explanation, "file": "", "line": 0, "sources": []},
                "role": "exclusive",
                "source": MARK,
                "packet": 1,
                "count": 1,
                "app_only": False,
                "raw": "test.example",
                "chain": [],
                "answer": None,
                "tls": None,
            }
        ],
        "counts": {
            "lookups": 0,
            "handshakes": 1,
            "flows": 0,
            "bytes_out": 0,
            "bytes_in": 0,
            "outcomes": {"reached": 0, "attempted": 0, "blocked": 0, "unknown": 1},
        },
        "community_ids": [],
        "sensor": {"name": sensor, "version": version},
    }
