"""netwatch.yaml(5): every key of the configuration, from the tables of keys and of sinks."""

import re
from collections.abc import Iterable, Iterator

from docs_generator import outputs
from docs_generator.configuration_keys import CONFIGURATION_KEYS
from docs_generator.pages import ROOT

from manual_generator import roff
from netwatch.core.file_keys import Key, Section
from netwatch.sinks.registry import SINKS

_EXAMPLE_PAGE = ROOT / "docs" / "getting-started.md"
_DESCRIPTION = (
    "netwatch reads one YAML file in UTF-8: `-c FILE`, else `./netwatch.yaml`, else "
    "`/etc/netwatch/netwatch.yaml`, else built-in defaults. Paths are relative to its folder. "
    "Unknown keys, duplicate keys and aliases are errors.",
    "`netwatch policy check` validates the file and all files that it names, and prints what is in "
    "force, or every error with file, line and what is expected.",
)
_SHARED = {
    "every": "outputs[], of every type",
    "tls": "outputs[].tls, of types that use TLS",
}
"""The titles of the keys that several types of outputs have."""


def page(day: str) -> str:
    """The source of the page; `day` (YYYY-MM-DD) stands at its end."""
    return roff.page("netwatch.yaml", 5, day, _lines())


def _lines() -> Iterator[str]:
    yield roff.section("Name")
    yield f"netwatch.yaml \\- {roff.escape('the configuration of netwatch')}"
    yield roff.section("Description")
    for text in _DESCRIPTION:
        yield from roff.paragraph(text)
    yield roff.section("Keys")
    for mapping in CONFIGURATION_KEYS:
        if not mapping.path.startswith("outputs"):
            yield from _mapping(mapping)
    yield roff.section("Outputs")
    for name, title in _SHARED.items():
        yield roff.subsection(title)
        yield from _keys(outputs.keys_of(name))
    for name, sink in SINKS.items():
        yield roff.subsection(f"outputs[], type {name}")
        yield from roff.prose(sink.description)
        yield from _keys(outputs.keys_of(name))
    yield roff.section("Files")
    yield from roff.item(roff.code_tag("/etc/netwatch/netwatch.yaml"), "the file of a service")
    yield roff.section("Examples")
    yield from roff.example(_example().splitlines())
    yield roff.section("See also")
    yield from roff.references([("netwatch", 1), ("netwatch-policy", 1), ("netwatch-init", 1)])


def title(mapping: Section) -> str:
    """The heading of the keys of a mapping. Entries of `bans` have one of two forms."""
    form = ""
    if mapping.path == "bans[]":
        form = ", of a pack" if mapping.keys[0].name == "pack" else ", written out"
    path, _, of_type = mapping.path.partition(":")
    type_name, _, below = of_type.partition(".")
    path = f"{path}.{below}" if below else path
    form = f", of type {type_name}" if type_name else form
    return f"{path or 'Top level'}{form}"


def _mapping(mapping: Section) -> Iterator[str]:
    yield roff.subsection(title(mapping))
    yield from _keys(mapping.keys)


def _keys(keys: Iterable[Key]) -> Iterator[str]:
    for key in keys:
        end = "" if key.default in ("none", "see below") else f"; default: {key.default}"
        end = "; required" if key.required else end
        yield from roff.item(roff.code_tag(key.name), f"{key.description} ({key.type}{end})")


def _example() -> str:
    """The first configuration of the page for beginners."""
    found = re.search(
        r"^```yaml\n(.*?)^```", _EXAMPLE_PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    if found is None:
        raise ValueError(f"{_EXAMPLE_PAGE}: expected a block of YAML")
    return found[1]
