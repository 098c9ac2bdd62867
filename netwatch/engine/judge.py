"""From an observed name to a contact: the rule that matches, the device, what the bans say, and
what the packet of a contact shows besides the name.

The latter is only taken from the observation, so that it is the same whether the observation comes
from a packet or from the store. The code that counts stored flows
(`netwatch.store.hour_counting.Hides`) also takes the apps that hide names from here.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

from netwatch.config import Config
from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES, NameStatus
from netwatch.core.message import HANDSHAKES, LOOKUPS, Message, Observation
from netwatch.core.observation_columns import EVIDENCE
from netwatch.core.protocol_numbers import ECH_PUBLIC_NAMES
from netwatch.core.verdict import (
    OUTCOMES,
    Binding,
    Contact,
    ContactDetail,
    Device,
    Match,
    Network,
    Outcome,
)
from netwatch.coverage.flow_visibility import message_name_status
from netwatch.engine.contradicted import Contradicted
from netwatch.engine.vendor_networks import VendorNetworks
from netwatch.incidents.confidence import limited, seen_alone
from netwatch.inventory.devices import unknown_device
from netwatch.inventory.learned import LearnedBindings
from netwatch.inventory.shared_clients import SharedClients
from netwatch.rules.catalog import Catalog
from netwatch.rules.policy import OUTSIDE, confidence

MAX_ADDRESSES = 16
"""Addresses of an answer to store, at most."""

_WITHOUT_NAME = ("ip-from-dns", "ip-asn", "ech-from-dns")

EVIDENCE_SOCKS_HOST = EVIDENCE.index("socks-host")
"""The number of this kind of evidence in a row of the observation batch."""

NAME_CACHE = 65536
"""Names whose rule is cached; a full cache is emptied as a whole."""

CACHE_LIMIT = 65_536
"""Names whose category to remember."""


def detail_of(observation: Observation) -> ContactDetail:
    """The data in an observation's packet besides the name."""
    evidence, dns, tls = observation.evidence, observation.dns, observation.tls
    raw = "" if evidence in _WITHOUT_NAME else observation.raw or observation.name
    if evidence in HANDSHAKES:
        ja4 = tls.ja4 if tls is not None else None
        return ContactDetail(raw, ja4=ja4 or "", server=ip_text(observation.server_ip))
    if dns is None or dns.rcode is None:
        return ContactDetail(raw)
    answers = dns.answers[:MAX_ADDRESSES]
    if evidence == "ip-from-dns":
        server = ip_text(observation.server_ip)
        answers = tuple(answer for answer in dns.answers if answer[0] == server)
    return ContactDetail(raw, alias_path(observation), answers, dns.rcode)


def alias_path(observation: Observation) -> tuple[str, ...]:
    """The aliases from the name asked for to the observed name, both included; empty if they are
    the same."""
    asked, name, dns = observation.asked, observation.name, observation.dns
    if not asked or asked == name or dns is None:
        return ()
    before = dns.chain[: dns.chain.index(name)] if name in dns.chain else ()
    return asked, *before, name


@lru_cache(maxsize=2)
def _domains_of_interest(catalog: Catalog, search_suffixes: tuple[str, ...]) -> tuple[bytes, ...]:
    """See `Judge.domains_of_interest`. There are many, and each capture of a run needs them."""
    domains = (*catalog.encoded_zones(), *map(str.encode, ECH_PUBLIC_NAMES))
    suffixes = [f".{suffix}".encode() for suffix in search_suffixes]
    return domains + tuple(domain + suffix for suffix in suffixes for domain in domains)


@dataclass(frozen=True, slots=True)
class Client:
    """The client of an observation: its network, None outside the configured ones, what is known
    about its address at that time, and the device. In the inventory it is this device from `since`
    up to, but without, `until` (ns)."""

    network: Network | None
    binding: Binding | None
    device: Device
    since: int
    until: int


