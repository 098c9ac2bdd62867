"""What a centre has published to this sensor, as the sensor keeps it on disk.

::

    set/             a folder of sets: signatures and bans
    configuration/   the same for configurations: netwatch.yaml and the files that it names

Each of the two is a `SetStore`: what is in use was verified and examined before, is replaced in one
step, and is read only if each file still has the hash in its manifest. An inventory names people,
so configurations are for their owner only.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from netwatch.updates.set_format import SET, Shape
from netwatch.updates.store import SetStore

CONFIGURATION_FILE = "netwatch.yaml"
"""The file of a published configuration that names the others."""

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"

CONFIGURATION = Shape(
    format="netwatch.configuration/1",
    names=re.compile(rf"{_NAME}(?:/{_NAME}){{0,7}}"),
    required=(CONFIGURATION_FILE,),
    file_mode=0o600,
    folder_mode=0o700,
)
"""The shape of a published configuration."""

SHAPES: Mapping[str, Shape] = {"set": SET, "configuration": CONFIGURATION}
"""The kinds of what is published, with their shapes."""


def published_store(folder: Path, kind: str) -> SetStore:
    """The store of one of `SHAPES` in the folder of a sensor."""
    return SetStore(folder / kind, SHAPES[kind])
