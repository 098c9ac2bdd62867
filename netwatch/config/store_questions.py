"""What `netwatch store query` and the API of the console ask a store, in the words of a
configuration: filters, unknown words, and judged coverage.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netwatch.config import Config
from netwatch.core.addresses import mac_text, parse_ip, parse_mac
from netwatch.core.errors import NetwatchError
from netwatch.core.filter_words import EXCLUDES, SORTS, TRIAGE, WORDS, column_of
from netwatch.core.period import parse_moment
from netwatch.core.user_yaml import Problems, did_you_mean
from netwatch.coverage.judged import Wanted, says
from netwatch.formats.coverage import narrowed
from netwatch.formats.values import json_line, rfc3339
from netwatch.rules.bans import ban_contents
from netwatch.store import queries
from netwatch.store.catalogue import Catalogue
from netwatch.store.judged_coverage import captured_span, hour_records, judged_coverage
from netwatch.store.statements import Filter, Position, name_pattern

if TYPE_CHECKING:
    from netwatch.inventory.entry_table import Entry


class WrongWordsError(NetwatchError):
    """A question has words that cannot be: each with the name of its filter."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems))
        self.problems = tuple(problems)


def read_filter(
    records: str, words: Mapping[str, Sequence[str]], config: Config, now: int
) -> Filter:
    """The filter for a kind of records that the words of each filter make: ``since``, ``until``,
    ``app``, ``device``, ``network``, ``sensor``, ``ban``, ``name`` and those of `WORDS`; of
    incidents and cases also what is left out (``not-app``, and so on), and ``sort``. The words of
    `TRIAGE` are only checked: what was decided is not in the store. Raises `WrongWordsError`."""
    wrong: list[tuple[str, str]] = []
    sort = (words.get("sort") or ("",))[-1]
    if sort and sort not in SORTS:
        wrong.append(("sort", f"expected {', '.join(SORTS[:-1])} or {SORTS[-1]}; found '{sort}'"))
    times: dict[str, int | None] = {}
    for name in ("since", "until"):
        text = (words.get(name) or ("",))[-1]
        try:
            times[name] = parse_moment(text, now, is_end=name == "until") if text else None
        except ValueError as error:
            wrong.append((name, str(error)))
    are_facts = records not in ("incidents", "cases")
    apps, not_apps = (
        _apps(config, name, words.get(name, ()), wrong, are_facts) for name in ("app", "not-app")
    )
    for name, known in {**WORDS, **TRIAGE}.items():
        for filtered in (name, EXCLUDES + name):
            wrong += [
                (filtered, f"expected {', '.join(known[:-1])} or {known[-1]}; found '{word}'")
                for word in words.get(filtered, ())
                if word not in known
            ]
    if wrong:
        raise WrongWordsError(wrong)
    device = (words.get("device") or ("",))[-1]
    entries = _entries(config, device) if device else []
    addresses: list[tuple[bytes | None, bytes | None]] = [
        (ip, None) for entry in entries for ip in entry.ips
    ]
    addresses += [(None, entry.mac) for entry in entries if entry.mac]
    excluded = {"app": not_apps} | {
        column_of(name): frozenset(words.get(EXCLUDES + name, ()))
        for name in ("ban", "network", "sensor", *WORDS)
    }
    fixed = {name: frozenset(words.get(name, ())) for name in WORDS}
    return Filter(
        since=times["since"],
        until=times["until"],
        apps=apps,
        bans=frozenset(words.get("ban", ())),
        networks=frozenset(words.get("network", ())),
        sensors=frozenset(words.get("sensor", ())),
        verdicts=fixed["verdict"],
        severities=fixed["severity"],
        confidences=fixed["confidence"],
        kinds=fixed["kind"],
        outcomes=fixed["outcome"],
        statuses=fixed["state"],
        sort=sort,
        names=tuple(map(name_pattern, words.get("name", ()))),
        device=device,
        addresses=tuple(addresses),
        device_ids=_device_ids(config, device, entries),
        excluded={name: of_name for name, of_name in excluded.items() if of_name},
        excluded_names=tuple(map(name_pattern, words.get("not-name", ()))),
        excluded_devices=tuple(words.get("not-device", ())),
    )


def _apps(
    config: Config,
    name: str,
    words: Sequence[str],
    wrong: list[tuple[str, str]],
    are_of_signatures: bool,
) -> frozenset[str]:
    """The apps that the words of a filter stand for, which must be of the signatures if they are
    not names alone. Adds what is wrong."""
    if not are_of_signatures and not any(":" in word for word in words):
        return frozenset(words)
    problems = Problems()
    apps = config.catalog.resolve_apps([(0, word) for word in words], "", problems)
    wrong += [(name, problem.message) for problem in problems.found]
    return apps


