"""What sensors match names by: rules of Suricata, intelligence files of Zeek, protocols of nDPI.

They contain more than names. What is no name, such as a rule about paths, ports or certificates, is
counted by its kind. What a rule or row says about its name (message and sid, source and
description, protocol) becomes the attributes of the entry.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from netwatch.core.names import ListedKind
from netwatch.lists.findings import MAX_LINE, Findings, Lines

_HEAD = re.compile(r"(?P<action>alert|drop|pass|reject(?:src|dst|both)?|log)\s")
_ARROW = re.compile(r"\s(?:->|<>|=>)\s")
_DISABLED_RULE = re.compile(r"#\s*(?:alert|drop|pass|reject\w*|log)\s.*\bsid\s*:")
_OPTION = re.compile(
    r"\s*(?P<word>[A-Za-z0-9_.-]+)\s*(?::(?P<value>(?:[^;\\]|\\.)*+))?;", re.DOTALL
)
_CONTENT = re.compile(r'\s*(?P<not>!?)\s*"(?P<text>.*)"\s*\Z', re.DOTALL)
_PIECE = re.compile(r"\|(?P<hex>[0-9A-Fa-f\s]*)\||\\(?P<escaped>.)|(?P<plain>[^|\\]+)", re.DOTALL)

_NAME_BUFFERS = frozenset(
    {"dns.query", "dns_query", "tls.sni", "tls_sni", "quic.sni", "http.host", "http.host.raw"}
)
_HOST_MODIFIERS = frozenset({"http_host", "http_raw_host"})
"""In rules for Suricata before 5 they follow the content to which they belong."""

_MATCHES = frozenset({"content", "pcre", "dataset", "datarep", "lua", "uricontent"})
_NO_END = "a content without endswith, read as a domain"


def is_suricata_line(line: str) -> bool:
    """Whether a line can only be a rule of Suricata."""
    head, is_begun, _ = line.partition("(")
    return bool(is_begun and _HEAD.match(head) and _ARROW.search(head))


def read_suricata(lines: Lines, findings: Findings) -> None:
    """Rules of Suricata that compare the name of a DNS query, of a TLS or QUIC hello or of an HTTP
    request, and nothing besides it.

    A content at the end of the buffer is a name with all names below it, at label boundaries, also
    where the rule has no ``dotprefix``; one that is the whole buffer is one host. A negated content
    and the action ``pass`` are exceptions. Rules that begin with ``#`` are disabled.
    """
    for number, text in _joined(lines, findings):
        if text.startswith("#"):
            if _DISABLED_RULE.match(text):
                findings.skip("a disabled rule")
            continue
        _, _, rest = text.partition("(")
        options = _options(rest[:-1]) if rest.endswith(")") and is_suricata_line(text) else None
        if options is None:
            findings.fault(number, "a rule such as alert dns any any -> any any (…;)", text)
        else:
            _read_rule(text.startswith("pass"), options, number, findings)


def _joined(lines: Lines, findings: Findings) -> Iterator[tuple[int, str]]:
    """Rules with the line on which each begins. A backslash at the end of a line continues it."""
    begun, length = 0, 0
    parts: list[str] = []
    for number, line in lines:
        begun = begun if parts else number
        is_continued = line.endswith("\\")
        parts.append(line[:-1] if is_continued else line)
        length += len(line)
        if is_continued and length <= MAX_LINE:
            continue
        text = "".join(parts).strip()
        if length > MAX_LINE:
            findings.fault(begun, f"a rule of at most {MAX_LINE:,} characters", text)
        elif text:
            yield begun, text
        parts, length = [], 0
    if parts:
        findings.fault(begun, "the end of the rule that is continued", "".join(parts).strip())


def _options(text: str) -> list[tuple[str, str]] | None:
    """Words and values of the options of a rule; None if they are not all well-formed."""
    found = []
    at = 0
    while option := _OPTION.match(text, at):
        found.append((option["word"], (option["value"] or "").strip()))
        at = option.end()
    return None if text[at:].strip() else found


@dataclass(slots=True)
class _Content:
    """One content of a buffer, decoded, and what is known of its place there."""

    text: str
    is_negated: bool
    starts: bool = False
    ends: bool = False


@dataclass(slots=True)
class _Match:
    """What a rule compares with a name: `contents`, and the regular expression, if any. `also` is
    what else it compares, empty if nothing."""

    contents: list[_Content] = field(default_factory=list)
    pcre: str = ""
    also: str = ""
    buffers: int = 0


def _read_rule(
    passes: bool, options: list[tuple[str, str]], number: int, findings: Findings
) -> None:
    match = _matches(options)
    positive = [content for content in match.contents if not content.is_negated]
    if not match.buffers:
        findings.skip("a rule without a buffer of names")
        return
    if match.also or match.buffers > 1:
        findings.skip(match.also or "a rule about several names at once")
        return
    about = tuple(
        value.strip('"') if word == "msg" else f"{word}:{value}"
        for word, value in options
        if word in ("msg", "sid")
    )
    if match.pcre or len(positive) > 1:
        text = match.pcre or "*".join(content.text for content in positive)
        findings.add("pattern", text, number, about, exception=passes)
    elif not positive:
        findings.skip("a rule about all other names")
    else:
        for content in match.contents:
            is_exception = passes is not content.is_negated
            _add_content(content, number, about, findings, is_exception=is_exception)


def _matches(options: list[tuple[str, str]]) -> _Match:
    """What the options compare. Modifiers belong to the content before them."""
    match = _Match()
    in_name = False
    for at, (word, value) in enumerate(options):
        last = match.contents[-1] if match.contents else None
        if word in _NAME_BUFFERS:
            in_name = True
            match.buffers += 1
        elif word in _HOST_MODIFIERS:
            match.buffers = match.buffers or 1
        elif word in _MATCHES:
            following = {later for later, _ in options[at + 1 : at + 12]}
            if not in_name and not (word == "content" and following & _HOST_MODIFIERS):
                match.also = "a rule with a condition besides the name"
            elif word == "content":
                match.contents.append(_content(value))
            elif word == "pcre":
                match.pcre = value.strip('"')
            else:
                match.also = "a rule with names in a file of its own"
        elif word in ("file_data", "pkt_data", "base64_data") or (
            "." in word and not value and word not in ("ip.src", "ip.dst")
        ):
            in_name = False  # another sticky buffer
        elif last is not None:
            _modify(last, word, value)
    return match


def _modify(content: _Content, word: str, value: str) -> None:
    size = str(len(content.text))
    if word == "startswith" or (word == "depth" and value == size):
        content.starts = True
    elif word == "endswith" or (word == "isdataat" and value.replace(" ", "") == "!1,relative"):
        content.ends = True
    elif word == "bsize" and value == size:
        content.starts = content.ends = True


def _content(value: str) -> _Content:
    """A content without its quotes, escapes and hexadecimal parts. What is not ASCII stays
    visible, and is no name."""
    given = _CONTENT.match(value)
    if given is None:
        return _Content(value, is_negated=False)
    parts = []
    for piece in _PIECE.finditer(given["text"]):
        digits = "".join((piece["hex"] or "").split())
        if digits and len(digits) % 2 == 0:
            parts.append(bytes.fromhex(digits).decode("latin-1"))
        else:
            parts.append(piece["escaped"] or piece["plain"] or "")
    return _Content("".join(parts).lower(), given["not"] == "!")


def _add_content(
    content: _Content,
    number: int,
    about: tuple[str, ...],
    findings: Findings,
    *,
    is_exception: bool,
) -> None:
    name = content.text
    kind: ListedKind = "suffix"
    if "." not in name.strip(".") or (content.starts and not content.ends):
        kind = "pattern"
    elif content.starts and not name.startswith("."):
        kind = "host"
    elif not content.ends:
        findings.skip(_NO_END)
    findings.add(kind, name, number, about, exception=is_exception)


_ZEEK_TYPES = re.compile(
    "ADDR|SUBNET|URL|SOFTWARE|EMAIL|USER_NAME|(?:CERT|PUBKEY|FILE)_HASH|FILE_NAME"
)
_ZEEK_LINE = re.compile(r"[^\t]+\tIntel::[A-Z_]+(?:\t|\Z)")
_ZEEK_FIELDS = "a line #fields with indicator and indicator_type, divided by tabs"


def is_zeek_intel_line(line: str) -> bool:
    """Whether a line can only be a row of Zeek's intelligence framework."""
    return _ZEEK_LINE.match(line) is not None


