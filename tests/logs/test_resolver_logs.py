"""What holds for the logs of all resolvers: any bytes are read or counted, and nothing grows."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.resolver_logs import WRITTEN, all_lines, read_any, some_lines

from netwatch.core.names import normalise_name
from netwatch.logs import bind, dnsmasq, knot, powerdns, unbound
from netwatch.logs.carriers import Carriers
from netwatch.logs.reading import ReaderContext
from netwatch.logs.records import LogName
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

_ROWS = [
    b'{"_table":"domain_by_id","id":1,"domain":"www.tiktok.com"}',
    b'{"_table":"client_by_id","id":1,"ip":"10.0.0.12","name":"phone"}',
    b'{"_table":"addinfo_by_id","id":1,"type":1,"content":"edge.example.net"}',
    b'{"_table":"query_storage","id":1,"timestamp":1772442901.25,"type":1,"status":9,"domain":1,'
    b'"client":1,"additional_info":1,"reply_type":4}',
]
_FORMATS = [
    "adguard",
    "bind",
    "coredns",
    "dnsmasq",
    "knot",
    "pihole-ftl",
    "powerdns",
    "unbound",
    "windows-dns",
    "windows-dns-events",
]


@pytest.mark.parametrize("name", _FORMATS)
@given(data=st.data())
def test_any_bytes(name: str, data: st.DataObject) -> None:
    """Lines are read, or raise `RecordError`. What they show are names as everywhere."""
    for entry in read_any(name, data.draw(some_lines(name, _ROWS))):
        if isinstance(entry, LogName):
            assert entry.name
            assert entry.name == entry.name.lower()
            assert entry.name.isascii()
            assert entry.name.isprintable()
            assert 0 <= entry.client.port < 65536
            assert entry.client.ip is None or len(entry.client.ip) in (4, 16)
            assert entry.time >= 0


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
    "unbound": unbound.MAX_DENIED,
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
    (size,) = [len(table) for table in vars(reader).values() if isinstance(table, OrderedDict)]
    assert size == _LIMITS[name]


def test_names_keep_their_letters() -> None:
    """Letters in mixed case, as resolvers send them against spoofing, are seen in `raw`."""
    for name in ("adguard", "bind", "coredns", "powerdns", "unbound", "windows-dns"):
        raws = {
            entry.raw for entry in read_any(name, all_lines(name)) if isinstance(entry, LogName)
        }
        assert "www.TikTok.com" in raws, name
        assert {normalise_name(raw.encode()) for raw in raws if raw} == {"www.tiktok.com"}, name
