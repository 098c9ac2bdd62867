"""Types of outputs with their keys, from the table of sinks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from docs_generator.markdown import code, duration, table
from netwatch.delivery.configuration import DIGEST_OPTIONS, OUTPUT_OPTIONS
from netwatch.sinks.options import Option
from netwatch.sinks.registry import SINKS
from netwatch.sinks.tls import TLS_OPTIONS


def _own(name: str) -> list[Option]:
    """The keys of a type without those of every type and those below ``tls``."""
    sink = SINKS[name]
    options = [option for option in sink.options if option not in TLS_OPTIONS]
    if sink.digest_interval:
        every, *others = DIGEST_OPTIONS
        options += [replace(every, default=duration(sink.digest_interval)), *others]
    return options


_COUNTS = Counter(option for name in SINKS for option in _own(name))

SHARED: dict[str, Sequence[Option]] = {
    "every": OUTPUT_OPTIONS,
    "several": [option for option, count in _COUNTS.items() if count > 1],
    "tls": TLS_OPTIONS,
}
"""Keys that are no type's own: of outputs of every type, of several, and below ``tls``."""


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
    own = [option for option in _own(name) if option not in SHARED["several"]]
    also = [code(option.key) for option in _own(name) if option in SHARED["several"]]
    if also:
        also = [f"{', '.join(also)} ([keys of several types](#keys-of-several-types))"]
    if any(option in TLS_OPTIONS for option in sink.options):
        also.append("[`tls`](#tls)")
    parts = [sink.description, _table(own)]
    if also:
        parts.append(f"Also {', '.join(also)}.")
    return "\n\n".join([*parts, f"`netwatch doctor`: {sink.connection_check}."])


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
