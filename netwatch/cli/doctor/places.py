"""Folders and files of services: who can write them, and how much room there is.

Root may write everything, so what root asks for is whether the service can: netwatch gives what
root writes into the folder of another user to that user, and the service is the owner of its
folder.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from netwatch.cli.doctor.finding import Finding, bad, ok, warn

SERVICE_USER = "netwatch"
"""The user of the systemd unit."""

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"))


def amount(octets: float) -> str:
    """A number of bytes for people, in decimal units."""
    for size, unit in _UNITS:
        if octets >= size:
            shown = octets / size
            return f"{shown:,.0f} {unit}" if shown >= 100 else f"{shown:.1f} {unit}"
    return f"{octets / 1000:,.1f} KB"


def nearest(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def writable(subject: str, folder: Path, files: Sequence[str] = ()) -> Finding:
    """Whether `folder`, and those of its `files` that exist, can be written by this user, and where
    this is root, by the user of the service."""
    existing = nearest(folder.absolute())
    if not existing.is_dir():
        return bad(subject, f"{existing} is no folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        return bad(
            subject,
            f"{folder}: no permission to write to {existing}",
            "run this as the user of the service, or give that user the folder with chown",
        )
    if existing != folder.absolute():
        return ok(subject, f"{folder} does not exist yet, and can be created")
    owner = folder.stat().st_uid
    for name in files:
        path = folder / name
        if not path.exists():
            continue
        if os.geteuid() == 0 and path.stat().st_uid != owner:
            text = f"{path} is of user {path.stat().st_uid}, and its folder of user {owner}"
            todo = f"chown --reference={folder} {path}"
            return bad(subject, f"{text}: the service cannot write it", todo)
        if not os.access(path, os.R_OK | os.W_OK):
            return bad(subject, f"{path}: no permission to write it")
    service = _service_user()
    if os.geteuid() == 0 and owner == 0 and service:
        text = f"{folder} is of root: a service that runs as {SERVICE_USER} cannot write it"
        return warn(subject, text, f"chown -R {SERVICE_USER}: {folder}")
    return ok(subject, f"{folder} can be written")


def _service_user() -> int | None:
    """The user id of the service; None where there is no such user, or the system has no users."""
    try:
        import pwd

        return pwd.getpwnam(SERVICE_USER).pw_uid
    except (ImportError, KeyError):
        return None


def free(folder: Path) -> int:
    """Bytes that are free for this user where `folder` is, or will be."""
    return shutil.disk_usage(nearest(folder.absolute())).free
