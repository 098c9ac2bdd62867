"""The files of a report besides its page: the JSON record, ``netwatch.report/1``, which has its
values under the same names; PDF/UA, from the same HTML; and the signature of all.

A PDF is made by the process ``python -m netwatch.report.files OUTPUT SECONDS BYTES``. It reads a
JSON line from standard input, the HTML and the attachments, and writes a PDF/UA file. The library
keeps memory between documents, and takes minutes for a long table, so it has a process of its own
with limits on both. Nothing is loaded from elsewhere.

A signature is a separate file next to them (``report.sig``), a JSON object: the name, size and
SHA-256 of each file, when it was signed, the public key, and an Ed25519 signature (RFC 8032) over
all of that as a JSON line with sorted keys and without spaces. The key is made by ``netwatch report
--new-key``: a private key in PEM for its owner only, and next to it the public key, with which
anybody can check.
"""

import base64
import binascii
import hashlib
import importlib.util
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.installing import install_command
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, set_mode
from netwatch.core.system.kernel import limit_memory, limit_seconds
from netwatch.core.user_yaml import read_user_file
from netwatch.report.values import Missing, Report

SCHEMA = "netwatch.report/1"
"""The schema of the record, with its version."""

NO_LIBRARY = 3
"""The exit status if the system's libraries are missing."""

TIME_LIMIT = 300
"""Seconds for a PDF, at most."""

MEMORY_LIMIT = 2 << 30
"""Bytes of address space of the process that makes a PDF."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.report.files"]
_PANGO = (
    "a PDF needs the library Pango: apt install libpango-1.0-0 libpangoft2-1.0-0"
    " (or dnf install pango, brew install pango); HTML and JSON do not"
)

SIGNATURE_SCHEMA = "netwatch.report-signature/1"
"""The schema of a signature, with its version."""

SUFFIX = ".sig"
"""The suffix of a signature."""

MAX_KEY_BYTES = 16 << 10
"""Bytes of the file of a key, and of a signature, at most."""


def record(report: Report) -> dict[str, Any]:
    """The record of a report."""
    return {"schema": SCHEMA, **_plain(report)}


def report_json(report: Report) -> str:
    """The record as text that is ASCII only: names of senders can do no harm when printed.
    The same report gives the same text."""
    return json.dumps(record(report), indent=1, ensure_ascii=True) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Missing):
        times = {"from": value.begin, "until": value.end}
        return {**times, "network": value.network, "reason": value.reason,
                "command": value.command}  # fmt: skip
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def main() -> int:
    """Make the file; returns the exit status."""
    output, seconds, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    limit_seconds(seconds)
    limit_memory(size)
    request = json.load(sys.stdin)
    try:
        import weasyprint
        from weasyprint.urls import URLFetcher
    except OSError as error:
        print(error, file=sys.stderr)
        return NO_LIBRARY
    attachments = [
        weasyprint.Attachment(string=text, name=name, description=name, relationship="Data")
        for name, text in request["attachments"].items()
    ]
    # A report refers to nothing outside itself.
    nothing = URLFetcher(allowed_protocols=())
    document = weasyprint.HTML(string=request["html"], url_fetcher=nothing, base_url=None)
    document.write_pdf(output, pdf_variant="pdf/ua-1", attachments=attachments)
    return 0


def require_weasyprint(command: str) -> None:
    """Raise `ConfigError` if the library is not installed."""
    if importlib.util.find_spec("weasyprint") is None:
        message = f"a report as PDF needs an extra: {install_command('report')}"
        raise ConfigError.of(command, message)


def write_pdf(html: str, attachments: Mapping[str, str], output: Path) -> None:
    """Write a PDF with files attached to it (name and text). Raises `NetwatchError` if that
    takes too long or too much memory, or fails otherwise."""
    request = json.dumps({"html": html, "attachments": dict(attachments)})
    limits = [str(output), str(TIME_LIMIT), str(MEMORY_LIMIT)]
    try:
        done = subprocess.run(
            [*_WORKER, *limits],
            input=request.encode(),
            capture_output=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NetwatchError(f"{output}: no PDF within {TIME_LIMIT} s") from None
    if done.returncode == NO_LIBRARY:
        raise NetwatchError(_PANGO)
    if done.returncode < 0 or b"MemoryError" in done.stderr:
        raise NetwatchError(f"{output}: the PDF needs more time or memory than it may use")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise NetwatchError(f"{output}: the PDF could not be made: {last}")


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking a signature. `problems` are sentences, none if everything is as
    signed; `key` is the SHA-256 of the public key, `files` are the names of the files."""

    problems: tuple[str, ...]
    key: str
    time: str
    files: tuple[str, ...]


