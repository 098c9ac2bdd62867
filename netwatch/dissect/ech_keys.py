"""The ECH configurations that clients received, to tell a real outer hello from GREASE.

A hello with ECH and one with GREASE look alike. But a client can only encrypt with a key that it
received, and then shows the public name and the config_id that came with it. GREASE has the real
name and a random config_id. So a hello with both is an outer one; one in 256 hellos with GREASE to
the public name itself is also taken for one. The table is bounded by number and age, in packet
time.
"""

from collections import OrderedDict
from dataclasses import replace

from netwatch.core.buffers import Buffer
from netwatch.core.flow import DNS_TTL_GRACE
from netwatch.core.message import DnsInfo, Message, Packet
from netwatch.core.protocol_numbers import EchConfig

LIMIT = 65536
"""Configurations of clients to remember; the least recent is evicted first."""

_SECOND = 1_000_000_000

_Key = tuple[bytes, str, int]
"""The packed address of a client, a public name and a config_id."""


class EchKeys:
    """The configurations of the clients of one capture. `given` marks each config_id that any of
    them received: the packet loop hands over hellos with it. `evicted` counts configurations that
    did not fit into the table."""

    def __init__(self, given: Buffer, limit: int = LIMIT) -> None:
        self._given = given
        self._limit = limit
        self._times: OrderedDict[_Key, tuple[int, int]] = OrderedDict()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._times)

    def add(self, packet: Packet, answer: DnsInfo) -> None:
        """Remember what a packet's DNS answer gave its client."""
        for config in map(EchConfig.of, answer.ech_configs):
            key = packet.dst, config.public_name, config.config_id
            until = packet.time + config.ttl * _SECOND + DNS_TTL_GRACE
            since, end = self._times.pop(key, (packet.time, until))
            if packet.time > end:
                since = packet.time
            self._times[key] = since, max(until, end)
            self._given[config.config_id] = 1
        while len(self._times) > self._limit:
            self._times.popitem(last=False)
            self.evicted += 1

    def read(self, packet: Packet, hello: Message) -> Message:
        """The hello in a packet, as an outer one if its client had received such a key."""
        tls = hello.tls
        if tls is None or tls.ech_config_id is None or tls.ech == "outer":
            return hello
        for shown in hello.names:
            times = self._times.get((packet.src, shown.name, tls.ech_config_id))
            if times is not None and times[0] <= packet.time <= times[1]:
                return replace(hello, tls=replace(tls, ech="outer"))
        return hello
