"""The sites of generated traffic: their names, servers and popularity.

The popularity of the invented names follows Zipf's law: some are contacted all the time, many
once. A fixed share of contacts goes to a list of banned names. Every name has one server, so that
DNS answers, handshakes and data agree. Servers have documentation addresses (RFC 5737, RFC 3849).
"""

import itertools
import random
from bisect import bisect
from dataclasses import dataclass
from ipaddress import ip_address

BANNED = (
    "www.tiktok.com",
    "m.tiktok.com",
    "vm.tiktok.com",
    "webcast.tiktok.com",
    "api16-normal-no1a.tiktokv.eu",
    "api22-normal-useastred.tiktokv.eu",
    "im-api.tiktokv.eu",
    "aggr16-normal-no1a.tiktokv.eu",
    "webcast16-normal-no1a.tiktokv.eu",
    "search16-normal-no1a.tiktokv.eu",
)
BANNED_DOMAINS = ("tiktok.com", "tiktokv.eu")

WORDS = """
anchor apple archive arrow atlas autumn badge barrel beacon birch bridge bronze cabin camera
candle canyon carbon castle cedar chalk cherry circle clover cobalt comet copper coral cotton
crane crystal delta desert dragon ember falcon feather fern field flint forest fossil fountain
galaxy garden garnet ginger glacier granite gravel harbor hazel helium heron hollow honey island
ivory jasmine jungle kernel kettle ladder lagoon lantern laurel lemon lilac linen lotus magnet
maple marble meadow mercury meteor mirror mosaic nectar nickel nutmeg oasis ocean olive onyx opal
orbit orchid otter oxide paper pebble pepper piano pilot planet plum pollen poplar prairie prism
quartz quill radar raven ridge river saffron sail sandal sierra silver spruce summit sunset
thistle timber topaz tundra velvet violet walnut willow winter zephyr
""".split()  # noqa: SIM905 - 130 lines of a list would not read better
LABELS = ("www", "api", "cdn", "static", "mail", "img", "login", "assets", "edge-7", "eu-west-1")
APEXES = ("example.com", "example.net", "example.org", "site.test", "cloud.example", "corp.test")
MAX_NAMES = len(LABELS) * len(WORDS) ** 2 * len(APEXES) // 2
"""Half of all combinations; drawing more different ones at random would take long."""


@dataclass(frozen=True, slots=True)
class Site:
    """A name with the packed addresses of its server, and its aliases (CNAMEs)."""

    name: str
    ipv4: bytes
    ipv6: bytes
    aliases: tuple[str, ...]
    banned: bool


class Population:
    """All sites, drawn by popularity; `banned` is the share of contacts to banned names."""

    def __init__(self, rng: random.Random, names: int = 4000, banned: float = 0.005) -> None:
        self.rng, self.share = rng, banned
        chosen: dict[str, None] = {}
        while len(chosen) < names:
            host = f"{rng.choice(LABELS)}.{rng.choice(WORDS)}-{rng.choice(WORDS)}"
            chosen[f"{host}.{rng.choice(APEXES)}"] = None
        self.sites = [self._site(number, name) for number, name in enumerate(chosen)]
        self.banned = [self._site(names + place, name, True) for place, name in enumerate(BANNED)]
        self.ranks = list(itertools.accumulate(1 / (rank + 3) for rank in range(names)))

    def _site(self, number: int, name: str, banned: bool = False) -> Site:
        net = (b"\xc0\x00\x02", b"\xc6\x33\x64", b"\xcb\x00\x71")[number % 3]
        ipv4 = net + bytes([1 + number // 3 % 250])
        ipv6 = ip_address("2001:db8:ffff::").packed[:12] + (number + 1).to_bytes(4, "big")
        hops = 0 if self.rng.random() < 0.75 else self.rng.randint(1, 3)
        stem = name.replace(".", "-")
        aliases = tuple(f"{stem}.pop{hop}.delivery.example" for hop in range(hops))
        return Site(name, ipv4, ipv6, aliases, banned)

    def draw(self) -> Site:
        """A random site for a contact."""
        if self.rng.random() < self.share:
            return self.rng.choice(self.banned)
        return self.sites[bisect(self.ranks, self.rng.random() * self.ranks[-1])]
