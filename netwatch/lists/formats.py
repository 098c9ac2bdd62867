"""The formats of lists: of resolvers and filters (hosts files, dnsmasq, response policy zones,
AdGuard and uBlock Origin filters, Pi-hole), and of plain domains (plain names, rules of Clash and
its relatives, v2fly's domain-list-community)."""

import re

from netwatch.core.names import ListedKind
from netwatch.lists.findings import Findings, Lines

_HOSTS_ENTRY = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]+(?:%\w+)?)\s+\S")


def is_hosts_line(line: str) -> bool:
    """Whether a line can only be from a hosts file."""
    return _HOSTS_ENTRY.match(line) is not None


def read_hosts(lines: Lines, findings: Findings) -> None:
    """Hosts files (hosts(5)): an address and its names."""
    for number, line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not _HOSTS_ENTRY.match(text):
            findings.fault(number, "an address and a host name", line)
            continue
        for name in text.split()[1:]:
            findings.add("host", name, number)


_DNSMASQ_OPTION = re.compile(
    r"(?:--)?(?P<option>address|server|local|ipset|nftset|rev-server)\s*=\s*/(?P<names>.*)/"
    r"(?P<value>[^/]*)\Z"
)
_DNSMASQ_OTHER = re.compile(r"(?:--)?[a-z][a-z0-9-]*\s*(?:=.*)?\Z")


def is_dnsmasq_line(line: str) -> bool:
    """Whether a line can only be from a dnsmasq configuration."""
    return _DNSMASQ_OPTION.match(line) is not None


def read_dnsmasq(lines: Lines, findings: Findings) -> None:
    """dnsmasq(8) options that name domains: ``address=/name/…``, ``server=/name/…``, ``local=``.

    Each name includes all names below it. ``server=/name/#`` sends a name to the usual servers,
    which makes it an exception. Other options of a configuration file name no domain.
    """
    for number, line in lines:
        # A comment is at the beginning of a line or after white space; in `/#` it is a value.
        text = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if not text:
            continue
        match = _DNSMASQ_OPTION.match(text)
        if match is None:
            if _DNSMASQ_OTHER.match(text):
                findings.skip("another option of dnsmasq")
            else:
                findings.fault(number, "an option such as address=/name/", line)
            continue
        exception = match["option"] == "server" and match["value"] == "#"
        for name in match["names"].split("/"):
            if name in ("", "#"):
                findings.skip("an option for all domains or for single labels")
            else:
                # `*name` is a name with any text before it, even inside a label.
                kind: ListedKind = "pattern" if name[0] == "*" and name[:2] != "*." else "suffix"
                findings.add(kind, name, number, exception=exception)


_RPZ_RECORD = re.compile(
    r"(?P<owner>\S+)?\s+(?:(?:\d+[smhdw]?|IN)\s+){0,2}"
    r"(?P<type>CNAME|DNAME|A|AAAA|TXT|MX|SRV|NS|SOA)\s+(?P<data>\S.*)\Z",
    re.IGNORECASE,
)
_RPZ_DIRECTIVE = re.compile(
    r"\$(?P<word>TTL|ORIGIN|INCLUDE|GENERATE)\b\s*(?P<value>\S*)", re.IGNORECASE
)
_RPZ_TRIGGERS = (".rpz-ip", ".rpz-client-ip", ".rpz-nsip", ".rpz-nsdname")


def is_rpz_line(line: str) -> bool:
    """Whether a line can only be from a response policy zone."""
    return (
        _RPZ_DIRECTIVE.match(line) is not None
        or _RPZ_RECORD.match(_without_rpz_comment(line)) is not None
    )


def _without_rpz_comment(line: str) -> str:
    return line.partition(";")[0].rstrip()


def read_rpz(lines: Lines, findings: Findings) -> None:
    """Response policy zones (draft-vixie-dnsop-dns-rpz), as zone files (RFC 1035 section 5).

    The owner, relative to the zone, is the name that a rule is about: that name itself or, with
    ``*.`` before it, the names below it. ``rpz-passthru`` is an exception. Rules about addresses
    and name servers name no host.
    """
    origin = owner = ""
    is_open = False  # inside parentheses, which only the SOA record has
    for number, line in lines:
        text = _without_rpz_comment(line)
        if is_open or not text.strip():
            is_open = is_open and ")" not in text
            continue
        directive = _RPZ_DIRECTIVE.match(text)
        if directive:
            if directive["word"].upper() == "ORIGIN":
                origin = directive["value"].rstrip(".").lower()
            elif directive["word"].upper() != "TTL":
                findings.skip("another directive of a zone file")
            continue
        record = _RPZ_RECORD.match(text)
        if record is None:
            findings.fault(number, "a record such as: name CNAME .", line)
            continue
        owner = record["owner"] or owner
        kind = record["type"].upper()
        if kind == "SOA":
            is_open = "(" in text and ")" not in text
            # A zone file without $ORIGIN names its zone as the owner of the SOA record.
            if owner != "@" and owner.endswith("."):
                origin = owner.rstrip(".").lower()
        elif kind != "NS" or owner != "@":
            _add_rpz_rule(owner, record["data"], origin, number, findings)