def read_zeek_intel(lines: Lines, findings: Findings) -> None:
    """Files of Zeek's intelligence framework: rows under a line ``#fields``, divided by tabs.

    ``Intel::DOMAIN`` is one host, since Zeek compares whole names; other types of indicators are
    no names.
    """
    columns: list[str] = []
    for number, line in lines:
        if line.startswith("#fields"):
            columns = line.split("\t")[1:]
        if not line.strip() or line[0] == "#":
            continue
        row = dict(zip(columns, line.split("\t"), strict=False))
        kind = row.get("indicator_type", "").removeprefix("Intel::")
        if not {"indicator", "indicator_type"} <= row.keys():
            findings.fault(number, _ZEEK_FIELDS, line)
        elif kind == "DOMAIN":
            about = (row.get("meta.source", ""), row.get("meta.desc", ""))
            findings.add("host", row["indicator"], number, tuple(filter(None, about)))
        elif _ZEEK_TYPES.fullmatch(kind):
            findings.skip(f"an indicator of the type {kind}")
        elif _ZEEK_LINE.match(line):
            findings.skip("an indicator of a type that a package of Zeek adds")
        else:
            findings.fault(number, "a type of indicator such as Intel::DOMAIN", kind)


_NDPI_TERM = re.compile(r'\s*(?P<word>[a-z0-9_]+):(?:"(?P<quoted>[^"]*)"|(?P<bare>[^,@"]*))\s*')
_NDPI_SKIPPED = {
    "tcp": "a rule of ports",
    "udp": "a rule of ports",
    "ip": "a rule of addresses",
    "ipv6": "a rule of addresses",
    "nbpf": "a packet filter",
}
_NDPI_SETTING = re.compile(r"(?:ip_risk_mask|host_risk_mask|trusted_\w+|flow_\w+):")
_NDPI_LINE = re.compile(r'(?:host:"|(?:tcp|udp):\d|ip:[\d.]+|ipv6:\[|nbpf:").*@\s*\S')


