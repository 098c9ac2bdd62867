"""Stored events of a capture, judged as the engine judged them when it read the packets.

An event is an observation, an ended flow, or a message that claims addresses. Taken in the order in
which an engine meets them, they give the same contacts as the packets did: they go through the same
`netwatch.engine.judging.Judging`. The flows themselves replace the flow table: everything stored
about one is known when it has ended.

A log is judged in the same way (`netwatch.engine.log_events`).

Three things from the packet loop are not in the events, because they depend on the configuration:

- Answers for names in no domain of interest stay in the loop, in a table of fixed size in which a
  new entry may evict another. Here there is room for many more. A scan that counts
  ``resolved-addresses-full`` may have attributed a flow to the app although the client also had its
  address for another name.
- A flow to an app that hides names (a VPN, encrypted DNS) has the category of the app as its name
  status, which follows from the catalogue.
- Only the protocols of ``devices.learn`` are used.

Observations become rows of an observation batch, from which formats, the store and judging read
them.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace

from netwatch.config import Config
from netwatch.core.addresses import parse_ip
from netwatch.core.flow import DNS_TTL_GRACE, NAME_STATUSES, Flow, FlowProgress, Frame, NameStatus
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import LOOKUPS, AddressClaim, Message, Observation, Packet, ShownName
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import TableUsage
from netwatch.engine.contact_flows import ContactCollector
from netwatch.engine.judging import CaptureTables, Judging
from netwatch.engine.vendor_networks import InEither
from netwatch.inventory.learned import LearnedBindings

BATCH_ROWS = 2048
"""Observations after which the batch is cleared."""

ANSWER_LIMIT = 1 << 19
"""Pairs of a client and a name of no interest, or an address that it had for one."""

HIDDEN_LIMIT = 1 << 18
"""Flows to apps that hide names whose end has not come yet; a log may not have it at all."""

NAME_CACHE = 65536
"""Names for which it is cached whether they are in a domain of interest."""

_SECOND = 1_000_000_000
_LONGEST_TTL = 0x7FFFFFFF


class EventBatch:
    """A batch, and the numbers of the sources of its rows."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self.batch = ObservationBatch(self._names)

    def number_of(self, source: str) -> int:
        """The number of a source."""
        number = self._numbers.get(source)
        if number is None:
            number = self._numbers[source] = len(self._names)
            self._names.append(source)
        return number

    def append(self, shown: Observation) -> tuple[int, int]:
        """Append a row; returns its place, and the one after it. It is written as if the client had
        sent the message, whichever side did: a row only tells which side the client is."""
        number = self.number_of(shown.source)
        packet = Packet(
            shown.source,
            shown.packet,
            shown.time,
            shown.time_digits,
            shown.transport,
            shown.client_ip,
            shown.client_port,
            shown.server_ip,
            shown.server_port,
            shown.client_mac,
            None,
            shown.vlan,
            shown.flow_id,
            shown.frames,
            mark=shown.mark,
        )
        names = (ShownName(shown.evidence, shown.name, False, shown.raw, shown.asked),)
        message = Message(names, 0, dns=shown.dns, tls=shown.tls, quic=shown.quic)
        return self.batch.append(packet, message, number, True, shown.log, shown.client_host)


@dataclass(frozen=True, slots=True)
class ClaimEvent:
    """A message that claims addresses, and its packet, or the record of a `log` of this format."""

    packet: Packet
    claims: tuple[AddressClaim, ...]
    log: str = ""


@dataclass(frozen=True, slots=True)
class LossEvent:
    """Records that a log should have and has not: `count` of them, 0 if nobody knows how many,
    from `first` to `last` (ns)."""

    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class SampledEvent:
    """An observation in packets of which one of `sampling` was looked at."""

    observation: Observation
    sampling: int


Event = Observation | SampledEvent | Flow | ClaimEvent | LossEvent
"""An event that an engine processes in a capture."""


