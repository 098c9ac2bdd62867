"""An archive of many small captures whose incidents run across files."""

from pathlib import Path

from craft import Wire
from support.office import DURING, FAR, LAB, PERSONAL, SERVICE, capture, hello, lookup

_NAMES = ("www.tiktok.com", "mon.tiktokv.com", "p16-sign.tiktokcdn.com", "www.example.org")


def make_archive(folder: Path, count: int, *, contacts: int = 1) -> Path:
    """Captures of ten minutes each, one after the other: the quiet gap is longer, so that a device
    that is in several of them has one incident."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        wire = Wire(DURING, number)
        wire.wait(600 * number)
        for again in range(contacts):
            lookup(wire, SERVICE, name=_NAMES[(number + again) % 4])
            hello(wire, SERVICE, FAR, _NAMES[number % 3])
            if number % 3 == 0:
                hello(wire, PERSONAL, FAR, _NAMES[(number + 1) % 3])
            if number % 7 == 0:
                lookup(wire, LAB)
        capture(folder / f"{number:03}.pcap", wire)
    return folder
