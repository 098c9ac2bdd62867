"""What holds for logs of several resolvers: tables do not grow, and names keep their letters."""

from collections import OrderedDict

import pytest
from support.resolver_logs import WRITTEN, all_lines, names

from netwatch.logs import bind, dnsmasq, knot, powerdns, unbound
from netwatch.logs.carriers import Carriers
from netwatch.logs.records import ReaderContext
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

_GROWING = {
    "dnsmasq": b"Mar  2 09:15:01 dnsmasq[1]: %d 10.0.0.12/5000 query[A] n%d.example.org from "
    b"10.0.0.12",
    "bind": b"02-Mar-2026 09:15:01.000 client 10.0.0.12#5000 (n%d.example.org): rpz QNAME NODATA "
    b"rewrite n%d.example.org via n.rpz.example.net",
    "unbound": b"[1772442901] unbound[1:0] info: n%d.org. always_null 10.0.0.12@5 n%d.org. A IN",
    "powerdns": b"Mar  2 09:15:01 h pdns_recursor[1]: 3 [%d/2] question for 'n%d.org|A' from "
    b"10.0.0.12:5",
    "knot": b"Mar  2 09:15:01 h kresd[1]: [reqdbg][policy][%d.00] request packet arrived from "
    b"10.0.0.12#%d to 10.0.0.53#53 (UDP)",
}


_LIMITS = {
    "dnsmasq": dnsmasq.MAX_LOOKUPS,
    "bind": bind.MAX_REWRITTEN,
    "unbound": unbound.MAX_ACTIONS,
    "powerdns": powerdns.MAX_QUESTIONS,
    "knot": knot.MAX_REQUESTS,
}


@pytest.mark.parametrize("name", _GROWING)
def test_tables_are_bounded(name: str) -> None:
    """Lookups without an answer are forgotten, the oldest first."""
    times = LocalTimes(None, None, WRITTEN)
    carriers, reader = Carriers(times), LOG_FORMATS[name].reader(ReaderContext(times))
    for n in range(5000):
        taken = carriers.take_off(_GROWING[name].replace(b"%d", b"%d" % n))
        assert taken is not None
        assert list(reader.read(*taken)) is not None
    sizes = [len(table) for table in vars(reader).values() if isinstance(table, OrderedDict)]
    assert max(sizes) == _LIMITS[name]


@pytest.mark.parametrize(
    "name", ["adguard", "bind", "coredns", "powerdns", "unbound", "windows-dns"]
)
def test_names_keep_their_letters(name: str) -> None:
    """Letters in mixed case, as resolvers send them against spoofing, are seen in `raw`."""
    found = {entry.raw: entry.name for entry in names(name, all_lines(name))}
    assert found.get("www.TikTok.com") == "www.tiktok.com"
