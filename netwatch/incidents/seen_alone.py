"""How evidence was seen, as far as an observation tells by itself.

Of a packet that is its checksum and who sent it. What a log says of the server depends on the
program that wrote it: one that served the client took part itself, while others only watched and
say whether a server answered.
"""

from netwatch.core.log_info import origin_of
from netwatch.core.message import LOOKUPS
from netwatch.core.observation import Observation
from netwatch.core.seen import Seen, checksum_of

WATCHING = frozenset({"suricata", "zeek", "fortigate", "palo", "sysmon"})
"""Origins (`netwatch.core.log_info.origin_of`) of logs whose programs serve no client: they tell
what they saw pass, or what a program on the device asked for. All others are resolvers and proxies,
which served the client that their log names."""

_BY_SERVER = ("dns-answer", "dns-cname", "tls-cert")
"""Kinds of evidence whose packet the server has sent."""


def seen_alone(observation: Observation) -> Seen:
    """How an observation was seen, if nothing is known of its flow."""
    log, evidence = observation.log, observation.evidence
    if log is None:
        by_server = evidence in _BY_SERVER
        return Seen(by_server, "server" if by_server else "client", checksum_of(observation.mark))
    took_part = origin_of(log) not in WATCHING or log.outcome == "reached" or evidence in _BY_SERVER
    if evidence in LOOKUPS and log.outcome == "blocked":
        # Whatever has denied the lookup has answered it.
        took_part = True
    return Seen(took_part, "both" if took_part else "client", "unknown")
