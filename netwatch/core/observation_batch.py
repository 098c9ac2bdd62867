# cython: language_level=3, boundscheck=True, wraparound=False
"""The observation batch: observations as rows of integers, which every reader uses.

The packet loop fills it without Python objects; what a parser has read is appended to the same
batch. A row has the words of `netwatch.core.observation_columns`, one row after the other. Texts
are stored once, in the batch's own dictionary: packed addresses, and names and other texts as
ASCII. Objects, JSON lines, CSV, Arrow and Parquet are functions of a batch.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy, memset
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.message import (
        DnsInfo,
        Message,
        Observation,
        Packet,
        QuicInfo,
        ShownName,
        TlsInfo,
    )
    from cython.cimports.netwatch.core.text_dictionary import TextDictionary
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.message import (
        DnsInfo,
        Message,
        Observation,
        Packet,
        QuicInfo,
        ShownName,
        TlsInfo,
    )
    from netwatch.core.text_dictionary import TextDictionary

from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.buffers import Words, array, zeroed
from netwatch.core.flow import Frame, LogInfo
from netwatch.core.observation_columns import COLUMNS, EVIDENCE, TRANSPORTS

ROWS = 4096
LIST_WORDS = 16_384
"""Initial capacity of a batch, apart from texts: rows, and words of lists."""

# Room for what one message adds without a parser: a name and the targets of 32 aliases, with one
# row each, and up to 64 addresses.
MESSAGE_ROWS = cython.declare(cython.Py_ssize_t, 40)
MESSAGE_TEXTS = cython.declare(cython.Py_ssize_t, 256)
MESSAGE_BYTES = cython.declare(cython.Py_ssize_t, 32768)
MESSAGE_LIST_WORDS = cython.declare(cython.Py_ssize_t, 512)

MAC_BIT = cython.declare(cython.longlong, 1 << 48)

_EVIDENCE_NUMBERS = {name: number for number, name in enumerate(EVIDENCE)}
_TRANSPORT_NUMBERS = {name: number for number, name in TRANSPORTS.items()}

_TEXTS = {"text": -1, "address": -1, "texts": 1, "addresses": 2}
# What each word of a row is: 0 for a number, -1 for a text, otherwise a list with entries of so
# many words, the first of which is a text.
_TEXT_WORDS = array("q", bytes(8 * columns.WORDS))
for _column in COLUMNS:
    if _column.word >= 0:
        _TEXT_WORDS[_column.word] = _TEXTS.get(_column.kind, 0)
TEXT_WORDS = cython.declare(cython.longlong[::1], _TEXT_WORDS)  # type: ignore[misc]


@cython.final
@cython.cclass
class ObservationBatch(TextDictionary):
    """Rows of observations; `sources` are the names of files and interfaces by number, and of
    networks and sensors in a store.

    There are `count` rows, whose texts are in the dictionary that the batch is. `lists` has the
    entries of lists. `frames` has the captured frames that prove a row, for rows that have some.
    `spans` are the rows in the order of packets, as ranges, since rows from a parser come after
    those from the packet loop. A row is valid until `clear`.
    """

    def __init__(self, sources: Sequence[str] = ()) -> None:
        TextDictionary.__init__(self)
        self.sources = sources
        self.frames: dict[int, tuple[Frame, ...]] = {}
        self.spans: list[tuple[int, int]] = []
        self.capacity = 0
        self.count = 0
        self.words: Words = zeroed("q", 1)
        self.lists: Words = zeroed("q", 1)
        self.list_words = 0
        # Equal lists are stored once, so that equal rows have equal words.
        self.lacks: dict[tuple[str, ...], int] = {}
        self._grow_rows(ROWS)
        self._grow_lists(LIST_WORDS)

    def clear(self) -> None:
        """Forget all rows and texts."""
        self.clear_texts()
        self.count = 0
        self.list_words = 0
        self.frames.clear()
        self.lacks.clear()
        self.spans.clear()

    def has_room(self) -> cython.bint:
        """Whether the packet loop can add what one message shows; otherwise the message goes to its
        parser."""
        return (
            self.count + MESSAGE_ROWS <= self.capacity
            and self.texts + MESSAGE_TEXTS < len(self.places)
            and self.used + MESSAGE_BYTES <= len(self.octets)
            and self.list_words + MESSAGE_LIST_WORDS <= len(self.lists)
        )

    def reserve(self) -> None:
        """Grow if there is no room for what one message shows."""
        self._reserve(MESSAGE_ROWS, MESSAGE_TEXTS, MESSAGE_BYTES, MESSAGE_LIST_WORDS)

    def new_row(self) -> cython.Py_ssize_t:
        """Add a row of zeros, and return where its words start. There must be room for it."""
        at: cython.Py_ssize_t = self.count * columns.WORDS
        i: cython.Py_ssize_t
        self.words[at + columns.WORDS - 1] = 0
        if cython.compiled:
            memset(cython.address(self.words[at]), 0, 8 * columns.WORDS)
        else:
            for i in range(columns.WORDS):
                self.words[at + i] = 0
        self.count += 1
        return at

    def copied_row(self, source: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Add a copy of the row whose words start at `source`, and return where its words start.
        There must be room for it."""
        at: cython.Py_ssize_t = self.count * columns.WORDS
        i: cython.Py_ssize_t
        self.words[at + columns.WORDS - 1] = self.words[source + columns.WORDS - 1]
        if cython.compiled:
            memcpy(
                cython.address(self.words[at]),
                cython.address(self.words[source]),
                8 * columns.WORDS,
            )
        else:
            for i in range(columns.WORDS):
                self.words[at + i] = self.words[source + i]
        self.count += 1
        return at

    def take_row(self, other: "ObservationBatch", row: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Append a row of another batch without its frames, and return where its words start. Its
        source is that of the same number here."""
        at: cython.Py_ssize_t
        source: cython.Py_ssize_t = row * columns.WORDS
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        word: cython.longlong
        first: cython.Py_ssize_t
        entries: cython.Py_ssize_t
        step: cython.longlong
        start: cython.Py_ssize_t
        if not 0 <= row < other.count:
            raise IndexError(row)
        self.reserve()
        at = self.new_row()
        for i in range(columns.WORDS):
            word = other.words[source + i]
            step = TEXT_WORDS[i]
            if step == 0 or word == 0:
                self.words[at + i] = word
                continue
            if step < 0:
                self.words[at + i] = self.text_from(other, word)
                continue
            # A list of texts, each of which may be followed by a number.
            first = word >> columns.LIST_SHIFT
            entries = (word & columns.LIST_MASK) * step
            if self.list_words + entries > len(self.lists):
                self._reserve(0, 0, 0, entries)
            start = self.list_words
            for j in range(entries):
                word = other.lists[first + j]
                self.add_to_list(word if j % step else self.text_from(other, word))
            self.words[at + i] = self.list_since(start, entries // step)
        return at

    def text_from(self, other: "ObservationBatch", text: cython.longlong) -> cython.longlong:
        """The number of a text of another batch."""
        start: cython.Py_ssize_t = other.starts[text]
        size: cython.Py_ssize_t = other.starts[text + 1] - start
        if self.texts + 1 >= len(self.places) or self.used + size > len(self.octets):
            self.reserve_texts(1, size)
        return self.text_of(other.octets, start, size)

    def add_to_list(self, word: cython.longlong) -> cython.void:
        """Add an entry to the list at the end of `lists`."""
        self.lists[self.list_words] = word
        self.list_words += 1

    def list_since(self, start: cython.Py_ssize_t, entries: cython.longlong) -> cython.longlong:
        """The word of a list of `entries` whose words begin at `start` of `lists`."""
        return start << columns.LIST_SHIFT | entries if entries else 0

    def add_span(self, start: int, stop: int) -> None:
        """The rows from `start` on, up to `stop`, come next in the order of packets."""
        if self.spans:
            before, end = self.spans[len(self.spans) - 1]
            if end == start:
                self.spans.pop()
                start = before
        if start < stop:
            self.spans.append((start, stop))

    def observations(self) -> Iterator[Observation]:
        """The observations of all rows, in the order of packets."""
        for start, stop in self.spans:
            for row in range(start, stop):
                yield self.observation(row)

    def __reduce__(self) -> tuple[Any, ...]:
        """A batch can be sent to another process. Its frames are left out."""
        state = (
            list(self.sources),
            list(self.spans),
            bytes(memoryview(self.words)[: self.count * columns.WORDS]),
            bytes(memoryview(self.lists)[: self.list_words]),
            bytes(memoryview(self.octets)[: self.used]),
            bytes(memoryview(self.starts)[: self.texts + 1]),
        )
        return restored, state

    def word(self, row: int, word: int) -> int:
        """A word of a row (``WORD_`` in `netwatch.core.observation_columns`)."""
        if not 0 <= row < self.count:
            raise IndexError(row)
        return self.words[row * columns.WORDS + word]

    def text_list(self, word: int) -> tuple[str, ...]:
        """The texts of a list by the word of its column."""
        start = word >> columns.LIST_SHIFT
        return tuple([self.text(self.lists[start + i]) for i in range(word & columns.LIST_MASK)])

    def answers(self, word: int) -> tuple[tuple[str, int], ...]:
        """The addresses in an answer with their TTL in seconds, by the word of their column."""
        start = word >> columns.LIST_SHIFT
        return tuple(
            [
                (ip_text(self.packed(self.lists[start + i])), self.lists[start + i + 1])
                for i in range(0, 2 * (word & columns.LIST_MASK), 2)
            ]
        )

    def append(
        self,
        packet: Packet,
        message: Message,
        source: int,
        fingerprint: bool,
        log: LogInfo | None = None,
        client_host: str = "",
    ) -> tuple[int, int]:
        """Append a row for each name that a message shows. Returns the first of these rows and the
        one after the last. `source` is the number of the packet's source; with `fingerprint` the
        JA4 of a hello is computed. With `log`, the packet stands for a log record."""
        shown: ShownName
        first: cython.Py_ssize_t = self.count
        at: cython.Py_ssize_t
        details: list[tuple[int, int]] = []
        names = message.names
        if not names:
            return first, first
        self._reserve(len(names), 4, 64, 0)
        if message.dns is not None:
            details += self._dns_words(message.dns)
        if message.tls is not None:
            details += self._tls_words(message.tls, fingerprint)
        if message.quic is not None:
            version = self.number_of_text(message.quic.version)
            details.append((columns.WORD_QUIC_VERSION, version))
        if log is not None:
            details += self._log_words(packet, log, client_host)
        src, dst = self.number_of(packet.src), self.number_of(packet.dst)
        for shown in names:
            name = self.number_of_text(shown.name)
            raw = self.number_of_text(shown.raw) if shown.raw else 0
            asked = self.number_of_text(shown.asked) if shown.asked else 0
            at = self.new_row()
            to_client: cython.bint = shown.client_is_destination
            mac = packet.dst_mac if to_client else packet.src_mac
            self.words[at + columns.WORD_TIME] = packet.time
            self.words[at + columns.WORD_TIME_DIGITS] = packet.time_digits
            self.words[at + columns.WORD_EVIDENCE] = _EVIDENCE_NUMBERS[shown.evidence]
            self.words[at + columns.WORD_NAME] = name
            self.words[at + columns.WORD_RAW] = raw
            self.words[at + columns.WORD_DNS_ASKED] = asked
            self.words[at + columns.WORD_CLIENT_IP] = dst if to_client else src
            self.words[at + columns.WORD_CLIENT_PORT] = packet.dport if to_client else packet.sport
            self.words[at + columns.WORD_CLIENT_MAC] = (
                MAC_BIT | int.from_bytes(mac, "big") if mac is not None else 0
            )
            self.words[at + columns.WORD_SERVER_IP] = src if to_client else dst
            self.words[at + columns.WORD_SERVER_PORT] = packet.sport if to_client else packet.dport
            self.words[at + columns.WORD_TRANSPORT] = _TRANSPORT_NUMBERS[packet.transport]
            self.words[at + columns.WORD_VLAN] = -1 if packet.vlan is None else packet.vlan
            self.words[at + columns.WORD_SOURCE] = source
            self.words[at + columns.WORD_PACKET] = packet.number
            self.words[at + columns.WORD_FLOW] = packet.flow_id
            self.words[at + columns.WORD_MARK] = packet.mark
            for word, value in details:
                self.words[at + cython.cast(cython.Py_ssize_t, word)] = value
            if log is not None:
                # A port that is not in the log.
                for place in (columns.WORD_CLIENT_PORT, columns.WORD_SERVER_PORT):
                    if self.words[at + place] == 0:
                        self.words[at + place] = -1
        if packet.frames:
            for row in range(first, self.count):
                self.frames[row] = packet.frames
        return first, self.count

    def observation(self, row: int) -> Observation:
        """The observation in a row."""
        at: cython.Py_ssize_t
        if not 0 <= row < self.count:
            raise IndexError(row)
        at = row * columns.WORDS
        mac = self.words[at + columns.WORD_CLIENT_MAC]
        vlan = self.words[at + columns.WORD_VLAN]
        version = self.words[at + columns.WORD_QUIC_VERSION]
        raw = self.words[at + columns.WORD_RAW]
        asked = self.words[at + columns.WORD_DNS_ASKED]
        host = self.words[at + columns.WORD_CLIENT_HOST]
        number = self.words[at + columns.WORD_PACKET] + self.words[at + columns.WORD_LOG_LINE]
        return Observation(
            time=self.words[at + columns.WORD_TIME],
            time_digits=self.words[at + columns.WORD_TIME_DIGITS],
            evidence=EVIDENCE[self.words[at + columns.WORD_EVIDENCE]],
            name=self.text(self.words[at + columns.WORD_NAME]),
            client_ip=self.packed(self.words[at + columns.WORD_CLIENT_IP]),
            client_port=max(0, self.words[at + columns.WORD_CLIENT_PORT]),
            client_mac=mac.to_bytes(7, "big")[1:] if mac else None,
            server_ip=self.packed(self.words[at + columns.WORD_SERVER_IP]),
            server_port=max(0, self.words[at + columns.WORD_SERVER_PORT]),
            transport=TRANSPORTS[self.words[at + columns.WORD_TRANSPORT]],
            vlan=None if vlan < 0 else vlan,
            source=self.sources[self.words[at + columns.WORD_SOURCE]],
            packet=number,
            flow_id=self.words[at + columns.WORD_FLOW],
            dns=self._dns(at),
            tls=self._tls(at),
            quic=QuicInfo(self.text(version)) if version else None,
            raw=self.text(raw) if raw else "",
            asked=self.text(asked) if asked else "",
            client_host=self.text(host) if host else "",
            log=self._log(at),
            frames=self.frames.get(row, ()),
            mark=self.words[at + columns.WORD_MARK],
        )

    def restore(self, words: bytes, lists: bytes, octets: bytes, starts: bytes) -> None:
        """Take over rows, lists and texts of another batch."""
        texts = len(starts) // 8 - 1
        self.clear()
        self._reserve(len(words) // (8 * columns.WORDS), texts, len(octets), len(lists) // 8)
        self.count = len(words) // (8 * columns.WORDS)
        self.list_words = len(lists) // 8
        memoryview(self.words).cast("B")[: len(words)] = words
        memoryview(self.lists).cast("B")[: len(lists)] = lists
        memoryview(self.octets)[: len(octets)] = octets
        memoryview(self.starts).cast("B")[: len(starts)] = starts
        self.texts = texts
        # The hash table is rebuilt, with the texts numbered as they are.
        self.number_anew()

    def _log(self, at: cython.Py_ssize_t) -> LogInfo | None:
        name = self.words[at + columns.WORD_LOG_FORMAT]
        if not name:
            return None
        return LogInfo(
            self.text(name),
            self.text_list(self.words[at + columns.WORD_LOG_LACKS]),
            self.text(self.words[at + columns.WORD_LOG_OUTCOME]),
            self.text(self.words[at + columns.WORD_LOG_BLOCKED_BY]),
        )

    def _dns(self, at: cython.Py_ssize_t) -> DnsInfo | None:
        kind = self.words[at + columns.WORD_DNS_TYPE]
        rcode = self.words[at + columns.WORD_DNS_RCODE]
        if not kind:
            return None
        return DnsInfo(
            self.text(kind),
            self.text(rcode) if rcode else None,
            self.answers(self.words[at + columns.WORD_DNS_ANSWERS]),
            self.text_list(self.words[at + columns.WORD_DNS_CHAIN]),
            self.text_list(self.words[at + columns.WORD_DNS_ECH]),
            self.text_list(self.words[at + columns.WORD_DNS_SERVICE_TARGETS]),
            self.text_list(self.words[at + columns.WORD_DNS_ECH_CONFIGS]),
        )

    def _tls(self, at: cython.Py_ssize_t) -> TlsInfo | None:
        version = self.words[at + columns.WORD_TLS_VERSION]
        ja4 = self.words[at + columns.WORD_TLS_JA4]
        ech = self.words[at + columns.WORD_TLS_ECH]
        config_id = self.words[at + columns.WORD_TLS_ECH_CONFIG_ID]
        if not version:
            return None
        return TlsInfo(
            self.text(version),
            self.text_list(self.words[at + columns.WORD_TLS_ALPN]),
            self.text(ech) if ech else None,
            partial(str, self.text(ja4)) if ja4 else None,
            int(self.text(config_id)) if config_id else None,
        )

    def _dns_words(self, dns: DnsInfo) -> list[tuple[int, int]]:
        words = [
            (columns.WORD_DNS_TYPE, self.number_of_text(dns.type)),
            (
                columns.WORD_DNS_RCODE,
                self.number_of_text(dns.rcode) if dns.rcode is not None else 0,
            ),
        ]
        if dns.answers:
            flat: list[int] = []
            for address, ttl in dns.answers:
                packed = parse_ip(address)
                assert packed is not None
                flat += (self.number_of(packed), ttl)
            words.append((columns.WORD_DNS_ANSWERS, self._list(flat, len(dns.answers))))
        for word, texts in (
            (columns.WORD_DNS_CHAIN, dns.chain),
            (columns.WORD_DNS_ECH, dns.ech_public_names),
            (columns.WORD_DNS_SERVICE_TARGETS, dns.service_targets),
            (columns.WORD_DNS_ECH_CONFIGS, dns.ech_configs),
        ):
            if texts:
                words.append(
                    (word, self._list([self.number_of_text(each) for each in texts], len(texts)))
                )
        return words

    def _tls_words(self, tls: TlsInfo, fingerprint: bool) -> list[tuple[int, int]]:
        words = [(columns.WORD_TLS_VERSION, self.number_of_text(tls.version))]
        if tls.alpn:
            alpn = self._list([self.number_of_text(each) for each in tls.alpn], len(tls.alpn))
            words.append((columns.WORD_TLS_ALPN, alpn))
        if tls.ech is not None:
            words.append((columns.WORD_TLS_ECH, self.number_of_text(tls.ech)))
        if tls.ech_config_id is not None:
            number = self.number_of_text(str(tls.ech_config_id))
            words.append((columns.WORD_TLS_ECH_CONFIG_ID, number))
        if fingerprint and (ja4 := tls.ja4) is not None:
            words.append((columns.WORD_TLS_JA4, self.number_of_text(ja4)))
        return words

    def _log_words(self, packet: Packet, log: LogInfo, host: str) -> list[tuple[int, int]]:
        return [
            (columns.WORD_PACKET, 0),
            (columns.WORD_LOG_LINE, packet.number),
            (columns.WORD_LOG_FORMAT, self.number_of_text(log.format)),
            (columns.WORD_LOG_LACKS, self.lacks_word(log.lacks)),
            (columns.WORD_LOG_OUTCOME, self.number_of_text(log.outcome)),
            (columns.WORD_LOG_BLOCKED_BY, self.number_of_text(log.blocked_by)),
            (columns.WORD_CLIENT_HOST, self.number_of_text(host)),
        ]

    def lacks_word(self, lacks: tuple[str, ...]) -> int:
        """The word of a list of what a log lacks."""
        word = self.lacks.get(lacks)
        if word is None:
            numbers = [self.number_of_text(each) for each in lacks]
            word = self.lacks[lacks] = self._list(numbers, len(numbers))
        return word

    def _list(self, entries: list[int], count: int) -> int:
        """The word of a list of so many entries, given their words."""
        self._reserve(0, 0, 0, len(entries))
        start = self.list_words
        for word in entries:
            self.add_to_list(word)
        return self.list_since(start, min(count, columns.LIST_MASK))

    def _reserve(self, rows: int, texts: int, octets: int, list_words: int) -> None:
        """Grow if there is no room for so many more rows, texts, bytes of texts, or words of
        lists."""
        if self.count + rows > self.capacity:
            self._grow_rows(2 * (self.count + rows))
        self.reserve_texts(texts, octets)
        if self.list_words + list_words > len(self.lists):
            self._grow_lists(2 * (self.list_words + list_words))

    def _grow_rows(self, rows: int) -> None:
        words = zeroed("q", rows * columns.WORDS)
        used = self.count * columns.WORDS
        words[:used] = self.words[:used]
        self.words = words
        self.capacity = rows

    def _grow_lists(self, size: int) -> None:
        lists = zeroed("q", size)
        lists[: self.list_words] = self.lists[: self.list_words]
        self.lists = lists


def restored(
    sources: Sequence[str],
    spans: Sequence[tuple[int, int]],
    words: bytes,
    lists: bytes,
    octets: bytes,
    starts: bytes,
) -> ObservationBatch:
    """A batch from the result of `ObservationBatch.__reduce__`."""
    batch: ObservationBatch = ObservationBatch(sources)
    batch.restore(words, lists, octets, starts)
    batch.spans.extend(spans)
    return batch
