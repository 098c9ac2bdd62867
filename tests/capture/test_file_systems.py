"""File systems of object stores are opened with what the libraries of their providers need."""

import logging
import sys
from collections.abc import Callable

import fsspec.registry  # noqa: F401 - it is in sys.modules
import pytest
from support.clouds import Cloud
from support.made_captures import PACKETS, pcap
from support.s3_faults import Fault

from netwatch.capture.file_systems import open_file_system, reason_of
from netwatch.capture.files import CaptureFile, file_info, find_captures, open_source
from netwatch.core.errors import CaptureError, ConfigError

CAPTURE = pcap()
LARGE = pcap([bytes([n % 256]) * 60_000 for n in range(120)])
"""More than the first ranges."""


@pytest.mark.parametrize(
    ("url", "package"),
    [("gs://b/x", "gcsfs"), ("abfs://c@a.example/x", "adlfs"), ("az://c/x", "adlfs")],
)
def test_says_which_package_is_missing(
    url: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = sys.modules["fsspec.registry"].__dict__["_registry"]
    for scheme in ("gs", "abfs", "az"):
        monkeypatch.delitem(loaded, scheme, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    scheme = url.partition("://")[0]
    with pytest.raises(ConfigError, match=f"{scheme}:// needs a package: .* pip install {package}"):
        find_captures([url])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("gs://", "gs://: expected the name of a bucket"),
        ("gs:///x", "gs:///x: expected the name of a bucket"),
        ("s3://", "s3://: expected the name of a bucket"),
        ("s3://*/x", "s3://*/x: expected the name of a bucket"),
        ("az://", "az://: expected the name of a container"),
        ("abfs://@a.example/x", "abfs://@a.example/x: expected the name of a container"),
        ("gs://user@b/x", "gs://user@b/x: expected a URL without credentials"),
        ("s3://key:se/cret@b/x", "s3://b/x: expected a URL without credentials"),
        ("abfs://c:se/cret@b/x", "abfs://b/x: expected a URL without credentials"),
    ],
)
def test_urls_without_a_bucket_or_with_credentials(
    url: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigError) as raised:
        open_file_system(url)
    assert str(raised.value).startswith(expected)


def test_libraries_are_kept_off_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    open_file_system("memory://x")
    root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    for handler in handlers:
        root.removeHandler(handler)
    try:
        logging.getLogger("gcsfs").error("not shown")
        logging.getLogger("azure.identity.aio").warning("not shown")
        logging.getLogger("another").error("shown")
    finally:
        for handler in handlers:
            root.addHandler(handler)
    assert capsys.readouterr().err == "shown\n"


class AnswerError(Exception):
    """An error as libraries of providers have them."""

    def __init__(self, text: str, **attributes: object) -> None:
        super().__init__(text)
        self.__dict__.update(attributes)


class IncompleteReadError(Exception):
    """Has the name of one of Azure's."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AnswerError("x", status_code=403, error_code="AuthorizationFailure"), "access is denied"),
        (AnswerError("no key\nAnswer: sig=abc", status_code=403, error_code="AuthenticationFailed"),
         "the server answered AuthenticationFailed: no key"),
        (AnswerError("x", status_code=404, error_code="ContainerNotFound"), "no such container"),
        (AnswerError("Operation returned an invalid status 'Busy'\nErrorCode:None",
                     status_code=503, error_code=None), "the server answered 503: Busy"),
        (AnswerError("Backend Error, 503", code=503), "the server answered 503: Backend Error"),
        (AnswerError("Not found, 404", code="404"), "no such object or folder"),
        (AnswerError("x", code="E1"), "x"),
        (OSError("Forbidden: https://storage.example/b/o/x\nno access"), "access is denied"),
        (IncompleteReadError("<ContentLengthError>"), "the server ends each answer too soon"),
        (AnswerError("\nfirst\nsecond"), "first"),
        (AnswerError(""), "AnswerError"),
    ],
)  # fmt: skip
def test_reasons(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> str:
    return cloud.new_bucket({"a/x.pcap": CAPTURE, "large": LARGE, "changing": LARGE})


def read(file: CaptureFile | str) -> tuple[int, list[str]]:
    """How many packets a capture has, and its notes."""
    source = open_source(file)
    return sum(block.count for block in source.blocks()), source.notes


def test_reads_in_ranges(bucket: str) -> None:
    (found,) = find_captures([f"{bucket}/large"])
    assert found.info is not None
    assert found.info.size == len(LARGE)
    assert found.info == file_info(CaptureFile(found.path, url=found.url))
    assert read(found) == (120, [])
    assert read(f"{bucket}/a/x.pcap") == (len(PACKETS), [])


def test_a_change_in_the_middle(cloud: Cloud, bucket: str, faults: Callable[..., None]) -> None:
    def change() -> None:
        cloud.proxy.faults = []
        cloud.put(bucket, {"changing": LARGE[:-1] + b"x"})

    (found,) = find_captures([f"{bucket}/changing"])
    faults(Fault(path=cloud.body("/changing"), before=change, times=1))
    assert read(found)[1] == [
        f"reading stopped at byte {len(LARGE)}: it has changed while it was read"
    ]


def test_an_object_that_stays_unreadable_is_asked_for_once(
    cloud: Cloud, bucket: str, faults: Callable[..., None]
) -> None:
    place = f"{bucket}/a/x.pcap"
    (found,) = find_captures([f"{bucket}/a/"])
    faults(cloud.fault("*x.pcap", 403, "AuthorizationFailure"))
    nothing = "nothing can be read: reading stopped at byte 0: access is denied"
    with pytest.raises(CaptureError, match=f"^{place}: {nothing}$"):
        open_source(found)
    assert cloud.proxy.faults[0].met == 1


def test_more_bytes_than_were_asked_for(azure: Cloud) -> None:
    import gzip

    place = azure.new_bucket()
    options = {"content_settings": {"content_encoding": "gzip"}}
    azure.put(place, {"x.pcap.gz": gzip.compress(LARGE)}, **options)
    with pytest.raises(CaptureError, match=r"more bytes came than were asked for, .*Encoding$"):
        open_source(f"{place}/x.pcap.gz")


def test_an_account_in_place_of_a_container(azure: Cloud) -> None:
    place = azure.new_bucket({"a/x.pcap": CAPTURE})
    url = place.replace("az://", "abfs://devstoreaccount1.dfs.core.windows.net/")
    assert [each.path for each in find_captures([f"{url}/**/*.pcap"])] == [f"{url}/a/x.pcap"]
