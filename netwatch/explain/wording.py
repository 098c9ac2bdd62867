"""The words of the page for experts, in English: statements by their code, and what kinds,
outcomes and sources mean."""

from collections.abc import Mapping

from netwatch.explain.doubts import Statement

NOT_PROVED: Mapping[str, str] = {
    "person": "Who used {device}. Packets name devices, not persons.",
    "content": "What was seen, sent or said. The content was not read; of an encrypted connection"
    " only the name of the server is visible.",
    "attempt-only": "That {app} was reached. The device tried; outcome: {outcome}.",
    "lookup-only": "That {app} was contacted. The device asked for names; browsers also look up"
    " names in advance, without any click.",
    "embed": "That the app was there. All of these names are called by web pages and other apps as"
    " well, such as a page with an embedded video.",
    "unattended": "That anybody used {app} then. An installed app keeps in touch by itself.",
    "address-only": "Which device had the address {ip}. Nothing but the address identifies it:"
    " no lease, no announcement and no entry of the inventory.",
    "shared-address": "That flows without a name belong to {app}. They went to an address that had"
    " been resolved for it; other services may share that address.",
    "server": "That the server was one of the app's. The name is what the device asked for; a"
    " program can say any name.",
    "clock": "The exact time by itself. Times are those of the clock of the capture (sensor"
    " {sensor}).",
    "left-out": "The details of {contacts} contacts, which did not fit into the record.",
}
"""What is not proved, by code."""

REFUTATIONS: Mapping[str, str] = {
    "packet": "Packet {packet} of {source}, read by another program, does not show {name}:"
    " netwatch verify compares it with two other readers.",
    "file-hash": "The file {source} has another SHA-256 than {sha256}.",
    "binding": "A lease, a switch or an access point shows that {ip} belonged to another device at"
    " {time}.",
    "class": "The device {device} is not of class {class}: it is not a device of the authority, or"
    " it is registered otherwise.",
    "translation": "Several devices were behind {ip} (address translation, a proxy, a shared"
    " session), so that another one sent the packets.",
    "rule": "The name {name} is not {app}'s, or others call it too, so that the rule {rule} is"
    " wrong.",
    "page-history": "The history of a browser on the device shows a page that embeds {app} at"
    " {time}.",
    "app-absent": "An inspection shows that {app} was not installed on {device}, and what else"
    " asked for these names.",
    "period": "The ban {ban} was not in force at {time}, or does not cover this network or class.",
    "exemption": "An exemption of {device} from {ban} was granted, but is not registered.",
    "sinkhole": "The filter answered with {addresses}, but the device used another resolver and"
    " went on.",
}
"""What would refute an incident, by code."""

KINDS: Mapping[str, str] = {
    "session": "the app itself was used",
    "background": "an installed app keeps in touch by itself",
    "embed": "a page or another app loaded a part of it",
    "lookup": "names were only asked for",
}
"""What the kinds of an incident mean."""

BINDINGS: Mapping[str, str] = {
    "dhcp": "a DHCP lease in the traffic",
    "announcement": "an announcement in the traffic (ARP, neighbor discovery, mDNS)",
    "dhcpd": "the lease file of ISC dhcpd",
    "kea": "the lease file of Kea",
    "dnsmasq": "the lease file of dnsmasq",
    "inventory": "a row of the inventory",
}
"""What the sources of a binding are; any other is named as it is."""

EVIDENCE: Mapping[str, str] = {
    "dns-query": "the device asked a resolver for the name",
    "dns-answer": "a resolver answered the device",
    "dns-cname": "an alias in an answer to the device",
    "tls-sni": "server name in the device's TLS hello",
    "quic-sni": "server name in the device's QUIC hello",
    "dtls-sni": "server name in the device's DTLS hello",
    "http-host": "host in the device's HTTP request",
    "socks-host": "host that the device asked of a SOCKS proxy",
    "tls-cert": "name in the certificate that a server sent to the device",
    "ip-from-dns": "flow to an address that the device had resolved",
    "ip-asn": "flow to a network of the vendor",
}
"""What the kinds of evidence are."""

WHY_NOT: Mapping[str, str] = {
    "": "applies",
    "device": "names another device",
    "app": "is for other apps",
    "early": "was not yet in force",
    "late": "was over",
}
"""Why an exemption does not apply."""


def sentence(statement: Statement, words: Mapping[str, str]) -> str:
    """A statement in words."""
    return words[statement.code].format_map(statement.values)
