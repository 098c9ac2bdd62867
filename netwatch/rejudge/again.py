"""A store judged again: its alerts as they would be now, as `scan` would give them from what was
stored, also with the policy of one day, whatever the time of a contact; and the differences from
the stored alerts."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Self

from netwatch.config import Config
from netwatch.core.addresses import parse_ip
from netwatch.core.alert import Alert, AlertRecord
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Ban, BanPeriod, Exemption, Network
from netwatch.engine.judge import HidingApps, Judge
from netwatch.engine.log_scan import LogJudge
from netwatch.formats.jsonl import alert_record
from netwatch.formats.values import json_line
from netwatch.incidents.scan import ScanIncidents
from netwatch.privacy import key_id_of
from netwatch.rejudge.differences import (
    FROM_FACTS,
    LEARNED,
    OTHER_INCIDENT,
    Difference,
    Reasons,
    compared,
)
from netwatch.rejudge.facts import StoredFacts
from netwatch.rejudge.stored_runs import (
    OneOfCells,
    Recording,
    StoredRun,
    stored_incidents,
    stored_runs,
)
from netwatch.rules.policy import Policy
from netwatch.store.fact_files import FactFiles
from netwatch.store.hour_counting import fill_hours
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

INCIDENTS = 8000
"""Incidents in memory at a time, fewer than in `scan`: a year-long incident has as much evidence as
an incident can have, some 100 kB, and the facts need memory, too."""

CLOSED_EARLY = "netwatch live closed it before all that is stored of its flows was counted"
"""Why an incident of a live capture differs under the same rules."""

NOT_JUDGED = "not judged again: its facts are incomplete"
"""Why nothing is said about an incident that differs."""

_WHO = frozenset({"device", "binding"})
"""Fields that differ if facts are gone from which it was learned who had an address."""


class OneDay:
    """The bans in force on `day`, as if always in force, with the exemptions valid on that day, as
    a `policy`. Each ban has its own day, in its time zone."""

    def __init__(self, policy: Policy, day: date) -> None:
        self._bans: dict[str, Ban] = {ban.id: ban for ban in policy.bans}
        bans = [each for each in (_on(ban, day) for ban in policy.bans) if each is not None]
        ids = {ban.id for ban in bans}
        self._exemptions: dict[Exemption, Exemption] = {}
        for exemption in policy.exemptions:
            if exemption.ban in ids and _is_valid(exemption, day):
                self._exemptions.setdefault(replace(exemption, start=None, end=None), exemption)
        self.policy = Policy(bans, self._exemptions)

    def as_written(self, alert: Alert) -> Alert:
        """An alert by this policy, with its ban and exemption as they are written."""
        exemption = alert.exemption and self._exemptions[alert.exemption]
        return replace(alert, ban=self._bans[alert.ban.id], exemption=exemption)


def _on(ban: Ban, day: date) -> Ban | None:
    """The ban with only the period of this day, without an end; None if there is none."""
    for period in ban.periods:
        if (period.start or day) <= day <= (period.end or day):
            return replace(ban, periods=(BanPeriod(None, None, period.basis, period.advice),))
    return None


def _is_valid(exemption: Exemption, day: date) -> bool:
    return (exemption.start or day) <= day <= (exemption.end or day)


def judged_runs(
    runs: Sequence[StoredRun],
    facts: StoredFacts,
    config: Config,
) -> Iterator[tuple[StoredRun, Iterator[Alert], OneOfCells]]:
    """Each run with its alerts by `config`, in the order of `scan`, and its flow records that are
    ``one-of-k``; the alerts must be read before the next run. Incidents continue across the
    captures of a run, and end with it. They have the sensor that saw them."""
    judge = Judge(config)
    captures = facts.captures(
        lambda name: judge.match(name) is not None,
        judge.vendor_networks,
        learns=bool(config.learn),
    )
    following = next(captures, None)
    for number, run in enumerate(runs):
        one_of = OneOfCells()
        with ScanIncidents(
            config.quiet_gap, limit=INCIDENTS, client_limit=config.client_limit
        ) as incidents:
            while following is not None and following.run == number:
                note = partial(_note, one_of, run.captures[following.capture].number)
                judging = LogJudge(config, RunStatistics(), incidents, None, note_one_of=note)
                judging.judge(following.events)
                judging.finish()
                following = next(captures, None)
            sensor = replace(config.sensor, name=run.sensor, is_named=run.is_named)
            result = incidents.result(config.geo, sensor)
            yield run, iter(result.alerts), one_of


def _note(one_of: OneOfCells, capture: int, network: Network, hour: int, names: int) -> None:
    one_of[capture, network.name, network.device_class, hour, names] += 1


@dataclass(frozen=True, slots=True)
class ReasonedDifference:
    """A difference and its reason in words."""

    difference: Difference
    reason: str

    def record(self) -> dict[str, object]:
        """The record of the difference."""
        return {
            "change": self.difference.change,
            "before": self.difference.before,
            "after": self.difference.after,
            "fields": list(self.difference.fields),
            "reason": self.reason,
        }


class Again:
    """A store judged again by `config`; a context that closes the store.

    From complete runs, the incidents that began from `since` up to, but not including, `until` (ns)
    count. With `day`, bans and exemptions are those in force on that day. Runs of ``names`` are
    left out unless `include_names`. `threads` is the number of reading threads. `runs` is the
    number of runs; `not_judged` are the ids of incidents that differ and whose facts are
    incomplete, after the differences were read.

    Different sites may use the same addresses. So from a store of several sensors, only what was
    seen in a network that the configuration has under the same name for the address is judged;
    `elsewhere` are the ids of other incidents.

    With `record`, what was judged is recorded in the store (`Recording`) while the differences are
    read; `recording` has the result. Nothing is recorded for a run with clients that could not be
    judged: `unrecorded` counts such runs.
    """

    def __init__(
        self,
        options: StoreOptions,
        config: Config,
        *,
        since: int | None = None,
        until: int | None = None,
        day: date | None = None,
        include_names: bool = False,
        threads: int = 1,
        record: bool = False,
    ) -> None:
        self._since, self._until = since, until
        self.unrecorded = 0
        self._one_day = None if day is None else OneDay(config.policy, day)
        if self._one_day is not None:
            config = replace(config, policy=self._one_day.policy)
        self._config = config
        sensor = config.sensor
        self._versions = {
            "netwatch": sensor.version,
            "signatures": sensor.signatures,
            "bans": sensor.bans,
            "configuration": sensor.policy,
        }
        self._reasons = Reasons(config, day)
        self.not_judged: list[str] = []
        self.elsewhere: list[str] = []
        with contextlib.ExitStack() as opened:
            self._catalogue = opened.enter_context(open_catalogue(options))
            if record:
                fill_hours(self._catalogue, FactFiles(options.path), HidingApps(config))
            self.recording = Recording(self._catalogue, config, since, until) if record else None
            self.has_sensors = len(self._catalogue.sensors()) > 1
            self._runs = stored_runs(self._catalogue, since, until, include_names=include_names)
            privacy = config.privacy
            self._facts = opened.enter_context(
                StoredFacts(
                    self._catalogue,
                    options,
                    self._runs,
                    threads=threads,
                    sealing=privacy.sealing if privacy is not None else None,
                    network_of=self._network_of if self.has_sensors else None,
                )
            )
            self._opened = opened.pop_all()
        self.runs = len(self._runs)
        self.unknown_clients = len(self._facts.unknown)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def elsewhere_clients(self) -> int:
        """How many clients were not judged because they were in another network, so far."""
        return len(self._facts.elsewhere)

    def alerts(self) -> Iterator[Alert]:
        """All alerts, run by run, in the order of `scan`."""
        for _, alerts, _ in self._judged():
            yield from alerts

    def differences(self) -> Iterator[ReasonedDifference]:
        """The differences, run by run, in the order of time. If several runs have the same
        difference, it occurs once."""
        gone = self._facts.incomplete_captures()
        spans = self._facts.complete_spans() if self.recording is not None else {}
        names = {scope.network.name for scope in self._config.networks.scopes}
        seen: set[tuple[str, str]] = set()
        for run, alerts, one_of in self._judged():
            before = (
                record
                for first_seen, record in stored_incidents(self._catalogue, run.number)
                if self._is_wanted(first_seen)
            )
            after = map(_as_read, alerts)
            has_gaps = any(capture.number in gone for capture in run.captures)
            found: list[Difference] = []
            for difference in compared(before, after):
                record = difference.after or difference.before
                assert record is not None
                key = difference.change, record["id"]
                if key in seen:
                    continue
                seen.add(key)
                if self._is_elsewhere(difference):
                    self.elsewhere.append(record["id"])
                elif self._is_sealed(difference):
                    self.not_judged.append(record["id"])
                elif has_gaps and not self._is_certain(run, difference):
                    self.not_judged.append(record["id"])
                    yield ReasonedDifference(_not_judged(difference), NOT_JUDGED)
                else:
                    found.append(difference)
                    yield ReasonedDifference(difference, self._reason(run, difference))
            if self.recording is None:
                continue
            if self._facts.unknown or names & self._facts.networks_elsewhere():
                self.unrecorded += 1
            else:
                self.recording.run_ended(run, found, spans, one_of)

    def _judged(self) -> Iterator[tuple[StoredRun, Iterator[Alert], OneOfCells]]:
        """Each run with the alerts that are wanted."""
        one_day = self._one_day
        for run, alerts, one_of in judged_runs(self._runs, self._facts, self._config):
            wanted = (alert for alert in alerts if self._is_wanted(alert.first_seen))
            yield run, wanted if one_day is None else map(one_day.as_written, wanted), one_of

    def _reason(self, run: StoredRun, difference: Difference) -> str:
        reason = self._reasons.of(difference)
        return f"{CLOSED_EARLY}; {reason}" if _was_closed_early(run, difference) else reason

    def _is_certain(self, run: StoredRun, difference: Difference) -> bool:
        """Whether a difference in a run whose facts are partly gone has another cause: the evidence
        of the incident is there, it is judged by other rules than before, and it differs in more
        than what is counted or learned from the traffic."""
        before = difference.before
        if before is None:
            return True
        versions = before.get("versions") or {}
        is_same = all(versions.get(name) == its for name, its in self._versions.items())
        if is_same and self._one_day is None:
            return False
        if difference.change == "changed":
            is_learned = (before.get("binding") or {}).get("source") in LEARNED
            if (FROM_FACTS | (_WHO if is_learned else frozenset())).issuperset(difference.fields):
                return False
        elif self._reasons.of(difference) == OTHER_INCIDENT:
            return False
        captures = [capture.number for capture in run.captures]
        return self._facts.has_evidence(captures, before)

    def _is_sealed(self, difference: Difference) -> bool:
        """Whether the incident may be of a client whose address no key unseals."""
        before = difference.before
        unknown = bool(self._facts.unknown)
        return unknown and before is not None and key_id_of(before["device"]["id"]) is not None

    def _network_of(self, ip: bytes, vlan: int | None) -> str | None:
        found = self._config.networks.find(ip, vlan) if ip else None
        return found.name if found is not None else None

    def _is_elsewhere(self, difference: Difference) -> bool:
        """Whether the incident was in a network that is another one in the configuration, in a
        store of several sensors."""
        before = difference.before
        if before is None or not self.has_sensors:
            return False
        name: str = before["network"]["name"]
        vlan = before["network"]["vlan"]
        ip = parse_ip(before["device"]["ip"] or "")
        if ip is None:
            return name not in {scope.network.name for scope in self._config.networks.scopes}
        return self._network_of(ip, vlan) != name

    def _is_wanted(self, first_seen: int) -> bool:
        since, until = self._since, self._until
        return (since is None or first_seen >= since) and (until is None or first_seen < until)


def _was_closed_early(run: StoredRun, difference: Difference) -> bool:
    """Whether an incident differs only in counts, although it was judged by the same rules: a live
    capture closes incidents while it runs, and later changes of their flows are in the store but
    not in the alert."""
    before, after = difference.before, difference.after
    return (
        run.command == "live"
        and before is not None
        and after is not None
        and before.get("versions") == after.get("versions")
        and FROM_FACTS.issuperset(difference.fields)
    )


def _not_judged(difference: Difference) -> Difference:
    """The same incident without what would be said about it."""
    return Difference("not-judged", difference.before, None)


def _as_read(alert: Alert) -> AlertRecord:
    """The record of an alert as it would be read from the store."""
    record: AlertRecord = json.loads(json_line(alert_record(alert)))
    return record
