"""Archives whose bytes depend on nothing but their files and one moment."""

import gzip
import io
import tarfile
from collections.abc import Mapping

Files = Mapping[str, str]
"""Texts of files, by their paths in a package."""


def tar_gz(files: Files, folder: str, moment: int) -> bytes:
    """The files below `folder`, as a compressed archive. `moment` is the time of each file, in
    seconds since 1970. Scripts (``.sh``) can be executed."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=moment) as compressed,
        tarfile.open(mode="w", fileobj=compressed, format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in _folders(files, folder):
            entry = _entry(name, moment, 0o755)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for path, text in sorted(files.items()):
            content = text.encode()
            entry = _entry(f"{folder}/{path}", moment, 0o755 if path.endswith(".sh") else 0o644)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _entry(name: str, moment: int, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.mode = moment, mode
    entry.uname = entry.gname = "root"
    return entry


def _folders(files: Files, folder: str) -> list[str]:
    found = {folder}
    for path in files:
        parts = path.split("/")[:-1]
        found |= {"/".join([folder, *parts[: depth + 1]]) for depth in range(len(parts))}
    return sorted(found)
