"""The words by which queries name what a configuration has."""

from collections.abc import Mapping, Set

from netwatch.config import Config


def configured_words(config: Config) -> Mapping[str, Set[str]]:
    """The words of each kind that a configuration has."""
    return {
        "app": config.catalog.apps().keys(),
        "ban": {ban.id for ban in config.policy.bans},
        "network": {scope.network.name for scope in config.networks.scopes},
    }
