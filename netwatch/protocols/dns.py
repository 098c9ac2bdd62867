# cython: language_level=3
"""DNS messages: the names that are looked up, and their aliases and addresses.

The format is that of RFC 1035 section 4 for DNS over UDP and TCP, and the same for mDNS (RFC 6762)
and LLMNR (RFC 4795). Only the question and the answer section are read: the other two do not tell
what the client looked up. A truncated message yields everything before the truncation, with an
anomaly.
"""

import struct
from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.protocol_numbers import rcode_text, type_text
from netwatch.protocols.dns_answers import record
from netwatch.protocols.dns_name import (
    HOST_NAME_BYTES,
    MAX_NAME,
    join_raw_labels,
    name_at,
    plain_labels,
    plain_name,
    raw_name_at,
)

if not cython.compiled:
    from netwatch.core.message import DnsInfo, Message, ShownName
    from netwatch.protocols.dns_answers import Answers
else:
    from cython.cimports.netwatch.core.message import DnsInfo, Message, ShownName
    from cython.cimports.netwatch.protocols.dns_answers import Answers

MAX_QUESTIONS = 64
"""Maximum number of questions per message (mDNS queries may have several); further ones are the
anomaly ``dns-many-questions``."""

_OPT = 41
_RESPONSE = cython.declare(cython.int, 0x8000)
_TRUNCATED = cython.declare(cython.int, 0x0200)

_header = struct.Struct(">HHHHHH").unpack_from


def parse(payload: bytes) -> Message:
    """Parse one DNS message, the payload of a UDP datagram.

    A query shows ``dns-query`` for each queried name. A response shows ``dns-answer`` for each,
    whatever the response code, and ``dns-cname`` for each alias target (CNAME, and SVCB and HTTPS
    of RFC 9460 in alias mode) that the names lead to in the answer section. The addresses are those
    of these names and of the hosts that provide their services, including the hints in SVCB and
    HTTPS records; the ECH configurations are those of these names in such records. If a response
    has no question but aliases or services, its question is assumed to be the owner of the first
    record. If it has none of these (mDNS), it shows no names, and the addresses are those of all
    records. The root shows nothing, nor do messages with another opcode than QUERY
    (``dns-opcode-5``): an update of a zone is not a lookup.

    Anomalies: ``dns-truncated`` (the TC bit of a response), ``dns-cut``, and whatever ended the
    parsing after the first question. Raises `ParseError` if the first question cannot be read:
    ``dns-cut``, ``dns-label-type``, ``dns-label-loop``, ``dns-name-length``.
    """
    return _message(payload, len(payload))


def begins_stream(data: bytes) -> bool:
    """Whether these bytes look like the beginning of a TCP stream of DNS messages: the length of a
    message that has one question of class IN, with a name of letters, digits, ``-`` and ``_``. As
    much of the question is looked at as there is."""
    if len(data) < 19 or (data[0] << 8 | data[1]) < 17:
        return False
    _, flags, questions, answers, authorities, _ = _header(data, 2)
    if questions != 1 or flags & 0x7840 or flags & 0xF > 10:
        return False
    if not flags & _RESPONSE and (answers or authorities):
        return False
    pos: cython.Py_ssize_t = 14
    size: cython.Py_ssize_t
    while pos < len(data) and data[pos]:
        size = data[pos]
        label = data[pos + 1 : pos + 1 + size]
        if size > 63 or label.lower().translate(None, HOST_NAME_BYTES) or pos > 14 + MAX_NAME:
            return False
        pos += 1 + size
    # Type and class follow the root label, or are not there yet.
    return pos > 14 and data[pos + 3 : pos + 5] in (b"\0\1", b"\x80\1", b"\0", b"\x80", b"")