def _add_rpz_rule(owner: str, data: str, origin: str, number: int, findings: Findings) -> None:
    name = owner.lower()
    if name.endswith("."):
        name = name[:-1]
        if name == origin:
            return
        name = name.removesuffix(f".{origin}")
    if name in ("", "@"):
        return
    if name.endswith(_RPZ_TRIGGERS):
        findings.skip("a rule about addresses or name servers")
        return
    is_exception = data.lower().rstrip(".") in ("rpz-passthru", name)
    findings.add("host", name, number, exception=is_exception)


_ADBLOCK_LINE = re.compile(r"@@|\|\|?\S|\[Adblock|\S*#[@?$%]*#")
_ADBLOCK_FILTER = re.compile(
    r"(?P<exception>@@)?(?P<start>\|\|(?:[a-z]+://)?|\|[a-z]+://|[a-z]+://)?(?P<name>[^/^|$,\s]+)"
    r"(?P<end>\^?\|?|/|\^\*)(?:\$(?P<modifiers>\S*))?\Z"
)
_ADBLOCK_COSMETIC = re.compile(r"#[@?$%]*#")


def is_adblock_line(line: str) -> bool:
    """Whether a line can only be from a filter list."""
    return _ADBLOCK_LINE.match(line) is not None


def read_adblock(lines: Lines, findings: Findings) -> None:
    """AdGuard and uBlock Origin filter lists, as far as they name whole hosts.

    ``||name^`` is a name with all names below it, ``|https://name^`` only that name; ``@@`` before
    it makes an exception, which overrides every filter for the same name. A bare name is that name,
    and so is a line of a hosts file (AdGuard's syntax for DNS filters). Modifiers
    (``$third-party``) become attributes. Filters for paths and for parts of pages say nothing about
    a whole name.
    """
    for number, line in lines:
        text = line.strip()
        if not text or text[0] in "![" or text.startswith("# ") or text == "#":
            continue
        if _ADBLOCK_COSMETIC.search(text):
            findings.skip("a filter of parts of a page")
            continue
        if is_hosts_line(text):
            read_hosts(iter([(number, text)]), findings)
            continue
        _read_adblock_filter(text, number, findings)


def _read_adblock_filter(text: str, number: int, findings: Findings) -> None:
    match = _ADBLOCK_FILTER.match(text)
    if match is None:
        if text.startswith("/") or "/" in text or "|" in text or "^" in text or "*" in text:
            findings.skip("a filter of paths")
        else:
            findings.fault(number, "a filter such as ||name^", text)
        return
    start, name = match["start"] or "", match["name"]
    if not start and ("*" in name or "." not in name):
        findings.skip("a filter of paths")
        return
    kind: ListedKind = "suffix" if start.startswith("||") else "host"
    modifiers = tuple(filter(None, (match["modifiers"] or "").split(",")))
    name = name.partition(":")[0]
    if "badfilter" in modifiers:
        findings.cancel(kind, name, number)
    else:
        exception = match["exception"] is not None
        findings.add(kind, name, number, modifiers, exception=exception)


_PIHOLE_NAME = r"(?P<name>(?:[\w-]|\\\.)+)"
_PIHOLE_DOMAIN = re.compile(
    r"(?:\(\\\.\|\^\)|\(\^\|\\\.\)|\(\(\^\)\|\(\\\.\)\)|\^\(\.[+*]\\\.\)\?)"
    + _PIHOLE_NAME
    + r"\$?\Z"
)
_PIHOLE_HOST = re.compile(r"\^" + _PIHOLE_NAME + r"\$\Z")
_PIHOLE_REGEX = re.compile(r"[\\^$()\[\]|+?{}]")


def is_pihole_line(line: str) -> bool:
    """Whether a line can only be from a list of Pi-hole: the expression of a domain."""
    return _PIHOLE_DOMAIN.match(line) is not None


def read_pihole(lines: Lines, findings: Findings) -> None:
    """Lists and domains of Pi-hole: names, hosts files, ``||name^``, and regular expressions.

    A name is one host, as in Pi-hole. The expression with which Pi-hole blocks a domain,
    ``(\\.|^)name$``, is the name with all names below it, and ``^name$`` one host; others are
    patterns.
    """
    for number, line in lines:
        text = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        domain = _PIHOLE_DOMAIN.match(text)
        host = _PIHOLE_HOST.match(text)
        if not text or text[0] == "!":
            continue
        if is_hosts_line(text):
            read_hosts(iter([(number, text)]), findings)
        elif text.startswith(("||", "@@")):
            _read_adblock_filter(text, number, findings)
        elif domain:
            findings.add("suffix", domain["name"].replace("\\.", "."), number)
        elif host:
            findings.add("host", host["name"].replace("\\.", "."), number)
        elif _PIHOLE_REGEX.search(text):
            findings.add("pattern", text, number)
        else:
            findings.add("host", text, number)


