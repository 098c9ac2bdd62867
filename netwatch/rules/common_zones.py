"""Zones that most devices contact, or that belong to governments: no list of names can say alone
that one belongs to an app. The zones, and how they were compiled, are in ``common_zones.yaml``."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

PATH = Path(__file__).with_name("common_zones.yaml")


def why_common(name: str) -> str:
    """Why a name needs a person's decision, in words that complete "NAME is in …"; empty if it is
    in no such zone."""
    zones = _zones()
    labels = name.split(".")
    for start in range(len(labels)):
        zone = ".".join(labels[start:])
        # The country of a zone such as gov.* is its last label.
        pattern = ".".join([*labels[start:-1], "*"])
        for each in (zone, pattern):
            if each in zones:
                return f"{each}, {zones[each]}"
    return ""


@cache
def _zones() -> Mapping[str, str]:
    """Each zone with its reason."""
    groups = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return {zone: group["why"] for group in groups.values() for zone in group["zones"]}
