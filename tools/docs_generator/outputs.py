"""Types of outputs with their keys, from the table of sinks."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from docs_generator.markdown import code, duration, listed, table
from netwatch.core.file_keys import Key, sections
from netwatch.delivery.configuration import DigestKeys, FormatKeys, OutputKeys
from netwatch.sinks.options import TlsOptions
from netwatch.sinks.registry import SINKS

SHARED = ("every", "several", "tls")
"""Names of groups of keys that are no type's own: of every type, of several, below ``tls``."""


def keys_of(name: str) -> list[Key]:
    """The keys of a type of output, or of a group of `SHARED`. A key of a mapping inside has its
    path."""
    if name == "several":
        return list(_of_several().values())
    if name == "tls":
        declaring: tuple[type, ...] = (TlsOptions,)
    elif name == "every":
        declaring = (OutputKeys, FormatKeys)
    else:
        form = (DigestKeys,) if SINKS[name].digest_interval else ()
        declaring = (SINKS[name].options, *form)
    found = [
        replace(key, name=f"{section.path}.{key.name}".lstrip("."))
        for section in sections("", *declaring)
        if section.path != "tls"
        for key in section.keys
    ]
    interval = SINKS[name].digest_interval if name in SINKS else 0
    return [
        replace(key, default=f"`{duration(interval)}`") if interval and key.name == "every" else key
        for key in found
    ]


def _of_several() -> dict[tuple[str, str], Key]:
    """The keys that types have in the same words, by name and description."""
    keys = {_words(key): key for name in SINKS for key in keys_of(name)}
    counts = Counter(_words(key) for name in SINKS for key in keys_of(name))
    shared = (words for words, count in counts.items() if count > 1 and words[0] != "tls")
    return {words: keys[words] for words in shared}


def _words(key: Key) -> tuple[str, str]:
    return key.name, f"{key.type} {key.default} {key.description}"


def types_block(_: str) -> str:
    """The types of outputs."""
    return table(
        ("type", "receiver", "default format", "extra"),
        (
            [
                f"[`{name}`](#{name})",
                sink.title,
                code(sink.default_format) if sink.default_format else "a digest",
                code(sink.extra) if sink.extra else "",
            ]
            for name, sink in SINKS.items()
        ),
    )


def block(name: str) -> str:
    """A type of output: what it does, its keys, how ``doctor`` checks it; or a group of
    `SHARED`."""
    if name in SHARED:
        return key_list(keys_of(name))
    sink, several = SINKS[name], _of_several()
    own = [key for key in keys_of(name) if _words(key) not in several and key.name != "tls"]
    also = [code(key.name) for key in keys_of(name) if _words(key) in several]
    links = [f"{', '.join(also)} ([keys of several types](#keys-of-several-types))"] if also else []
    links += ["[`tls`](#tls)" for key in keys_of(name) if key.name == "tls"]
    parts = [sink.description, key_list(own)]
    if links:
        parts.append(f"Also {', '.join(links)}.")
    return "\n\n".join([*parts, f"`netwatch doctor`: {sink.connection_check}."])


def key_list(keys: Iterable[Key]) -> str:
    """Keys, each with its type, its default and its meaning."""
    return listed((code(each.name), _kind(each), each.description) for each in keys)


def _kind(key: Key) -> str:
    if key.default in ("", "none"):
        return key.type
    return f"{key.type}, {'' if key.default == 'required' else 'default '}{key.default}"