def parse_stream(data: bytes, last: bool = False) -> Message:
    """Parse the DNS message at the start of a TCP stream, after its length (RFC 1035 section
    4.2.2).

    `size` of the result includes the two bytes of the length. Raises `Incomplete` while the
    message is not complete; with `last`, its beginning is parsed, with the anomaly ``dns-cut``.
    Raises `ParseError` as `parse` does, and ``dns-tcp-length`` if the length is less than that of
    a header.
    """
    size = 14
    if len(data) >= 2:
        size = 2 + (data[0] << 8 | data[1])
        if size < 14:
            raise ParseError("dns-tcp-length")
    if len(data) >= size:
        return _message(data[2:size], size)
    if last:
        return _message(data[2:], len(data), truncated=True)
    raise Incomplete(size)


def _message(data: bytes, size: int, truncated: bool = False) -> Message:
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
    anomalies = ["dns-cut"] if truncated else []
    opcode = flags >> 11 & 0xF
    if opcode:
        return Message((), size, anomalies=(*anomalies, f"dns-opcode-{opcode}"))
    queried: list[str] = []
    raws: list[str] = []
    if questions:
        kind, pos = _questions(data, questions, queried, raws, anomalies)
    if not flags & _RESPONSE:
        shown = tuple(
            [
                ShownName("dns-query", name, False, raw)
                for name, raw in zip(queried, raws, strict=True)
                if name
            ]
        )
        return Message(shown, size, _query_info(kind), anomalies=tuple(anomalies))

    if flags & _TRUNCATED:
        anomalies.append("dns-truncated")
    section: Answers = Answers()
    if answers and pos:
        section.read(data, pos, answers, queried[0] if queried else None)
        anomalies += section.anomalies
    rcode = flags & 0xF
    if additionals and pos and not answers and not authorities:
        rcode |= _extended_rcode(data, pos)
    if not queried and section.has_aliases():
        queried.append(section.first_owner)
        raws.append(raw_name_at(data, pos, section.first_owner))
    places = section.chain(queried)
    chain = tuple(places)
    names = {*queried, *chain}
    targets = section.service_targets(names)
    info = DnsInfo(
        type_text(kind or section.first_type),
        rcode_text(rcode),
        section.addresses({*names, *targets} if queried else None),
        chain,
        section.ech_public_names(),
        targets,
        section.ech_configs(names if queried else None),
    )
    shown = tuple(
        [
            ShownName("dns-answer", name, True, raw)
            for name, raw in zip(queried, raws, strict=True)
            if name
        ]
        + [
            ShownName("dns-cname", name, True, raw_name_at(data, place, name), queried[0])
            for name, place in places.items()
        ]
    )
    return Message(shown, size, info, anomalies=tuple(dict.fromkeys(anomalies)))


def _questions(
    data: bytes, count: int, queried: list[str], raws: list[str], anomalies: list[str]
) -> tuple[int, int]:
    """Read the questions into `queried`, each name once, and into `raws` in the letters of the
    packet where these differ.

    Returns the type of the first question and the offset behind the last one; 0 if that is not
    known because the section is truncated or exceeds the limit.
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
            encoded = data[pos:end] if end >= 0 else b""
            lower = encoded.lower()
            name = plain_name(lower) if end >= 0 else None
            raw = ""
            if name is None:
                name, end = name_at(data, pos)
                raw = raw_name_at(data, pos, name)
                pos = end
            else:
                if encoded != lower:
                    raw = join_raw_labels(plain_labels(encoded) or [], name)
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
        if name not in queried:
            queried.append(name)
            raws.append(raw)
    return kind, pos


@lru_cache(maxsize=256)
def _query_info(kind: int) -> DnsInfo | None:
    return DnsInfo(type_text(kind)) if kind else None


def _extended_rcode(data: bytes, pos: int) -> int:
    """The upper bits of the response code in an OPT record at `pos` (RFC 6891 section 6.1.3)."""
    try:
        kind, _, ttl, _ = record(data, pos + 1)
    except struct.error:
        return 0
    return ttl >> 24 << 4 if data[pos] == 0 and kind == _OPT else 0
