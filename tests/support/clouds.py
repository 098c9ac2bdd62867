"""Object stores of Azure and Google on loopback: Azurite and gcp-storage-emulator, each behind a
proxy that answers with faults.

Each is started once a session. A test that uses one is skipped where the emulator or the library is
missing. Azurite is found in the search path (``npm install azurite`` has it in
``node_modules/.bin``).
"""

import importlib
import importlib.util
import json
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port, is_listening
from support.programs import Process, require_programs
from support.s3_faults import Fault, FaultyS3

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that Azurite has, and the key that its documentation gives."""

CLOUDS = ("azure", "google")


@dataclass(frozen=True)
class Cloud:
    """An object store: its `name`, the `scheme` of its URLs, the proxy before it, and the
    environment that leads there."""

    name: str
    scheme: str
    proxy: FaultyS3
    environment: Mapping[str, str]

    def new_bucket(self, objects: Mapping[str, bytes] | None = None) -> str:
        """Create a bucket with objects; its URL."""
        from netwatch.capture.file_systems import open_file_system

        url = f"{self.scheme}://archive-{uuid.uuid4().hex[:12]}"
        system, root = open_file_system(url)
        system.mkdir(root)
        self.put(url, objects or {})
        return url

    def put(self, bucket: str, objects: Mapping[str, bytes], **options: Any) -> None:
        """Write objects to a bucket."""
        from netwatch.capture.file_systems import open_file_system

        system, root = open_file_system(bucket)
        with warnings.catch_warnings():
            # aiohttp would rather get more than a MB in pieces.
            warnings.simplefilter("ignore", ResourceWarning)
            for name, data in objects.items():
                system.pipe_file(f"{root}/{name}", data, **options)

    def fault(self, path: str, status: int, code: str = "ServerBusy", **options: Any) -> Fault:
        """An answer that the server gives when it fails, for reads of what matches a path."""
        if self.name == "azure":
            text = f"<Error><Code>{code}</Code><Message>made by a test\nTime:1</Message></Error>"
            headers = {"x-ms-error-code": code, "Content-Type": "application/xml"}
        else:
            text = json.dumps({"error": {"code": status, "message": "made by a test"}})
            headers = {"Content-Type": "application/json"}
        return Fault(path=path, status=status, body=text, headers=headers, **options)

    def body(self, name: str) -> str:
        """A glob for the path with which the content of an object is asked for."""
        return f"/download/*{name}" if self.name == "google" else f"*{name}"


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Azure Blob Storage, which this process and those that it starts use."""
    _require_packages("adlfs")
    require_programs("azurite-blob")
    port, folder = free_port(), tmp_path_factory.mktemp("azurite")
    words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
    words += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    server = Process(
        ["azurite-blob", *words],
        lambda: is_listening(port),
        folder,
    )
    proxy = FaultyS3(f"http://127.0.0.1:{port}")
    place = f"BlobEndpoint={proxy.url}/{ACCOUNT};AccountName={ACCOUNT};AccountKey={KEY}"
    yield from _in_use(Cloud("azure", "az", proxy, {"AZURE_STORAGE_CONNECTION_STRING": place}))
    server.end()


@pytest.fixture(scope="session")
def google() -> Iterator[Cloud]:
    """Google Cloud Storage, which this process and those that it starts use."""
    _require_packages("gcsfs", "gcp_storage_emulator")
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    proxy = FaultyS3(f"http://127.0.0.1:{port}")
    # Nobody asks whether this machine is one of Google's.
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "NO_GCE_CHECK": "true"}
    yield from _in_use(Cloud("google", "gs", proxy, environment))
    server.stop()


def _require_packages(*names: str) -> None:
    # They are not imported here: netwatch sets them up before it does.
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def _in_use(cloud: Cloud) -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        yield cloud
    cloud.proxy.end()


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each of them."""
    found: Cloud = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def faults(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Plans faults of a cloud for this test, and lets its library try again at once."""
    if cloud.name == "azure":
        from azure.storage.blob._shared.policies_async import ExponentialRetry

        monkeypatch.setattr(ExponentialRetry, "get_backoff_time", lambda *_: 0)
    else:
        # The pause is the lesser of two numbers.
        monkeypatch.setattr(
            importlib.import_module("gcsfs.retry"), "min", lambda *_: 0, raising=False
        )

    def plan(*planned: Fault) -> None:
        cloud.proxy.faults = [*planned]
        cloud.proxy.requests.clear()

    yield plan
    cloud.proxy.faults = []


@pytest.fixture
def other_credentials() -> Iterator[pytest.MonkeyPatch]:
    """Changes the environment for this test, and lets libraries look for credentials again."""
    with pytest.MonkeyPatch.context() as patch:
        forget_file_systems()
        yield patch
    forget_file_systems()


def forget_file_systems() -> None:
    """Let the next file systems of Azure and Google be new ones."""
    for module, name in (("adlfs", "AzureBlobFileSystem"), ("gcsfs", "GCSFileSystem")):
        if module in sys.modules:
            getattr(sys.modules[module], name).clear_instance_cache()


def objects_below(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by their names there."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
