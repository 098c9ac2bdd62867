"""What the packet of a contact shows beside the name, as its evidence needs it.

It is taken from the observation alone, so that it is the same whether the observation comes from a
packet or from the store.
"""

from netwatch.core.addresses import ip_text
from netwatch.core.message import HANDSHAKES
from netwatch.core.observation import Observation
from netwatch.core.verdict import ContactDetail

MAX_ADDRESSES = 16
"""Addresses of an answer that are stored of it."""

_WITHOUT_NAME = ("ip-from-dns", "ip-asn", "ech-from-dns")


def detail_of(observation: Observation) -> ContactDetail:
    """What the packet of an observation shows beside the name."""
    evidence, dns, tls = observation.evidence, observation.dns, observation.tls
    raw = "" if evidence in _WITHOUT_NAME else observation.raw or observation.name
    if evidence in HANDSHAKES:
        ja4 = tls.ja4 if tls is not None else None
        return ContactDetail(raw, ja4=ja4 or "", server=ip_text(observation.server_ip))
    if dns is None or dns.rcode is None:
        return ContactDetail(raw)
    answers = dns.answers[:MAX_ADDRESSES]
    if evidence == "ip-from-dns":
        server = ip_text(observation.server_ip)
        answers = tuple(each for each in dns.answers if each[0] == server)
    return ContactDetail(raw, alias_path(observation), answers, dns.rcode)


def alias_path(observation: Observation) -> tuple[str, ...]:
    """The aliases from the name that was asked for to that of an observation, both included; empty
    where they are the same."""
    asked, name, dns = observation.asked, observation.name, observation.dns
    if not asked or asked == name or dns is None:
        return ()
    before = dns.chain[: dns.chain.index(name)] if name in dns.chain else ()
    return asked, *before, name
