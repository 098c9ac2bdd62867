"""Types of outputs with their keys, from the table of sinks."""

from collections.abc import Iterable
from dataclasses import replace

from docs_generator.markdown import code, duration, table
from netwatch.core.file_keys import Key, sections
from netwatch.delivery.configuration import FormatKeys, OutputKeys
from netwatch.delivery.output import DigestKeys
from netwatch.sinks.registry import SINKS
from netwatch.sinks.tls import TlsOptions


def keys_of(name: str) -> list[Key]:
    """The keys of a type of output that are its own, or those of every type (``every``), or below
    ``tls``. A key of a mapping inside has its path."""
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
    """A type of output: what it does, its keys, how ``doctor`` checks it. Or keys that are no
    type's own."""
    shown = key_table(keys_of(name))
    if name not in SINKS:
        return shown
    sink = SINKS[name]
    return "\n\n".join([sink.description, shown, f"`netwatch doctor`: {sink.connection_check}."])


def key_table(keys: Iterable[Key]) -> str:
    """The rows of keys."""
    return table(
        ("key", "type", "default", "meaning"),
        ([code(each.name), each.type, each.default, each.description] for each in keys),
    )
