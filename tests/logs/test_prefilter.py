"""Lines of interest are found wherever the name is in them, compiled and interpreted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import all_interpreted

from netwatch.logs import prefilter

INTERPRETED = all_interpreted("netwatch.logs.prefilter")["netwatch.logs.prefilter"]
MODULES = pytest.mark.parametrize("module", [prefilter, INTERPRETED], ids=["built", "source"])
DOMAINS = (b"tiktok.com", b"muscdn.com", b"byteoversea.co.uk")


def found(module, data, domains=DOMAINS, needles=(), labels=False, words=frozenset()):
    """The numbers of the lines that pass, but for those that pass as a sample."""
    lines = module.LineFilter(domains, needles, labels)
    if words:
        lines.set_words(words)
    buffer = bytearray(b"\n" * module.HEAD + data)
    numbers, at = [], 0
    while at < len(buffer):
        at = lines.find(buffer, at, len(buffer))
        for i in range(lines.count):
            piece = bytes(buffer[lines.starts[i] : lines.ends[i]])
            assert buffer.split(b"\n")[lines.numbers[i] - 1] == piece
            numbers.append(lines.numbers[i] - module.HEAD)
    return [number for number in numbers if number > 0]


@MODULES
@pytest.mark.parametrize(
    "line",
    [
        b"query[A] www.tiktok.com from 10.0.0.7",
        b'{"query":"TikTok.com"}',
        b"https://m.tiktok.com/path",
        b"https:\\/\\/m.tiktok.com\\/path",
        b"name\\twww.tiktok.com\\t1",
        b"name\\ttiktok.com",
        b"tiktok.com.",
        b"tiktok.com:443",
        b"a,WWW.TIKTOK.COM,b",
        b"(www.tiktok.com)",
        b"\\u0074iktok.com",
        b"\\116iktok.com",
        b"t\xc3\xafktok.com",
        b"x byteoversea.co.uk",
    ],
)
def test_a_line_with_a_name_of_interest_passes(module, line):
    assert found(module, line) == [1]
    assert found(module, b"other\n" + line + b"\nother\n") == [2]


@MODULES
@pytest.mark.parametrize(
    "line",
    [
        b"query[A] www.example.com from 10.0.0.7",
        b"nottiktok.com",
        b"tiktok.com.example.org",
        b"tiktok-com",
        b"tiktok com",
        b"tiktok.co",
        b"x_tiktok.com",
        b"(6)tiktok(3)com(0)",
        b"",
        b"...",
    ],
)
def test_other_lines_do_not(module, line):
    assert found(module, line) == []


@MODULES
def test_names_label_by_label(module):
    line = b"UDP Rcv 10.0.0.7 Q [0001 D NOERROR] A (3)www(6)TikTok(3)com(0)"
    assert found(module, line, labels=True) == [1]
    assert found(module, b"A (6)tiktok(3)com(7)example(3)org(0)", labels=True) == []
    assert found(module, b"A (9)nottiktok(3)com(0)", labels=True) == []


@MODULES
def test_needles_and_words_let_lines_pass(module):
    data = b'{"event_type":"flow"}\n{"event_type":"dns"}\nis 192.0.2.7\nis 192.0.2.70\n'
    assert found(module, data, needles=(b'"flow"', b"#fields")) == [1]
    needles = (b'"event_type":"flow"', b'"event_type": "dns"', b"s 192.0.2.70")
    assert found(module, data, needles=needles) == [1, 4]
    assert (
        found(module, b'"flow"\n"event_type":"flows"\nx"event_type":"flow', needles=needles) == []
    )
    assert found(module, data, words=frozenset({b"192.0.2.7"})) == [3]
    assert found(module, b"2001:DB8::1 10.0.0.7/53", words=frozenset({b"10.0.0.7/53"})) == [1]


@MODULES
def test_the_lines_around_pass_with_one_of_interest(module):
    lines = [b"%d" % number for number in range(200)]
    lines[100] = lines[107] = b"x tiktok.com"
    buffer = bytearray(b"\n".join(lines) + b"\n")
    given = []
    finder = module.LineFilter(DOMAINS, around=3)
    middle = buffer.index(b"\n99\n") + 4
    assert finder.find(buffer, 0, middle) == middle
    given += [finder.numbers[i] - 1 for i in range(finder.count)]
    keep = finder.keep_from(middle)
    assert bytes(buffer[keep:middle]) == b"97\n98\n99\n"
    finder.moved(keep)
    rest = buffer[keep:]
    assert finder.find(rest, middle - keep, len(rest)) == len(rest)
    for i in range(finder.count):
        given.append(finder.numbers[i] - 1)
        assert bytes(rest[finder.starts[i] : finder.ends[i]]) == lines[given[-1]]
    assert given == [*range(module.HEAD), *range(97, 111)]


@MODULES
def test_a_domain_of_one_label(module):
    assert found(module, b"a tiktok b\nnottiktok\na.tiktok", domains=(b"tiktok",)) == [1, 3]


@MODULES
def test_all_lines_pass_without_domains_and_some_in_any_case(module):
    lines = module.LineFilter(None)
    data = bytearray(b"a\n" * 10_000)
    at, count = 0, 0
    while at < len(data):
        at = lines.find(data, at, len(data))
        count += lines.count
    assert count == lines.lines == 10_000
    lines = module.LineFilter(DOMAINS)
    assert lines.find(data, 0, len(data)) == len(data)
    assert lines.count == module.HEAD + 9 * module.SAMPLE


def test_fewer_lines_of_a_long_file_are_a_sample():
    lines = prefilter.LineFilter(DOMAINS)
    data = bytearray(b"a\n" * 200_000)
    assert lines.find(data, 0, len(data)) == len(data)
    early = prefilter.LONG // prefilter.SAMPLE_EVERY - 1
    late = -(-(200_000 - prefilter.LONG) // prefilter.LONG_SAMPLE_EVERY)
    assert lines.count == prefilter.HEAD + (early + late) * prefilter.SAMPLE


_WORDS = (b"a", b"ab", b"abc", b"192.0.2.7", b"2001:db8::7", b"xc", b"c")
_RUNS = st.sampled_from((*_WORDS, b":", b".", b" ", b",", b"x", b"AB", b"/", b"8::7", b"0.2.7"))


@given(
    st.frozensets(st.sampled_from(_WORDS), min_size=1), st.lists(_RUNS, max_size=8).map(b"".join)
)
def test_words_are_found_as_an_expression_finds_them(words, line):
    lowered = line.lower()
    ends = rb"(?:(?<![a-z0-9_.:/-])|(?<=:))(?:%b)(?![a-z0-9_.:/-])"
    expected = re.search(ends % b"|".join(map(re.escape, words)), lowered) is not None
    assert found(prefilter, line, words=words) == [1] * expected


def _is_of_interest(line, labels):
    """By another way: one expression, which looks for each domain at each place."""
    if re.search(rb"\\[ux0-9]|[^\x00-\x7f]", line):
        return True
    if labels:
        line = re.sub(rb"\(\d+\)|[()]", b".", line)
    any_of = b"|".join(map(re.escape, DOMAINS))
    before = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[A-Za-z_-]))"
    return re.search(before + b"(?i:" + any_of + rb")\.*(?![A-Za-z0-9_.-])", line) is not None


_PIECES = (
    *(b"tiktok.com", b"www.", b".", b"x", b"-", b"_", b" ", b'"', b"\\", b"u", b"t", b"7", b"/"),
    *(b"(3)", b"(", b")", b"tiktok", b"com", b"Com", b"(6)tiktok(3)com(0)", b"\xe9", b"\r", b"\0"),
)
PIECES = st.sampled_from(_PIECES)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.booleans())
def test_it_finds_what_an_expression_finds(line, labels):
    expected = [1] * _is_of_interest(line, labels)
    assert found(prefilter, line, labels=labels) == expected
    assert found(INTERPRETED, line, labels=labels) == expected


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_divided_into_the_same_lines(pieces):
    data = b"\n".join(pieces)
    assert found(prefilter, data) == found(INTERPRETED, data)
