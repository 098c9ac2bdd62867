"""The lease file of dnsmasq: one lease per line, with its expiry, MAC, address, host name and id.

The file has the leases that are active now, without when they began: a lease counts from its expiry
minus the server's lease time. A lease that does not expire (0) counts at any time. Below a line
``duid`` are DHCPv6 leases, with the IAID instead of the MAC.
"""

from collections.abc import Iterator

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import describe
from netwatch.inventory.lease_table import (
    NEVER,
    SECOND,
    Declaration,
    LeaseSyntaxError,
    bytes_of_hex,
    mac_of_duid,
)


def recognise(text: str) -> bool:
    """Whether this is the beginning of such a file."""
    words = text.partition("\n")[0].split()
    return words[:1] == ["duid"] or (len(words) == 5 and words[0].isdigit())


def read_declarations(text: str, lease_time: int) -> Iterator[Declaration | LeaseSyntaxError]:
    """The declarations of a file, and its mistakes; `lease_time` is in ns. A last line without its
    end is left out: the server is about to write the rest."""
    *lines, _ = text.split("\n")
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0] == "duid":
            continue
        try:
            yield from _declaration(words, lease_time, number)
        except LeaseSyntaxError as error:
            yield error


def _declaration(words: list[str], lease_time: int, line: int) -> Iterator[Declaration]:
    if len(words) != 5:
        expected = "expiry, MAC, address, host name and client id"
        raise LeaseSyntaxError(line, f"expected {expected}, found {describe(' '.join(words))}")
    expiry, hardware, address, name, client = words
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 20):
        expected = "the expiry in seconds since the epoch"
        raise LeaseSyntaxError(line, f"expected {expected}, found {describe(expiry)}")
    ip = parse_ip(address)
    if ip is None:
        raise LeaseSyntaxError(line, f"expected an IP address, found {describe(address)}")
    # A hardware type other than Ethernet precedes the address: 06-02:00:00:00:00:01.
    mac = parse_mac(hardware) if len(ip) == 4 else mac_of_duid(bytes_of_hex(client))
    if mac is None:
        return
    until = min(int(expiry) * SECOND, NEVER) or NEVER
    since = 0 if until == NEVER else max(0, until - lease_time)
    yield Declaration(ip, mac, since, until, "" if name == "*" else name, line)
