"""All situations with known answers, and what netwatch says of one of them."""

import importlib
import pkgutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support import situations
from support.captures import pcap
from support.situations.situation import Situation

import netwatch

USUAL = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16, "2001:db8:20::/48"], class: service, authority: Example}
  - {name: byod, cidrs: [10.30.0.0/16], class: personal, authority: Example}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
bans:
  - {id: rule, authority: Example, apps: [tiktok], forbids: [service], timezone: UTC,
     legal_basis: none, min_confidence: possible, severity: high}
"""
"""The configuration of every situation; keys of its own replace these, but networks are added."""

APP = "tiktok"
"""The banned app of all situations."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What netwatch says of a situation: the records of its alerts, the names of the banned app
    that it shows, and the reasons of flows without a name."""

    alerts: tuple[dict[str, Any], ...]
    names: frozenset[str]
    blind: frozenset[str]


def all_situations() -> tuple[Situation, ...]:
    """The situations of all modules, in the order of the modules' names and then as written."""
    modules = sorted(each.name for each in pkgutil.iter_modules(situations.__path__))
    return tuple(situation for name in modules for situation in _of_module(name))


def _of_module(name: str) -> tuple[Situation, ...]:
    module = importlib.import_module(f"{situations.__name__}.{name}")
    found: tuple[Situation, ...] = getattr(module, "SITUATIONS", ())
    return found


def configuration(situation: Situation) -> str:
    """The configuration of a situation, as the text of a ``netwatch.yaml``."""
    made, own = yaml.safe_load(USUAL), yaml.safe_load(situation.configuration) or {}
    networks = [*made["networks"], *own.pop("networks", ())]
    return yaml.safe_dump({**made, **own, "networks": networks}, sort_keys=False)


def written(situation: Situation, folder: Path) -> tuple[Path, Path]:
    """Write the capture and the configuration of a situation; their paths."""
    capture, config = folder / f"{situation.id}.pcap", folder / f"{situation.id}.yaml"
    capture.write_bytes(pcap(sorted(situation.frames(), key=lambda frame: frame[0])))
    config.write_text(configuration(situation), encoding="utf-8")
    return capture, config


def judged(situation: Situation) -> Judged:
    """What netwatch says of a situation."""
    with tempfile.TemporaryDirectory() as folder:
        capture, config = written(situation, Path(folder))
        with netwatch.scan(capture, config, coverage=True) as result:
            assert not result.summary.unread, result.summary.unread
            alerts = tuple(incident.record() for incident in result)
            assert result.coverage is not None
            blind = {reason for reason, flows in result.coverage.unnamed.items() if flows}
        return Judged(alerts, frozenset(shown(capture)), frozenset(blind))


def shown(capture: Path) -> Iterator[str]:
    """The names of the banned app in a capture."""
    names = {observation.name for observation in netwatch.names(capture)}
    return (each.name for each in netwatch.match(sorted(names)) if each.app and each.app.id == APP)