class Judge:
    """Judges observations by the configuration of one run.

    The rule of a name is cached, because names repeat. `learned` are the devices learned from the
    capture, None if the configuration does not want that. `shared_contacts` counts contacts whose
    device is not known because there are several behind its address, by the reason. Of the packets
    that are judged one of `sampling` was looked at.
    """

    def __init__(self, config: Config, learned: LearnedBindings | None = None) -> None:
        self._config = config
        self._learned = learned
        self._shared = SharedClients()
        self._contradicted = Contradicted(config, learned)
        self.shared_contacts: Counter[str] = Counter()
        self.sampling = 1
        self._matches: dict[str, Match | None] = {}
        self._banned = _banned_apps(config)
        self.vendor_networks = VendorNetworks(config, self._banned)

    def reload(self, config: Config, learned: LearnedBindings | None) -> None:
        """Judge by another configuration from now on."""
        self._config = config
        self._learned = learned
        self._contradicted.reload(config, learned)
        self._matches.clear()
        self._banned = _banned_apps(config)
        self.vendor_networks = VendorNetworks(config, self._banned)

    def match(self, name: str) -> Match | None:
        """The rule that matches a name, also if a search suffix of the site follows it."""
        try:
            return self._matches[name]
        except KeyError:
            pass
        match = self._config.catalog.match(self._config.strip_search_suffix(name))
        if len(self._matches) >= NAME_CACHE:
            self._matches.clear()
        self._matches[name] = match
        return match

    def wanted(self, message: Message) -> bool:
        """Whether a message shows a name that a rule matches, or a public name of ECH: each hello
        with one must be looked at, because it hides another name."""
        names = [shown.name for shown in message.names]
        return any(self.match(name) is not None or name in ECH_PUBLIC_NAMES for name in names)

    def domains_of_interest(self) -> tuple[bytes, ...]:
        """The domains that wanted names are in: those of the rules, also followed by a search
        suffix of the site, and the public names of ECH."""
        return _domains_of_interest(self._config.catalog, self._config.search_suffixes)

    def app_of_answer(self, observation: Observation) -> tuple[str, str] | None:
        """The id of the app that a DNS answer is for, and the name that a rule matched: the name
        asked for or one of its aliases. None if no rule matches any of them."""
        aliases = observation.dns.chain if observation.dns else ()
        for name in (observation.name, *aliases):
            match = self.match(name)
            if match is not None:
                return match.app.id, name
        return None

    def name_status(self, message: Message) -> int:
        """What a message reveals about the name of its flow, as an index into
        `core.flow.NAME_STATUSES`."""
        return message_name_status(message, self.bypass_category)

    def bypass_category(self, name: str) -> NameStatus | None:
        """The bypass category of the only app that uses a name, otherwise None."""
        match = self.match(name)
        if match is None or match.role not in ("exclusive", "vendor"):
            return None
        return next(
            (category for category in BYPASS_CATEGORIES if category == match.app.category), None
        )

    def contacted(self, name: str) -> Match | None:
        """The rule that makes the observation of a name a contact. None if no rule matches it, or
        if it is a bypass that no ban mentions: a blind spot, which the coverage counts."""
        match = self.match(name)
        if match is None:
            return None
        is_blind_spot = match.app.category in BYPASS_CATEGORIES and match.app.id not in self._banned
        return None if is_blind_spot else match

    def is_banned(self, app: str) -> bool:
        """Whether any ban mentions an app, by its id."""
        return app in self._banned

    @property
    def knows_bindings(self) -> bool:
        """Whether anything but the inventory is known about addresses."""
        return self._learned is not None or len(self._config.devices.leases) > 0

    def binding_of(self, observation: Observation, *, late: bool = False) -> Binding | None:
        """What is known about a client's address at the time of an observation. It is `late` if
        later ones were judged before it."""
        ip, mac, time = observation.client_ip, observation.client_mac, observation.time
        if self._learned is not None:
            vlan = observation.vlan
            binding = self._learned.binding_at(ip, mac, vlan, time, in_order=not late)
            if binding is not None:
                return binding
        return self._config.devices.leases.binding_at(ip, mac, time)

    @property
    def knows_shared(self) -> bool:
        """Whether there are several devices behind any address."""
        return self._shared.has_any

    @property
    def shared_evicted(self) -> int:
        """Addresses for which the data that distinguishes several devices behind them was
        forgotten."""
        return self._shared.evicted

    def note_request(self, server: bytes, vlan: int | None, time: int) -> None:
        """Note that a server was asked for the host of an app by HTTP or SOCKS. If it is one of our
        clients, it is a proxy, unless it is a server that a filter answers with."""
        network = self._config.networks.find(server, vlan)
        if network is not None and server not in self._config.sinkholes:
            self._shared.note_request((network.name, server), time)

    def shared_at(self, ip: bytes, vlan: int | None, time: int, ja4: str = "") -> str:
        """Why a client is not one device at a time (ns), as a sentence; empty if it may be one.
        `ja4` is the JA4 of its contact at that time."""
        if not ja4 and not self._shared.has_any:
            return ""
        network = self._config.networks.find(ip, vlan)
        if network is None:
            return ""
        key = network.name, ip
        if ja4:
            self._shared.note_fingerprint(key, ja4, time)
        return self._shared.reason_at(key, time)

    def count_shared(self, contact: Contact | None, shared: str) -> None:
        """Count a contact of a client with several devices behind its address, unless the device is
        known anyway."""
        if contact is not None and contact.device.reason == shared:
            self.shared_contacts[shared] += 1

    def client_of(
        self, observation: Observation, binding: Binding | None, shared: str = ""
    ) -> Client:
        """The client of an observation with this `binding`. If there are several devices behind its
        address for the reason `shared`, it is the inventory's, or unknown."""
        ip, mac = observation.client_ip, observation.client_mac
        network = self._config.networks.find(ip, observation.vlan)
        found = self._config.devices.identify(ip, mac, network, observation.time, binding)
        device = found.device
        if binding is not None and binding.period is not None and binding.ambiguity is None:
            device = replace(device, binding=binding.period)
        if shared and not found.is_listed and device.device_class != "infrastructure":
            device = unknown_device(ip, mac, shared)
        return Client(network, binding, device, found.since, found.until)

    def contact(
        self, observation: Observation, match: Match, client: Client, earlier: str = ""
    ) -> Contact:
        """The contact of an observation, with a client in one of the networks. Its decision says
        which bans apply, or why none does. In its flow, a hello showed the name `earlier` before,
        unless that is empty."""
        network, binding, device = client.network, client.binding, client.device
        assert network is not None
        reported = device
        if binding is not None:
            if binding.id is None and binding.ambiguity is None:
                # It is judged as the device that is known by now, but its incident began under just
                # the address and keeps that id.
                reported = replace(device, id=device.ip)
            if binding.frames and observation.frames:
                observation = replace(observation, frames=(*binding.frames, *observation.frames))
        outcome = observed_outcome(observation, self._config)
        evidence = observation.evidence
        decision = self._config.policy.decide(evidence, observation.time, match, device, network)
        against, sender = self._contradicted.found(observation, binding, reported, network, earlier)
        if (privacy := self._config.privacy) is not None:
            # The only place where the real id is replaced: everything that follows (incidents,
            # their ids, alerts, files) only knows the pseudonym.
            reported = privacy.device(reported, network)
            decision = privacy.decision(decision, reported)
        return Contact(
            observation,
            match,
            reported,
            network,
            decision,
            limited(confidence(evidence, match), observation),
            outcome,
            block_of(observation) if outcome == "blocked" else "",
            detail=detail_of(observation),
            seen=seen_alone(observation),
            contradictions=against,
            sender=sender,
            sampling=self.sampling,
        )

    def mark_reported(self, contact: Contact, time: int) -> None:
        """Note that a contact at a time, of this client, is reported under its address, if so: a
        device that is learned later keeps that id."""
        if self._learned is not None and contact.device.id == contact.device.ip:
            seen = contact.observation
            self._learned.mark_reported(seen.client_ip, seen.client_mac, seen.vlan, time)

    def why_outside(self, observation: Observation) -> str:
        """Why a client that is in no network has no verdict, in words."""
        missed = self._config.networks.missed(observation.client_ip, observation.vlan)
        return f"{OUTSIDE}: {missed}" if missed else OUTSIDE


