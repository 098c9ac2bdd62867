"""By which versions a ban of the configuration was judged."""

from netwatch.config import Config
from netwatch.coverage.judged import Wanted, says
from netwatch.rules.ban_contents import ban_contents


def ban_judges(config: Config) -> dict[str, Wanted]:
    """Of each ban of a configuration, whether a version has judged by it."""
    sensor = config.sensor
    contents = ban_contents(config.policy.bans, config.catalog)
    return {
        ban: says(ban, content, sensor.signatures, sensor.bans) for ban, content in contents.items()
    }