def _entries(config: Config, word: str) -> "list[Entry]":
    """The devices of the inventory with an id, MAC, host name or owner."""
    lower, mac = word.lower(), parse_mac(word)
    return [
        entry
        for entry in config.devices.entries
        if lower in (entry.id.lower(), (entry.hostname or "").lower(), (entry.owner or "").lower())
        or (mac is not None and entry.mac == mac)
    ]


def _device_ids(config: Config, word: str, entries: "list[Entry]") -> frozenset[str]:
    """The ids, in lower case, of the device that a word names, which may also be its address."""
    if not word:
        return frozenset()
    found = {entry.id.lower() for entry in entries}
    if (mac := parse_mac(word)) is not None:
        found.add(mac_text(mac))
    if (ip := parse_ip(word)) is not None:
        found |= {entry.id.lower() for entry in config.devices.entries if ip in entry.ips}
    return frozenset({word.lower(), *found})


def refuse_unknown(
    catalogue: Catalogue, config: Config, wanted: Filter, *, is_limited: bool = False
) -> None:
    """Raise `WrongWordsError` if a filter names what neither configuration nor store knows. Who is
    limited to some networks gets no hint what there is, and none whether there is a device, which
    may be in another network."""
    wrong: list[tuple[str, str]] = []
    asked = {
        "app": wanted.apps, "ban": wanted.bans, "network": wanted.networks,
        "sensor": wanted.sensors,
    }  # fmt: skip
    asked |= {EXCLUDES + kind: wanted.excluded.get(kind, frozenset()) for kind in [*asked]}
    for name, words in asked.items():
        kind = name.removeprefix(EXCLUDES)
        for word, hint in queries.unknown_words(catalogue, kind, words, config.words[kind]):
            article = "an" if kind == "app" else "a"
            expected = f"expected {article} {kind} of the configuration or the store"
            hint = "" if is_limited else hint
            wrong.append((name, f"{expected}, found '{word}'{hint}"))
    devices = [("device", wanted.device)] if wanted.device else []
    devices += [(EXCLUDES + "device", each) for each in wanted.excluded_devices]
    for name, word in () if is_limited else devices:
        if not _entries(config, word) and not queries.is_known_device(catalogue, word):
            expected = "expected a device of the inventory or the store, or an address"
            hint = did_you_mean(word, (entry.id for entry in config.devices.entries), 0.5)
            wrong.append((name, f"{expected}, found '{word}'{hint}"))
            break  # All records were read for it.
    if wrong:
        raise WrongWordsError(wrong)


def coverage_records(
    catalogue: Catalogue,
    wanted: Filter,
    after: Position | None = None,
    *,
    timeout: float | None = None,
) -> Iterator[tuple[str | None, str | None, str, Position]]:
    """The records of coverage behind a position, with those of their networks and devices alone
    that are asked for: the times of the first and last packet, the line of JSON, and its own
    position."""
    is_whole = not (wanted.networks or wanted.device)
    found = queries.coverage_after(catalogue, wanted, after, timeout=timeout)
    for *times, text, position in found:
        first, last = (None if time is None else rfc3339(time, 0) for time in times)
        if not is_whole:
            text = json_line(narrowed(json.loads(text), wanted.networks, wanted.device_ids))
        yield first, last, text, position


def ban_judges(config: Config) -> dict[str, Wanted]:
    """Of each ban of a configuration, whether a version has judged by it."""
    sensor = config.sensor
    contents = ban_contents(config.policy.bans, config.catalog)
    return {
        ban: says(ban, content, sensor.signatures, sensor.bans) for ban, content in contents.items()
    }


def judged_hours(catalogue: Catalogue, config: Config, wanted: Filter) -> Iterator[dict[str, Any]]:
    """The records of judged coverage by hour and network; of all hours with a capture where the
    filter has no times."""
    since, until = captured_span(judged_coverage(catalogue)) or (0, 0)
    since = since if wanted.since is None else wanted.since
    until = until if wanted.until is None else wanted.until
    classes = {scope.network.name: scope.network.device_class for scope in config.networks.scopes}
    coverage = judged_coverage(catalogue, since, until)
    return hour_records(coverage, classes, ban_judges(config), wanted.networks)
