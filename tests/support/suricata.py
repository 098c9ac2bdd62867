"""Suricata over captures, with the smallest configuration that writes all events that are read."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from support.programs import search_path

_CONFIGURATION = """%YAML 1.1
---
vars:
  address-groups: {HOME_NET: any, EXTERNAL_NET: any, HTTP_SERVERS: any}
  port-groups: {HTTP_PORTS: "80"}
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      ethernet: yes
      types:
        - dns: {version: 2, requests: yes, responses: yes}
        - tls: {extended: yes, ja4: on}
        - http: {extended: yes}
        - quic
        - dhcp: {enabled: yes, extended: yes}
        - flow
logging:
  default-log-level: error
  outputs: [{console: {enabled: yes}}]
app-layer:
  protocols:
    tls: {enabled: yes, ja4-fingerprints: yes, detection-ports: {dp: 443}}
    dns:
      tcp: {enabled: yes, detection-ports: {dp: 53}}
      udp: {enabled: yes, detection-ports: {dp: 53}}
    http: {enabled: yes}
    http2: {enabled: yes}
    quic: {enabled: yes}
    dhcp: {enabled: yes}
"""

_OPTIONS = ("-k", "none", "--runmode", "single")


def eve_log(captures: Iterable[Path], folder: Path) -> Path:
    """The EVE log of captures that Suricata reads one after the other in one process, in a new
    folder."""
    folder.mkdir(parents=True)
    (folder / "suricata.yaml").write_text(_CONFIGURATION)
    inside = folder / "captures"
    inside.mkdir()
    for number, path in enumerate(captures, 1):
        shutil.copyfile(path, inside / path.name)
        # Suricata reads the files of a folder in the order in which they were written.
        os.utime(inside / path.name, (number, number))
    suricata = shutil.which("suricata", path=search_path())
    subprocess.run(
        [suricata, "-c", folder / "suricata.yaml", "-r", inside, "-l", folder, *_OPTIONS],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder / "eve.json"
