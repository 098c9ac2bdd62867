# cython: language_level=3, boundscheck=True, wraparound=False
"""DNS messages, read in the packet loop: rows of the observation batch for the names they show.

A query or response with one question that is laid out as usual becomes the rows that
`netwatch.protocols.dns` and `ObservationBatch.append` would make of it. Any other message is left
to the parser; nothing of it is in the batch then but texts.
"""

from collections.abc import Iterable
from itertools import accumulate

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.fill_dns_records import DnsRecords
    from cython.cimports.netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.core import observation_columns as columns
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.fill_dns_records import DnsRecords
    from netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Octets, Words, array
from netwatch.core.protocol_numbers import rcode_text, type_text

TYPES = cython.declare(cython.longlong, 512)
"""Record types whose names the packet loop has; messages about others go to the parser."""

RCODES = cython.declare(cython.longlong, 32)
"""Response codes of which the same is true."""

REACHED = cython.declare(cython.Py_ssize_t, 96)
"""Room for the name asked for and what each answer may lead to, an alias or a host."""

NUMBER = cython.declare(cython.longlong, 0xFFFFFFFF)
OPT = cython.declare(cython.longlong, 41)


def joined(texts: Iterable[str]) -> tuple[bytes, Words]:
    """Texts one behind the other, and where each starts."""
    encoded = [text.encode() for text in texts]
    return b"".join(encoded), array("q", accumulate(map(len, encoded), initial=0))


# A message about type 0 is left to the parser.
_TEXTS, _STARTS = joined(["", *map(type_text, range(1, TYPES)), *map(rcode_text, range(RCODES))])


