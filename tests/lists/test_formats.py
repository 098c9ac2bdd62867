"""Each format: its entries, what is no name, exceptions, bad lines."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sensor_lists import NDPI, SURICATA, ZEEK

from netwatch.core.errors import ConfigError
from netwatch.core.names import NameList
from netwatch.lists import findings, reader
from netwatch.lists.reader import LIST_FORMATS, read_list, recognise_format


def read(text: str, format: str | None = None) -> NameList:
    return read_list("list", format, text.encode())


def names(listing: NameList) -> list[str]:
    return [f"{listed.kind} {listed.name}" for listed in listing.names]


DOMAIN_LIST = """# a comment
example.com
domain:example.net @cn @ads # behind an entry
full:www.example.org @!cn
FULL.Example.COM. &other
keyword:example
regexp:(^|\\.)example-\\d+\\.com$
full:bücher.example
domain:cn
domain example.com
full:
"""


def test_domain_list() -> None:
    listing = read(DOMAIN_LIST)
    assert listing.format == "domain-list"
    assert names(listing) == [
        "suffix example.com",
        "suffix example.net",
        "host www.example.org",
        "suffix full.example.com",
        "pattern example",
        "pattern (^|\\.)example-\\d+\\.com$",
        "host xn--bcher-kva.example",
    ]
    assert listing.names[1].attributes == ("cn", "ads")
    assert listing.names[2].line == 4
    assert listing.skipped == {"a single label": 1}
    assert [problem.line for problem in listing.problems] == [10, 11]
    assert listing.bad_lines == 2


ADBLOCK = """[Adblock Plus 2.0]
! Title: a list
||example.com^
||Example.NET^$third-party,important
@@||ok.example.com^
||below.ok.example.com^
||withdrawn.example^
||withdrawn.example^$badfilter
|https://one.example^
||*.wild.example^
||p16-*.example.org^
||example.org/path/
/banner[0-9]+/
example.com##.ad
plain.example
0.0.0.0 hosts.example other.example # comment
||tracker.*^
||198.51.100.7^
"""


def test_adblock() -> None:
    listing = read(ADBLOCK)
    assert listing.format == "adblock"
    assert names(listing) == [
        "suffix example.com",
        "suffix example.net",
        "host one.example",
        "suffix wild.example",
        "glob p16-*.example.org",
        "host plain.example",
        "host hosts.example",
        "host other.example",
    ]
    assert [f"{each.kind} {each.name}" for each in listing.exceptions] == ["suffix ok.example.com"]
    assert listing.names[1].attributes == ("third-party", "important")
    assert listing.skipped == {
        "taken out by an exception of the list": 1,
        "a filter of paths": 2,
        "a filter of parts of a page": 1,
        "a wildcard over whole domains": 1,
        "an address": 1,
    }
    assert listing.bad_lines == 0


HOSTS = """# a comment
127.0.0.1 localhost
127.0.0.1 localhost.localdomain
::1 ip6-localhost ip6-loopback
0.0.0.0 0.0.0.0
0.0.0.0\tads.example.com  # behind it
0.0.0.0 a.example b.example
fe80::1%lo0 c.example
0.0.0.0
a.example
"""


def test_hosts() -> None:
    listing = read(HOSTS)
    assert listing.format == "hosts"
    expected = ["ads.example.com", "a.example", "b.example", "c.example"]
    assert names(listing) == [f"host {name}" for name in expected]
    assert listing.skipped["an address"] == 1
    assert listing.skipped["a name of the machine itself"] == 1
    assert listing.skipped["a single label"] == 3
    assert [problem.line for problem in listing.problems] == [9, 10]


RPZ = """$TTL 300
@ IN SOA localhost. root.localhost. (
    2024010101 ; serial
    3600 600 86400 300 )
  IN NS localhost.
example.com CNAME .
*.example.com CNAME .
walled.example.net 300 IN A 192.0.2.1
  TXT "the same owner"
