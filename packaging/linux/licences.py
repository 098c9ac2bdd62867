"""The file ``copyright`` of a package: the licence of netwatch and of every library in it."""

import re
import sys
from email import message_from_string
from email.message import Message
from pathlib import Path

_FILES = re.compile(r"(licen[cs]e|copying|notice|copyright|authors)", re.IGNORECASE)
_RULE = "=" * 78


def copyright_text(folder: Path) -> str:
    """For each distribution that is installed in a folder, its licence and the texts that it
    brings. Ends the program for one that says nothing."""
    parts = ["Each part of this package, its licence, and the texts that came with it.\n"]
    for information in sorted(folder.glob("*.dist-info"), key=lambda path: path.name.lower()):
        metadata = message_from_string((information / "METADATA").read_text(encoding="utf-8"))
        licence = _licence(metadata)
        texts = [
            path.read_text(encoding="utf-8", errors="replace").strip()
            for path in sorted(information.rglob("*"))
            if path.is_file() and _FILES.search(path.relative_to(information).as_posix())
        ]
        if not licence and not texts:
            sys.exit(f"{information.name} does not say its licence")
        head = f"{metadata['Name']} {metadata['Version']}: {licence or 'see below'}"
        parts.append("\n\n".join([f"{_RULE}\n{head}", *texts]) + "\n")
    return "\n".join(parts)


def _licence(metadata: Message) -> str:
    """As an SPDX expression where there is one, else as the metadata have it."""
    if expression := metadata["License-Expression"]:
        return str(expression)
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier", [])
        if each.startswith("License ::")
    ]
    if classifiers:
        return ", ".join(classifiers)
    return str(metadata["License"] or "").strip().partition("\n")[0]