def is_ndpi_line(line: str) -> bool:
    """Whether a line can only be from a protocol file of nDPI."""
    return _NDPI_LINE.match(line) is not None


def read_ndpi(lines: Lines, findings: Findings) -> None:
    """Protocol files of nDPI: ``host:"name",host:"name"@Protocol``.

    nDPI also finds a name inside of longer ones. Here, it is the name with all names below it, and
    a value without a dot is a pattern. The protocol is an attribute.
    """
    for number, line in lines:
        text = line.strip()
        if not text or text[0] == "#":
            continue
        if _NDPI_SETTING.match(text):
            findings.skip("a setting of risks")
            continue
        terms, at = [], 0
        while term := _NDPI_TERM.match(text, at):
            terms.append((term["word"], term["quoted"] or term["bare"] or ""))
            at = term.end()
            if text[at : at + 1] != ",":
                break
            at += 1
        protocol = text[at + 1 :].partition("=")[0].strip()
        if not terms or text[at : at + 1] != "@" or not protocol:
            findings.fault(number, 'a line such as host:"name"@Protocol', line)
            continue
        for word, value in terms:
            if word == "host" and value:
                kind: ListedKind = "suffix" if "." in value.strip(".*") else "pattern"
                findings.add(kind, value.lower(), number, (protocol,))
            else:
                findings.skip(_NDPI_SKIPPED.get(word, "a rule of another kind"))