def observed_outcome(observation: Observation, config: Config) -> Outcome:
    """The outcome of a contact as far as its observation shows it.

    An answer is ``blocked``, or ``attempted`` if it has an address that the device could go to, or
    ``unknown`` if it is undecided: no data of the requested type, or a failure. If a search suffix
    follows the name, NXDOMAIN is the normal answer without any filter. What a log reports about a
    request comes first, and about a lookup that it was denied; but a sinkhole that has answered a
    handshake is not a server of the app.
    """
    evidence, dns, log = observation.evidence, observation.dns, observation.log
    if evidence not in LOOKUPS and observation.server_ip in config.sinkholes:
        return "blocked"
    if log is not None and log.outcome and (log.outcome == "blocked" or evidence not in LOOKUPS):
        return next(outcome for outcome in OUTCOMES if outcome == log.outcome)
    if evidence in ("dns-answer", "dns-cname") and dns is not None:
        if dns.rcode == "REFUSED" or (
            dns.rcode == "NXDOMAIN"
            and config.strip_search_suffix(observation.name) == observation.name
        ):
            return "blocked"
        if not dns.answers:
            return "unknown"
        addresses = [parse_ip(text) for text, _ in dns.answers]
        usable = any(packed is not None and packed not in config.sinkholes for packed in addresses)
        return "attempted" if usable else "blocked"
    return "reached" if evidence == "tls-cert" else "attempted"


