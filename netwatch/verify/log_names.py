"""Whether a record of a log has a name: as text, in any of the spellings of logs, or in a DNS
message inside of it, which scapy and dpkt read.

AdGuard Home has such messages in base64, Windows in hexadecimal digits, and dnstap as they were.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress

from netwatch.verify.dpkt_reader import DpktReader
from netwatch.verify.flows import guarded
from netwatch.verify.layers import DnsMessage, same_name
from netwatch.verify.scapy_reader import ScapyReader

_HEX = re.compile(rb"(?<![0-9A-Za-z])(?:0x)?((?:[0-9A-Fa-f]{2}){17,32768})(?![0-9A-Za-z])")
_BASE64 = re.compile(rb"(?<![0-9A-Za-z+/])[0-9A-Za-z+/]{22,65536}={0,2}")
_MESSAGE, _QUERY, _RESPONSE = 14, 10, 14
"""Fields of dnstap.proto."""


def shows(record: bytes, kind: str, name: str) -> bool:
    """Whether a record has the name, for evidence of this kind."""
    return has_name(record, name) or any(
        same_name(each, name) for message in _messages(record) for each in _names(message, kind)
    )


def has_name(text: bytes, name: str) -> bool:
    """Whether a text has a name, in any letters and neither as a part of another name nor with
    labels behind it, in its Unicode form, or label by label as Windows writes it."""
    lower = text.lower()
    spellings = [name.lower()]
    if "xn--" in name:
        with suppress(UnicodeError):
            spellings.append(name.encode("ascii").decode("idna"))
    for each in spellings:
        written = re.escape(each.encode("utf-8", "surrogatepass"))
        # The escape of a control character in JSON may stand before it.
        if re.search(rb"(?:(?<![\w.-])|(?<=\\[nrt]))" + written + rb"(?!\.?[\w-])", lower):
            return True
    labels = "".join(f"({len(label)}){label}" for label in name.lower().split("."))
    return f"{labels}(0)".encode("utf-8", "surrogatepass") in lower


def _names(message: DnsMessage, kind: str) -> tuple[bytes, ...]:
    if kind == "dns-cname":
        return tuple(target for _, target in message.aliases)
    return message.questions


def _messages(record: bytes) -> Iterator[DnsMessage]:
    """The DNS messages in a record, as each library reads them."""
    for payload in _payloads(record):
        for reader in (ScapyReader(), DpktReader()):
            message = guarded(reader.dns, payload)
            if message is not None:
                yield message


def _payloads(record: bytes) -> Iterator[bytes]:
    for number, inner in _fields(record):
        if number == _MESSAGE:
            for field, value in _fields(inner):
                if field in (_QUERY, _RESPONSE):
                    yield value
    for found in _HEX.finditer(record):
        yield bytes.fromhex(found[1].decode("ascii"))
    for text in _BASE64.findall(record):
        try:
            yield base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            continue


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message of Protocol Buffers that have a length, until it is none."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                return
            yield key >> 3, data[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows it begins."""
    value = 0
    for place in range(10):
        if at + place >= len(data):
            break
        octet = data[at + place]
        value |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            return value, at + place + 1
    return 0, len(data) + 1