class Replay:
    """Judges the events of one capture by `config`. Contacts go to `collector`; those to which no
    ban applies are counted in `without_verdict`. `before_change` is called before anything changes
    of what is known of devices. Unless it `has_records`, there are no flow records."""

    def __init__(
        self,
        config: Config,
        collector: ContactCollector,
        without_verdict: Counter[str],
        before_change: Callable[[], None] = lambda: None,
        *,
        has_records: bool = True,
    ) -> None:
        self._has_records = has_records
        self._judging = Judging(config, collector, without_verdict, before_change)
        self._judge = self._judging.judge
        self._learn = frozenset(config.learn)
        self._zones = frozenset(map(bytes.decode, self._judge.domains_of_interest()))
        self._interesting: dict[str, bool] = {}
        self._answers = _Answers()
        self._hidden: LimitedDict[int, int] = LimitedDict(HIDDEN_LIMIT)
        self._judging.connect(CaptureTables(_Flows(), self._answers, _Ignored(), _Ignored()))
        self._rows_of = EventBatch()

    def add(self, events: Iterable[Event]) -> None:
        """Judge events, in their order."""
        self._judging.add_rows(self._rows_of.batch, self._rows(events))

    @property
    def domains_of_interest(self) -> tuple[bytes, ...]:
        """The domains outside which no name matters."""
        return self._judge.domains_of_interest()

    @property
    def learned(self) -> LearnedBindings | None:
        """What was learned about devices so far, None if nothing is to be learned."""
        return self._judging.learned

    def reload(self, config: Config) -> None:
        """Judge by another configuration from now on. Resolved addresses and learned devices
        stay."""
        self._judging.reload(config)
        self._learn = frozenset(config.learn)
        self._zones = frozenset(map(bytes.decode, self._judge.domains_of_interest()))
        self._interesting.clear()

    def addresses_of_interest(self) -> Container[bytes]:
        """The packed addresses to which a flow without a name may be a contact, by what events have
        told or by whose they are. Contacts that they have shown are collected."""
        self._judging.flush()
        told, vendors = self._judging.told.addresses, self._judge.vendor_networks
        return InEither(told, vendors) if vendors else told

    def forget_flows(self, before: int) -> None:
        """Forget the flows without a contact since `before`, ns since the epoch."""
        self._judging.forget_flows(before)

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        return self._judging.table_usage()

    def finish(self) -> None:
        """The capture has ended. Nothing is known about the flows that did not end: the flow table
        had evicted them."""
        self._judging.report_progress()

    def anomalies(self) -> Counter[str]:
        """The counts of the tables so far."""
        counts = self._judging.anomalies()
        counts["resolved-addresses-full"] += self._answers.evicted
        return counts

    def _rows(self, events: Iterable[Event]) -> Iterator[tuple[int, int]]:
        """The rows of the observations among the events. The others are judged as they come."""
        batch = self._rows_of.batch
        for event in events:
            sampling = 1
            if isinstance(event, SampledEvent):
                sampling = event.sampling
                event = event.observation
            self._judging.sampled(sampling)
            if isinstance(event, Observation):
                if self._is_of_interest(event):
                    if batch.count >= BATCH_ROWS:
                        batch.clear()
                    self._note_name_status(event)
                    yield self._rows_of.append(event)
                elif event.evidence == "dns-answer":
                    self._answers.add(event)
                    if event.log is not None and self._has_records:
                        self._judging.told.add(event, None)
            elif isinstance(event, Flow):
                self._judging.flow_ended(self.with_name_status(event))
            elif isinstance(event, ClaimEvent):
                self._claimed(event)

    def _is_of_interest(self, shown: Observation) -> bool:
        """Whether the packet loop would hand over the message of an observation, as far as it
        matters: one of its names is in a domain of interest, or it gives or uses a key of ECH."""
        if self._is_interesting(shown.name):
            return True
        if shown.evidence == "dns-answer" and shown.dns is not None and shown.dns.ech_configs:
            return True
        if shown.tls is not None and shown.tls.ech_config_id is not None:
            return True
        return shown.dns is not None and any(map(self._is_interesting, shown.dns.chain))

    def _is_interesting(self, name: str) -> bool:
        known = self._interesting.get(name)
        if known is None:
            parts = name.split(".")
            known = any(".".join(parts[at:]) in self._zones for at in range(len(parts)))
            if len(self._interesting) >= NAME_CACHE:
                self._interesting.clear()
            self._interesting[name] = known
        return known

    def _note_name_status(self, shown: Observation) -> None:
        """Note that the flow of an observation goes to an app that hides names."""
        if shown.evidence in LOOKUPS or shown.evidence == "tls-cert":
            return
        category = self._judge.bypass_category(shown.name)
        if category is not None:
            number = NAME_STATUSES.index(category)
            self._hidden[shown.flow_id] = max(number, self._hidden.get(shown.flow_id, 0))

    def with_name_status(self, flow: Flow, *, is_last: bool = True) -> Flow:
        """The flow with the greatest name status from its messages. It is forgotten if this is the
        last request."""
        number = self._hidden.get(flow.flow_id, 0)
        if is_last:
            self._hidden.pop(flow.flow_id, None)
        hidden: NameStatus = NAME_STATUSES[number]
        if NAME_STATUSES.index(hidden) > NAME_STATUSES.index(flow.name_status):
            return replace(flow, name_status=hidden)
        return flow

    def one_of(self, flow: Flow) -> int:
        """Of how many names a flow record has one (`Judging.one_of`)."""
        return self._judging.one_of(flow)

    def is_to_vendor(self, flow: Flow) -> bool:
        """Whether a flow record goes to a vendor's network (`Judging.is_to_vendor`)."""
        return self._judging.is_to_vendor(flow)

    def _claimed(self, event: ClaimEvent) -> None:
        claims = tuple(claim for claim in event.claims if _protocol_of(claim) in self._learn)
        if claims:
            self._judging.learn(event.packet, Message((), 0, claims=claims))


