"""The configuration that the console uses, read only: its parts and hashes, and whether the files
on the disk still say the same and are valid."""

from netwatch.config import Config, load
from netwatch.console.answers import Answer, Page
from netwatch.console.texts import periods_of, words
from netwatch.console.view import View
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.rules.ban_texts import words_in

MAX_PROBLEMS = 50
"""Mistakes in files that are shown."""


def show(view: View) -> Answer:
    """The page of the configuration."""
    config = view.console.config
    now = view.console.now()
    problems, is_current = _check(config)
    kept = config.retention
    called = words(view.language)
    values = {
        "config": config,
        "problems": problems[:MAX_PROBLEMS],
        "more_problems": len(problems) > MAX_PROBLEMS,
        "is_current": is_current,
        "networks": [
            (scope.network.name, called[scope.network.device_class],
             ", ".join(map(str, scope.ranges)), scope.network.authority or "")
            for scope in config.networks.scopes
        ],
        "bans": [
            (ban.id, words_in(ban, view.language.code).authority, periods_of(ban, view.language),
             called[config.policy.state(ban, now)])
            for ban in config.policy.bans
        ],
        "devices": config.devices.entries.count_at(now),
        "outputs": [(each.name, each.type) for each in config.outputs],
        "retention": [
            (view.say("Observations, flows and claims"), kept.observations if kept else None),
            (view.say("The same of personal devices and guests"), kept.personal if kept else None),
            (view.say("Incidents and coverage"), kept.incidents if kept else None),
            (view.say("Evidence captures"), kept.evidence if kept else None),
        ],
    }  # fmt: skip
    return Page("configuration", values)


def _check(config: Config) -> tuple[list[str], bool]:
    """The mistakes in the files as they are now, and whether they still say what is in use."""
    try:
        found = load(config.path)
    except ConfigError as error:
        return [str(problem) for problem in error.problems], False
    except NetwatchError as error:
        return [str(error)], False
    return [], found.version == config.version
