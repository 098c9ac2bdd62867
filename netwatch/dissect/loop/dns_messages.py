# cython: language_level=3, boundscheck=True, wraparound=False
"""DNS messages: the names that are looked up, and their aliases and addresses.

The format is RFC 1035 section 4 for DNS over UDP and TCP, and the same for mDNS (RFC 6762) and
LLMNR (RFC 4795). Only the question and the answer section are read: the other two do not tell what
the client looked up. The packet loop makes rows of the observation batch from a message with one
question and the usual layout. It leaves any other message to `netwatch.protocols.dns`, which has it
read on its own; only texts of it are then in the batch.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.dns_records import DnsRecords
    from cython.cimports.netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.core import observation_columns as columns
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.dns_records import DnsRecords
    from netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from netwatch.dissect.loop.octets import Window

from netwatch.core.addresses import ip_text
from netwatch.core.buffers import Octets, Words, array
from netwatch.core.errors import ParseError
from netwatch.core.message import DnsInfo, Message, ShownName
from netwatch.core.protocol_numbers import rcode_text, type_text
from netwatch.dissect.loop.dns_records import MAX_RECORDS

MAX_QUESTIONS = 64
"""Maximum number of questions per message (mDNS queries may have several); further ones are the
anomaly ``dns-many-questions``."""

TYPES = cython.declare(cython.longlong, 512)
"""Record types whose names the packet loop knows; messages about others are read on their own."""

RCODES = cython.declare(cython.longlong, 32)
"""The same for response codes."""

REACHED = cython.declare(cython.Py_ssize_t, 1100)
"""Room for the names asked for and for what each answer may lead to, an alias or a host."""

MOST_NAMES = cython.declare(cython.Py_ssize_t, 2200)
"""Names of a message in both spellings, fewer than `MOST_TEXTS`, after which texts of messages that
were read on their own are forgotten."""
MOST_TEXTS = cython.declare(cython.Py_ssize_t, 4096)

NUMBER = cython.declare(cython.longlong, 0xFFFFFFFF)
LONGEST_TTL = cython.declare(cython.longlong, 0x7FFFFFFF)
_SIZES = {1: 4, 28: 16}  # A and AAAA
OPT = cython.declare(cython.longlong, 41)


def joined(texts: Iterable[str]) -> tuple[bytes, Words]:
    """Texts one after the other, and where each starts."""
    encoded = [text.encode() for text in texts]
    return b"".join(encoded), array("q", accumulate(map(len, encoded), initial=0))


# A message about type 0 is read on its own.
_TEXTS, _STARTS = joined(["", *map(type_text, range(1, TYPES)), *map(rcode_text, range(RCODES))])


@cython.final
@cython.cclass
class DnsMessages(Window):
    """Reads the messages in the packets that `rows` writes rows for; `counts` as in `DnsPrefilter`.

    Of the current message `reached` has the `asked` names asked for (which is their number), then
    the `aliases` that they lead to, then the `hosts` of services of all these; `raws` has the names
    and aliases as spelled in the packet, 0 if the spelling is the same.
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
        # The numbers of these texts in the batch, above the count of earlier clearings.
        self.known: Words = array("q", bytes(8 * (TYPES + RCODES)))
        self.reached: Words = array("q", bytes(8 * REACHED))
        self.raws: Words = array("q", bytes(8 * REACHED))
        self.asked = 0
        self.aliases = 0
        self.hosts = 0

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.records.set_data(data)

    def message(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, flow: cython.longlong
    ) -> cython.bint:
        """Add the rows of the message at `at`; false if it must be read on its own."""
        flags: cython.longlong
        kind: cython.longlong
        pos: cython.Py_ssize_t
        row: cython.Py_ssize_t
        if end - at < 17:
            return False
        flags = self.u16(at + 2)
        # Opcode QUERY, not truncated, one question.
        if flags & 0x7A00 or self.u16(at + 4) != 1:
            return False
        self.asked = 0
        pos = self.question(at, at + 12, end)
        if pos < 0:
            return False
        kind = self.u16(pos - 4)
        kind = self.text(kind) if kind < TYPES else 0
        if kind == 0:
            return False
        if flags & 0x8000:
            return self.response(at, pos, end, kind, flow)
        row = self.rows.add(columns.EVIDENCE_DNS_QUERY, self.reached[0], False, flow)
        self.batch.words[row + columns.WORD_RAW] = self.raws[0]
        self.batch.words[row + columns.WORD_DNS_TYPE] = kind
        self.counts[layout.NAMES_DNS_QUERY] += 1
        return True

    def question(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Read the question at `at` of the message at `start`, and add its name to those asked for,
        unless it is already there. Returns where it ends; -1 if it cannot be read."""
        name: cython.longlong = self.records.name(start, at, end)
        pos: cython.Py_ssize_t = self.names.name_end + 4
        if name < 0:
            return -1
        if pos > end:
            self.records.failed(1)
            return -1
        if not self.is_reached(name, self.asked):
            self.reached[self.asked] = name
            self.raws[self.asked] = self.records.raw_name(start, at, end)
            self.asked += 1
        return pos

    def response(
        self,
        at: cython.Py_ssize_t,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        kind: cython.longlong,
        flow: cython.longlong,
    ) -> cython.bint:
        """The same for a response, whose question was read and ends at `pos`."""
        row: cython.Py_ssize_t
        i: cython.Py_ssize_t
        rcode: cython.longlong
        self.records.clear()
        if not self.records.read(at, pos, end, self.reached[0]):
            return False
        rcode = self.rcode(at, pos, end)
        if rcode >= RCODES:
            return False
        self.follow_aliases()
        self.follow_services()
        row = self.rows.add(columns.EVIDENCE_DNS_ANSWER, self.reached[0], True, flow)
        self.batch.words[row + columns.WORD_RAW] = self.raws[0]
        self.batch.words[row + columns.WORD_DNS_TYPE] = kind
        self.batch.words[row + columns.WORD_DNS_RCODE] = self.text(TYPES + rcode)
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
            self.batch.words[at + columns.WORD_DNS_ASKED] = self.reached[0]
        return True

    def read_alone(self, data: bytes, size: int, truncated: bool) -> Message:
        """A message of `size` bytes, whatever its layout (see `netwatch.protocols.dns.parse`). If
        `truncated`, it is only the start of one."""
        number: cython.Py_ssize_t
        pos: cython.Py_ssize_t = 12
        stop: cython.Py_ssize_t
        end: cython.Py_ssize_t = len(data)
        kind: cython.longlong = 0
        if end < 12:
            raise ParseError("dns-cut")
        self.set_message(data)
        anomalies = self.records.anomalies
        if truncated:
            anomalies.append("dns-cut")
        flags = self.u16(2)
        if flags & 0x7800:
            return Message((), size, anomalies=(*anomalies, f"dns-opcode-{flags >> 11 & 15}"))
        for number in range(self.u16(4)):
            if number == MAX_QUESTIONS:
                anomalies.append("dns-many-questions")
                pos = 0
                break
            stop = self.question(0, pos, end)
            if stop < 0 and number == 0:
                raise ParseError(anomalies[len(anomalies) - 1])
            if number == 0:
                kind = self.u16(stop - 4)
            pos = max(stop, 0)
            if stop < 0:
                break
        if flags & 0x8000 == 0:
            info = DnsInfo(type_text(kind)) if kind else None
            return Message(self.shown("dns-query"), size, info, anomalies=tuple(anomalies))
        return self.read_response(size, flags, kind, pos)

    def set_message(self, data: bytes) -> None:
        """Read this message on its own."""
        end: cython.Py_ssize_t = len(data)
        if self.batch.texts > MOST_TEXTS:
            self.batch.clear()
        # Names need two bytes each at least, and are few; addresses need four.
        names: cython.Py_ssize_t = min(MOST_NAMES, end // 2 + 4)
        self.batch.reserve_texts(names + end // 4, end + 330 * names)
        self.data = data
        self.asked = 0
        self.records.set_message(data)

    def announced(self, data: bytes) -> tuple[list[tuple[str, bytes]], bool]:
        """The owner and the address of each address record in all sections of a message, without
        goodbyes (a TTL of 0, RFC 6762 section 10.1), and whether its records could be read."""
        found: list[tuple[str, bytes]] = []
        pos: cython.Py_ssize_t = 12
        at: cython.Py_ssize_t
        end: cython.Py_ssize_t = len(data)
        self.set_message(data)
        for _ in range(min(self.u16(4), MAX_QUESTIONS)):
            pos = self.question(0, pos, end)
            if pos < 0:
                return found, False
        if self.u16(4) > MAX_QUESTIONS:
            return found, True
        for _ in range(min(self.u16(6) + self.u16(8) + self.u16(10), MAX_RECORDS)):
            stop: cython.Py_ssize_t = self.records.next_record(0, pos, end, -1)
            if stop < 0:
                return found, False
            at = self.records.at
            if (
                stop - at == _SIZES.get(self.u16(at - 10))
                and self.u16(at - 8) & 0x7FFF == 1
                and 0 < self.u32(at - 6) <= LONGEST_TTL
            ):
                found.append((self.batch.text(self.records.holder), data[at:stop]))
            pos = stop
        return found, True

    def read_response(self, size: int, flags: int, kind: int, pos: int) -> Message:
        """The same for a response whose questions end at `pos`, 0 if that is not known."""
        anomalies = self.records.anomalies
        end: cython.Py_ssize_t = len(self.data)
        if flags & 0x0200:
            anomalies.append("dns-truncated")
        if pos:
            self.records.read(0, pos, end, self.reached[0] if self.asked else -1)
        rcode = self.rcode(0, pos, end) if pos else flags & 15
        if not self.asked and (self.records.aliases or self.records.services):
            self.reached[0] = self.records.name(0, pos, end)
            self.raws[0] = self.records.raw_name(0, pos, end)
            self.asked = 1
        self.follow_aliases()
        self.follow_services()
        asked, names = self.asked, self.asked + self.aliases
        owners = {self.reached[number] for number in range(names)}
        ech = self.records.ech
        info = DnsInfo(
            type_text(kind or self.records.first_kind),
            rcode_text(rcode),
            self.address_texts(),
            self.reached_texts(asked, names),
            tuple(dict.fromkeys(config.public_name for _, config in ech)),
            self.reached_texts(names, names + self.hosts),
            tuple(
                dict.fromkeys(config.text for owner, config in ech if not asked or owner in owners)
            ),
        )
        shown = self.shown("dns-answer")
        if self.aliases:
            first = self.batch.text(self.reached[0])
            shown += tuple(
                [
                    ShownName(
                        "dns-cname",
                        self.batch.text(self.reached[number]),
                        True,
                        self.batch.text(self.raws[number]),
                        first,
                    )
                    for number in range(asked, names)
                ]
            )
        return Message(shown, size, info, anomalies=tuple(dict.fromkeys(anomalies)))

    def shown(self, evidence: Literal["dns-query", "dns-answer"]) -> tuple[ShownName, ...]:
        """The names asked for, without the root."""
        return tuple(
            [
                ShownName(
                    evidence,
                    self.batch.text(self.reached[number]),
                    evidence == "dns-answer",
                    self.batch.text(self.raws[number]),
                )
                for number in range(self.asked)
                if self.reached[number]
            ]
        )

    def reached_texts(self, start: int, stop: int) -> tuple[str, ...]:
        """Some of the names that are reached."""
        return tuple([self.batch.text(self.reached[number]) for number in range(start, stop)])

    def address_texts(self) -> tuple[tuple[str, int], ...]:
        """Addresses and TTL of the names that are reached, or of all if no name was asked for; each
        address once."""
        found: dict[int, int] = {}
        i: cython.Py_ssize_t
        count: cython.Py_ssize_t = self.asked + self.aliases + self.hosts
        owners = {self.reached[i] for i in range(count)}
        for i in range(self.records.addresses):
            if not self.asked or self.records.address_owners[i] in owners:
                found.setdefault(self.records.address_texts[i], self.records.address_ttls[i])
        return tuple([(ip_text(self.batch.packed(text)), ttl) for text, ttl in found.items()])

    def rcode(
        self, at: cython.Py_ssize_t, pos: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.longlong:
        """The response code. Its upper bits are in an OPT record (RFC 6891 section 6.1.3), which is
        looked for if nothing but that follows the questions, which end at `pos`."""
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
        return number

    def text(self, number: cython.longlong) -> cython.longlong:
        """The text of a type or, with `TYPES` added to it, of a response code."""
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

    def follow_aliases(self) -> cython.void:
        """The names that the names asked for lead to, each once, nearest first."""
        i: cython.Py_ssize_t = 0
        j: cython.Py_ssize_t
        count: cython.Py_ssize_t = self.asked
        while i < count and self.records.aliases:
            for j in range(self.records.aliases):
                if (
                    self.records.alias_owners[j] == self.reached[i]
                    and self.records.alias_targets[j]
                    and not self.is_reached(self.records.alias_targets[j], count)
                ):
                    self.reached[count] = self.records.alias_targets[j]
                    self.raws[count] = self.records.alias_raws[j]
                    count += 1
            i += 1
        self.aliases = count - self.asked

    def follow_services(self) -> cython.void:
        """The hosts that provide the services of these names, each once. Those of one owner come
        together, in the order of the owners."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        owner: cython.longlong
        names: cython.Py_ssize_t = self.asked + self.aliases
        count: cython.Py_ssize_t = names
        for i in range(self.records.services):
            owner = self.records.service_owners[i]
            j = 0
            while j < i and self.records.service_owners[j] != owner:
                j += 1
            if j < i or not self.is_reached(owner, names):
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
