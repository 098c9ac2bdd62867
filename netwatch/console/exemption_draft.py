"""An exemption that would have covered an incident, as YAML to copy into the configuration, checked
by what reads the configuration. The console changes no policy: who may do that decides.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta

from netwatch.config import Config
from netwatch.config.policy_sections import read_exemptions
from netwatch.core.alert import AlertRecord
from netwatch.core.period import day_at
from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.explain.wording import exemptions_asked
from netwatch.formats.values import epoch_ns
from netwatch.rules.policy import Policy

DAYS = 90
"""How long an exemption holds unless somebody says otherwise."""

_FILE = "netwatch.yaml"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLAIN = re.compile(r"[a-z][a-z0-9-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Draft:
    """What an exemption says: the texts of its keys, `apps` as the list of ids, empty for all apps
    of the ban."""

    ban: str
    device: str
    apps: tuple[str, ...]
    start: str
    end: str
    reason: str = ""
    approved_by: str = ""

    @property
    def yaml(self) -> str:
        """The entry with its section."""
        apps = ", ".join(map(_scalar, self.apps))
        lines = [
            f"  - ban: {_scalar(self.ban)}",
            f"    device: {_scalar(self.device)}",
            *([f"    apps: [{apps}]"] if self.apps else []),
            *(f"    {key}: {day if _DAY.fullmatch(day) else _scalar(day)}"
              for key, day in (("from", self.start), ("until", self.end)) if day),
            f"    reason: {_scalar(self.reason)}",
            f"    approved_by: {_scalar(self.approved_by)}",
        ]  # fmt: skip
        return "\n".join(["exemptions:", *lines, ""])


def draft(record: AlertRecord, zone: str) -> Draft:
    """The exemption of an incident's device from its ban for its app, from the day (in the time
    zone of the ban) of the incident."""
    first = day_at(epoch_ns(record["first_seen"]), zone)
    device = record["device"]
    return Draft(
        record["ban"]["id"],
        device["id"] or device["ip"],
        (record["app"]["id"],),
        str(first),
        str(first + timedelta(DAYS)),
    )


@dataclass(frozen=True, slots=True)
class Examined:
    """What is wrong with a draft: sentences of the reader of the configuration, its notes, and why
    it would not cover the incident (a key of `netwatch.explain.wording.WHY_NOT`), empty if it
    would."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    why_not: str


def examine(found: Draft, record: AlertRecord, config: Config) -> Examined:
    """Read a draft as if it were in the configuration."""
    problems, notes = Problems(), list[str]()
    mapping = parse_yaml(found.yaml, _FILE, problems)
    bans = {ban.id: ban for ban in config.policy.bans}
    read = []
    if mapping is not None:
        fields = Fields(mapping, _FILE, problems, "the exemption")
        read = read_exemptions(fields, config.catalog, {*bans}, config.devices, notes)
    if problems.found or not read:
        return Examined(tuple(each.message for each in problems.found), tuple(notes), "")
    asked = exemptions_asked(record, Policy(config.policy.bans, read))
    return Examined((), tuple(notes), asked[0].why_not if asked else "")


def _scalar(text: str) -> str:
    """A text as YAML (1.2 section 7.3.1), which takes that of JSON. What cannot be seen is not
    copied."""
    if _PLAIN.fullmatch(text) and text not in _WORDS:
        return text
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return json.dumps(shown, ensure_ascii=False)
