"""The formats of logs: what each lacks, and what an example of it says.

``data/log_formats.yaml`` has a row for each format: its page below ``docs/logs``, and an example.
The example is read as a file would be, so that the page cannot say what the code does not do.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from docs_generator.data import rows
from docs_generator.markdown import code, table
from netwatch.core.addresses import ip_text
from netwatch.core.protocol_numbers import RCODES
from netwatch.logs.carriers import Carriers
from netwatch.logs.records import (
    PLAIN,
    Endpoint,
    LogClaim,
    LogEntry,
    LogFlow,
    LogFlows,
    LogName,
    ReaderContext,
)
from netwatch.logs.registry import LOG_FORMATS, LogFormat
from netwatch.logs.times import LocalTimes

EFFECTS = {
    "client": "Such a contact has no verdict, and is counted.",
    "client-port": "The port of the device is not in the evidence.",
    "server": "The address of the server is not in the evidence.",
    "answer": "The addresses of the name are not known, so flows to them do not count as contacts.",
    "query-type": "The type of the lookup is not in the evidence.",
    "year": "The year is `--year`, otherwise the file's; `confirmed` becomes `probable`.",
    "time-zone": "The zone is `--timezone`, otherwise UTC; `confirmed` becomes `probable`.",
    "device-behind-nat": "The address may belong to many devices; `confirmed` becomes `probable`.",
}
"""What follows from what a log lacks."""


def formats_block(_: str) -> str:
    """All formats with their pages."""
    pages = {name: page for name, page, *_ in rows("log_formats")["formats"]}
    return table(
        ("log", "`--as`", "recognised", "lacks"),
        (
            [
                f"[{row.title}]({pages[name]}.md)",
                code(name),
                "only with `--as`" if row.only_if_named else "by content",
                code(*row.lacks) or "",
            ]
            for name, row in LOG_FORMATS.items()
        ),
    )


def lacks_block(_: str) -> str:
    """What a log may lack, and what follows."""
    return table(
        ("`log.lacks`", "what follows"), ([code(word), text] for word, text in EFFECTS.items())
    )


def format_block(name: str) -> str:
    """A format: how to name it, what it lacks, and what its example says."""
    row = LOG_FORMATS[name]
    example = next(each for each in rows("log_formats")["formats"] if each[0] == name)[2]
    parts = [f"**{row.title}**: `--as {name}`. {_recognised(row)}"]
    if row.lacks:
        parts[0] += f" It [lacks](index.md#what-a-log-does-not-say) {code(*row.lacks)}."
    if example:
        parts.append(f"```text\n{example.rstrip()}\n```")
        parts.append("is read as")
        parts.append(_said(name, example.encode().splitlines()))
    return "\n\n".join(parts)


def _recognised(row: LogFormat) -> str:
    if row.only_if_named:
        return f"Only if you name it. {row.only_if_named}"
    return "Recognised by content."


def _said(name: str, lines: list[bytes]) -> str:
    """What an example says. Raises `ValueError` where it says nothing."""
    found = list(_read(name, lines))
    if not found:
        raise ValueError(f"the example of {name} says nothing")
    return "\n".join(f"- {_entry(each)}" for each in found)


def _read(name: str, lines: list[bytes]) -> Iterator[LogEntry]:
    times = LocalTimes(year=2026)
    row = LOG_FORMATS[name]
    reader = row.reader(ReaderContext(times))
    carriers = Carriers(times)
    for line in lines:
        taken = carriers.take_off(line) if row.container == "lines" else (line, PLAIN)
        if taken is not None:
            yield from reader.read(*taken)
    yield from reader.flush()


def _entry(entry: LogEntry) -> str:
    if isinstance(entry, LogName):
        client = code(entry.client_host) if entry.client_host else _side(entry.client)
        what = [f"{code(entry.evidence)} {code(entry.name)}", *_sides(client, _side(entry.server))]
        return f"{_time(entry.time)}: {', '.join(filter(None, [*what, _came(entry)]))}"
    if isinstance(entry, LogFlows):
        return "; ".join(map(_entry, entry.flows()))
    if isinstance(entry, LogFlow):
        volume = f"{entry.bytes_out:,} bytes out, {entry.bytes_in:,} in"
        sides = _sides(_side(entry.client), _side(entry.server))
        return f"{_time(entry.first)}: {', '.join(['a flow', *sides, volume])}"
    return f"{_time(entry.time)}: a claim of an address, {_claimed(entry)}"


def _sides(client: str, server: str) -> list[str]:
    return [f"{name} {side}" for name, side in (("client", client), ("server", server)) if side]


def _claimed(entry: LogClaim) -> str:
    addresses = code(*map(ip_text, entry.claim.addresses))
    mac = entry.claim.mac.hex(":") if entry.claim.mac else ""
    return " ".join(filter(None, (addresses, entry.claim.kind, mac, entry.claim.hostname)))


def _came(entry: LogName) -> str:
    said = []
    if entry.outcome:
        said.append(
            f"{entry.outcome} (`{entry.blocked_by}`)" if entry.blocked_by else entry.outcome
        )
    if entry.dns is not None and entry.dns.rcode in RCODES.values():
        said.append(code(entry.dns.rcode))
        said += [code(address) for address, _ in entry.dns.answers]
    if entry.lacks:
        said.append(f"lacks {code(*entry.lacks)}")
    return ", ".join(said)


def _time(time: int) -> str:
    return datetime.fromtimestamp(time // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _side(side: Endpoint) -> str:
    if side.ip is None:
        return ""
    address = ip_text(side.ip)
    return (
        code(f"[{address}]:{side.port}" if ":" in address else f"{address}:{side.port}")
        if (side.port)
        else code(address)
    )
