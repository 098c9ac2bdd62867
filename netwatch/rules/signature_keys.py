"""The keys of a signature file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from netwatch.core.file_keys import Key, Kind, key, mappings, nested
from netwatch.core.user_yaml import Fields, YamlSequence
from netwatch.core.value_kinds import BOOLEAN, TEXT, choice, number, parsed, texts, with_lines
from netwatch.core.verdict import Confidence, Role

ROLES: tuple[Role, ...] = get_args(Role)
"""What a rule can say of the names that it matches."""

CAPS: Mapping[str, Confidence] = {"probable": "probable", "possible": "possible"}
"""The confidences that a rule can have at most."""

MIN_DECISION = 10
"""Letters that the reason under ``decide`` has at least."""

MAX_DECISION = 300
"""Letters that it has at most."""

_SLUG_TEXT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_SLUG = parsed(
    "id",
    lambda text: text if _SLUG_TEXT.match(text) else None,
    "a-z, 0-9 and single hyphens",
    pattern="[a-z0-9]+(-[a-z0-9]+)*",
    empty="",
)


def _read_decision(entry: Fields, declared: Key, _: Path) -> str | None:
    text = entry.text(declared.name)
    is_text = isinstance(entry.mapping.get(declared.name), str)
    if is_text and not MIN_DECISION <= len(text) <= MAX_DECISION:
        expected = f"a reason of {MIN_DECISION} to {MAX_DECISION} letters"
        entry.add_mismatch(declared.name, expected)
    return text or None


_DECISION = Kind("text", TEXT.schema, _read_decision, empty="")
_IN_PLACE_OF_OTHERS = "one of three"


@dataclass(slots=True, eq=False, repr=False)
class DomainKeys:
    """The keys of a rule."""

    suffix: str = key(
        TEXT,
        "matches the name itself and all names below it",
        words="name",
        shown=_IN_PLACE_OF_OTHERS,
    )
    host: str = key(TEXT, "matches exactly this name", words="name", shown=_IN_PLACE_OF_OTHERS)
    glob: str = key(
        TEXT,
        "matches names with as many labels; `*` is any text inside one label, and is not "
        "allowed in the last two labels",
        words="name with `*`",
        shown=_IN_PLACE_OF_OTHERS,
    )
    role: Role | None = key(
        choice(ROLES),
        "`exclusive`, `vendor`, `embed` or `cdn`",
        required=f"one of {', '.join(ROLES)}",
    )
    confidence: Confidence | None = key(
        choice(CAPS, "`probable` or `possible`"),
        "the highest [grade](../concepts/confidence.md#the-grade-of-a-rule) of the rule",
    )
    verified: bool = key(
        BOOLEAN,
        "`false` if the owner of the name is not confirmed; the grade is then at most `probable`",
        True,
        words="true or false",
    )
    embed_reachable: bool = key(
        BOOLEAN,
        "`true` if pages or other apps call the name too; the grade is then one step less",
        False,
        words="true or false",
    )
    sources: tuple[str, ...] = key(
        texts(),
        "tags of the sources that list this name",
        required="at least one tag of a source that lists the name",
    )
    decide: str = key(
        _DECISION,
        "why the app may claim a name that most devices contact, that belongs to a government, a "
        "public resolver or an update service, or that is private; written by a person",
        shown="required in a common zone",
    )


@dataclass(slots=True, eq=False, repr=False)
class AsnKeys:
    """The keys of an autonomous system."""

    number: int | None = key(
        number(1, (1 << 32) - 1, "1 to 4294967295 (RFC 6793)"),
        "the AS number, 1 to 4294967295",
        required="the AS number, without AS before it",
    )
    name: str = key(TEXT, "the holder of the AS", required="the holder of the AS")


@dataclass(slots=True, eq=False, repr=False)
class ExampleKeys:
    """The keys of ``tests``."""

    match: tuple[tuple[int, str], ...] = key(
        with_lines("list of names"), "names that must match the app"
    )
    ignore: tuple[tuple[int, str], ...] = key(
        with_lines("list of names"), "names that must not match the app"
    )


def _check_list(entry: Fields, declared: Key, _: Path) -> YamlSequence | None:
    """The items as they are written. There may be a million of them, so each is read when it is
    needed."""
    entry.items(declared.name, declared.required)
    written = entry.mapping.get(declared.name)
    return written if isinstance(written, YamlSequence) else None


_DOMAINS = Kind(
    "list of mappings",
    {"type": "array", "items": {"type": "object"}},
    _check_list,
    below=DomainKeys,
    place="[]",
)


@dataclass(slots=True, eq=False, repr=False)
class SignatureKeys:
    """The keys of a signature file."""

    app: str = key(
        _SLUG,
        "the app's id: a-z, 0-9 and single hyphens; names the file",
        required="the app's id, a word like tiktok",
    )
    name: str = key(
        TEXT, "the app's name as people write it", required="the app's name as people write it"
    )
    vendor: str = key(
        _SLUG, "the group that bans name as `vendor:…`", required="a word like bytedance"
    )
    category: str = key(
        _SLUG, "the group that bans name as `category:…`", required="a word like video"
    )
    domains: YamlSequence | None = key(
        _DOMAINS, "the rules, at least one", required="the names of the app, at least one"
    )
    aliases: tuple[tuple[int, str], ...] = key(
        with_lines("list of names"),
        "CDN tails under which the zones of the app appear: with `edgesuite.net`, the "
        "suffix `tiktokcdn.com` also matches `tiktokcdn.com.edgesuite.net` and all names "
        "below it. Only a `suffix` whose role is `exclusive` or `vendor` has aliases",
    )
    asns: tuple[AsnKeys, ...] = key(
        mappings(AsnKeys, "an AS"),
        "autonomous systems that only the vendor uses; shown, but not part of a verdict",
    )
    addresses: tuple[tuple[int, str], ...] = key(
        with_lines("list of IP addresses"),
        "addresses of the app's servers. They classify flows without a name to apps that "
        "hide names, and are not part of a verdict",
    )
    tests: ExampleKeys = key(
        nested(ExampleKeys, "the tests", empty=ExampleKeys()),
        "names that the rules must and must not match",
    )
