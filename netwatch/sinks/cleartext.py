"""Credentials that would cross a network in the clear, where anybody on the path can read them.

An output that sends a password or a token without TLS to another host is refused, unless its
configuration says ``insecure: true``; then `netwatch policy check` and `netwatch doctor` warn of
it. What only proves that a secret is known, such as a signature or SCRAM, is not sent.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any

from netwatch.core.file_keys import key
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import BOOLEAN


def insecure_key() -> Any:
    """The key ``insecure``."""
    return key(
        BOOLEAN,
        "whether a password or token may be sent without TLS to a host that is not this one",
        False,
    )


def cleartext_warning(
    fields: Fields, accepted: bool, credential: str, hosts: Iterable[str], remedy: str
) -> str:
    """The warning that follows from the key ``insecure``, which is `accepted`; empty if there is
    none.

    `credential` is the key of what the output sends without TLS (empty: nothing), and `hosts` are
    those that receive or forward it. If one of these is another host and ``insecure`` is not set,
    that is a problem; `remedy` says how to use TLS."""
    others = [host for host in hosts if not is_loopback(host)]
    if not credential or not others:
        return ""
    text = f"'{credential}' is sent in the clear to {others[0]}"
    if accepted:
        return f"{text}; {remedy}"
    fields.add_problem(credential, f"{text}: {remedy}, or accept that with 'insecure: true'")
    return ""


def is_loopback(host: str) -> bool:
    """Whether a name or an address is certainly that of this host (RFC 6761 section 6.3, RFC 6890):
    what is sent there crosses no network."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