def write_new_key(path: Path) -> str:
    """Make a key: the private one in the new file `path`, the public one next to it with ``.pub``
    appended to its name. Returns the SHA-256 of the public key. Raises `NetwatchError`."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_name(f"{path.name}.pub")
    _write_new(path, private, 0o600)
    try:
        _write_new(beside, public, 0o644)
    except NetwatchError:
        path.unlink()
        raise
    return fingerprint(key.public_key())


def sign(key_file: Path, files: Sequence[Path], output: Path) -> str:
    """Sign files, which are in the folder of `output`, the signature; returns the SHA-256 of the
    public key. Raises `NetwatchError`."""
    key = _private_key(key_file)
    signed = {
        "schema": SIGNATURE_SCHEMA,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "files": [_described(path) for path in sorted(files)],
    }
    signature = base64.b64encode(key.sign(_message(signed))).decode()
    text = json.dumps({**signed, "signature": signature}, indent=1, ensure_ascii=True)
    try:
        output.write_text(f"{text}\n", encoding="ascii")
    except OSError as error:
        raise NetwatchError(f"{output}: cannot be written: {error.strerror}") from None
    return fingerprint(key.public_key())


def verify(signature_file: Path, public_key: Path | None = None) -> Checked:
    """Check a signature and the files next to it; with `public_key`, also that this key made it.
    Raises `NetwatchError` if the signature or the key cannot be read."""
    record = _read_signature(signature_file)
    made_by = Ed25519PublicKey.from_public_bytes(base64.b64decode(record["key"]))
    signed = {name: value for name, value in record.items() if name != "signature"}
    problems = []
    try:
        made_by.verify(base64.b64decode(record["signature"]), _message(signed))
    except (InvalidSignature, binascii.Error):
        problems.append("the signature does not match the content: it was changed")
    if public_key is not None and fingerprint(_public_key(public_key)) != fingerprint(made_by):
        problems.append(f"the signature is not by the key {public_key}")
    for each in record["files"]:
        problem = _file_problem(signature_file.parent, each)
        if problem:
            problems.append(problem)
    names = tuple(each["name"] for each in record["files"])
    return Checked(tuple(problems), fingerprint(made_by), record["time"], names)


def fingerprint(key: Ed25519PublicKey) -> str:
    """The SHA-256 of a public key, as hex digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _message(signed: Mapping[str, Any]) -> bytes:
    """The signed bytes."""
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _described(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be read: {error.strerror}") from None
    return {
        "name": path.name,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _file_problem(folder: Path, described: Mapping[str, Any]) -> str:
    """The differences of a file; empty if there are none."""
    path = folder / described["name"]
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    found = hashlib.sha256(content).hexdigest()
    if found != described["sha256"]:
        return f"{path} was changed: its SHA-256 is {found}, signed was {described['sha256']}"
    return ""


def _read_signature(path: Path) -> dict[str, Any]:
    """A signature with the required keys. Raises `NetwatchError`."""
    try:
        record = json.loads(read_user_file(path, MAX_KEY_BYTES))
    except NetwatchError as error:
        raise NetwatchError(f"{path}: {error}") from None
    except ValueError:
        record = None
    if not _is_signature(record):
        raise NetwatchError(f"{path}: expected a signature of a report ({SIGNATURE_SCHEMA})")
    return dict(record)


def _is_signature(record: Any) -> bool:
    if not isinstance(record, dict) or record.get("schema") != SIGNATURE_SCHEMA:
        return False
    if not all(isinstance(record.get(name), str) for name in ("key", "time", "signature")):
        return False
    files = record.get("files")
    try:
        is_key = len(base64.b64decode(record["key"], validate=True)) == 32
    except binascii.Error:
        return False
    return (
        is_key
        and isinstance(files, list)
        and bool(files)
        and all(
            isinstance(each, dict)
            and isinstance(each.get("name"), str)
            and isinstance(each.get("sha256"), str)
            and Path(each["name"]).name == each["name"]
            for each in files
        )
    )


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise NetwatchError(
                f"{path}: expected a key that only its owner may read, found mode {mode:o};"
                " chmod 600 restricts it"
            )
        key = load_pem_private_key(read_user_file(path, MAX_KEY_BYTES), password=None)
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a private key in PEM"
        raise NetwatchError(f"{path}: expected the key of --new-key ({reason})") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NetwatchError(f"{path}: expected an Ed25519 key, found another kind")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(read_user_file(path, MAX_KEY_BYTES))
    except NetwatchError as error:
        raise NetwatchError(f"{path}: {error}") from None
    except ValueError:
        raise NetwatchError(f"{path}: expected a public key in PEM, such as KEY.pub") from None
    if not isinstance(key, Ed25519PublicKey):
        raise NetwatchError(f"{path}: expected an Ed25519 key, found another kind")
    return key


def _write_new(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_NOFOLLOW | O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, mode), "wb") as stream:
            set_mode(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise NetwatchError(f"{path} exists already: expected a new name") from None
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
