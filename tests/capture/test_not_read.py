"""Captures of Endace cards are called what they are, and nothing else is called so."""

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import START, pcap, timed
from support.frames import ETHERNET, tcp, udp

from netwatch.capture.files import ERF, NotACaptureError, open_source
from netwatch.capture.not_read import ERF_HEAD_BYTES, is_erf
from netwatch.cli import main

FRAMES = [ETHERNET.frame(each) for each in (udp(b"x" * 40), tcp(flags="S"), udp(b"y" * 900))]


def erf(frames: list[bytes], *, more: bytes = b"", seconds: int = START // 10**9) -> bytes:
    """Records of Ethernet, with an extension header if `more` has one."""
    out = b""
    for number, frame in enumerate(frames):
        body = more + bytes(2) + frame
        body += bytes(-len(body) % 8)
        kind = 2 | (0x80 if more else 0)
        out += struct.pack("<IIBB", number << 20, seconds + number, kind, 4)
        out += struct.pack(">HHH", 16 + len(body), 0, len(frame) + 4) + body
    return out


@pytest.mark.parametrize(
    "data",
    [
        erf(FRAMES),
        erf(FRAMES, more=b"\x04" + bytes(7)),
        erf(FRAMES * 40),
        struct.pack("<IIBB", 0, 0, 48, 0) + struct.pack(">HHH", 16, 0, 0) + erf(FRAMES),
        gzip.compress(erf(FRAMES)),
    ],
    ids=["plain", "extension-header", "longer-than-the-head", "padding", "gzip"],
)
def test_an_erf_capture_is_called_so(
    tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.dat"
    path.write_bytes(data)
    with pytest.raises(NotACaptureError) as raised:
        open_source(str(path))
    assert str(raised.value) == f"{path}: is {ERF}"
    path.rename(tmp_path / "x.erf")
    for given_path in (tmp_path / "x.erf", tmp_path):
        assert main(["names", str(given_path)]) == 1
        err = capsys.readouterr().err
        assert ERF in err
        assert "observations" not in err


@pytest.mark.parametrize(
    "data",
    [
        b"",
        erf(FRAMES[:1]),
        erf(FRAMES)[:-1],
        erf(FRAMES, seconds=0)[:300],
        bytes(ERF_HEAD_BYTES),
        pcap(timed(FRAMES)),
        b"2023-03-20 query www.example.org from 10.20.1.7\n" * 50,
        bytes(range(256)) * 8,
    ],
)
def test_nothing_else_is(data: bytes) -> None:
    assert not is_erf(data[:ERF_HEAD_BYTES])


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes(data: bytes, at: int) -> None:
    assert is_erf(data) in (True, False)
    assert is_erf((erf(FRAMES)[:at] + data)[:ERF_HEAD_BYTES]) in (True, False)