def _protocol_of(claim: AddressClaim) -> str:
    """The protocol of a claim, as a word of `core.message.LEARNING_SOURCES`: only mDNS
    announcements have a host name."""
    if claim.kind != "announcement":
        return "dhcp"
    return "mdns" if claim.hostname else "arp"


class _Flows:
    """The flows of a capture about which everything is known when they have ended."""

    def report_end_of(self, flow: int) -> None:
        """Every end is an event."""

    def progress_of(self, observation: Observation) -> FlowProgress | None:
        """Nothing is known about a flow that has not ended."""
        return None

    def answers_in(self, flow: int) -> tuple[Frame, ...]:
        """No packets are stored."""
        return ()


class _Ignored:
    """Takes addresses and pairs of them and ignores them: no flow is left out."""

    def add(self, *addresses: bytes) -> None:
        """Ignore them."""

    def discard(self, *addresses: bytes) -> None:
        """Ignore them."""


class _Answers:
    """Names of no interest that clients looked up and their addresses, as in the packet loop's
    `netwatch.dissect.loop.dns_addresses.DnsAddresses`, but many more: from a store only those with
    an address of interest arrive here."""

    def __init__(self) -> None:
        self._times: LimitedDict[tuple[bytes, bytes | str], tuple[int, int]] = LimitedDict(
            ANSWER_LIMIT
        )

    @property
    def evicted(self) -> int:
        """How many pairs were evicted."""
        return self._times.evicted

    def add(self, answer: Observation) -> None:
        """Remember the addresses of an answer."""
        until = 0
        for text, ttl in answer.dns.answers if answer.dns else ():
            address = parse_ip(text)
            assert address is not None
            used = answer.time + (ttl if ttl <= _LONGEST_TTL else 0) * _SECOND + DNS_TTL_GRACE
            self.remember(answer.client_ip, address, answer.time, used)
            until = max(until, used)
        if until:
            self.remember_name(answer.client_ip, answer.name, answer.time, until)

    def remember(self, client: bytes, address: bytes, time: int, until: int) -> None:
        """Remember that a client had an address from one time to another. An answer that is already
        in use stays so for longer."""
        self._remember((client, address), time, until)

    def remember_name(self, client: bytes, name: str, time: int, until: int) -> None:
        """Remember that a client had addresses for a name in the same way."""
        self._remember((client, name), time, until)

    def _remember(self, key: tuple[bytes, bytes | str], time: int, until: int) -> None:
        since, end = self._times.get(key, (time, -1))
        if time <= end:
            self._times[key] = since, max(until, end)
        else:
            self._times[key] = time, until

    def answered(self, client: bytes, address: bytes, time: int) -> bool:
        """Whether a client had an address for such a name at a time."""
        return self._covers((client, address), time)

    def asked(self, client: bytes, name: str, time: int) -> bool:
        """Whether a client had addresses for such a name at a time."""
        return self._covers((client, name), time)

    def _covers(self, key: tuple[bytes, bytes | str], time: int) -> bool:
        since, end = self._times.get(key, (0, -1))
        return since <= time <= end
