"""A store that is asked in each way there is: by `store query`, SQL and the report, on the pages of
a console, and by its API."""

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Sequence
from functools import cached_property
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from support.asked_stores import run
from support.consoles import NAMES, Visitor
from support.paths import PCAPS
from support.programs_of_api import Program, program

from netwatch.console.console import Console

BAN, LATER_BAN = "be-fed-tiktok-2023", "city-rule"
FIRST, LAST = "2023-03-20", "2023-04-10"
SINCE, UNTIL = "2023-03-19T23:00:00Z", "2023-04-10T22:00:00Z"
"""The same days as times: clocks changed between."""

# No run has judged the second ban, which came into the configuration after the scan.
LATER = f"""  - id: {LATER_BAN}
    authority: City of Example
    apps: [deepseek]
    forbids: [service]
    from: 2023-03-21
    timezone: Europe/Brussels
"""


class Answers:
    """The same store, asked in each way there is."""

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder, self.place = folder, ["--store-path", str(store)]
        shutil.copy(PCAPS / "devices.csv", folder)
        self.config = folder / "netwatch.yaml"
        text = (PCAPS / "netwatch.yaml").read_text(encoding="utf-8")
        own = f"  - pack: {BAN}\n"
        assert own in text
        self.config.write_text(text.replace(own, own + LATER), encoding="utf-8")
        self._visitors: dict[str, Visitor] = {}
        self._programs: dict[str, Program] = {}

    def command(self, *arguments: str) -> str:
        """What a command prints."""
        ran = run(*arguments, "-c", str(self.config), *self.place)
        assert ran.status == 0, ran.errors
        return ran.output

    def query(self, records: str, *more: str) -> list[dict[str, Any]]:
        """The records of `store query` in the period."""
        span = ["--since", SINCE, "--until", UNTIL]
        return lines_of(self.command("store", "query", records, *span, "--format", "jsonl", *more))

    def sql(self, text: str) -> list[dict[str, Any]]:
        """The rows of `store sql`, where ``$in`` is the condition of the period."""
        begin, end = (f"TIMESTAMP '{each[:-1]}'" for each in (SINCE, UNTIL))
        for name in ("first_seen", "first", "time"):
            text = text.replace(f"${name}", f"({name} >= {begin} AND {name} < {end})")
        more = ["--format", "jsonl", "--timeout", "600"]
        return lines_of(self.command("store", "sql", text, *more))

    def counted(self, column: str) -> dict[str, int]:
        """The incidents by a column of SQL."""
        found = self.sql(
            f"SELECT {column} AS word, count(*) AS incidents FROM incident"
            " WHERE $first_seen GROUP BY 1"
        )
        return {row["word"]: row["incidents"] for row in found}

    def visitor(self, role: str) -> Visitor:
        return self._visitors[role]

    def asked(
        self, records: str, role: str = "analyst", **wanted: str | Sequence[str]
    ) -> list[dict[str, Any]]:
        """The records of the API in the period."""
        query = urlencode({"since": SINCE, "until": UNTIL, **wanted}, doseq=True)
        return self._programs[role].records(f"{records}?{query}")

    def answer(self, ban: str) -> dict[str, Any]:
        """What the API answers for a ban and the period."""
        place = f"bans/{ban}/answer?from={FIRST}&to={LAST}"
        while (answer := self._programs["auditor"].get(place)).status_code == 503:
            time.sleep(0.05)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def meet(self, console: Console) -> None:
        for role, name in NAMES.items():
            self._programs[role] = program(console, role)
            self._visitors[role] = Visitor(console)
            assert self._visitors[role].sign_in(name).status_code == 303

    def page(self, role: str, place: str, *, has_days: bool = True) -> str:
        """The text of a page of the console, without its tags."""
        answer = self.visitor(role).open(f"{place}?from={FIRST}&to={LAST}" if has_days else place)
        assert answer.status_code == 200, answer.text
        text = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", answer.text, flags=re.S)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())

    def listed(self, **wanted: str) -> list[dict[str, Any]]:
        """The incidents of the console's list, as the export has them."""
        more = "".join(f"&{name}={word}" for name, word in wanted.items())
        place = f"/incidents.jsonl?from={SINCE}&to={UNTIL}{more}"
        answer = self.visitor("analyst").open(place)
        assert answer.status_code == 200, answer.text
        return lines_of(answer.text)

    @cached_property
    def table(self) -> list[dict[str, str]]:
        """The incidents of the console's list as CSV."""
        answer = self.visitor("auditor").open(f"/incidents.csv?from={SINCE}&to={UNTIL}")
        assert answer.status_code == 200
        return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report as JSON, with the names of devices."""
        return self.reported(FIRST, LAST)

    def reported(self, first: str, last: str) -> dict[str, Any]:
        """The report on other days."""
        path = self._folder / "report.json"
        self.command("report", "--from", first, "--to", last, "--devices", "-o", str(path))
        return dict(json.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def shown(self) -> dict[str, Any]:
        """The report as the console hands it out. That of its API has other pseudonyms."""
        days = f"from={FIRST}&to={LAST}"
        answer = self.visitor("auditor").open(f"/reports/report.json?{days}")
        assert answer.status_code == 200, answer.text
        of_program = self._programs["auditor"].get(f"report?{days}")
        assert _content(of_program.text) == _content(answer.text)
        return dict(json.loads(answer.text))

    @cached_property
    def incidents(self) -> list[dict[str, Any]]:
        """The incidents of `store query` and of the API."""
        return self._asked_twice("incidents", "analyst")

    @cached_property
    def hours(self) -> list[dict[str, Any]]:
        """Judged coverage of both, of hours with a capture."""
        found = self.query("coverage", "--hours")
        assert found == self.asked("coverage/hours", "auditor")
        return [each for each in found if each["captured"]]

    @cached_property
    def coverage(self) -> list[dict[str, Any]]:
        """The records of coverage of both."""
        return self._asked_twice("coverage", "analyst")

    def _asked_twice(self, records: str, role: str) -> list[dict[str, Any]]:
        found = self.query(records)
        assert found == self.asked(records, role)
        return found

    def ban(self, name: str = BAN) -> dict[str, Any]:
        return next(each for each in self.report["bans"] if each["id"] == name)

    def shown_ban(self, name: str = BAN) -> dict[str, Any]:
        return next(each for each in self.shown["bans"] if each["id"] == name)


def lines_of(text: str) -> list[dict[str, Any]]:
    """The records of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def _content(report: str) -> list[str]:
    """The lines of a report without what each has of its own: its pseudonyms, by which some are
    sorted, when it was made, and the audit, to which it adds a row."""
    found = json.loads(report)
    del found["audit"], found["made"]
    text = re.sub(r'"p[0-9a-f]{4}-[a-z2-7]{16}"', "", json.dumps(found, indent=1))
    return sorted(text.splitlines())
