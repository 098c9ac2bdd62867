# cython: language_level=3
"""DNS messages: which name was asked for, and what it is an alias of.

The format is that of RFC 1035 section 4 for DNS over UDP and TCP, and the same for mDNS
(RFC 6762) and LLMNR (RFC 4795). Only the questions and the answer section are walked:
the other two say nothing of what the client wanted. A message that breaks off gives
what was whole before, and says so.
"""

import struct
from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import Incomplete, ParseError
from netwatch.protocols.dns_answers import record
from netwatch.protocols.dns_code import rcode_text, type_text
from netwatch.protocols.dns_name import MAX_NAME, name_at, plain_name

if not cython.compiled:
    from netwatch.core.message import DnsInfo, Message, ShownName
    from netwatch.protocols.dns_answers import Answers
else:
    from cython.cimports.netwatch.core.message import DnsInfo, Message, ShownName
    from cython.cimports.netwatch.protocols.dns_answers import Answers

MAX_QUESTIONS = 64
"""Questions read of one message (mDNS asks several at once); what stands behind is named
``dns-many-questions``."""

_OPT = 41
_RESPONSE = cython.declare(cython.int, 0x8000)
_TRUNCATED = cython.declare(cython.int, 0x0200)

_header = struct.Struct(">HHHHHH").unpack_from


def parse(payload: bytes) -> Message:
    """One DNS message, the payload of one UDP datagram.

    A query shows ``dns-query`` for each name asked; a response shows ``dns-answer`` for
    each, whatever its code, and ``dns-cname`` for each alias target (CNAME, and SVCB and
    HTTPS of RFC 9460) that the answer section leads to from there. Addresses are those
    of these names, hints of SVCB and HTTPS among them; of ECH keys in these the public
    names are told. A response without a question is
    taken to answer the owner of its first record where there are aliases; else (mDNS) it
    shows nothing, and its addresses are those of all its records. The root shows nothing,
    nor does any opcode but QUERY (``dns-opcode-5``): a zone update is not a lookup.

    Anomalies: ``dns-truncated`` (the TC bit of a response), ``dns-cut``, and what stopped
    the reading behind the first question. Raises `ParseError` where not even that can be
    read: ``dns-cut``, ``dns-label-type``, ``dns-label-loop``, ``dns-name-length``.
    """
    return _message(payload, len(payload))


def parse_stream(data: bytes, last: bool = False) -> Message:
    """The DNS message at the start of a TCP stream, behind its length (RFC 1035 4.2.2).

    `size` of the result includes the two bytes of the length. Raises `Incomplete` while
    the message goes on behind `data`; with `last` it is read as far as it came, with
    the anomaly ``dns-cut``. Raises `ParseError` as `parse` does, and ``dns-tcp-length``
    for a length that holds no header.
    """
    size = 14
    if len(data) >= 2:
        size = 2 + (data[0] << 8 | data[1])
        if size < 14:
            raise ParseError("dns-tcp-length")
    if len(data) >= size:
        return _message(data[2:size], size)
    if last:
        return _message(data[2:], len(data), cut=True)
    raise Incomplete(size)


def _message(data: bytes, size: int, cut: bool = False) -> Message:
    if len(data) < 12:
        raise ParseError("dns-cut")
    flags: cython.int
    questions: cython.int
    answers: cython.int
    opcode: cython.int
    rcode: cython.int
    kind: cython.int = 0
    pos: cython.Py_ssize_t = 12
    _, flags, questions, answers, authorities, additionals = _header(data)
    anomalies = ["dns-cut"] if cut else []
    opcode = flags >> 11 & 0xF
    if opcode:
        return Message((), size, anomalies=(*anomalies, f"dns-opcode-{opcode}"))
    asked: list[str] = []
    if questions:
        kind, pos = _questions(data, questions, asked, anomalies)
    if not flags & _RESPONSE:
        shown = tuple([ShownName("dns-query", name) for name in asked if name])
        return Message(shown, size, _asked(kind), anomalies=tuple(anomalies))

    if flags & _TRUNCATED:
        anomalies.append("dns-truncated")
    section: Answers = Answers()
    if answers and pos:
        section.read(data, pos, answers, asked[0] if asked else None)
        anomalies += section.anomalies
    rcode = flags & 0xF
    if additionals and pos and not answers and not authorities:
        rcode |= _extended_rcode(data, pos)
    if not asked and section.has_aliases():
        asked.append(section.first_owner)
    chain = section.chain(asked)
    names = {*asked, *chain} if asked else None
    info = DnsInfo(
        type_text(kind or section.first_type),
        rcode_text(rcode),
        section.addresses(names),
        chain,
        section.ech(),
    )
    shown = tuple(
        [ShownName("dns-answer", name, True) for name in asked if name]
        + [ShownName("dns-cname", name, True) for name in chain]
    )
    return Message(shown, size, info, anomalies=tuple(dict.fromkeys(anomalies)))


def _questions(data: bytes, count: int, asked: list[str], anomalies: list[str]) -> tuple[int, int]:
    """Read the questions into `asked`, each name once.

    Returns the type of the first and the offset behind the last, 0 where that is not
    known because the section breaks off or goes on beyond the limit.
    """
    number: cython.Py_ssize_t
    end: cython.Py_ssize_t
    kind: cython.int = 0
    pos: cython.Py_ssize_t = 12
    for number in range(count):
        if number == MAX_QUESTIONS:
            anomalies.append("dns-many-questions")
            return kind, 0
        try:
            end = data.find(b"\0", pos, pos + MAX_NAME + 1)
            name = plain_name(data[pos:end].lower()) if end >= 0 else None
            if name is None:
                name, pos = name_at(data, pos)
            else:
                pos = end + 1
            if pos + 4 > len(data):
                raise ParseError("dns-cut")
        except ParseError as error:
            if number == 0:
                raise
            anomalies.append(error.anomaly)
            return kind, 0
        if number == 0:
            kind = data[pos] << 8 | data[pos + 1]
        pos += 4
        if name not in asked:
            asked.append(name)
    return kind, pos


@lru_cache(maxsize=256)
def _asked(kind: int) -> DnsInfo | None:
    return DnsInfo(type_text(kind)) if kind else None


def _extended_rcode(data: bytes, pos: int) -> int:
    """The upper bits of the response code from an OPT record at `pos` (RFC 6891 6.1.3)."""
    try:
        kind, _, ttl, _ = record(data, pos + 1)
    except struct.error:
        return 0
    return ttl >> 24 << 4 if data[pos] == 0 and kind == _OPT else 0
