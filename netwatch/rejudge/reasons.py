"""Why an incident is new, withdrawn or changed: the rule, the clause or the entry that did it."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from netwatch.config import Config
from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.alert import AlertRecord
from netwatch.core.message import HANDSHAKES
from netwatch.core.verdict import CONFIDENCE_RANK, Device, Network, Verdict
from netwatch.engine.judge import Judge
from netwatch.formats.values import epoch_ns
from netwatch.inventory.devices import INVENTORY
from netwatch.rejudge.differences import Difference
from netwatch.rules.policy import confidence

LEARNED = ("dhcp", "announcement")
"""The sources of bindings that are from the traffic."""

OTHER_INCIDENT = "its contacts belong to another incident"
"""Why an incident is withdrawn although nothing speaks against what was seen."""

_VERDICT = frozenset({"id", "verdict", "severity", "ban", "exemption"})
_RULES = frozenset({"app", "confidence", "confidence_reasons", "evidence", "names", "kind"})
_COUNTED = ("counts", "destinations", "community_ids", "first_seen", "last_seen", "outcome",
            "blocked_by")  # fmt: skip


class Reasons:
    """Says why incidents differ, by the configuration `config` that judged again. Bans are those of
    `day` if it is given."""

    def __init__(self, config: Config, day: date | None) -> None:
        self._config = config
        self._day = day
        self._judge = Judge(config)

    def of(self, difference: Difference) -> str:
        """The reason for a difference, as one sentence or several with a semicolon between."""
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
        """Which rules take other names, or give them another weight."""
        was = {item["name"]: item for item in before["evidence"]}
        now = {item["name"]: item for item in after["evidence"]}
        for name in sorted(now.keys() - was.keys()):
            yield self._rule(name)
        for name in sorted(was.keys() - now.keys()):
            yield self._lost(before["app"], was[name])
        for name in sorted(was.keys() & now.keys()):
            old, new = was[name], now[name]
            if (_text(old), old["role"]) != (_text(new), new["role"]):
                yield f"{self._rule(name)}; before: {_text(old)}, role {old['role']}"
        if before["confidence"] != after["confidence"]:
            yield (
                f"confidence {after['confidence']} instead of {before['confidence']}:"
                f" {self._rule(_strongest(after)['name'])}"
            )
        if before["kind"] != after["kind"] and was.keys() == now.keys():
            yield f"kind {after['kind']['value']}: {' '.join(after['kind']['reasons'])}"

    def _rule(self, name: str) -> str:
        """Which rule matches a name now; empty where none does."""
        hit = next(self._config.catalog.hits(self._config.strip_search_suffix(name)), None)
        if hit is None:
            return ""
        rule = hit.rule
        return (
            f"{name} matches '{rule.text}' of {rule.app.name}, role {rule.role},"
            f" grade {rule.grade.value} ({rule.file}:{rule.line})"
        )

    def _lost(self, app: Any, item: Any) -> str:
        """That no rule of an app matches a piece of evidence any more; empty where one does."""
        match = self._judge.match(item["name"])
        if match is None:
            was = f" (before: {_text(item)}{_place(item)})"
            return f"no rule matches {item['name']} any more{was}"
        if match.app.id != app["id"]:
            return self._rule(item["name"])
        return ""

    def _clause(self, record: AlertRecord) -> str:
        """The clause that decides an alert which was judged again."""
        device, item = _device(record), _strongest(record)
        for verdict in self._verdicts(record, item, device):
            if verdict.ban is not None and verdict.ban.id == record["ban"]["id"]:
                return f"{verdict.clause} (on {self._day})" if self._day else verdict.clause
        return ""

    def _verdicts(self, record: AlertRecord, item: Any, device: Device) -> list[Verdict]:
        """What the bans say of a piece of evidence of an alert."""
        match = self._judge.match(item["name"])
        if match is None or confidence(item["type"], match) is None:
            return []
        network = self._network(record)
        time = epoch_ns(item["time"])
        return self._config.policy.explain(item["type"], time, match, device, network)

    def _network(self, record: AlertRecord) -> Network | None:
        """The network of an alert's client by the configuration, by that in the record if its
        address is not known."""
        ip = parse_ip(record["device"]["ip"] or "")
        if ip is not None:
            return self._config.networks.find(ip, record["network"]["vlan"])
        its = record["network"]
        return Network(its["name"], its["class"], its["authority"])

    def _device_now(self, record: AlertRecord) -> tuple[Device, str]:
        """The device of an alert by the inventory as it is, and why; of a device that was learned
        the one in the record."""
        ip, mac = parse_ip(record["device"]["ip"] or ""), parse_mac(record["device"]["mac"] or "")
        if ip is None or (record.get("binding") or {}).get("source") in LEARNED:
            return _device(record), ""
        time, devices = epoch_ns(record["first_seen"]), self._config.devices
        binding = devices.leases.binding_at(ip, mac, time)
        found = devices.identify(ip, mac, self._network(record), time, binding)
        return found.device, found.explanation


def _strongest(record: AlertRecord) -> Any:
    """The piece of evidence that says most: a handshake before anything else."""
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
    """That it is known in another way, or for another time, who had the address."""
    was_listed, is_listed = (each.get("source") == INVENTORY for each in (before, after))
    if is_listed and was_listed:
        return f"its row of the inventory is {_period(after)}, was {_period(before)}{_at(after)}"
    if is_listed:
        return f"the inventory changed: it has a row for the device now{_at(after)}"
    if was_listed:
        return f"the inventory changed: no row is taken for the device any more{_was_at(before)}"
    if before.get("source") != after.get("source"):
        sources = [f"'{each.get('source', 'nothing')}'" for each in (after, before)]
        source = f"is known from {sources[0]}{_at(after)}, was from {sources[1]}{_was_at(before)}"
        return f"who had the address {source}"
    source = after.get("source")
    return f"'{source}' gives the address {_period(after)}, was {_period(before)}{_at(after)}"


def _period(binding: Any) -> str:
    since, until = binding["from"] or "the beginning", binding["until"] or "further notice"
    return f"valid from {since} until {until}"


def _at(binding: Any) -> str:
    """Where a row is written, in parentheses, as far as it is known."""
    return f" ({binding['file']}:{binding['line']})" if binding.get("file") else ""


def _was_at(binding: Any) -> str:
    return f" (before: {binding['file']}:{binding['line']})" if binding.get("file") else ""


def _shown(value: Any) -> str:
    return "empty" if value in (None, "") else f"'{value}'"


def _text(item: Any) -> str:
    """The rule of a piece of evidence as text."""
    rule = item["rule"]
    return f"'{rule['text'] if isinstance(rule, dict) else rule}'"


def _place(item: Any) -> str:
    rule = item["rule"]
    if isinstance(rule, dict) and rule.get("file"):
        return f", {rule['file']}:{rule['line']}"
    return ""