@cython.final
@cython.cclass
class DnsMessages(Window):
    """Reads the messages in the packets that `rows` writes rows for; `counts` as in
    `DnsPrefilter`.

    Of the message at hand `reached` has the name asked for, then the so many `aliases` that it
    leads to, then the `hosts` of services of all these; `raws` has the aliases in the letters of
    the packet, 0 where these do not differ.
    """

    def __init__(self, rows: ObservationRows, counts: Words) -> None:
        Window.__init__(self)
        self.rows = rows
        self.batch = rows.batch
        self.names = NameTexts(rows.batch)
        self.records = DnsRecords(self.names)
        self.counts = counts
        self.texts: Octets = _TEXTS
        self.starts: Words = _STARTS
        # The numbers of these texts in the batch, above how often it was cleared before.
        self.known: Words = array("q", bytes(8 * (TYPES + RCODES)))
        self.reached: Words = array("q", bytes(8 * REACHED))
        self.raws: Words = array("q", bytes(8 * REACHED))
        self.aliases = 0
        self.hosts = 0

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.names.data = data
        self.records.data = data

    def message(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, flow: cython.longlong
    ) -> cython.bint:
        """Add the rows of the message at `at`; false where it is left to the parser."""
        flags: cython.longlong
        name: cython.longlong
        raw: cython.longlong
        kind: cython.longlong
        pos: cython.Py_ssize_t
        row: cython.Py_ssize_t
        if end - at < 17:
            return False
        flags = self.u16(at + 2)
        # Opcode QUERY, not truncated, one question.
        if flags & 0x7A00 or self.u16(at + 4) != 1:
            return False
        name = self.names.domain(at, at + 12, end)
        pos = self.names.name_end
        if name == 0 or pos + 4 > end:
            return False
        raw = self.names.raw_domain(at, at + 12, end)
        kind = self.u16(pos)
        kind = self.text(kind) if kind < TYPES else 0
        if kind == 0:
            return False
        if flags & 0x8000:
            return self.response(at, pos + 4, end, name, raw, kind, flow)
        row = self.rows.add(columns.EVIDENCE_DNS_QUERY, name, False, flow)
        self.batch.words[row + columns.WORD_RAW] = raw
        self.batch.words[row + columns.WORD_DNS_TYPE] = kind
        self.counts[layout.NAMES_DNS_QUERY] += 1
        return True

    def response(
        self,
        at: cython.Py_ssize_t,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        name: cython.longlong,
        raw: cython.longlong,
        kind: cython.longlong,
        flow: cython.longlong,
    ) -> cython.bint:
        """The same of a response, whose question was read and ends at `pos`."""
        row: cython.Py_ssize_t
        i: cython.Py_ssize_t
        rcode: cython.longlong
        self.records.clear()
        if self.records.read(at, pos, end, name) < 0:
            return False
        rcode = self.rcode(at, pos, end)
        if rcode == 0:
            return False
        self.follow_aliases(name)
        self.follow_services()
        row = self.rows.add(columns.EVIDENCE_DNS_ANSWER, name, True, flow)
        self.batch.words[row + columns.WORD_RAW] = raw
        self.batch.words[row + columns.WORD_DNS_TYPE] = kind
        self.batch.words[row + columns.WORD_DNS_RCODE] = rcode
        if self.records.addresses:
            self.batch.words[row + columns.WORD_DNS_ANSWERS] = self.answers()
        if self.aliases:
            self.batch.words[row + columns.WORD_DNS_CHAIN] = self.list_of(1, self.aliases)
        if self.hosts:
            self.batch.words[row + columns.WORD_DNS_SERVICE_TARGETS] = self.list_of(
                1 + self.aliases, self.hosts
            )
        self.counts[layout.NAMES_DNS_ANSWER] += 1
        self.counts[layout.NAMES_DNS_CNAME] += self.aliases
        for i in range(1, 1 + self.aliases):
            at = self.batch.copied_row(row)
            self.batch.words[at + columns.WORD_EVIDENCE] = columns.EVIDENCE_DNS_CNAME
            self.batch.words[at + columns.WORD_NAME] = self.reached[i]
            self.batch.words[at + columns.WORD_RAW] = self.raws[i]
            self.batch.words[at + columns.WORD_DNS_ASKED] = name
        return True

    def rcode(
        self, at: cython.Py_ssize_t, pos: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.longlong:
        """The text of the response code; 0 where it is left to the parser. Its upper bits are in an
        OPT record (RFC 6891 section 6.1.3), which the parser looks for where the question, up to
        `pos`, is followed by nothing else."""
        number: cython.longlong = self.u16(at + 2) & 15
        if (
            self.u16(at + 6) == 0
            and self.u16(at + 8) == 0
            and self.u16(at + 10) != 0
            and pos + 11 <= end
            and self.data[pos] == 0
            and self.u16(pos + 1) == OPT
        ):
            number |= self.data[pos + 5] << 4
        return self.text(TYPES + number) if number < RCODES else 0

    def text(self, number: cython.longlong) -> cython.longlong:
        """The text of a type, or with `TYPES` added to it of a response code."""
        start: cython.Py_ssize_t
        size: cython.Py_ssize_t
        known: cython.longlong = self.known[number]
        if known >> 32 == self.batch.cleared and known:
            return known & NUMBER
        start = self.starts[number]
        size = self.starts[number + 1] - start
        known = self.batch.text_of(self.texts, start, size)
        self.known[number] = (self.batch.cleared << 32) | known
        return known

    def is_reached(self, name: cython.longlong, count: cython.Py_ssize_t) -> cython.bint:
        """Whether a name is among the first `count` that are reached."""
        i: cython.Py_ssize_t = 0
        while i < count:
            if self.reached[i] == name:
                return True
            i += 1
        return False

    def follow_aliases(self, name: cython.longlong) -> cython.void:
        """The names that the name asked for leads to, each once, nearest first."""
        i: cython.Py_ssize_t = 0
        j: cython.Py_ssize_t
        count: cython.Py_ssize_t = 1
        self.reached[0] = name
        while i < count and self.records.aliases:
            for j in range(self.records.aliases):
                if self.records.alias_owners[j] == self.reached[i] and not self.is_reached(
                    self.records.alias_targets[j], count
                ):
                    self.reached[count] = self.records.alias_targets[j]
                    self.raws[count] = self.records.alias_raws[j]
                    count += 1
            i += 1
        self.aliases = count - 1

    def follow_services(self) -> cython.void:
        """The hosts that provide the services of these names, each once. Those of one owner come
        together, in the order in which the owners do."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        owner: cython.longlong
        names: cython.Py_ssize_t = 1 + self.aliases
        count: cython.Py_ssize_t = names
        for i in range(self.records.services):
            owner = self.records.service_owners[i]
            if not self.is_reached(owner, names):
                continue
            for j in range(i, self.records.services):
                if self.records.service_owners[j] == owner and not self.is_reached(
                    self.records.service_hosts[j], count
                ):
                    self.reached[count] = self.records.service_hosts[j]
                    count += 1
        self.hosts = count - names

    def answers(self) -> cython.longlong:
        """The list of the addresses of all names that are reached, with their TTL, each address
        once."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        start: cython.Py_ssize_t = self.batch.list_words
        count: cython.Py_ssize_t = 1 + self.aliases + self.hosts
        for i in range(self.records.addresses):
            if not self.is_reached(self.records.address_owners[i], count):
                continue
            j = start
            while (
                j < self.batch.list_words and self.batch.lists[j] != self.records.address_texts[i]
            ):
                j += 2
            if j == self.batch.list_words:
                self.batch.add_to_list(self.records.address_texts[i])
                self.batch.add_to_list(self.records.address_ttls[i])
        return self.batch.list_since(start, (self.batch.list_words - start) >> 1)

    def list_of(self, start: cython.Py_ssize_t, count: cython.Py_ssize_t) -> cython.longlong:
        """The list of so many of the names that are reached."""
        i: cython.Py_ssize_t
        first: cython.Py_ssize_t = self.batch.list_words
        for i in range(start, start + count):
            self.batch.add_to_list(self.reached[i])
        return self.batch.list_since(first, count)
