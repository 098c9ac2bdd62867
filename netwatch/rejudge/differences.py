"""The differences between a run's stored incidents and those that it would have now, and the
reasons: the rule, clause or entry that made the difference.

Two alerts are the same if all fields are equal that say what happened, to whom, and how it is
judged. Fields that name who judged (`IGNORED`) do not count, nor does the file and line of a rule
or an inventory entry, nor the status of an alert, which depends on when it was read.

An incident gets another id if its device, app, ban or kind of verdict changes, or if it begins at
another contact. So among the remaining ones, a withdrawn and a new incident are taken for the same
one if they have the same app under the same ban and a piece of evidence in common.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from typing import Any, Literal

from netwatch.config import Config
from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.alert import EVIDENCE_KEYS, AlertRecord, number_of
from netwatch.core.message import HANDSHAKES
from netwatch.core.verdict import CONFIDENCE_RANK, Device, Network, Verdict
from netwatch.engine.judge import Judge
from netwatch.formats.alert_summary import rule_text
from netwatch.formats.values import epoch_ns
from netwatch.inventory.devices import INVENTORY
from netwatch.rules.policy import confidence

Change = Literal["new", "withdrawn", "changed", "not-judged"]
"""How an incident differs; `not-judged` if its facts are incomplete, so that it cannot be told."""

IGNORED = frozenset({"schema", "status", "sensor", "versions", *EVIDENCE_KEYS})
"""Fields of an alert that are not compared."""

_WHERE = frozenset({"file", "line", "sources"})
"""Fields that are not compared in a rule or an inventory entry."""

FROM_FACTS = frozenset(
    {"id", "last_seen", "kind", "destinations", "counts", "community_ids", "names", "evidence",
     "outcome", "blocked_by", "confidence", "confidence_reasons", "contradictions", "candidates",
     "first_seen", "duration"}
)  # fmt: skip
"""Fields that differ if some facts of an incident are gone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the records of an incident `before` and `after`; one is None if the
    incident is new or withdrawn. If it changed, `fields` are those that differ."""

    change: Change
    before: AlertRecord | None
    after: AlertRecord | None
    fields: tuple[str, ...] = ()


def compared(before: Iterable[AlertRecord], after: Iterable[AlertRecord]) -> Iterator[Difference]:
    """The differences between the incidents of one run, in the order of time.

    Both sides are read once and in step: if both are in the same order, as the incidents of `scan`
    are, only what differs is in memory, compressed.
    """
    found: list[_Found] = []
    gone: dict[str, bytes] = {}
    new: dict[str, bytes] = {}
    for was, now in _same_incidents(before, after, gone, new):
        if fields := differing(was, now):
            found.append(_Found(was["first_seen"], _packed(was), _packed(now), fields))
    # What an id is made of is the same then. An incident of `live` keeps the id with which it was
    # opened, and an incident reported by an older sensor has an id without the sensor's name.
    found += [each for each in _other_ids(gone, new) if each.fields != ("id",)]
    found += [_Found(_unpacked(each)["first_seen"], each, None) for each in gone.values()]
    found += [_Found(_unpacked(each)["first_seen"], None, each) for each in new.values()]
    found.sort(key=lambda each: each.first_seen)
    for each in found:
        yield each.difference()


def _same_incidents(
    before: Iterable[AlertRecord],
    after: Iterable[AlertRecord],
    gone: dict[str, bytes],
    new: dict[str, bytes],
) -> Iterator[tuple[AlertRecord, AlertRecord]]:
    """The records with equal ids. Unmatched ones of either side are put into `gone` and `new`."""
    for was, now in zip_longest(before, after):
        if was is not None and now is not None and was["id"] == now["id"]:
            yield was, now
            continue
        if was is not None:
            other = new.pop(was["id"], None)
            if other is None:
                gone[was["id"]] = _packed(was)
            else:
                yield was, _unpacked(other)
        if now is not None:
            other = gone.pop(now["id"], None)
            if other is None:
                new[now["id"]] = _packed(now)
            else:
                yield _unpacked(other), now


def _other_ids(gone: dict[str, bytes], new: dict[str, bytes]) -> Iterator["_Found"]:
    """The records of the same incident with different ids; they are removed."""
    if not gone or not new:
        return
    places: dict[int, list[str]] = {}
    for id_, packed in new.items():
        for piece in _pieces(_unpacked(packed)):
            places.setdefault(hash(piece), []).append(id_)
    order = {id_: number for number, id_ in enumerate(new)}
    for id_, packed in list(gone.items()):
        record = _unpacked(packed)
        pieces = _pieces(record)
        candidates = {each for piece in pieces for each in places.get(hash(piece), ())}
        for candidate in sorted(candidates & new.keys(), key=order.__getitem__):
            other = _unpacked(new[candidate])
            if not pieces.isdisjoint(_pieces(other)):
                del gone[id_]
                fields = differing(record, other)
                yield _Found(other["first_seen"], packed, new.pop(candidate), fields)
                break


@dataclass(frozen=True, slots=True)
class _Found:
    """A difference while others are searched for: its records take a fraction of the memory."""

    first_seen: str
    before: bytes | None
    after: bytes | None
    fields: tuple[str, ...] = ()

    def difference(self) -> Difference:
        if self.before is None:
            assert self.after is not None
            return Difference("new", None, _unpacked(self.after))
        if self.after is None:
            return Difference("withdrawn", _unpacked(self.before), None)
        return Difference("changed", _unpacked(self.before), _unpacked(self.after), self.fields)


def _packed(record: AlertRecord) -> bytes:
    return zlib.compress(json.dumps(record).encode(), 1)


def _unpacked(packed: bytes) -> AlertRecord:
    record: AlertRecord = json.loads(zlib.decompress(packed))
    return record


def differing(before: AlertRecord, after: AlertRecord) -> tuple[str, ...]:
    """The names of the fields in which two records differ. If another version of netwatch wrote one
    of them, fields that only one of them has do not count."""
    versions = [(record.get("versions") or {}).get("netwatch") for record in (before, after)]
    strictly = versions[0] == versions[1]
    return tuple(
        name
        for name in dict.fromkeys([*before, *after])
        if name not in IGNORED
        and (strictly or (name in before and name in after))
        and not _are_alike(before.get(name), after.get(name), strictly=strictly)
    )


def _are_alike(before: Any, after: Any, *, strictly: bool) -> bool:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        ignored = _WHERE if {"file", "line"} <= before.keys() else frozenset[str]()
        keys = before.keys() | after.keys() if strictly else before.keys() & after.keys()
        return all(
            _are_alike(before.get(key), after.get(key), strictly=strictly) for key in keys - ignored
        )
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(
            _are_alike(*pair, strictly=strictly) for pair in zip(before, after, strict=True)
        )
    return bool(before == after)


def _pieces(record: AlertRecord) -> set[tuple[Any, ...]]:
    """What records of the same incident have in common: a piece of evidence for the same app under
    the same ban."""
    ban, app = record["ban"]["id"], record["app"]["id"]
    return {
        (ban, app, item["type"], item["name"], item["source"], number_of(item))
        for item in record["evidence"]
    }


LEARNED = ("dhcp", "announcement")
"""The sources of bindings that come from the traffic."""

OTHER_INCIDENT = "its contacts belong to another incident"
"""Why an incident is withdrawn although nothing contradicts what was seen."""

_VERDICT = frozenset({"id", "verdict", "severity", "ban", "exemption"})
_RULES = frozenset({"app", "confidence", "confidence_reasons", "evidence", "names", "kind"})
_COUNTED = ("counts", "destinations", "community_ids", "first_seen", "last_seen", "outcome",
            "blocked_by")  # fmt: skip


class Reasons:
    """Gives the reasons why incidents differ, by the configuration `config` that judged again. Bans
    are those of `day` if it is given."""

    def __init__(self, config: Config, day: date | None) -> None:
        self._config = config
        self._day = day
        self._judge = Judge(config)

    def of(self, difference: Difference) -> str:
        """The reason for a difference, as one sentence, or several separated by semicolons."""
        before, after = difference.before, difference.after
        if before is None:
            assert after is not None
            parts = [self._rule(_strongest(after)["name"]), self._clause(after)]
        elif after is None:
            parts = [self._withdrawn(before)]
        else:
            parts = list(self._changed(before, after, difference.fields))
        return "; ".join(dict.fromkeys(part for part in parts if part))

    def _withdrawn(self, before: AlertRecord) -> str:
        app = before["app"]
        lost = [self._lost(app, item) for item in before["evidence"]]
        if all(lost):
            return "; ".join(dict.fromkeys(lost))
        ban = before["ban"]["id"]
        device, listed = self._device_now(before)
        verdicts = [
            verdict
            for item, gone in zip(before["evidence"], lost, strict=True)
            if not gone
            for verdict in self._verdicts(before, item, device)
            if verdict.ban is None or verdict.ban.id == ban
        ]
        if not verdicts:
            if self._day is not None:
                return f"ban '{ban}' is not in force on {self._day}"
            return f"no ban '{ban}' is configured"
        clause = next((each.clause for each in verdicts if each.kind is None), "")
        if clause:
            is_other = device.device_class != before["device"]["class"]
            return f"{clause} ({listed})" if is_other and listed else clause
        best = max(verdicts, key=lambda each: CONFIDENCE_RANK.get(each.confidence or "", 0))
        least = best.ban.min_confidence if best.ban is not None else ""
        if CONFIDENCE_RANK.get(best.confidence or "", 0) < CONFIDENCE_RANK.get(least, 0):
            reason = (
                f"its confidence is {best.confidence}, and ban '{ban}' has min_confidence {least}"
            )
            return f"{reason}; {self._rule(_strongest(before)['name'])}"
        return OTHER_INCIDENT

    def _changed(
        self, before: AlertRecord, after: AlertRecord, fields: Sequence[str]
    ) -> Iterator[str]:
        if "binding" in fields:
            yield _binding_changed(before["binding"] or {}, after["binding"] or {})
        for name in ("device", "network"):
            if name in fields:
                yield from _changes(name, before[name], after[name])
        if "device" in fields and before["device"] != after["device"]:
            yield self._device_now(after)[1]
        if before["verdict"] != after["verdict"] or "exemption" in fields:
            yield self._clause(after)
        for name in ("ban", "exemption"):
            if name in fields and before[name] and after[name]:
                yield from _changes(name, before[name], after[name])
        if "severity" in fields:
            yield f"severity is {_shown(after['severity'])}, was {_shown(before['severity'])}"
        if not _RULES.isdisjoint(fields):
            yield from self._rules(before, after)
        named = [name for name in fields if name in _COUNTED]
        others = [name for name in fields if name not in {*_RULES, *_VERDICT, *_COUNTED}]
        others = [name for name in others if name not in ("device", "network", "binding")]
        if not {"evidence", "names"}.isdisjoint(fields):
            named = []
        for name in [*named, *others]:
            yield f"{name} differ" if name.endswith("s") else f"{name} differs"

    def _rules(self, before: AlertRecord, after: AlertRecord) -> Iterator[str]:
        """Which rules match other names, or give them another weight."""
        was = {item["name"]: item for item in before["evidence"]}
        now = {item["name"]: item for item in after["evidence"]}
        for name in sorted(now.keys() - was.keys()):
            yield self._rule(name)
        for name in sorted(was.keys() - now.keys()):
            yield self._lost(before["app"], was[name])
        for name in sorted(was.keys() & now.keys()):
            old, new = was[name], now[name]
            if (rule_text(old), old["role"]) != (rule_text(new), new["role"]):
                yield f"{self._rule(name)}; before: '{rule_text(old)}', role {old['role']}"
        if before["confidence"] != after["confidence"]:
            yield (
                f"confidence {after['confidence']} instead of {before['confidence']}:"
                f" {self._rule(_strongest(after)['name'])}"
            )
        if before["kind"] != after["kind"] and was.keys() == now.keys():
            yield f"kind {after['kind']['value']}: {' '.join(after['kind']['reasons'])}"

    def _rule(self, name: str) -> str:
        """Which rule matches a name now; empty if none does."""
        hit = next(self._config.catalog.hits(self._config.strip_search_suffix(name)), None)
        if hit is None:
            return ""
        rule = hit.rule
        return (
            f"{name} matches '{rule.text}' of {rule.app.name}, role {rule.role},"
            f" grade {rule.grade.value} ({rule.file}:{rule.line})"
        )

    def _lost(self, app: Any, item: Any) -> str:
        """A statement that no rule of an app matches a piece of evidence any more; empty if one
        does."""
        match = self._judge.match(item["name"])
        if match is None:
            was = f" (before: '{rule_text(item)}'{_place(item)})"
            return f"no rule matches {item['name']} any more{was}"
        if match.app.id != app["id"]:
            return self._rule(item["name"])
        return ""

    def _clause(self, record: AlertRecord) -> str:
        """The clause that decides an alert that was judged again."""
        device, item = _device(record), _strongest(record)
        for verdict in self._verdicts(record, item, device):
            if verdict.ban is not None and verdict.ban.id == record["ban"]["id"]:
                return f"{verdict.clause} (on {self._day})" if self._day else verdict.clause
        return ""

    def _verdicts(self, record: AlertRecord, item: Any, device: Device) -> list[Verdict]:
        """What the bans say about a piece of evidence of an alert."""
        match = self._judge.match(item["name"])
        if match is None or confidence(item["type"], match) is None:
            return []
        network = self._network(record)
        time = epoch_ns(item["time"])
        return self._config.policy.explain(item["type"], time, match, device, network)

    def _network(self, record: AlertRecord) -> Network | None:
        """The network of an alert's client by the configuration; the network in the record if the
        address is not known."""
        ip = parse_ip(record["device"]["ip"] or "")
        if ip is not None:
            return self._config.networks.find(ip, record["network"]["vlan"])
        its = record["network"]
        return Network(its["name"], its["class"], its["authority"])

    def _device_now(self, record: AlertRecord) -> tuple[Device, str]:
        """The device of an alert by the current inventory, and why; for a device that was learned,
        the one in the record."""
        ip, mac = parse_ip(record["device"]["ip"] or ""), parse_mac(record["device"]["mac"] or "")
        if ip is None or (record.get("binding") or {}).get("source") in LEARNED:
            return _device(record), ""
        time, devices = epoch_ns(record["first_seen"]), self._config.devices
        binding = devices.leases.binding_at(ip, mac, time)
        found = devices.identify(ip, mac, self._network(record), time, binding)
        return found.device, found.explanation


def _strongest(record: AlertRecord) -> Any:
    """The strongest piece of evidence: a handshake first."""
    return max(record["evidence"], key=lambda item: (item["type"] in HANDSHAKES, item["app_only"]))


def _device(record: AlertRecord) -> Device:
    its = record["device"]
    return Device(its["id"], its["ip"], its["mac"], its["hostname"], its["owner"], its["class"])


def _changes(name: str, before: Any, after: Any) -> Iterator[str]:
    for key in after:
        if key == "reason":  # A sentence that other words of the reason say with addresses.
            continue
        if isinstance(after[key], list):
            if before.get(key) != after[key]:
                yield f"{name}.{key} differ"
        elif before.get(key) != after[key]:
            yield f"{name}.{key} is {_shown(after[key])}, was {_shown(before.get(key))}"


def _binding_changed(before: Any, after: Any) -> str:
    """A statement that the owner of the address is known in another way, or for another time."""
    was_listed, is_listed = (each.get("source") == INVENTORY for each in (before, after))
    was_at = _at(before, "before: ")
    if is_listed and was_listed:
        return f"its row of the inventory is {_period(after)}, was {_period(before)}{_at(after)}"
    if is_listed:
        return f"the inventory changed: it has a row for the device now{_at(after)}"
    if was_listed:
        return f"the inventory changed: no row is taken for the device any more{was_at}"
    if before.get("source") != after.get("source"):
        sources = [f"'{each.get('source', 'nothing')}'" for each in (after, before)]
        source = f"is known from {sources[0]}{_at(after)}, was from {sources[1]}{was_at}"
        return f"who had the address {source}"
    source = after.get("source")
    return f"'{source}' gives the address {_period(after)}, was {_period(before)}{_at(after)}"


def _period(binding: Any) -> str:
    since, until = binding["from"] or "the beginning", binding["until"] or "further notice"
    return f"valid from {since} until {until}"


def _at(binding: Any, when: str = "") -> str:
    """Where a row is written, in parentheses, as far as known."""
    return f" ({when}{binding['file']}:{binding['line']})" if binding.get("file") else ""


def _shown(value: Any) -> str:
    return "empty" if value in (None, "") else f"'{value}'"


def _place(item: Any) -> str:
    rule = item["rule"]
    if isinstance(rule, dict) and rule.get("file"):
        return f", {rule['file']}:{rule['line']}"
    return ""
