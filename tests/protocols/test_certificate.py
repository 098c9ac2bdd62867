import warnings

import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import given
from hypothesis import strategies as st
from support.handshake_samples import certificate

from netwatch.protocols import certificate as module
from netwatch.protocols.certificate import MAX_CACHED, MAX_NAMES, host_names

DER = certificate("www.example.com", "www.example.com", "*.Example.com", "xn--mnchen-3ya.example")


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(module, "_cache", type(module._cache)(module.MAX_CACHED))


def test_common_name_and_alternatives():
    names = ("www.example.com", "*.example.com", "xn--mnchen-3ya.example")
    assert host_names(DER)[:2] == (names, ())


@pytest.mark.parametrize(
    ("common_name", "names"),
    [
        ("host.example.com", ("host.example.com",)),
        ("*.example.com", ("*.example.com",)),
        ("Example Root CA", ()),
        ("localhost", ()),
        ("192.0.2.1", ()),
        ("a..example", ()),
        ("a*.example.com", ()),
        ("-a.example", ()),
        (None, ()),
    ],
)
def test_a_common_name_counts_where_it_looks_like_a_host(common_name, names):
    assert host_names(certificate(common_name))[:2] == (names, ())


def test_names_have_a_limit():
    many = [f"h{at}.example" for at in range(MAX_NAMES + 1)]
    names, anomalies, _ = host_names(certificate(None, *many))
    assert names == tuple(many[:MAX_NAMES])
    assert anomalies == ("tls-certificate-names",)


def test_a_serial_number_of_zero_does_not_matter():
    # What `cryptography` refuses to make but reads with a warning.
    der = certificate("a.example", serial=0x2A).replace(b"\x02\x01\x2a", b"\x02\x01\x00", 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.warns(CryptographyDeprecationWarning):
            x509.load_der_x509_certificate(der)
        caught.clear()
        assert host_names(der)[:2] == (("a.example",), ())
    assert caught == []


def test_the_subject_counts_where_the_extensions_cannot_be_read():
    der = certificate("a.example", "b.example").replace(b"b.example", b"b.exampl\xe9")
    assert host_names(der)[:2] == (("a.example",), ("tls-certificate",))


@pytest.mark.parametrize("der", [b"", b"\x30\x80", DER[:-1], DER + b"\0", bytes(1000)])
def test_an_invalid_certificate_is_an_anomaly(der):
    assert host_names(der)[:2] == ((), ("tls-certificate",))


def test_the_cache_evicts_the_least_recently_used(monkeypatch):
    read = []
    monkeypatch.setattr(module, "_parse", lambda der: read.append(der) or ((), ()))
    for at in range(MAX_CACHED):
        host_names(b"%d" % at)
    host_names(b"0")
    host_names(b"one more")
    assert len(module._cache) == MAX_CACHED
    assert len(read) == MAX_CACHED + 1
    host_names(b"0")
    assert len(read) == MAX_CACHED + 1
    host_names(b"1")
    assert len(read) == MAX_CACHED + 2


@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), max_size=4))
def test_a_valid_certificate_with_some_bytes_changed(changes):
    data = bytearray(DER)
    for at, value in changes:
        data[at] = value
    names, anomalies, _ = host_names(bytes(data))
    assert len(names) <= MAX_NAMES
    assert set(anomalies) <= {"tls-certificate", "tls-certificate-names"}


@given(st.binary(max_size=300))
def test_any_bytes_have_names_or_an_anomaly(der):
    names, anomalies, _ = host_names(der)
    assert bool(names) <= (anomalies != ("tls-certificate",))
