"""Addresses behind which there are several devices: translated ones (NAT), and proxies.

The wire does not show which of the devices behind such an address makes a contact. But the contacts
themselves show that there are several:

- **TLS stacks.** Clients with different lists of cipher suites are different programs. A device has
  a few of them that contact one vendor's apps: browsers, the app. `MANY_STACKS` of them within
  `WINDOW` belong to several devices. So do `MANY_FINGERPRINTS` different JA4; one program has
  several of these (with and without resumption, over TCP and QUIC).
- **Requests.** An address of ours that is asked for an app's host by HTTP or SOCKS is a proxy: what
  it asks for itself within `WINDOW`, it asks for others.

Only what was seen up to a contact counts, so the answer does not depend on when it is requested.
The time to live of packets would tell, too, but no observation has it, and stored contacts must be
judged alike.
"""

from collections import OrderedDict
from typing import NamedTuple

from netwatch.language.sentences import sentence

WINDOW = 3_600_000_000_000
"""Within this time (ns) stacks belong to devices that use an address at the same time, and a
request makes an address a proxy."""

MANY_STACKS = 8
"""Different lists of cipher suites that mean several devices. In 127 public captures no client has
more than 4 for all servers together."""

MANY_FINGERPRINTS = 20
"""Different JA4 that mean several devices. In the same captures none has more than 6."""

CLIENT_LIMIT = 16_384
"""Addresses to store; of more the least recently seen is evicted."""

MAX_PERIODS = 8
"""Periods to store in which one address is shared; of more the last ones."""

NAT = sentence("device-nat")
"""The reason for an address of several devices."""

PROXY = sentence("device-proxy")
"""The reason for a proxy."""

Key = tuple[str, bytes]
"""A network's name with a packed address."""


class _Period(NamedTuple):
    since: int
    until: int
    reason: str


class _Client:
    """What was seen of an address: when each JA4 was last seen, and in which periods it does not
    belong to one device."""

    __slots__ = ("fingerprints", "periods")

    def __init__(self) -> None:
        self.fingerprints: OrderedDict[str, int] = OrderedDict()
        self.periods: list[_Period] = []

    def extend(self, time: int, reason: str) -> None:
        """The address is shared from a time on, for `WINDOW`."""
        for place, each in enumerate(self.periods):
            if each.reason == reason and each.since <= time < each.until:
                self.periods[place] = each._replace(until=max(each.until, time + WINDOW))
                return
        self.periods[:] = [*self.periods[1 - MAX_PERIODS :], _Period(time, time + WINDOW, reason)]


class SharedClients:
    """The addresses of one capture behind which there are several devices. `evicted` counts
    addresses that were evicted because the table was full."""

    def __init__(self, limit: int = CLIENT_LIMIT) -> None:
        self._limit = limit
        self._clients: OrderedDict[Key, _Client] = OrderedDict()
        self.has_any = False
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._clients)

    def note_fingerprint(self, key: Key, ja4: str, time: int) -> None:
        """A contact of a client at a time (ns) has this JA4."""
        client = self._use(key)
        seen = client.fingerprints
        seen[ja4] = max(time, seen.get(ja4, time))
        seen.move_to_end(ja4)
        if len(seen) > MANY_FINGERPRINTS:
            seen.popitem(last=False)
        recent = [each for each, last in seen.items() if last > time - WINDOW]
        if len(recent) >= MANY_FINGERPRINTS or (
            len(recent) >= MANY_STACKS
            and len({_cipher_suites(each) for each in recent}) >= MANY_STACKS
        ):
            client.extend(time, NAT)
            self.has_any = True

    def note_request(self, key: Key, time: int) -> None:
        """An address was asked for an app's host at a time (ns), as a proxy is."""
        self._use(key).extend(time, PROXY)
        self.has_any = True

    def reason_at(self, key: Key, time: int) -> str:
        """Why an address did not belong to one device at a time (ns), as a sentence; empty if there
        is no such reason."""
        client = self._clients.get(key)
        if client is None:
            return ""
        found = {period.reason for period in client.periods if period.since <= time < period.until}
        return next((reason for reason in (PROXY, NAT) if reason in found), "")

    def _use(self, key: Key) -> _Client:
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = _Client()
            if len(self._clients) > self._limit:
                self.evicted += 1
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return client


def _cipher_suites(ja4: str) -> str:
    """The part of a JA4 that depends on the list of cipher suites."""
    return ja4.partition("_")[2].partition("_")[0]
