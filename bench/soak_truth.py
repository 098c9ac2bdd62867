"""Compares what the stores of a soak have with what the sensors were shown.

A contact that a store lacks is *missing* if nothing happened that may take it, and else *unsaid*
if the store does not say that something is lost of that time. What a fault may take is little: what
was seen while a sensor did not run, and a few seconds before it was killed.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from measure import ENVIRONMENT, netwatch
from shared import ROOT
from soak_traffic import Contact

from netwatch.config import load
from netwatch.coverage.judged import QUARTER
from netwatch.store.opening import open_catalogue

SECOND = 10**9
TOLERANCE = 3 * SECOND
"""How far the time of a contact in a store may be from that at which it was sent."""

CLOCK = SECOND // 1000
"""How far clocks that stamp packets and records may be from that of who sends."""

SORTS = ("missing", "twice", "phantom", "unsaid")
"""What must not be found."""

EXAMPLES = 5
"""Contacts of each sort that are printed."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time (ns) in which a fault may have taken what a sensor saw."""

    sensor: str
    since: int
    until: int
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sensor was shown; its clock is `ahead` (ns)."""

    name: str
    configuration: str
    ahead: int
    sent: list[Contact]


def write_truth(path: Path, sensors: list[Shown], windows: list[Window]) -> None:
    """Write what `main` compares with."""
    found = {"sensors": [asdict(each) for each in sensors],
             "windows": [asdict(each) for each in windows]}  # fmt: skip
    path.write_text(json.dumps(found))


@dataclass(slots=True)
class Findings:
    """What is wrong, by sort and table, with examples; and what was lost and said."""

    counts: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, sort: str, what: str, example: object, count: int = 1) -> None:
        """Count something that is wrong."""
        self.counts[sort] += count
        if len(self.examples[f"{sort} {what}"]) < EXAMPLES:
            self.examples[f"{sort} {what}"].append(str(example))


class Stored:
    """What a store has of a sensor whose clock is `ahead` (ns). A centre (`corrects`) keeps the
    times of facts, and corrects those of cases and of coverage."""

    def __init__(self, configuration: str, sensor: str, ahead: int, *, corrects: bool) -> None:
        options = load(configuration).store
        assert options is not None
        self._configuration, self.ahead = configuration, ahead
        self.judged_ahead = 0 if corrects else ahead
        where = f"WHERE sensor = '{sensor}'"
        self.names = self._ask(f"SELECT name, client_ip, time_ns FROM observation {where}")
        self.flows = self._ask(
            f"SELECT client_ip, client_port, first_ns, start_seen, capture FROM flow {where}",
        )
        with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:

            def rows(statement: str) -> list[Any]:
                return [*connection.exec_driver_sql(statement.replace("SENSOR", f"'{sensor}'"))]

            of_sensor = "run IN (SELECT id FROM run WHERE sensor = SENSOR)"
            self._captures = rows(f"SELECT first, last, state, run FROM capture WHERE {of_sensor}")
            self._lost = {
                (run, quarter)
                for run, quarter in rows(f"SELECT run, quarter FROM loss WHERE {of_sensor}")
            }
            self.losses = dict(
                rows(f"SELECT kind, sum(count) FROM loss WHERE {of_sensor} GROUP BY kind")
            )
            coverage = rows(f"SELECT first, last, record FROM coverage WHERE {of_sensor}")
            self.incidents = rows(
                "SELECT i.incident, c.device, c.app, c.first_seen, c.last_seen"
                ' FROM fleet_case_incident i JOIN fleet_case c ON c.id = i."case"'
                " WHERE i.sensor = SENSOR"
                if corrects
                else "SELECT id, device, app, first_seen, last_seen FROM incident"
                f" WHERE shown = 1 AND {of_sensor}"
            )
        records = [(first, last, json.loads(record)) for first, last, record in coverage]
        self._dropped = [(first, last) for first, last, each in records
                         if each["packets"]["dropped"]]  # fmt: skip
        self.open = sum(state == "open" for _, _, state, _ in self._captures)
        self.flows_counted = sum(
            share["named"] + sum(share["unnamed"].values())
            for _, _, each in records
            for share in each["networks"]
            if share["name"] == f"net-{sensor}"
        )

    def _ask(self, query: str) -> list[dict[str, Any]]:
        where = ["-c", self._configuration]
        done = subprocess.run(
            netwatch("store", "sql", *where, "--format", "jsonl", "--timeout", "300", query),
            capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def says_lost(self, contact: Contact) -> bool:
        """Whether the store says that it lacks something of the time of a contact.

        A contact that was sent a moment before a capture began is in none.
        """
        since, at = (time + self.judged_ahead for time in (contact.since, contact.at))
        runs = {
            run
            for first, last, _, run in self._captures
            if first is not None and first <= at + CLOCK and since - CLOCK <= last
        }
        return (
            not runs
            or any((run, at // QUARTER) in self._lost for run in runs)
            or any(first <= at <= last for first, last in self._dropped)
        )


def judge(where: str, stored: Stored, sent: Iterable[Contact], windows: Iterable[Window],
          *, has_packets: bool, found: Findings) -> None:  # fmt: skip
    """Compare what a store has of a sensor with all that this was shown."""
    sent, taken = [*sent], [*windows]

    def may_lack(contact: Contact) -> str:
        return next((each.why for each in taken
                     if each.since <= contact.at and contact.since <= each.until), "")  # fmt: skip

    def lacks(what: str, contact: Contact) -> None:
        why, is_said = may_lack(contact), stored.says_lost(contact)
        if not why:
            found.add("missing", f"{what} {where}", f"{contact} (said: {is_said})")
        elif not is_said:
            found.add("unsaid", f"{what} {where}", f"{contact} ({why})")
        else:
            found.said[f"{what} {where}"] += 1

    def repeats(contact: Contact | None) -> bool:
        """A log is read again from where it was judged, which may be before what is stored."""
        return contact is not None and not has_packets and bool(may_lack(contact))

    _names(where, stored, sent, lacks, repeats, found)
    if has_packets:
        _flows(where, stored, sent, lacks, found)
        kept = [each for each in sent if not each.is_flood]
        certain = sum(not may_lack(each) for each in kept)
        pieces = sum(not row["start_seen"] for row in stored.flows)
        if stored.flows_counted < certain:
            few = f"{stored.flows_counted} of {certain}"
            count = certain - stored.flows_counted
            found.add("missing", f"flows in the coverage {where}", few, count)
        if stored.flows_counted > len(kept) + pieces:
            found.add("phantom", f"flows in the coverage {where}",
                      f"{stored.flows_counted}, but {len(kept)} were sent")  # fmt: skip
    _incidents(where, stored, [each for each in sent if each.is_banned], lacks, found)
    if stored.open:
        found.add("unsaid", f"captures left open {where}", stored.open)


Lacks = Callable[[str, Contact], None]
Repeats = Callable[[Contact | None], bool]


def _names(
    where: str, stored: Stored, sent: list[Contact], lacks: Lacks, repeats: Repeats,
    found: Findings,
) -> None:  # fmt: skip
    known = {each.name: each for each in sent}
    times = Counter(row["name"] for row in stored.names)
    for row in stored.names:
        contact = known.get(row["name"])
        at = row["time_ns"] - stored.ahead
        if (
            contact is None
            or contact.client != row["client_ip"]
            or abs(contact.at - at) > TOLERANCE
        ):
            found.add("phantom", f"names {where}", f"{row} {contact}")
    for name, count in times.items():
        if count > 1 and repeats(known.get(name)):
            found.said[f"names twice {where}"] += count - 1
        elif count > 1:
            found.add("twice", f"names {where}", known.get(name), count - 1)
    for each in sent:
        if each.name not in times:
            lacks("names", each)


def _flows(where: str, stored: Stored, sent: list[Contact], lacks: Lacks, found: Findings) -> None:
    flows = defaultdict(list)
    for row in stored.flows:
        flows[row["client_ip"], row["client_port"]].append(row)
    known = {(each.client, each.port): each for each in sent}
    for key, rows in flows.items():
        if key not in known:
            found.add("phantom", f"flows {where}", rows)
            continue
        # A sensor that was started within a flow has another part of it.
        whole = [row for row in rows if row["start_seen"]]
        captures = {row["capture"] for row in rows}
        if not known[key].is_flood and (len(whole) > 1 or len(captures) < len(rows)):
            found.add("twice", f"flows {where}", rows)
    for each in sent:
        if not each.is_flood and (each.client, each.port) not in flows:
            lacks("flows", each)


def _incidents(
    where: str, stored: Stored, banned: list[Contact], lacks: Lacks, found: Findings
) -> None:
    incidents = defaultdict(list)
    for row in stored.incidents:
        incidents[row[1]].append(row)
    known = {each.client: each for each in banned}
    for device, rows in incidents.items():
        contact = known.get(device)
        if contact is None or any(
            not first - TOLERANCE <= contact.at + stored.judged_ahead <= last + TOLERANCE
            for _, _, _, first, last in rows
        ):
            found.add("phantom", f"incidents {where}", f"{rows} {contact}")
        if len(rows) > 1:
            found.add("twice", f"incidents {where}", rows, len(rows) - 1)
    for each in banned:
        if each.client not in incidents:
            lacks("incidents", each)


def main() -> None:
    """Compare the stores with a truth, and print what was found."""
    truth, centre = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
    found = Findings()
    losses: dict[str, Any] = {}
    contacts = 0
    for each in truth["sensors"]:
        name, ahead = each["name"], each["ahead"]
        sent = [Contact(**contact) for contact in each["sent"]]
        contacts += len(sent)
        windows = [Window(**one) for one in truth["windows"] if one["sensor"] == name]
        for where, configuration in (("sensor", each["configuration"]), ("centre", centre)):
            stored = Stored(configuration, name, ahead, corrects=where == "centre")
            losses[f"{name} {where}"] = stored.losses
            judge(f"{name} {where}", stored, sent, windows, has_packets=not ahead, found=found)
    print(json.dumps({
        "contacts": contacts,
        **{sort: found.counts[sort] for sort in SORTS},
        "lost and said": found.said,
        "losses": losses,
        "examples": found.examples,
    }, default=int))  # fmt: skip


if __name__ == "__main__":
    main()
