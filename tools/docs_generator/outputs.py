"""Types of outputs with their keys, from the table of sinks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from docs_generator.markdown import code, duration, table
from netwatch.delivery.configuration import DIGEST_OPTIONS, OUTPUT_OPTIONS
from netwatch.sinks.options import Option
from netwatch.sinks.registry import SINKS
from netwatch.sinks.tls import TLS_OPTIONS

SHARED: dict[str, Sequence[Option]] = {
    "every": OUTPUT_OPTIONS,
    "tls": TLS_OPTIONS,
}
"""Keys that are no type's own: of outputs of every type, and below ``tls``."""


def keys() -> set[str]:
    """Every key of an output, without the path before it."""
    options = [*OUTPUT_OPTIONS, *TLS_OPTIONS, *DIGEST_OPTIONS]
    options += [option for sink in SINKS.values() for option in sink.options]
    return {part for option in options for part in option.key.split(".")}


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
    """A type of output: what it does, its keys, how ``doctor`` checks it. Or one of `SHARED`."""
    if name in SHARED:
        return _table(SHARED[name])
    sink = SINKS[name]
    options = [option for option in sink.options if option not in TLS_OPTIONS]
    if sink.digest_interval:
        every, *others = DIGEST_OPTIONS
        options += [replace(every, default=duration(sink.digest_interval)), *others]
    has_tls = any(option in TLS_OPTIONS for option in sink.options)
    tls = " Besides, the keys of [`tls`](#tls)." if has_tls else ""
    check = f"`netwatch doctor`: {sink.connection_check}.{tls}"
    return "\n\n".join([sink.description, _table(options), check])


def _table(options: Iterable[Option]) -> str:
    return table(
        ("key", "type", "default", "meaning"),
        (
            [
                code(option.key),
                option.kind,
                "required" if option.required else option.default or "none",
                option.description,
            ]
            for option in options
        ),
    )
