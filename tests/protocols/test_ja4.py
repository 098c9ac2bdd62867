import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import extension, hello, server_name, vector

from netwatch.core.message import Evidence
from netwatch.protocols.tls import hello_message

# The example of FoxIO's description, in the order it was seen in.
CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
EXTENSIONS = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"


def ja4(raw: bytes, evidence: Evidence = "tls-sni") -> str:
    found = hello_message(raw, len(raw), evidence).tls
    assert found is not None
    assert found.ja4 is not None
    return found.ja4


def numbers(text: str) -> list[int]:
    return [int(word, 16) for word in text.split(",")]


def example(extensions: list[int], ciphers: list[int], signatures: str = SIGNATURES) -> bytes:
    bodies = {
        0: server_name(b"www.example.com")[4:],
        13: vector(2, bytes.fromhex(signatures.replace(",", ""))),
        16: vector(2, vector(1, b"h2") + vector(1, b"http/1.1")),
        43: vector(1, bytes.fromhex("2a2a03040303")),
    }
    raw = b"".join(extension(kind, bodies.get(kind, b"")) for kind in extensions)
    return hello(raw, tuple(ciphers))


def test_the_example_of_the_description():
    found = example(numbers(EXTENSIONS), numbers(CIPHERS))
    assert ja4(found) == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert ja4(found, "quic-sni") == "q13d1516h2_8daaf6152771_e5627efa2ab1"


@given(st.permutations(numbers(EXTENSIONS)), st.permutations(numbers(CIPHERS)), st.integers(0, 15))
def test_neither_order_nor_grease_matters(extensions, ciphers, grease):
    value = (grease << 4 | 0x0A) * 0x0101
    raw = example([value, *extensions], [value, *ciphers], f"{value:04x}," + SIGNATURES)
    assert ja4(raw) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_without_signature_algorithms_the_extensions_are_hashed_alone():
    kinds = [kind for kind in numbers(EXTENSIONS) if kind != 13]
    text = ",".join(f"{kind:04x}" for kind in sorted(kinds) if kind not in (0, 16))
    found = ja4(example(kinds, numbers(CIPHERS)))
    assert found.split("_")[2] == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_what_is_not_there_is_zeros():
    assert ja4(hello(None, ())) == "t12i000000_000000000000_000000000000"


def obvious(ciphers: list[int], kinds: list[int], signatures: list[int]) -> str:
    """The JA4 of a hello of TLS 1.2 with these, server_name but no ALPN, by the description."""

    def known(row: list[int]) -> list[int]:
        return [number for number in row if number & 0x0F0F != 0x0A0A or number % 257]

    def digest(*rows: list[int]) -> str:
        text = "_".join(",".join(f"{number:04x}" for number in row) for row in rows if row)
        return hashlib.sha256(text.encode()).hexdigest()[:12] if rows[0] else "0" * 12

    suites, others = sorted(known(ciphers)), sorted(kind for kind in known(kinds) if kind)
    counts = f"{min(len(suites), 99):02}{min(len(known(kinds)), 99):02}"
    return f"t12d{counts}00_{digest(suites)}_{digest(others, known(signatures))}"


NUMBERS = st.integers(0, 0xFFFF) | st.sampled_from([0x0A0A, 0xFAFA, 0x1A2A, 0x1301, 0x1302])


@given(st.lists(NUMBERS), st.lists(NUMBERS, unique=True), st.lists(NUMBERS, max_size=60))
def test_any_numbers_are_hashed_in_order(ciphers, kinds, signatures):
    kinds = [0, *(kind for kind in kinds if kind not in (0, 13, 16, 43, 0xFE0D)), 13]
    words = b"".join(number.to_bytes(2) for number in signatures)
    bodies = {0: server_name(b"a")[4:], 13: vector(2, words)}
    raw = hello(b"".join(extension(kind, bodies.get(kind, b"")) for kind in kinds), tuple(ciphers))
    # The second time the hashes are known.
    assert ja4(raw) == ja4(raw) == obvious(ciphers, kinds, signatures)


def test_messages_of_any_number_of_blocks_are_hashed():
    # From 164,000 bits on, the length in the padding has three bytes.
    for count in (*range(1, 80), 256, 257, 2000, 20_000):
        ciphers = [number * 40_503 & 0xFFFF for number in range(count)]
        raw = hello(server_name(b"a") + extension(13, b"\0\0"), tuple(ciphers))
        assert ja4(raw) == obvious(ciphers, [0, 13], [])


def test_counts_stop_at_99():
    raw = hello(b"".join(extension(0x100 + at, b"") for at in range(120)), tuple(range(400)))
    assert ja4(raw).startswith("t12i999900_")


@pytest.mark.parametrize(
    ("version", "text"),
    [(0x0303, "12"), (0x0302, "11"), (0x0301, "10"), (0x0300, "s3"), (0x7F1C, "00")],
)
def test_versions(version, text):
    assert ja4(hello(None, version=version))[1:3] == text


@pytest.mark.parametrize(
    ("protocol", "text"),  # the table of the description
    [
        ("", "00"),
        ("6832", "h2"),
        ("61", "aa"),
        ("ab", "ab"),
        ("20", "20"),
        ("abcd", "ad"),
        ("2061", "21"),
        ("30ab", "3b"),
        ("6120", "60"),
        ("3031abcd", "3d"),
        ("30abcd31", "01"),
    ],
)
def test_the_ends_of_the_first_protocol(protocol, text):
    raw = extension(16, vector(2, vector(1, bytes.fromhex(protocol))))
    assert ja4(hello(raw))[8:10] == text
