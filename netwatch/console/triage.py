"""What people decide of incidents: a state, who works on it, and why; with a history.

An incident is *new* until somebody has decided something of it; only then it has a row. It is seen
or in work, and in the end closed: the alarm was justified, or it was false. With the state, the
rule that raised the alarm is kept, and the versions that judged, so that false alarms can be
counted by rule for who maintains signatures, without anything of a person.

The incidents themselves may be in another database, so lists are filtered by ids.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, case, delete, func, insert, select, union, update

from netwatch.console import tables
from netwatch.core.alert import AlertRecord, TriageState
from netwatch.core.errors import NetwatchError
from netwatch.core.filter_words import TRIAGE
from netwatch.formats.alert_summary import rule_text, summarize
from netwatch.store import catalogue_tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.chosen_incidents import Chosen, chosen
from netwatch.store.database import Database
from netwatch.store.person import ALWAYS
from netwatch.store.statements import MANY, among, chunks, upsert

if TYPE_CHECKING:
    from netwatch.store.person import Person

NEW: TriageState = "new"
"""The state of an incident of which nothing was decided yet."""

CLOSED: tuple[TriageState, ...] = ("justified", "false")
"""The states of a closed one: by whether the alarm was right."""

STATES = TRIAGE["triage"]
"""All states, in the order in which an incident usually has them."""

MAX_REASON = 200
"""Characters of a reason."""

MAX_NOTE = 1000
"""Characters of a note."""

MAX_HISTORY = 100
"""Changes of an incident that are shown: the newest."""

MAX_ASSIGNEES = 500
"""Accounts that are offered as assignees."""

NOBODY = "-"
"""What stands for no assignee, where an empty text stands for no change."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed: an empty `state` or `assignee` leaves it as it is; `NOBODY` is nobody.
    The texts belong to the change, and do not stay."""

    state: str = ""
    assignee: str = ""
    reason: str = ""
    note: str = ""

    def problem(self) -> str:
        """Which of ``empty``, ``reason``, ``reason-length``, ``note-length`` and ``new`` is wrong;
        empty if nothing is. Closing requires a reason, and a new incident has no assignee."""
        if not (self.state or self.assignee or self.reason or self.note):
            return "empty"
        if len(self.reason) > MAX_REASON:
            return "reason-length"
        if len(self.note) > MAX_NOTE:
            return "note-length"
        if self.state in CLOSED and not self.reason:
            return "reason"
        return "new" if self.state == NEW and self.assignee not in ("", NOBODY) else ""


@dataclass(frozen=True, slots=True)
class Triaged:
    """The state of an incident. `version` is the number of its last change, 0 if there is none."""

    state: str = NEW
    assignee: str = ""
    changed: int | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that was made; `time` is in ns."""

    time: int
    account: str
    state: str
    assignee: str
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many closed incidents a rule of an app has raised, by the versions that judged: false
    alarms, and justified ones."""

    app: str
    rule: str
    signatures: str
    netwatch: str
    false: int
    justified: int


class OutdatedError(NetwatchError):
    """Somebody else has changed the incident meanwhile."""


class Triage:
    """The triage of a console; methods raise `NetwatchError`."""

    def __init__(self, database: Database, now: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._now = now

    def change(
        self,
        record: AlertRecord,
        change: Change,
        account: str,
        version: int | None = None,
        *,
        is_to_tell: bool = False,
    ) -> tuple[Triaged, Triaged]:
        """Change the state of the incident with this record: what it was, and what it is now.
        A new state is `untold` from then on if it `is_to_tell`. Raises `OutdatedError` if the
        incident was changed since `version`."""
        incident = str(record["id"])
        with self._database.writing(numbers=True) as connection:
            before = _of(connection, [incident]).get(incident, Triaged())
            before_version = _version(connection, incident)
            if version is not None and version != before_version:
                raise OutdatedError("the incident was changed meanwhile")
            state = change.state or (before.state if before.state != NEW else "seen")
            assignee = "" if change.assignee == NOBODY else change.assignee or before.assignee
            assignee = assignee if state != NEW else ""
            moment = self._now()
            added = connection.execute(
                insert(tables.triage_change).values(
                    incident=incident, time=moment, account=account, state=state,
                    assignee=assignee, reason=change.reason, note=change.note,
                )
            )  # fmt: skip
            if state == NEW:
                row = tables.triage.c.incident == incident
                connection.execute(delete(tables.triage).where(row))
            else:
                _write(connection, record, state, assignee, moment)
            after = Triaged(state, assignee, moment, _primary_key(added))
            if is_to_tell and state != before.state:
                connection.execute(insert(tables.triage_untold).values(change=after.version))
        return before, after

    def of(self, incidents: Collection[str]) -> Mapping[str, Triaged]:
        """The states of those incidents that are not new, without their versions."""
        with self._database.reading() as connection:
            return _of(connection, incidents)

    def one(self, incident: str) -> Triaged:
        """The state of an incident."""
        with self._database.reading() as connection:
            found = _of(connection, [incident]).get(incident, Triaged())
            version = _version(connection, incident)
        return Triaged(found.state, found.assignee, found.changed, version)

    def history(self, incident: str) -> list[Changed]:
        """The changes of an incident, the newest first."""
        row = tables.triage_change.c
        columns = (row.time, row.account, row.state, row.assignee, row.reason, row.note)
        statement = select(*columns).where(row.incident == incident).order_by(row.id.desc())
        with self._database.reading() as connection:
            return [Changed(*each) for each in connection.execute(statement.limit(MAX_HISTORY))]

    def changes(self, incidents: Collection[str]) -> list[tuple[str, Changed]]:
        """All changes of some incidents, each with its incident, the oldest first."""
        row, found = tables.triage_change.c, list[Any]()
        columns = (row.time, row.account, row.state, row.assignee, row.reason, row.note)
        with self._database.reading() as connection:
            for part in chunks(sorted(incidents), MANY):
                own = among(connection, row.incident, part)
                statement = select(row.id, row.incident, *columns).where(own)
                found += connection.execute(statement).all()
        found.sort(key=itemgetter(0))
        return [(incident, Changed(*values)) for _, incident, *values in found]

    def extent(self, incidents: Collection[str]) -> tuple[int, int | None, int | None]:
        """How many changes some incidents have, and when the first and the last were."""
        row, found = tables.triage_change.c, list[Any]()
        with self._database.reading() as connection:
            for part in chunks(sorted(incidents), MANY):
                own = among(connection, row.incident, part)
                statement = select(func.count(), func.min(row.time), func.max(row.time)).where(own)
                found += connection.execute(statement).all()
        counted = [each for each in found if each[0]]
        return (
            sum(each[0] for each in counted),
            min((each[1] for each in counted), default=None),
            max((each[2] for each in counted), default=None),
        )

    def tell(self, tell: Callable[[str, Changed], bool]) -> bool:
        """Let `tell` take the oldest change that the outputs have not been told of, with its
        incident; whether it did. No other console takes it meanwhile, nor later unless this one
        does not, raises or is killed."""
        row, untold = tables.triage_change.c, tables.triage_untold.c
        columns = (row.time, row.account, row.state, row.assignee, row.reason, row.note)
        statement = (
            select(row.id, row.incident, *columns)
            .join(tables.triage_untold, untold.change == row.id)
            .order_by(row.id)
            .limit(1)
            .with_for_update(of=tables.triage_untold, skip_locked=True)
        )
        with self._database.writing() as connection:
            found = connection.execute(statement).first()
            if found is None or not tell(found.incident, Changed(*found[2:])):
                return False
            connection.execute(delete(tables.triage_untold).where(untold.change == found.id))
        return True

    def changed(self, catalogue: Catalogue) -> Chosen:
        """The incidents of a catalogue that have changes."""
        return chosen(catalogue, self._database, select(tables.triage_change.c.incident).distinct())

    def chosen(
        self,
        catalogue: Catalogue,
        states: Set[str],
        excluded: Set[str] = frozenset(),
        assignee: str = "",
        *,
        of_cases: bool = False,
    ) -> Chosen | None:
        """The incidents of a catalogue with one of the `states` and an assignee, where they are
        given, and with none that is `excluded`; or the cases with such an incident, and without one
        that is excluded. None if all are wanted."""

        def having(states: Set[str], assignee: str = "") -> Chosen:
            # Nobody works on what nobody has seen: no row has the state of new ones.
            others = NEW in states and not assignee
            of = {*STATES} - states if others else states
            return chosen(
                catalogue, self._database, _decided(of, assignee), others=others, of_cases=of_cases
            )

        if not (states or excluded or assignee):
            return None
        if of_cases and not states and not assignee:
            return Chosen.all_but(having(excluded))
        # What has no excluded state has one of the others.
        found = having((states or {*STATES}) - excluded, assignee)
        return found.without(having(excluded)) if of_cases and excluded else found

    def decided(self, state: str = "", assignee: str = "") -> frozenset[str]:
        """The ids of the incidents that are not new, of those in a state and with an `assignee`,
        where they are given."""
        with self._database.reading() as connection:
            states = {state} if state else {*STATES}
            return frozenset(connection.execute(_decided(states, assignee)).scalars())

    def counts(self) -> Mapping[str, int]:
        """How many incidents have each state but `NEW`."""
        row = tables.triage.c
        statement = select(row.state, func.count()).group_by(row.state)
        with self._database.reading() as connection:
            found = {state: int(count) for state, count in connection.execute(statement)}
        return {state: found.get(state, 0) for state in STATES if state != NEW}

    def assignees(self) -> list[str]:
        """The accounts that may work on incidents: analysts with an account or a session, and
        whoever works on one already."""
        account, session, row = tables.account.c, tables.session.c, tables.triage.c
        names = union(
            select(account.name).where(account.role == "analyst"),
            select(session.account).where(session.role == "analyst"),
            select(row.assignee).where(row.assignee != ""),
        ).subquery()
        statement = select(names.c[0]).order_by(names.c[0]).limit(MAX_ASSIGNEES)
        with self._database.reading() as connection:
            return [*connection.execute(statement).scalars()]

    def by_rule(self) -> list[RuleCount]:
        """The closed incidents by rule, those with the most false alarms first; only of rules that
        have raised one."""
        row = tables.triage.c
        keys = (row.app, row.rule, row.signatures, row.netwatch)
        false, justified = (
            func.sum(case((row.state == state, 1), else_=0)) for state in ("false", "justified")
        )
        statement = select(*keys, false, justified).group_by(*keys).having(false > 0)
        with self._database.reading() as connection:
            found = connection.execute(statement.order_by(false.desc(), *keys)).all()
        return [RuleCount(*each[:4], int(each[4]), int(each[5])) for each in found]

    def forget_missing(self, catalogue: Catalogue) -> int:
        """Delete what was decided of incidents that are no longer in the store; of how many."""
        row, incident = tables.triage_change.c, catalogue_tables.incident.c
        with self._database.reading() as connection:
            known = sorted(connection.execute(select(row.incident).distinct()).scalars())
        missing: list[str] = []
        for part in chunks(known, MANY):
            with catalogue.database.reading() as connection:
                wanted = among(connection, incident.id, part)
                stored = set(connection.execute(select(incident.id).where(wanted)).scalars())
            missing += [each for each in part if each not in stored]
        with self._database.writing() as connection:
            forget(connection, missing)
        return len(missing)


def erase_triage(connection: Connection, incidents: Collection[str], person: "Person") -> int:
    """Erase what was decided of the incidents of a person, and the texts of others that mention
    the person; of how many incidents."""
    row = tables.triage_change.c
    known = connection.execute(select(row.id, row.incident, row.reason, row.note)).all()
    own = {*incidents}
    concerned = {each.incident for each in known} & own
    forget(connection, concerned)
    for each in known:
        if each.incident not in own and person.is_mentioned([each.reason, each.note], *ALWAYS):
            concerned.add(each.incident)
            texts = update(tables.triage_change).where(row.id == each.id)
            connection.execute(texts.values(reason="", note=""))
    return len(concerned)


def _decided(states: Set[str], assignee: str) -> Select[Any]:
    row = tables.triage.c
    statement = select(row.incident)
    if not {*STATES} - {NEW} <= states:
        statement = statement.where(row.state.in_(sorted(states)))
    return statement.where(row.assignee == assignee) if assignee else statement


def forget(connection: Connection, incidents: Iterable[str]) -> None:
    """Delete what was decided of incidents, with its history."""
    changes = tables.triage_change.c
    for part in chunks([*incidents]):
        own = select(changes.id).where(changes.incident.in_(part))
        connection.execute(
            delete(tables.triage_untold).where(tables.triage_untold.c.change.in_(own))
        )
        for table in (tables.triage, tables.triage_change):
            connection.execute(delete(table).where(table.c.incident.in_(part)))


def _of(connection: Connection, incidents: Collection[str]) -> dict[str, Triaged]:
    row, found = tables.triage.c, dict[str, Triaged]()
    for part in chunks([*incidents]):
        statement = select(row.incident, row.state, row.assignee, row.changed)
        for name, *values in connection.execute(statement.where(row.incident.in_(part))):
            found[name] = Triaged(*values)
    return found


def _version(connection: Connection, incident: str) -> int:
    row = tables.triage_change.c
    last = select(func.max(row.id)).where(row.incident == incident)
    return int(connection.execute(last).scalar() or 0)


def _write(
    connection: Connection, record: AlertRecord, state: str, assignee: str, moment: int
) -> None:
    strongest = summarize(record).strongest_evidence
    values: dict[str, Any] = {
        "incident": record["id"],
        "state": state,
        "assignee": assignee,
        "changed": moment,
        "app": record["app"]["id"],
        "rule": "" if strongest is None else rule_text(strongest),
        "signatures": (record.get("versions") or {}).get("signatures") or "",
        "netwatch": record["sensor"]["version"] or "",
    }
    upsert(
        connection,
        tables.triage,
        [values],
        lambda new: {name: new[name] for name in values if name != "incident"},
    )


def _primary_key(result: Any) -> int:
    (key,) = result.inserted_primary_key
    return int(key)