passed.example.net CNAME rpz-passthru.
32.1.2.0.192.rpz-ip CNAME .
ns.example.rpz-nsdname CNAME .
full.example.rpz.zone. IN CNAME *.
$ORIGIN rpz.zone.
other.example.rpz.zone. CNAME . ; absolute
nonsense
"""


def test_rpz() -> None:
    listing = read(RPZ)
    assert listing.format == "rpz"
    assert names(listing) == [
        "suffix example.com",
        "host walled.example.net",
        "host full.example.rpz.zone",
        "host other.example",
    ]
    assert [each.name for each in listing.exceptions] == ["passed.example.net"]
    assert listing.skipped == {"a rule about addresses or name servers": 2}
    assert [problem.line for problem in listing.problems] == [16]


def test_an_exception_of_a_zone_is_for_that_record_alone() -> None:
    text = "bad.example.com. CNAME .\n*.bad.example.com. CNAME rpz-passthru.\n"
    listing = read(text + "good.example.com CNAME .\ngood.example.com CNAME rpz-passthru.;\n")
    assert names(listing) == ["host bad.example.com"]


def test_rpz_takes_its_zone_from_the_soa_record() -> None:
    soa = "rpz.example. 60 IN SOA ns.example. root.example. 1 2 3 4 5\n"
    listing = read(f"{soa}rpz.example. NS ns.example.\nbad.example.org.rpz.example. CNAME .\n")
    assert names(listing) == ["host bad.example.org"]


DNSMASQ = """# a comment
address=/example.com/0.0.0.0
address=/a.example/b.example/::
address=/null.example/#
server=/china.example/203.0.113.53
server=/usual.example/#
server=/below.usual.example/
local=/local.example/
address=/#/0.0.0.0
address=/*part.example/0.0.0.0
--ipset=/set.example/name # comment
cache-size=1000
domain-needed
two words
"""


def test_dnsmasq() -> None:
    listing = read(DNSMASQ)
    assert listing.format == "dnsmasq"
    expected = ["example.com", "a.example", "b.example", "null.example", "china.example"]
    expected += ["below.usual.example", "local.example"]
    assert names(listing)[:7] == [f"suffix {name}" for name in expected]
    assert names(listing)[7:] == ["pattern *part.example", "suffix set.example"]
    # A longer domain wins, so an exception takes nothing out that is below it.
    assert [each.name for each in listing.exceptions] == ["usual.example"]
    assert listing.skipped["another option of dnsmasq"] == 2
    assert [problem.line for problem in listing.problems] == [14]


CLASH = """payload:
  - DOMAIN-SUFFIX,example.com
  - 'DOMAIN,www.example.net'
  - DOMAIN-KEYWORD,example
  - IP-CIDR,192.0.2.0/24,no-resolve
DOMAIN-SUFFIX, surge.example,REJECT // comment
host-suffix,quantumult.example,proxy
- '+.provider.example'
- '*.star.example'
  - name.example # comment
RULE-SET,other
what,is this
"""


def test_clash() -> None:
    listing = read(CLASH)
    assert listing.format == "clash"
    assert names(listing) == [
        "suffix example.com",
        "host www.example.net",
        "pattern example",
        "suffix surge.example",
        "suffix quantumult.example",
        "suffix provider.example",
        "suffix star.example",
        "host name.example",
    ]
    assert listing.skipped == {"a rule that is not about names": 3}


PIHOLE = r"""# lists and domains
plain.example
0.0.0.0 hosts.example
||abp.example^
@@||ok.abp.example^
(\.|^)first.example$
(\.|^)first\.example$
(^|\.)second\.example$
^(.+\.)?third\.example$
((^)|(\.))fourth\.example$
^host\.example$
^ad[0-9]+\.
(\.|^)any\..*\.example$
bad name
"""


def test_pihole() -> None:
    listing = read(PIHOLE)
    assert listing.format == "pihole"
    assert names(listing) == [
        "host plain.example",
        "host hosts.example",
        "suffix abp.example",
        r"pattern (\.|^)first.example$",
        "suffix first.example",
        "suffix second.example",
        "suffix third.example",
        "suffix fourth.example",
        "host host.example",
        r"pattern ^ad[0-9]+\.",
        r"pattern (\.|^)any\..*\.example$",
    ]
    assert [f"{each.kind} {each.name}" for each in listing.exceptions] == ["suffix ok.abp.example"]
    assert [problem.line for problem in listing.problems] == [14]


PLAIN = """# a comment
example.com
*.wild.example
.dotted.example ; comment
cdn-*.example.net
-bad.example
two.example words
192.0.2.1
"""


def test_plain() -> None:
    listing = read(PLAIN)
    assert listing.format == "plain"
    expected = ["host example.com", "suffix wild.example", "suffix dotted.example"]
    assert names(listing) == [*expected, "glob cdn-*.example.net"]
    assert listing.skipped == {"an address": 1}
    assert [problem.line for problem in listing.problems] == [6, 7]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_names_alone_are_a_plain_list_and_another_format_on_demand(newline: str) -> None:
    text = newline.join(["example.com", "example.net", ""])
    assert names(read(text)) == ["host example.com", "host example.net"]
    assert names(read(text, "domain-list")) == ["suffix example.com", "suffix example.net"]


def test_comments_make_no_filter_list() -> None:
    listing = read("! Title: names\n*.wild.example\n")
    assert (listing.format, names(listing)) == ("plain", ["suffix wild.example"])


def test_one_entry_of_another_format_decides() -> None:
    assert recognise_format("example.com\n" * 50 + "full:www.example.net\n") == "domain-list"


@pytest.mark.parametrize("text", ["", "# nothing\n", "<html>\n", "\x00\x01\x02", "{}\n"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a list in one of the formats domain-list,"):
        read(text)


def test_bad_lines_are_counted_and_the_first_named() -> None:
    listing = read("good.example\n" + "bad name\n" * 100, "plain")
    assert listing.bad_lines == 100
    assert len(listing.problems) == findings.MAX_PROBLEMS
    assert str(listing.problems[0]) == "list:2: expected a host name, found 'bad name'"


def test_bytes_that_are_not_utf8_are_a_bad_line() -> None:
    listing = read_list("list", None, b"\xef\xbb\xbfgood.example\n\xff\xfe.example\n")
    assert names(listing) == ["host good.example"]
    assert str(listing.problems[0]).endswith("found '\\udcff\\udcfe.example'")


def test_names_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MAX_NAMES", 3)
    listing = read("".join(f"n{number}.example\n" for number in range(5)))
    assert len(listing.names) == 3
    assert listing.skipped == {"beyond the limit of names": 2}


SAMPLES = (DOMAIN_LIST, ADBLOCK, HOSTS, RPZ, DNSMASQ, CLASH, PIHOLE, SURICATA, ZEEK, NDPI)

_LINES: Callable[[], st.SearchStrategy[str]] = lambda: st.lists(  # noqa: E731
    st.one_of(
        st.sampled_from("\n".join(SAMPLES).split("\n")),
        st.text(alphabet="|@^$*/.,:;#=()-! aexmpl\t\\\"'0", max_size=40),
        st.text(max_size=20),
    ),
    max_size=12,
).map("\n".join)


