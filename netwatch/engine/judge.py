"""From a name to the contacts it makes: catalogue, inventory and bans together."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from netwatch.config import Config
from netwatch.core.flow import BYPASS_CATEGORIES, NameStatus
from netwatch.core.message import Message
from netwatch.core.observation import Observation
from netwatch.core.verdict import Contact, Match
from netwatch.coverage.readings import name_status
from netwatch.inventory.learned import LearnedBindings
from netwatch.protocols.ech import PUBLIC_NAMES

NAME_CACHE = 65536
"""Names whose rule is remembered; when there are more, all are forgotten at once."""


class Judge:
    """From a name to the contacts it makes, by the configuration of one run.

    The rule of a name is looked up once; names repeat. Contacts that no ban says anything
    of are counted in `without_verdict`, by the reason. `learned` is what the capture tells of its
    devices, None where that is not wanted.
    """

    def __init__(
        self, config: Config, without_verdict: Counter[str], learned: LearnedBindings | None = None
    ) -> None:
        self._config = config
        self._learned = learned
        self._without_verdict = without_verdict
        self._known: dict[str, Match | None] = {}
        self._covered = _covered(config)

    def reload(self, config: Config, learned: LearnedBindings | None) -> None:
        """Judge by another configuration from now on."""
        self._config = config
        self._learned = learned
        self._known.clear()
        self._covered = _covered(config)

    def match(self, name: str) -> Match | None:
        """The rule that takes a name, also behind a search suffix of the site."""
        try:
            return self._known[name]
        except KeyError:
            pass
        match = self._config.catalog.match(self._config.strip_search_suffix(name))
        if len(self._known) >= NAME_CACHE:
            self._known.clear()
        self._known[name] = match
        return match

    def wanted(self, message: Message) -> bool:
        """Whether a message shows a name that a rule takes, or one that stands for others:
        hellos with it have to be looked at each by itself."""
        names = [shown.name for shown in message.names]
        return any(self.match(name) is not None or name in PUBLIC_NAMES for name in names)

    def zones(self) -> tuple[bytes, ...]:
        """The zones that a wanted name is in: those of the rules, also with a search suffix
        of the site behind them, and the names that stand for others."""
        zones = {*self._config.catalog.zones(), *PUBLIC_NAMES}
        behind = ["", *(f".{suffix}" for suffix in self._config.search_suffixes)]
        return tuple(f"{zone}{suffix}".encode() for zone in zones for suffix in behind)

    def answered(self, observation: Observation) -> tuple[str, str] | None:
        """The id of the app that an answer is for and the name that says so, the one asked
        or an alias of it; None where no rule takes any."""
        chain = observation.dns.chain if observation.dns else ()
        for name in (observation.name, *chain):
            match = self.match(name)
            if match is not None:
                return match.app.id, name
        return None

    def name_status(self, message: Message) -> int:
        """What a message tells of its flow's name, as its number in `core.flow.NAME_STATUSES`."""
        return name_status(message, self._hides)

    def _hides(self, name: str) -> NameStatus | None:
        match = self.match(name)
        if match is None or match.role not in ("exclusive", "vendor"):
            return None
        return next((each for each in BYPASS_CATEGORIES if each == match.app.category), None)

    def contacts(self, observation: Observation, *, late: bool = False) -> Iterator[Contact]:
        """What the bans say of an observation: a contact for each that says something.
        None where no rule takes the name, nor where it is a bypass that no ban speaks of:
        that is a blind spot, and counted as one. One that is `late` is of a time before
        that of others that were judged already."""
        match = self.match(observation.name)
        if match is None:
            return
        if match.app.category in BYPASS_CATEGORIES and match.app.id not in self._covered:
            return
        config = self._config
        ip, mac, vlan = observation.client_ip, observation.client_mac, observation.vlan
        network = config.networks.find(ip, vlan)
        binding = None
        if self._learned is not None:
            binding = self._learned.binding_at(ip, mac, vlan, observation.time, in_order=not late)
        device = told = config.devices.identify(ip, mac, network, binding)
        if binding is not None and binding.id is None and binding.ambiguity is None:
            # judged as what it is by now, told under the id that its incident began with
            told = replace(device, id=device.ip)
        if binding is not None and binding.frames and observation.frames:
            observation = replace(observation, frames=(*binding.frames, *observation.frames))
        for verdict in config.policy.decide(
            observation.evidence, observation.time, match, device, network
        ):
            if verdict.kind is None or network is None:
                self._without_verdict[verdict.clause] += 1
            else:
                if self._learned is not None and not late and told.id == told.ip:
                    self._learned.mark_reported(ip, mac, vlan, observation.time)
                yield Contact(observation, match, told, network, verdict)


def _covered(config: Config) -> frozenset[str]:
    """The ids of the apps that some ban speaks of."""
    return frozenset().union(*(ban.apps | ban.bypass for ban in config.policy.bans))
