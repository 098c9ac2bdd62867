"""Suricata as a peer: a configuration and rules for the same task that netwatch has.

For alerts there is a rule for each banned domain and each buffer that contains a name, and only
alerts are logged. For events there are no rules, and every DNS message, TLS handshake and QUIC
handshake is in the EVE log.
"""

from collections.abc import Sequence
from pathlib import Path

from population import BANNED_DOMAINS

BUFFERS = ("dns.query", "tls.sni", "quic.sni", "http.host")

_CONFIG = """%YAML 1.1
---
vars:
  address-groups: {HOME_NET: "any", EXTERNAL_NET: "any"}
  port-groups: {HTTP_PORTS: "80"}
default-log-dir: .
stats: {enabled: no}
outputs:
"""
_REST = """logging:
  default-log-level: error
  outputs: [console: {enabled: yes}]
app-layer:
  protocols:
    dns:
      tcp: {enabled: yes, detection-ports: {dp: 53}}
      udp: {enabled: yes, detection-ports: {dp: 53}}
    tls: {enabled: yes, detection-ports: {dp: 443}}
    quic: {enabled: yes}
    http: {enabled: yes, libhtp: {default-config: {personality: IDS}}}
"""
_ALERTS = "  - fast: {enabled: yes, filename: fast.log, append: no}\n"
# As in the default configuration of Suricata.
_EVENTS = """  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      append: no
      types: [dns, tls: {extended: yes}, quic]
"""


def alerts(capture: Path, folder: Path, domains: Sequence[str] = BANNED_DOMAINS) -> list[str]:
    """The command that logs an alert for each name in banned domains to `folder`/fast.log."""
    rules: list[str] = []
    for buffer in BUFFERS:
        for domain in domains:
            match = f'{buffer}; dotprefix; content:".{domain}"; endswith; sid:{len(rules) + 1};'
            protocol = buffer.partition(".")[0]
            rules.append(f'alert {protocol} any any -> any any (msg:"{domain} {buffer}"; {match})')
    return _call(capture, folder, _ALERTS, rules)


def events(capture: Path, folder: Path) -> list[str]:
    """The command that logs every name to `folder`/eve.json."""
    return _call(capture, folder, _EVENTS, [])


def _call(capture: Path, folder: Path, outputs: str, rules: list[str]) -> list[str]:
    folder.mkdir(exist_ok=True)
    config, signatures = folder / "suricata.yaml", folder / "bench.rules"
    config.write_text(_CONFIG + outputs + _REST, encoding="ascii")
    signatures.write_text("".join(f"{rule}\n" for rule in rules), encoding="ascii")
    files = ["-c", str(config), "-S", str(signatures), "-l", str(folder)]
    return ["suricata", *files, "--runmode", "single", "-r", str(capture)]