@given(_LINES(), st.sampled_from([None, *LIST_FORMATS]))
def test_any_text_gives_valid_names_or_named_mistakes(text: str, format: str | None) -> None:
    try:
        listing = read(text.encode("utf-8", "replace").decode(), format)
    except ConfigError:
        return
    lines = text.count("\n") + 1
    assert listing.bad_lines == len(listing.problems) or len(listing.problems) == 20
    for listed in (*listing.names, *listing.exceptions):
        assert 1 <= listed.line <= lines
        if listed.kind != "pattern":
            assert listed.name == listed.name.lower()
            assert "." in listed.name
            assert len(listed.name) <= 253
            assert ("*" in listed.name) == (listed.kind == "glob")


def test_each_format_recognises_its_own_sample_before_all_others() -> None:
    samples = {"domain-list": DOMAIN_LIST, "adblock": ADBLOCK, "hosts": HOSTS, "rpz": RPZ}
    samples |= {"dnsmasq": DNSMASQ, "clash": CLASH, "plain": PLAIN}
    samples |= {"pihole": PIHOLE, "suricata": SURICATA, "zeek-intel": ZEEK, "ndpi": NDPI}
    assert samples.keys() == reader.LIST_FORMATS.keys()
    assert {word: recognise_format(text) for word, text in samples.items()} == {
        word: word for word in samples
    }
