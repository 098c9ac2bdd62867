"""Second readers of the formats for a SIEM, written from their specifications alone, and
records whose every text a sender chose."""

import itertools
import re
from typing import Any

from hypothesis import strategies as st

from netwatch.core.alert import Alert
from netwatch.formats import jsonl

# what each format means something by, what breaks lines, hides text or is no text at all
_ALPHABET = (
    '|=^"]\\[{}:,;\r\n\t\0\x1b\x7f\x85\u2028\u202e\u200b\ufeff\udc80\udcff aAu0é中\U000e0041'
)
HOSTILE_TEXT = (
    st.text(st.sampled_from(_ALPHABET), min_size=1, max_size=40)
    | st.text(min_size=1, max_size=255)
    | st.sampled_from(
        [
            "x|netwatchVerdict=none",
            "x src=192.0.2.1",
            "x\\ src=192.0.2.1",
            "x^src=192.0.2.1",
            'x","event":{"kind":"event"},"y":"',
            "\\u005e\\u007c\\u0020",
            "\\\\=|\\",
            "x\nCEF:0|forged|forged|1|1|forged|10|src=192.0.2.1",
            "x\r\nLEEF:2.0|forged|forged|1|1|^|src=192.0.2.1",
            "\N{RIGHT-TO-LEFT OVERRIDE}moc.kotkit",
            "\udcff\udcfe.tiktok.com",
            " x ",
            "x\\",
            "n" * 255,
        ]
    )
)

# what is a word of ours, an address or a time, and no text of somebody else
_FIXED = frozenset(
    {
        *("schema", "id", "status", "verdict", "severity", "confidence", "type", "role", "class"),
        *("first_seen", "last_seen", "time", "from", "until", "review"),
        *("ip", "mac", "community_ids", "value", "outcome", "blocked_by"),
        *("directions", "checksum"),
    }
)


@st.composite
def hostile_records(draw: st.DrawFn, like: Alert) -> dict[str, Any]:
    """Records of the shape of an alert, with hostile texts in all places that take some.

    A few texts are drawn and the places take them in turn: a draw for each of some sixty places
    costs twenty times what the formatter under test costs.
    """
    texts = itertools.cycle(draw(st.lists(HOSTILE_TEXT, min_size=1, max_size=8)))

    def spoiled(value: Any, key: str, path: str) -> Any:
        if isinstance(value, dict):
            return {each: spoiled(v, each, f"{path}.{each}") for each, v in value.items()}
        if isinstance(value, list) and key not in _FIXED:
            return [spoiled(each, key, path) for each in value]
        free = key not in _FIXED or path in (".app.id", ".ban.id", ".device.id")
        return next(texts) if isinstance(value, str) and free else value

    record: dict[str, Any] = spoiled(jsonl.alert_record(like), "", "")
    return record


def one_line(text: str) -> str:
    """The text, which has to be one line of valid UTF-8 that steers no terminal."""
    assert text.splitlines() == [text]
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", text)
    text.encode("utf-8")
    return text


def shown(text: str) -> str:
    """What a JSON reader finds: a half of a surrogate pair is written out."""
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half.group()):04x}", text)


def unescaped(text: str) -> str:
    """The text behind escapes like ``\\u202e``."""
    text = re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code.group(1), 16)), text)
    return whole(text)


def whole(text: str) -> str:
    """The text with halves of surrogate pairs that meet put together."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """The seven fields of the header, then the extension; AssertionError where a key comes
    twice, a label names nothing or an escape is none."""
    parts = re.split(r"(?<!\\)((?:\\\\)*)\|", line, maxsplit=7)
    fields = ["".join(parts[at : at + 2]) for at in range(0, 14, 2)]
    header = [_cef_unescaped(field, "|") for field in fields]
    found: dict[str, str] = {}
    assert '"' not in parts[14]  # some readers pass over fields within quotes
    keys = list(re.finditer(r"(?:^| )([A-Za-z][A-Za-z0-9]*)=", parts[14]))
    assert keys[0].start() == 0
    ends = [key.start() for key in keys[1:]] + [len(parts[14])]
    for key, end in zip(keys, ends, strict=True):
        assert key.group(1) not in found
        found[key.group(1)] = _cef_unescaped(parts[14][key.end() : end], "=")
    assert all(key.removesuffix("Label") in found for key in found)
    return header, found


def _cef_unescaped(text: str, special: str) -> str:
    assert re.fullmatch(rf"(?:[^\\{special}]|\\[\\{special}])*", text)
    return re.sub(r"\\(.)", r"\1", text)


def read_leef(line: str) -> tuple[list[str], dict[str, str]]:
    """The header, whose last field is the delimiter, and the attributes; AssertionError
    where a key comes twice."""
    # Some readers know quotes and escapes, which the format does not.
    assert not re.search(r"""["']|\\[|^\\tnr]""", line)
    *header, delimiter, attributes = line.split("|")
    assert len(header) == 5
    assert len(delimiter) == 1
    found: dict[str, str] = {}
    for pair in attributes.split(delimiter):
        key, equals, value = pair.partition("=")
        assert equals
        assert re.fullmatch("[A-Za-z][A-Za-z0-9]*", key)
        assert key not in found
        found[key] = value
    return [*header, delimiter], found
