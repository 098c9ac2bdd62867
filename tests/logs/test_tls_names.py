import pickle

import pytest

from netwatch.logs.tls_names import MAX_NAMES, certificate_names, tls_info

JA4 = "t13d1516h2_8daaf6152771_02713d6af862"


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("C=XX, O=Example, CN=www.TikTok.com", [("www.tiktok.com", "www.TikTok.com")]),
        ("CN=*.tiktok.com,O=Example,C=XX", [("*.tiktok.com", "")]),
        ("/C=XX/CN=www.tiktok.com", [("www.tiktok.com", "")]),
        ("CN=Example CA R1", []),
        ("O=Example, OU=CN, NotCN=www.tiktok.com", []),
        ("", []),
    ],
)
def test_common_names_that_are_hosts(subject, names):
    assert list(certificate_names(subject, [])) == names


def test_alternative_names_each_once():
    found = list(certificate_names("CN=a.example.org", ["a.example.org", "B.example.org", ""]))
    assert found == [("a.example.org", ""), ("b.example.org", "B.example.org")]
    many = certificate_names("", [f"n{at}.example.org" for at in range(2 * MAX_NAMES)])
    assert len(list(many)) == MAX_NAMES


def test_what_is_known_of_a_handshake():
    assert tls_info("UNDETERMINED", [], "") is None
    assert tls_info("TLSv12", [], "x").ja4 is None
    found = pickle.loads(pickle.dumps(tls_info("TLS 1.3", ["h2"], JA4)))
    assert (found.version, found.alpn, found.ja4) == ("1.3", ("h2",), JA4)