_PLAIN_NAME = re.compile(r"(?:\*?\.)?[\w*-]+(?:\.[\w*-]+)+\.?\s*(?:[#;!].*)?\Z")


def is_plain_line(line: str) -> bool:
    """Whether a line is a name. Other formats have such lines, too."""
    return _PLAIN_NAME.match(line) is not None


def read_plain(lines: Lines, findings: Findings) -> None:
    """Plain names, one per line. A name is that host only; ``*.name`` and ``.name`` are a name with
    all names below it. Comments begin with ``#``, ``;`` or ``!``."""
    for number, line in lines:
        text = re.split(r"[#;!]", line, maxsplit=1)[0].strip()
        if text:
            findings.add("host", text, number)


_CLASH_KINDS: dict[str, ListedKind] = {
    "DOMAIN": "host",
    "HOST": "host",
    "DOMAIN-SUFFIX": "suffix",
    "HOST-SUFFIX": "suffix",
    "DOMAIN-KEYWORD": "pattern",
    "HOST-KEYWORD": "pattern",
    "DOMAIN-REGEX": "pattern",
    "DOMAIN-WILDCARD": "pattern",
    "HOST-WILDCARD": "pattern",
}
_CLASH_OTHER = re.compile(r"[A-Z][A-Z0-9-]*\Z")
_CLASH_LINE = re.compile(
    r"(?:-\s+)?[\"']?(?:(?:DOMAIN|HOST)(?:-[A-Z]+)?,\s*\S|IP-CIDR6?,|\+\.)|payload:\s*\Z", re.I
)


def is_clash_line(line: str) -> bool:
    """Whether a line can only be from Clash rules."""
    return _CLASH_LINE.match(line) is not None


def read_clash(lines: Lines, findings: Findings) -> None:
    """Rules of Clash, Surge and Quantumult: ``DOMAIN-SUFFIX,name``, also as items of a YAML list.

    ``DOMAIN`` is one name, ``DOMAIN-SUFFIX`` a name with all names below it; other kinds are
    patterns, or rules about addresses and programs. Items without a kind are from a ``behavior:
    domain`` provider, in which ``+.name`` is a name with all names below it.
    """
    for number, line in lines:
        text = re.split(r"(?:^|\s)(?:#|//)", line, maxsplit=1)[0].strip()
        text = text.removeprefix("- ").strip().strip("\"'")
        if not text or text.lower() == "payload:":
            continue
        kind, comma, rest = text.partition(",")
        kind, value = kind.strip().upper(), rest.partition(",")[0].strip()
        if not comma:
            if text.startswith("+."):
                findings.add("suffix", text[2:], number)
            else:
                findings.add("host", text, number)
        elif kind in _CLASH_KINDS and value:
            findings.add(_CLASH_KINDS[kind], value, number)
        elif _CLASH_OTHER.match(kind):
            findings.skip("a rule that is not about names")
        else:
            findings.fault(number, "a rule such as DOMAIN-SUFFIX,name", line)


_DOMAIN_LIST_PREFIXES: dict[str, ListedKind] = {
    "full": "host",
    "domain": "suffix",
    "keyword": "pattern",
    "regexp": "pattern",
    "regex": "pattern",
}
_DOMAIN_LIST_LINE = re.compile(r"(?:full|domain|keyword|regexp?|include):\S|[\w.-]+\s+[@&][\w!-]+")
_DOMAIN_LIST_ENTRY = "a name, or one of full:, domain:, keyword:, regexp: and include:"


def is_domain_list_line(line: str) -> bool:
    """Whether a line can only be in v2fly's format."""
    return _DOMAIN_LIST_LINE.match(line) is not None


def read_domain_list(lines: Lines, findings: Findings) -> None:
    """The format of v2fly's domain-list-community: one entry per line, and files that include each
    other.

    ``full:`` is one name; ``domain:``, or a line without a prefix, a name with all names below it;
    ``keyword:`` and ``regexp:`` are patterns. Attributes (``@ads``) follow. ``include:`` names a
    file next to the list, and may select entries by attributes (``@cn``, ``@-ads``). ``&`` adds an
    entry to another list, too, which is ignored here.
    """
    for number, line in lines:
        words = line.partition("#")[0].split()
        if not words:
            continue
        head, *rest = words
        marks = tuple(word[1:] for word in rest if word[0] == "@" and len(word) > 1)
        if any(word[0] not in "@&" for word in rest):
            findings.fault(number, f"{_DOMAIN_LIST_ENTRY}, with attributes behind it", line)
            continue
        prefix, colon, value = head.partition(":")
        if not colon:
            findings.add("suffix", head, number, marks)
        elif prefix == "include" and value:
            wanted = tuple(mark for mark in marks if mark[0] != "-")
            unwanted = tuple(mark[1:] for mark in marks if mark[0] == "-")
            findings.include(value, number, wanted, unwanted)
        elif prefix in _DOMAIN_LIST_PREFIXES and value:
            findings.add(_DOMAIN_LIST_PREFIXES[prefix], value, number, marks)
        else:
            findings.fault(number, _DOMAIN_LIST_ENTRY, line)
