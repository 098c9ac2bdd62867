"""The words of experts' pages about an incident: what it does not prove, what would refute it,
which exemptions do not apply and why, and what kinds, outcomes and sources mean.

A statement is a code with values, which every page words in its own way and language. Codes and the
names of their values never change their meaning: texts in other languages refer to them. In the
words here values are in braces. The page of the command line is in English, the console's page in
the reader's language.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from netwatch.core.addresses import parse_ip
from netwatch.core.alert import AlertRecord
from netwatch.core.verdict import Exemption as Registered
from netwatch.coverage.flow_visibility import FLOW_RECORD_LOGS
from netwatch.explain.steps import Contact, Exemption, Explanation
from netwatch.formats.values import epoch_ns
from netwatch.language.sentences import mark
from netwatch.rules.policy import Policy

NOT_PROVED: Mapping[str, str] = {
    "person": mark("Who used {device}. Packets name devices, not people."),
    "content": mark(
        "What was seen, sent or said. The content was not read; of an encrypted connection"
        " only the name of the server is visible."
    ),
    "attempt-only": mark("That {app} was reached. The device tried; outcome: {outcome}."),
    "lookup-only": mark(
        "That {app} was contacted. The device asked for names; browsers also look up"
        " names in advance, without any click."
    ),
    "embed": mark(
        "That the app was there. All of these names are called by web pages and other apps as"
        " well, such as a page with an embedded video."
    ),
    "other-apps": mark(
        "That the app was there. All of these names are called by other apps as well."
    ),
    "unattended": mark("That anyone used {app} at that time. An installed app connects by itself."),
    "address-only": mark(
        "Which device had the address {ip}. Only the address identifies it:"
        " there is no lease, announcement or inventory entry."
    ),
    "shared-address": mark(
        "That flows without a name belong to {app}. They went to an address that had"
        " been resolved for it; other services may share that address."
    ),
    "flow-record": mark(
        "Which names its connections were for. They are known from flow records ({format}), which"
        " have addresses and no names; the names are those that devices had looked up before."
    ),
    "hidden-name": mark(
        "Which name the device contacted in a hello that hides it. It follows from the ECH keys"
        " that DNS answers gave to the device; a key or name that it got in another way is not"
        " known."
    ),
    "server": mark(
        "That the server was one of the app's. The name is what the device asked for; a"
        " program can say any name."
    ),
    "clock": mark(
        "The exact time by itself. Times come from the capture's clock (sensor {sensor})."
    ),
    "log-clock": mark(
        "The exact time by itself. Times come from the clock of the machine that wrote {source}."
    ),
    "log-truth": mark(
        "That {source} is true. netwatch read what another program ({format})"
        " wrote; anyone who can write to the file could have changed it. No"
        " packet was seen."
    ),
    "log-lacks": mark("What the log does not record: {lacks}."),
    "sampled": mark(
        "That nothing else was sent. Only one packet in {rate} of {source} was looked at; bytes are"
        " those of these packets, not an estimate of all."
    ),
    "log-denied": mark(
        "That the app would have been reached. The request was denied ({by}); only the attempt was"
        " seen."
    ),
    "left-out": mark("The details of {contacts} contacts, which did not fit into the record."),
}
"""Statements that are not proved, by code."""

REFUTATIONS: Mapping[str, str] = {
    "packet": mark(
        "Packet {packet} of {source}, read by another program, does not show {name}:"
        " netwatch verify compares it with two other readers."
    ),
    "log-line": mark(
        "Line {line} of {source} does not show {name}, or was changed since: netwatch verify looks"
        " for it in the file."
    ),
    "log-packets": mark(
        "Packets of that time, or the log of another machine, show that {name} was not asked for."
    ),
    "file-hash": mark("The file {source} has another SHA-256 than {sha256}."),
    "mac-not-bound": mark(
        "The table of a switch shows where the MAC in these frames was connected at {time}: at"
        " another machine than {device}, which sent under its address."
    ),
    "address-claimed-twice": mark(
        "The table of a switch, or the log of the DHCP server, shows that the other machine that"
        " claimed the address of {device} had it at {time}."
    ),
    "two-names": mark(
        "Another machine put one of the two names into {device}'s connection:"
        " its server, or a capture at the device, has only the other name."
    ),
    "overlap": mark(
        "Another machine put one of the two versions of the same bytes into"
        " {device}'s connection: its server, or a capture at the device, has"
        " only the other one."
    ),
    "sensor-network": mark(
        "The sensor was not in the network of {device} at {time}, so that it cannot have seen it."
    ),
    "sensor-device": mark(
        "The sensor was not in the network of {device} at {time}, so that it cannot have seen it."
    ),
    "binding": mark(
        "A lease, a switch or an access point shows that {ip} belonged to another device at {time}."
    ),
    "class": mark(
        "The device {device} is not of class {class}: it is not a device of the authority, or"
        " it is registered otherwise."
    ),
    "translation": mark(
        "Several devices were behind {ip} (address translation, a proxy, a shared"
        " session), so that another one sent the packets."
    ),
    "rule": mark(
        "The name {name} is not {app}'s, or others call it too, so that the rule {rule} is wrong."
    ),
    "page-history": mark(
        "The history of a browser on the device shows a page that embeds {app} at {time}."
    ),
    "other-app": mark("Another app on {device} calls {name} too, and was in use then."),
    "app-absent": mark(
        "An inspection shows that {app} was not installed on {device}, and what else"
        " asked for these names."
    ),
    "period": mark(
        "The ban {ban} was not in force at {time}, or does not cover this network or class."
    ),
    "exemption": mark("An exemption of {device} from {ban} was granted, but is not registered."),
    "sinkhole": mark(
        "The filter answered with {addresses}, but the device used another resolver and went on."
    ),
}
"""What would refute an incident, by code."""

KINDS: Mapping[str, str] = {
    "session": mark("the app itself was used"),
    "background": mark("an installed app keeps in touch by itself"),
    "embed": mark("a page or another app loaded a part of it"),
    "lookup": mark("names were only asked for"),
}
"""The meaning of the kinds of an incident."""

BINDINGS: Mapping[str, str] = {
    "dhcp": mark("a DHCP lease in the traffic"),
    "announcement": mark("an announcement in the traffic (ARP, neighbor discovery, mDNS)"),
    "dhcpd": mark("the lease file of ISC dhcpd"),
    "kea": mark("the lease file of Kea"),
    "dnsmasq": mark("the lease file of dnsmasq"),
    "inventory": mark("a row of the inventory"),
}
"""The meaning of the sources of a binding; any other is shown by its name."""

EVIDENCE: Mapping[str, str] = {
    "dns-query": mark("the device asked a resolver for the name"),
    "dns-answer": mark("a resolver answered the device"),
    "dns-cname": mark("an alias in an answer to the device"),
    "tls-sni": mark("server name in the device's TLS hello"),
    "quic-sni": mark("server name in the device's QUIC hello"),
    "dtls-sni": mark("server name in the device's DTLS hello"),
    "http-host": mark("host in the device's HTTP request"),
    "socks-host": mark("host that the device requested from a SOCKS proxy"),
    "tls-cert": mark("name in the certificate that a server sent to the device"),
    "ip-from-dns": mark("flow to an address that had been given for the name"),
    "ip-asn": mark("flow to a network of the vendor"),
    "ech-from-dns": mark("hello that hides its name, with a key that the device was given for it"),
}
"""The meaning of the kinds of evidence."""

LACKS: Mapping[str, str] = {
    "client": mark("which device asked"),
    "client-port": mark("the port of the device"),
    "server": mark("which server was asked"),
    "answer": mark("the answer"),
    "query-type": mark("the type of the lookup"),
    "year": mark("the year (it was assumed)"),
    "time-zone": mark("the time zone (it was assumed)"),
    "device-behind-nat": mark("which device was behind the translated address"),
}
"""The data that logs may lack."""

WHY_NOT: Mapping[str, str] = {
    "": mark("applies"),
    "device": mark("names another device"),
    "app": mark("is for other apps"),
    "early": mark("was not yet in force"),
    "late": mark("was over"),
}
"""Why an exemption does not apply."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement by its code, with the values that its words need."""

    code: str
    values: Mapping[str, str]


