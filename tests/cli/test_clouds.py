"""Captures and ledgers in Azure's and Google's object stores: what `scan` gives is what it gives
for a folder, and what fails is named in a sentence."""

import fnmatch
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import zstandard
from support.archives import make_archive
from support.clouds import KEY, Cloud, forget_file_systems, objects_below
from support.examples import only_long
from support.office import configured
from support.paths import PCAPS
from support.s3_faults import Fault
from support.waiting import TIMEOUT

from netwatch.cli import main

Captured = pytest.CaptureFixture[str]
Plan = Callable[..., None]
CONFIG = str(PCAPS / "netwatch.yaml")
COMPRESS = {".gz": lambda data: gzip.compress(data, 1), ".zst": zstandard.compress}
SCAN = ["scan", "-q", "-c", CONFIG, "--format", "jsonl"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample captures in folders of days, each in another compression; one is cut."""
    folder = tmp_path_factory.mktemp("archive") / "2026"
    for number, path in enumerate(sorted(PCAPS.glob("*.pcap"))):
        suffix = ("", ".zst", ".gz")[number % 3]
        target = folder / f"{number % 3 + 1:02}" / f"{path.name}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(COMPRESS.get(suffix, bytes)(path.read_bytes()))
    (folder / "01" / "notes.txt").write_text("no capture")
    (folder / "01" / ".hidden.pcap").write_text("no capture")
    (folder / "03" / "h#1 %20[x].pcap").write_bytes((PCAPS / "five-kinds.pcap").read_bytes()[:-9])
    return folder


@pytest.fixture(scope="module")
def bucket(cloud: Cloud, folder: Path) -> str:
    """The same in a bucket."""
    return cloud.new_bucket(objects_below(folder))


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    status = main([*arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("", ["--coverage", "--jobs", "2"]),
        ("/**/*.pcap.zst", []),
        only_long("/*/*.pcap.gz", []),
        ("/03/h#1 %20[x].pcap", []),
    ],
)
def test_gives_what_a_folder_gives(
    bucket: str, folder: Path, capsys: Captured, path: str, options: list[str]
) -> None:
    here = run(capsys, SCAN[0], f"{folder}{path}", *SCAN[1:], *options)
    there = run(capsys, SCAN[0], f"{bucket}{path}", *SCAN[1:], *options)
    assert len(here[1]) > 1000
    assert there == (here[0], *(text.replace(str(folder), bucket) for text in here[1:]))


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/01/gone.pcap", "no such object or folder"),
        ("/gone/", "no files in this folder"),
        ("/**/*.nope", "no file matches"),
        ("/01/dns-over-tcp.pcap/*", "no file matches"),
    ],
)
def test_what_matches_nothing_is_named(
    bucket: str, capsys: Captured, path: str, error: str
) -> None:
    expected = (1, "", f"netwatch: {bucket}{path}: {error}\n")
    assert run(capsys, SCAN[0], bucket + path, *SCAN[1:]) == expected


def test_a_bucket_that_is_not_there(cloud: Cloud, bucket: str, capsys: Captured) -> None:
    gone = bucket.replace("archive", "gone")
    expected = (1, "", f"netwatch: {gone}: no such object or folder\n")
    assert run(capsys, SCAN[0], gone, *SCAN[1:]) == expected
    status, _, errors = run(capsys, SCAN[0], bucket, *SCAN[1:], "--ledger", f"{gone}/ledger")
    assert (status, errors.count("\n")) == (1, 1)
    assert errors.startswith(f"netwatch: {gone}/ledger/plans/")
    assert errors.endswith(": cannot be written: there is no such bucket\n")


def test_what_fails_is_named_and_the_rest_is_read(
    cloud: Cloud, bucket: str, folder: Path, faults: Plan, capsys: Captured
) -> None:
    faults(
        cloud.fault(cloud.body("/dns-over-tcp.pcap"), 403, "AuthorizationFailure"),
        cloud.fault(cloud.body("/http-host.pcap.gz"), 404, "BlobNotFound"),
        cloud.fault(cloud.body("/lease-moves.pcap"), 503),
        cloud.fault(cloud.body("/office-day.pcap.zst"), 500, "InternalError", times=2),
        Fault(path=cloud.body("/five-kinds.pcap.zst"), cut_after=100, times=1),
    )
    status, output, errors = run(capsys, "names", bucket, "--format", "jsonl", "-q")
    assert status == 1
    nothing = "nothing can be read: reading stopped at byte 0: "
    code = "ServerBusy" if cloud.name == "azure" else "503"
    assert errors.replace(bucket, "X").splitlines() == [
        f"netwatch: X/01/dns-over-tcp.pcap: {nothing}access is denied",
        f"netwatch: X/01/lease-moves.pcap: {nothing}the server answered {code}: made by a test",
        f"netwatch: X/03/http-host.pcap.gz: {nothing}no such object or folder",
    ]
    assert all(fault.met == fault.times for fault in cloud.proxy.faults[3:])
    # The library alone makes a request again.
    assert cloud.proxy.faults[2].met == {"azure": 4, "google": 6}[cloud.name]
    whole = run(capsys, "names", str(folder), "--format", "jsonl", "-q")[1]
    failed = ("dns-over-tcp", "http-host", "lease-moves")
    assert output.splitlines() == [
        line.replace(str(folder), bucket)
        for line in whole.splitlines()
        if not any(name in line for name in failed)
    ]


def test_secrets_are_never_shown(
    cloud: Cloud,
    bucket: str,
    faults: Plan,
    other_credentials: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    if cloud.name == "azure":
        place = cloud.environment["AZURE_STORAGE_CONNECTION_STRING"]
        wrong = KEY.replace("Eby8", "Abcd")
        other_credentials.setenv("AZURE_STORAGE_CONNECTION_STRING", place.replace(KEY, wrong))
        reason = "access is denied"
    else:
        faults(cloud.fault("*", 401))
        wrong, reason = "very-secret", "the server answered 401: made by a test"
    for path in ("/01/dns-over-tcp.pcap", "/01/"):
        status, output, errors = run(capsys, SCAN[0], bucket + path, *SCAN[1:])
        assert (status, output) == (1, "")
        assert errors == f"netwatch: {bucket}{path}: {reason}\n"
    ledger = run(capsys, "ledger", "status", f"{bucket}/ledger")
    assert ledger == (1, "", f"netwatch: {bucket}/ledger/: cannot be listed: {reason}\n")
    place = bucket.replace("://", f"://name:{wrong}@")
    status, output, errors = run(capsys, SCAN[0], place, *SCAN[1:])
    assert (status, output) == (2, "")
    text = "expected a URL without credentials, which are taken from the environment"
    assert errors == f"netwatch: {bucket}: {text}\n"


def test_credentials_of_google(
    google: Cloud, tmp_path: Path, other_credentials: pytest.MonkeyPatch, capsys: Captured
) -> None:
    place = f"{google.new_bucket({'x.pcap': (PCAPS / 'five-kinds.pcap').read_bytes()})}/x.pcap"
    other_credentials.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    forget_file_systems()
    status, _, errors = run(capsys, SCAN[0], place, *SCAN[1:])
    assert status == 2
    assert errors.endswith("library reads in $GOOGLE_APPLICATION_CREDENTIALS\n")
    with _token_server() as url:
        (tmp_path / "key.json").write_text(json.dumps(_account(url)))
        forget_file_systems()
        seen: list[str | None] = []
        serve = google.proxy._serve

        def note(client: BaseHTTPRequestHandler) -> None:
            seen.append(client.headers.get("Authorization"))
            serve(client)

        other_credentials.setattr(google.proxy, "_serve", note)
        assert run(capsys, SCAN[0], place, *SCAN[1:])[0] == 0
    assert set(seen) == {"Bearer made-by-a-test"}


def test_no_identity_for_azure(
    azure: Cloud, other_credentials: pytest.MonkeyPatch, capsys: Captured
) -> None:
    other_credentials.delenv("AZURE_STORAGE_CONNECTION_STRING")
    # Nobody asks whether this machine is one of Azure's.
    other_credentials.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    place = "abfs://archive@account.dfs.core.windows.net/2026/"
    reason = "DefaultAzureCredential failed to retrieve a token from the included credentials"
    expected = (1, "", f"netwatch: {place}: {reason}\n")
    assert run(capsys, SCAN[0], place, *SCAN[1:]) == expected


def test_another_account_than_that_of_the_environment(azure: Cloud, capsys: Captured) -> None:
    name = azure.new_bucket({"x.pcap": (PCAPS / "five-kinds.pcap").read_bytes()})[5:]
    place = f"abfs://{name}@devstoreaccount1.dfs.core.windows.net/x.pcap"
    assert run(capsys, SCAN[0], place, *SCAN[1:])[0] == 0
    place = f"abfs://{name}@other.dfs.core.windows.net/x.pcap"
    expected = "expected a URL of the account whose credentials are in the environment"
    assert run(capsys, SCAN[0], place, *SCAN[1:]) == (
        2,
        "",
        f"netwatch: {place}: {expected}, devstoreaccount1\n",
    )


def test_a_killed_run_goes_on(cloud: Cloud, faults: Plan, tmp_path: Path, capsys: Captured) -> None:
    captures = make_archive(tmp_path / "captures", 12)
    bucket = cloud.new_bucket(
        {f"2026/{name}": data for name, data in objects_below(captures).items()}
    )
    options = ["-c", configured(tmp_path), "--format", "jsonl", "-q"]
    ledger = f"{bucket}/ledger"
    program = [sys.executable, "-m", "netwatch", "scan", f"{bucket}/2026", *options]
    program += ["--ledger", ledger]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # The sixth capture is never read.
    faults(Fault(path=cloud.body("/005.pcap"), before=lambda: os.kill(process.pid, signal.SIGKILL)))
    assert process.wait(TIMEOUT) == -signal.SIGKILL
    faults()
    status, output, _ = run(capsys, "ledger", "status", ledger, "--format", "jsonl")
    assert status == 0
    plan = json.loads(output.splitlines()[0])
    assert (plan["units"], plan["done"]) == (12, 5)
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    whole = run(capsys, "scan", str(captures), *options)
    # Nothing of the libraries is on the terminal, at the end of the process neither.
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == whole[1].replace(str(captures), f"{bucket}/2026")
    asked = [path for method, path in cloud.proxy.requests if method == "GET"]
    assert fnmatch.filter(asked, cloud.body("/005.pcap"))
    # Results that nobody had signed yet are not trusted; those of the last second may be such.
    assert len(fnmatch.filter(asked, cloud.body("/00[0-4].pcap"))) < 5


def _account(url: str) -> dict[str, str]:
    """The key file of a service account that gets its tokens at a URL."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "netwatch@example.iam.gserviceaccount.com",
        "token_uri": url,
    }


@contextmanager
def _token_server() -> Iterator[str]:
    """The URL of a server that gives a token to whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            token = {"access_token": "made-by-a-test", "expires_in": 3600, "token_type": "Bearer"}
            body = json.dumps(token).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/token"
    server.shutdown()
    server.server_close()
