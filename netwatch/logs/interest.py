"""Which records of a log may be of interest, so that the others need not be read.

A record with a name in one of the domains is, and so are those that belong to it: other lines of
the same lookup, the flow. Where a log has flows that others name, an address may belong to several
names. Then all answers with an address that a name of interest was resolved to are of interest,
for the flow may be to another name. A first pass over the log collects what these records have in
common.
"""

from collections.abc import Collection
from ipaddress import ip_address

from netwatch.core.addresses import ip_text
from netwatch.logs.prefilter import MAX_WORDS, LineFilter
from netwatch.logs.records import LogClaim, LogEntry, LogFlow, LogName
from netwatch.logs.registry import LogFormat


class Interest:
    """What is of interest: names in `zones`, None for all. With `all_flows` so are all flows. Until
    `ask_for_words` was called, no record is because of what it belongs to."""

    def __init__(self, zones: Collection[bytes] | None, all_flows: bool = True) -> None:
        self.zones = None if zones is None else tuple(zones)
        self.all_flows = all_flows
        self._names = frozenset(map(bytes.decode, self.zones or ()))
        self._words: set[bytes] = set()
        self._in_use: frozenset[bytes] = frozenset()

    def lines(self, log_format: LogFormat, is_first_pass: bool = False) -> LineFilter:
        """What finds the records of a file, in the first pass without flows."""
        zones = None if log_format.encoded else self.zones
        needles = log_format.always
        if self.all_flows and not is_first_pass:
            needles += log_format.flows
        found = LineFilter(
            zones, needles, log_format.labels, log_format.around, sample=not is_first_pass
        )
        if self._in_use:
            found.set_words(self._in_use)
        return found

    def add(self, entry: LogEntry, record: bytes, log_format: LogFormat) -> None:
        """Remember what other records have in common with one of interest."""
        if isinstance(entry, LogFlow | LogClaim) or len(self._words) > MAX_WORDS:
            return
        chain = entry.dns.chain if entry.dns is not None else ()
        if not any(map(self._is_of_interest, (entry.name, *chain))):
            return
        for text, _ in entry.dns.answers if entry.dns is not None else ():
            self._words.update(_spellings(text))
        if entry.flow:
            self._words.add(entry.flow.lower().encode())
        word = log_format.joins(record) if log_format.joins is not None else None
        if word:
            self._words.add(word.lower())

    def wants(self, entry: LogEntry) -> bool:
        """Whether an entry is more than what the sample says: it has a name of interest, or an
        address that such a name was resolved to, in its answer or as its server."""
        if not isinstance(entry, LogName) or self.zones is None:
            return True
        chain = entry.dns.chain if entry.dns is not None else ()
        if any(map(self._is_of_interest, (entry.name, *chain))):
            return True
        if not self._in_use:
            return False
        if entry.server.ip is not None and ip_text(entry.server.ip).encode() in self._in_use:
            return True
        answers = entry.dns.answers if entry.dns is not None else ()
        return any(text.lower().encode() in self._in_use for text, _ in answers)

    def ask_for_words(self) -> None:
        """The first pass has ended: what belongs to records of interest is, too, from now on."""
        self._in_use = frozenset(self._words)

    def _is_of_interest(self, name: str) -> bool:
        if self.zones is None:
            return True
        parts = name.split(".")
        return any(".".join(parts[at:]) in self._names for at in range(len(parts)))


def _spellings(text: str) -> set[bytes]:
    """How logs write an address: Suricata writes those of IPv6 in full."""
    try:
        address = ip_address(text)
    except ValueError:
        return {text.lower().encode()}
    words = {text.lower(), str(address), address.exploded}
    if address.version == 6:
        words.add(":".join(f"{int(part, 16):x}" for part in address.exploded.split(":")))
    return {word.encode() for word in words}