def sentence(
    statement: Statement,
    words: Mapping[str, str],
    say: Callable[[str], str] = str,
    codes: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A statement in words, which `say` translates; `codes` has the labels of outcomes and classes
    there."""
    values = {
        name: codes.get(value, value) if name in ("outcome", "class") else value
        for name, value in statement.values.items()
    }
    if "lacks" in values:
        lacks = values["lacks"].split(", ")
        values["lacks"] = ", ".join(say(LACKS[lack]) if lack in LACKS else lack for lack in lacks)
    return say(words[statement.code]).format_map(values)


def not_proved(incident: Explanation) -> tuple[Statement, ...]:
    """What an incident does not prove."""
    return tuple(Statement(code, values) for code, values in _not_proved(incident))


def refutations(incident: Explanation) -> tuple[Statement, ...]:
    """What would refute an incident."""
    return tuple(Statement(code, values) for code, values in _refutations(incident))


def is_flow_record(contact: Contact) -> bool:
    """Whether a contact is a flow record, which has no name."""
    return contact.log is not None and contact.log.format in FLOW_RECORD_LOGS


def strongest(incident: Explanation) -> Contact:
    """The weightiest contact: the first handshake, with names that only the app calls before
    others, otherwise the first lookup of such a name."""
    return min(
        incident.contacts,
        key=lambda contact: (not contact.is_handshake, not contact.app_only, contact.packet.time),
    )


def _not_proved(incident: Explanation) -> Iterator[tuple[str, Mapping[str, str]]]:
    device, traffic = incident.device, incident.traffic
    yield "person", {"device": device.id}
    if traffic.handshakes:
        yield "content", {"app": incident.app}
    if not incident.is_connected:
        yield "lookup-only", {"app": incident.app}
    elif incident.outcome in ("blocked", "attempted", "unknown"):
        yield "attempt-only", {"app": incident.app, "outcome": incident.outcome}
    if not any(contact.app_only for contact in incident.contacts):
        yield "embed" if incident.is_page_possible else "other-apps", {"app": incident.app}
    elif incident.kind == "background":
        yield "unattended", {"app": incident.app}
    if device.is_address_only and device.binding is None:
        yield "address-only", {"ip": device.ip}
    if any(contact.evidence == "ip-from-dns" for contact in incident.contacts):
        yield "shared-address", {"app": incident.app}
    records = [
        contact.log.format
        for contact in incident.contacts
        if contact.log is not None and is_flow_record(contact)
    ]
    if records:
        yield "flow-record", {"format": ", ".join(dict.fromkeys(records))}
    if any(contact.evidence == "ech-from-dns" for contact in incident.contacts):
        yield "hidden-name", {"app": incident.app}
    if traffic.handshakes:
        yield "server", {}
    yield from _doubts_of_logs(incident)
    if sampled := [contact for contact in incident.contacts if contact.sampling > 1]:
        sources = ", ".join(dict.fromkeys(contact.packet.source for contact in sampled))
        rate = max(contact.sampling for contact in sampled)
        yield "sampled", {"source": sources, "rate": f"{rate:,}"}
    if incident.left_out:
        yield "left-out", {"contacts": str(sum(incident.left_out.values()))}


def _doubts_of_logs(incident: Explanation) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What packets prove and logs do not."""
    of_logs = [contact for contact in incident.contacts if contact.log is not None]
    if len(of_logs) < len(incident.contacts):
        yield "clock", {"sensor": incident.sensor}
    if not of_logs:
        return
    sources = ", ".join(dict.fromkeys(log.packet.source for log in of_logs))
    yield "log-clock", {"source": sources}
    if len(of_logs) == len(incident.contacts):
        formats = dict.fromkeys(log.log.format for log in of_logs if log.log)
        yield "log-truth", {"source": sources, "format": ", ".join(formats)}
    lacks = dict.fromkeys(lack for log in of_logs if log.log for lack in log.log.lacks)
    if lacks:
        yield "log-lacks", {"lacks": ", ".join(lacks)}
    if incident.outcome == "blocked" and incident.is_connected:
        yield "log-denied", {"by": ", ".join(incident.blocked_by)}


def _refutations(incident: Explanation) -> Iterator[tuple[str, Mapping[str, str]]]:
    device, best = incident.device, strongest(incident)
    packet = best.packet
    place = {"source": packet.source, "name": best.raw or best.name}
    if best.log is None:
        yield "packet", {"packet": str(packet.number), **place}
    else:
        yield "log-line", {"line": str(packet.number), **place}
        yield "log-packets", {"name": best.name}
    if packet.file and packet.file.sha256:
        yield "file-hash", {"source": packet.source, "sha256": packet.file.sha256}
    for type_ in dict.fromkeys(contradiction.type for contradiction in incident.contradictions):
        yield type_, {"device": device.id, "time": incident.first_seen}
    yield "binding", {"ip": device.ip or device.id, "time": incident.first_seen}
    yield "class", {"device": device.id, "class": device.device_class}
    yield "translation", {"ip": device.ip or device.id}
    yield "rule", {"name": best.name, "rule": best.rule.text, "app": incident.app}
    if not any(contact.app_only for contact in incident.contacts):
        if incident.is_page_possible:
            yield "page-history", {"app": incident.app, "time": incident.first_seen}
        else:
            yield "other-app", {"device": device.id, "name": best.name}
    else:
        yield "app-absent", {"app": incident.app, "device": device.id}
    yield "period", {"ban": incident.ban.id, "time": incident.first_seen}
    if incident.exemption is None:
        yield "exemption", {"device": device.id, "ban": incident.ban.id}
    addresses = [blocker for blocker in incident.blocked_by if parse_ip(blocker) is not None]
    if incident.outcome == "blocked" and addresses:
        yield "sinkhole", {"addresses": ", ".join(addresses)}


def exemptions_asked(record: AlertRecord, policy: Policy) -> tuple[Exemption, ...]:
    """The exemptions from the ban of an alert, in the order of the configuration. The first one
    that applies is the one that decided."""
    if record["ban"]["id"] not in {ban.id for ban in policy.bans}:
        return ()
    return tuple(
        Exemption(
            exemption.device,
            tuple(sorted(exemption.apps)),
            exemption.start.isoformat() if exemption.start else None,
            exemption.end.isoformat() if exemption.end else None,
            exemption.reason,
            exemption.approved_by,
            _why_not(exemption, record, policy),
        )
        for exemption in policy.exemptions
        if exemption.ban == record["ban"]["id"]
    )


def _why_not(exemption: Registered, record: AlertRecord, policy: Policy) -> str:
    device = record["device"]
    if exemption.device not in (device["id"], device["ip"], device["mac"]):
        return "device"
    if exemption.apps and record["app"]["id"] not in exemption.apps:
        return "app"
    state = policy.state(exemption, epoch_ns(record["first_seen"]))
    return {"not yet": "early", "over": "late"}.get(state, "")
