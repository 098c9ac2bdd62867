"""Exports as tests make them: of a small app with every kind of rule, and of shipped bans."""

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from netwatch.config import Config, load
from netwatch.core.verdict import Ban, Role
from netwatch.exports.export_format import Export
from netwatch.exports.selection import DEFAULT_ROLES, select
from netwatch.rules.bans import load_pack

TIME = datetime(2026, 11, 27, tzinfo=UTC)
"""The moment that exports of tests have as that of their making."""

SIGNATURES = {
    "video": """
app: video
name: Video
vendor: acme
category: video
domains:
  - {suffix: video.example, role: exclusive, sources: [a]}
  - {host: www.video.example, role: exclusive, sources: [a]}
  - {suffix: analytics.video.example, role: embed, sources: [a]}
  - {host: a.deep.video.example, role: embed, sources: [a]}
  - {glob: "img*.video.example", role: embed, sources: [a]}
  - {host: app.cdn.example, role: exclusive, sources: [a]}
  - {glob: "p16-*.cdn.example", role: exclusive, sources: [a]}
  - {glob: "p17-*.video.example", role: exclusive, sources: [a]}
  - {suffix: vendor.example, role: vendor, sources: [a]}
asns: [{number: 64500, name: VIDEO}]
aliases: [edge.example]
tests:
  match: [video.example, m.video.example, www.vendor.example]
  ignore: [other.example]
""",
    "shop": """
app: shop
name: Shop
vendor: acme
category: shopping
domains:
  - {host: shop.video.example, role: exclusive, sources: [a]}
tests:
  match: [shop.video.example]
  ignore: [other.example]
""",
}

CONFIGURATION = """
version: 1
signatures: [signatures]
bans:
  - id: our-rule
    authority: City of Example
    legal_basis: Decision 7
    apps: [video]
    forbids: [service]
    timezone: Europe/Brussels
    severity: high
    periods:
      - {from: 2023-03-10, until: 2023-09-10}
      - {from: 2024-01-01, until: 2026-12-31, basis: Decision 8}
"""


def write_example(folder: Path, text: str = CONFIGURATION) -> Path:
    """A configuration with the signatures above: the path of the file."""
    (folder / "signatures").mkdir(exist_ok=True)
    for app, signature in SIGNATURES.items():
        (folder / "signatures" / f"{app}.yaml").write_text(signature, encoding="utf-8")
    path = folder / "netwatch.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def example(folder: Path, roles: Sequence[Role] = DEFAULT_ROLES) -> tuple[Config, Export]:
    """That configuration, and the export of its ban."""
    config = load(str(write_example(folder)))
    return config, made(config, config.policy.bans[0], roles)


def made(config: Config, ban: Ban, roles: Sequence[Role] = DEFAULT_ROLES) -> Export:
    """The export of a ban."""
    selection = select(config.catalog, ban.apps, roles)
    return Export(selection, ban, TIME, "0.0.0", config.catalog.version)


@functools.cache
def shipped(ban: str) -> tuple[Config, Export]:
    """The built-in configuration, and the export of a shipped ban."""
    config = load(None)
    return config, made(config, load_pack(ban, config.catalog).ban)