def block_of(observation: Observation) -> str:
    """What blocked a contact whose observation shows that: the first address in the answer, its
    response code, or the address of the server; in a log its own word for it."""
    if observation.log is not None and observation.log.outcome == "blocked":
        return observation.log.blocked_by or observation.log.format
    dns = observation.dns
    if dns is None or observation.evidence not in LOOKUPS:
        return ip_text(observation.server_ip)
    return dns.answers[0][0] if dns.answers else dns.rcode or ""


def _banned_apps(config: Config) -> frozenset[str]:
    """The ids of the apps that any ban mentions."""
    return frozenset().union(*(ban.apps | ban.bypass for ban in config.policy.bans))


class HidingApps:
    """The apps of a configuration that hide names. It can be sent to other processes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._judge: Judge | None = None
        self._addresses: dict[str, int] = {}
        self._names: dict[str, int] = {}

    def __reduce__(self) -> tuple[type["HidingApps"], tuple[Config]]:
        return HidingApps, (self._config,)

    def by_name(self, name: str) -> int:
        """The category of the only app that uses a name, as a place in `NAME_STATUSES`."""
        found = self._names.get(name)
        if found is None:
            if len(self._names) >= CACHE_LIMIT:
                self._names.clear()
            category = self._loaded().bypass_category(name)
            found = self._names[name] = NAME_STATUSES.index(category) if category else 0
        return found

    def by_address(self, address: str) -> int:
        """The same for the app that has a server at an address."""
        self._loaded()
        return self._addresses.get(address, 0)

    def _loaded(self) -> Judge:
        if self._judge is None:
            self._judge = Judge(self._config)
            self._addresses = {
                ip_text(packed): NAME_STATUSES.index(category)
                for packed, app in self._config.catalog.apps_by_address().items()
                for category in BYPASS_CATEGORIES
                if category == app.category
            }
        return self._judge
